"""Gathers how often each label, or each value of a field, occurs among the accepted records."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypedDict, assert_never

from pipeline.kinds.interface import Breakdown
from pipeline.kinds.registry import kind_of
from pipeline.reporting.report_page import FieldFill, ValueCount
from pipeline.reporting.report_state import State
from pipeline.text.wording import shown_label
from schemas.answers_in_words import value_as_json
from schemas.decision import Decision
from schemas.field import TargetField, ValueType
from schemas.field_values import leaf_paths, leaves
from schemas.task import Task

_TOP_VALUES = 8


class BrokenDown(TypedDict, total=False):
    """What of a report's content depends on the breakdown."""

    labels: list[ValueCount]
    fields: list[FieldFill]


def broken_down(state: State, accepted: Sequence[Decision], breakdown: Breakdown) -> BrokenDown:
    """The accepted answers by labels or by fields."""
    match breakdown:
        case Breakdown.LABEL:
            return {"labels": _labels(state, accepted)}
        case Breakdown.FIELD:
            return {"fields": field_fills(state.task, [decision.targets or {} for decision in accepted])}
        case _:
            assert_never(breakdown)


def _labels(state: State, decisions: Iterable[Decision]) -> list[ValueCount]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    kind = kind_of(state.task)
    for decision in decisions:
        for label in kind.strata(state.task, decision.targets or {}):
            counts[label][state.splits.get(decision.record_id, "")] += 1
    return [
        ValueCount(
            value=shown_label(value),
            records=splits.total(),
            splits={s: splits[s] for s in state.dataset.config.split.in_order(splits) if s},
        )
        for value, splits in sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    ]


def field_fills(task: type[Task], answers: Sequence[dict[str, Any]]) -> list[FieldFill]:
    """How many answers have a value for each field, and how many have which; nothing of conversations.

    An answer counts once for each of its different values: in a list for each element, in objects by their fields.
    """
    found: list[FieldFill] = []
    for field in task.task_targets():
        match field.type:
            case ValueType.MESSAGES:
                continue
            case ValueType.OBJECT:
                found += _object_fills(field, answers)
            case _:
                values = [value for answer in answers if (value := answer.get(field.name)) not in (None, [])]
                # Counted without a loop of our own: there may be a hundred thousand answers.
                counts = Counter(chain.from_iterable(map(set, values)) if field.many else values)
                found.append(_fill(field.name, len(values), len(answers), counts))
    return found


def _object_fills(field: TargetField, answers: Sequence[dict[str, Any]]) -> Iterator[FieldFill]:
    filled: Counter[str] = Counter()
    counts: defaultdict[str, Counter[Any]] = defaultdict(Counter)
    for answer in answers:
        values = {(leaf.path, leaf.value) for leaf in leaves([field], answer)}
        filled.update({path for path, _ in values})
        for path, value in values:
            counts[path][value] += 1
    for path in leaf_paths([field]):
        yield _fill(path, filled[path], len(answers), counts[path])


def _fill(name: str, filled: int, records: int, counts: Counter[Any]) -> FieldFill:
    top = [ValueCount(value=value_as_json(value), records=number) for value, number in counts.most_common(_TOP_VALUES)]
    return FieldFill(name=name, filled=filled, records=records, distinct=len(counts), top=top)
