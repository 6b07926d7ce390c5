"""Gathers how often each label, or each value of a field, occurs among the accepted records."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypedDict, assert_never

from pipeline.kinds.interface import Breakdown
from pipeline.kinds.registry import kind_of
from pipeline.reporting.report_page import FieldFill, ValueCount
from pipeline.reporting.report_state import State
from pipeline.text.wording import shown_label
from schemas.answers_in_words import value_as_json
from schemas.decision import Decision
from schemas.field import TargetField, ValueType
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
    return list(_fills(task.task_targets(), [[answer] for answer in answers], ""))


def _fills(fields: Sequence[TargetField], answers: Sequence[list[dict[str, Any]]], above: str) -> Iterator[FieldFill]:
    """Of each answer, the objects in it that have the fields."""
    for field in fields:
        name = f"{above}{field.name}"
        if field.type is ValueType.OBJECT:
            inner = [[part for one in objects for part in _parts(one, field)] for objects in answers]
            yield from _fills(field.fields, inner, f"{name}.")
        elif field.type is not ValueType.MESSAGES:
            yield _fill(name, field, answers)


def _parts(value: dict[str, Any], field: TargetField) -> Iterable[Any]:
    part = value.get(field.name)
    return () if part is None else part if field.many else (part,)


def _fill(name: str, field: TargetField, answers: Sequence[list[dict[str, Any]]]) -> FieldFill:
    counts: defaultdict[Any, int] = defaultdict(int)
    filled = 0
    for objects in answers:
        # No list of all of them: a hundred thousand small ones would keep the garbage collector busy.
        values = {part for one in objects for part in _parts(one, field)}
        filled += bool(values)
        for value in values:
            counts[value] += 1
    # Of values that are equally frequent, always the same ones: their order in a set differs between processes.
    most = sorted(counts.items(), key=lambda item: (-item[1], repr(item[0])))[:_TOP_VALUES]
    top = [ValueCount(value=value_as_json(value), records=number) for value, number in most]
    return FieldFill(name=name, filled=filled, records=len(answers), distinct=len(counts), top=top)
