"""Gathers how often each label, or each value of a field, occurs among the accepted records."""

import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict, assert_never

import numpy as np
import orjson
import polars as pl

from pipeline.kinds.interface import Breakdown
from pipeline.kinds.registry import kind_of
from pipeline.reporting.report_page import FieldFill, ValueCount
from pipeline.reporting.report_state import State
from pipeline.text.wording import shown_label
from schemas.answers_in_words import value_as_json
from schemas.fate import Fate
from schemas.field import TargetField, ValueType
from schemas.task import Task

_TOP_VALUES = 8


class BrokenDown(TypedDict, total=False):
    """What of a report's content depends on the breakdown."""

    labels: list[ValueCount]
    fields: list[FieldFill]


def broken_down(state: State, breakdown: Breakdown) -> BrokenDown:
    """The accepted answers by labels or by fields."""
    match breakdown:
        case Breakdown.LABEL:
            return {"labels": _labels(state)}
        case Breakdown.FIELD:
            return {"fields": _fills_of(state)}
        case _:
            assert_never(breakdown)


_IS_ACCEPTED = pl.col("fate") == Fate.ACCEPTED.value


_counted: dict[tuple[Path, str, int, int], list[FieldFill]] = {}
"""The values of the accepted rows that were counted last."""


def _fills_of(state: State) -> list[FieldFill]:
    """Count them, unless these very decisions were counted last.

    A release shows the same rows in two reports, and reading what they say takes most of the time of each.
    """
    decided = state.accepted.select("record_id", "run").collect()
    key = state.snapshot.store.root, state.task.task_digest(), decided.height, int(decided.hash_rows().sum())
    if key not in _counted:
        found = field_fills(state.task, _Answers(state))
        _counted.clear()
        _counted[key] = found
    return _counted[key]


class _Answers:
    """The accepted ones, which are read anew each time."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for rows in self._state.in_batches(_IS_ACCEPTED, "targets"):
            for targets in rows["targets"]:
                yield orjson.loads(targets) if targets is not None else {}


def _labels(state: State) -> list[ValueCount]:
    # Of answers that are chosen from a list there are few.
    found: Counter[tuple[str | None, str]] = Counter()
    for rows in state.in_batches(_IS_ACCEPTED, "record_id", "targets"):
        placed = rows.join(state.splits, on="record_id", how="left").with_columns(pl.col("split").fill_null(""))
        for targets, split, count in placed.group_by("targets", "split").len().iter_rows():
            found[targets, split] += count
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    kind = kind_of(state.task)
    for (targets, split), count in found.items():
        for label in kind.strata(state.task, orjson.loads(targets) if targets is not None else {}):
            counts[label][split] += count
    return [
        ValueCount(
            value=shown_label(value),
            records=splits.total(),
            splits={s: splits[s] for s in state.dataset.config.split.in_order(splits) if s},
        )
        for value, splits in sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    ]


def field_fills(task: type[Task], answers: Iterable[dict[str, Any]]) -> list[FieldFill]:
    """How many answers have a value for each field, and how many have which; nothing of conversations.

    An answer counts once for each of its different values: in a list for each element, in objects by their fields.

    Args:
        task: has the fields.
        answers: all of them, which are read twice; they are not held in memory, nor are long texts in them.
    """
    fills = list(_fills(task.task_targets(), ""))
    for answer in answers if fills else ():
        for fill in fills:
            fill.count(answer)
    wanted = [fill for fill in fills if fill.look_at()]
    for answer in answers if wanted else ():
        for fill in wanted:
            fill.look(answer)
    return [fill.told() for fill in fills]


def _fills(fields: Sequence[TargetField], above: str, path: tuple[TargetField, ...] = ()) -> Iterator["_Fill"]:
    for field in fields:
        if field.type is ValueType.OBJECT:
            yield from _fills(field.fields, f"{above}{field.name}.", (*path, field))
        elif field.type is not ValueType.MESSAGES:
            yield _Fill(f"{above}{field.name}", (*path, field))


def _parts(value: dict[str, Any], field: TargetField) -> Iterable[Any]:
    part = value.get(field.name)
    return () if part is None else part if field.many else (part,)


class _Fill:
    """Counts the values of a field."""

    def __init__(self, name: str, path: Sequence[TargetField]) -> None:
        self._name, self._path = name, path
        self._filled = self._answers = self._distinct = 0
        self._counts: defaultdict[Any, int] = defaultdict(int)
        """Of short values."""
        self._hashes = array("q")
        """Of long texts, which may all be different: one entry each time that one occurs."""
        self._often: dict[int, int] = {}
        """How often those of them occur that occur several times and may be shown, by hash."""
        self._least = 0
        """How frequent a value must be to be shown."""
        self._texts: dict[str, int] = {}
        """Long ones that may be shown, with how frequent they are."""

    def _values(self, answer: dict[str, Any]) -> set[Any]:
        found: Iterable[Any] = (answer,)
        for field in self._path:
            found = [part for one in found for part in _parts(one, field)]
        return set(found)

    def count(self, answer: dict[str, Any]) -> None:
        """Count the values of an answer."""
        values = self._values(answer)
        self._answers += 1
        self._filled += bool(values)
        for value in values:
            if _is_long(value):
                self._hashes.append(hash(value))
            else:
                self._counts[value] += 1

    def look_at(self) -> bool:
        """Decide how frequent a value must be to be shown; returns whether any long one may be."""
        hashes, counts = np.unique(np.frombuffer(self._hashes, dtype=np.int64), return_counts=True)
        self._distinct = len(self._counts) + len(hashes)
        most = heapq.nlargest(_TOP_VALUES, [*self._counts.values(), *np.sort(counts)[-_TOP_VALUES:].tolist()])
        self._least = most[-1] if most else 0
        is_often = counts >= max(self._least, 2)
        self._often = dict(zip(hashes[is_often].tolist(), counts[is_often].tolist(), strict=True))
        return bool(len(counts) and counts.max() >= self._least)

    def look(self, answer: dict[str, Any]) -> None:
        """Take note of the values that are shown; of equally frequent ones, of the first in their order."""
        for value in filter(_is_long, self._values(answer)):
            if (count := self._often.get(hash(value), 1)) >= self._least:
                self._texts[value] = count
        if len(self._texts) > _HELD:
            self._texts = dict(sorted(self._texts.items(), key=_rank)[:_TOP_VALUES])

    def told(self) -> FieldFill:
        """What was counted."""
        short = [(value, count) for value, count in self._counts.items() if count >= self._least]
        shown = sorted([*short, *self._texts.items()], key=_rank)[:_TOP_VALUES]
        top = [ValueCount(value=value_as_json(value), records=count) for value, count in shown]
        return FieldFill(name=self._name, filled=self._filled, records=self._answers, distinct=self._distinct, top=top)


def _rank(counted: tuple[Any, int]) -> tuple[int, str]:
    # Of values that are equally frequent, always the same ones: their order in a set differs between processes.
    return -counted[1], repr(counted[0])


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > _LONG


_HELD = 1_000
_LONG = 40
"""Characters of a text of which only a hash is held in memory."""
