"""Publishes what annotators corrected as preference pairs: to one prompt the answer before, and the one after."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from pipeline.config.dataset_file import LoadedDataset
from pipeline.releases.published_rows import (
    ROWS_AT_ONCE,
    as_batch,
    tools_columns,
    turns_type,
    written_tools,
    written_turns,
)
from pipeline.text.normalize import inputs_key
from pipeline.text.screening import screen, target_texts
from schemas.dataset import Screen
from schemas.decision import Decision
from schemas.fate import LabelSource
from schemas.field import JsonValue, comparable, comparable_targets
from schemas.message import Message, Speaker
from schemas.task import Task

PREFERENCES = "preferences"
"""Of their files in a version, and the name of their config in its card."""


def preference_tables(
    accepted: Sequence[Decision], splits: Mapping[str, str], dataset: LoadedDataset
) -> dict[str, pa.Table]:
    """The pairs by split, sorted by record; splits without any are left out.

    A pair is in the split of its row. Not published are corrections of nothing but the form, earlier answers in which
    screening finds anything, as no annotator has agreed to publish them, and those that are right in another row of the
    same input.

    Args:
        accepted: the decisions about the rows that are published.
        splits: of these, by record.
        dataset: its task, and what is screened for.
    """
    task = dataset.task
    corrected = [one for one in accepted if one.label_source is LabelSource.HUMAN and one.replaced is not None]
    if not (corrected and dataset.config.release.preferences):
        return {}
    right = _right_answers(accepted, {one.group for one in corrected}, task)
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in sorted(corrected, key=lambda decision: decision.record_id):
        if _may_be_shown(one.replaced or {}, dataset.config.screen) and _said(one, one.replaced, task) not in right:
            split = splits[one.record_id]
            found[split] += _pair(task, one, split)
    return {split: _table(task, pairs) for split in dataset.config.split.in_order(found) if (pairs := found[split])}


def _may_be_shown(targets: Mapping[str, JsonValue], config: Screen) -> bool:
    """Whether screening finds nothing in an answer."""
    return not screen(target_texts(targets), config)


def _right_answers(accepted: Iterable[Decision], groups: set[str], task: type[Task]) -> set[Hashable]:
    """What the rows of some groups say; rows of the same input are in one group."""
    return {_said(one, one.targets, task) for one in accepted if one.group in groups}


def _said(decision: Decision, targets: Mapping[str, JsonValue] | None, task: type[Task]) -> Hashable:
    return inputs_key(task, decision.inputs), comparable_targets(targets)


def _schema(task: type[Task]) -> pa.Schema:
    turns = turns_type(task)
    pair = [("prompt", turns), ("chosen", turns), ("rejected", turns)]
    return pa.schema([("id", pa.string()), *pair, *tools_columns(task), ("split", pa.string())])


def _table(task: type[Task], pairs: list[dict[str, Any]]) -> pa.Table:
    schema = _schema(task)
    pieces = [as_batch(pairs[at : at + ROWS_AT_ONCE], schema) for at in range(0, len(pairs), ROWS_AT_ONCE)]
    return pa.Table.from_batches(pieces, schema)


def _pair(task: type[Task], decision: Decision, split: str) -> Iterator[dict[str, Any]]:
    """The row of a pair; none if the two answers do not differ as a model would write them."""
    if _formless(decision.replaced or {}) == _formless(decision.targets or {}):
        return
    # Rendering is the task's own code, and the earlier answer may have a label that the task has no more.
    with suppress(Exception):
        task.task_validate_targets(decision.replaced or {})
        after = _up_to_answer(task.task_messages(decision.inputs, decision.targets))
        before = _up_to_answer(task.task_messages(decision.inputs, decision.replaced))
        start = _where_they_part(after, before, len(task.task_prompt(decision.inputs)))
        if after[start:] != before[start:]:
            yield {
                "id": decision.record_id,
                "prompt": written_turns(task, after[:start]),
                "chosen": written_turns(task, after[start:]),
                "rejected": written_turns(task, before[start:]),
                "tools": written_tools(task, decision.inputs),
                "split": split,
            }


def _up_to_answer(messages: Sequence[Message]) -> list[Message]:
    """A chat up to the assistant's last turn."""
    last = max(place for place, turn in enumerate(messages) if turn.role is Speaker.ASSISTANT)
    return list(messages[: last + 1])


def _where_they_part(one: Sequence[Message], other: Sequence[Message], prompt: int) -> int:
    """Where the answers of two chats begin to differ, at a turn of the assistant; not before the prompt's end."""
    most = min(len(one), len(other)) - 1
    start = next((place for place in range(most) if one[place] != other[place]), most)
    while start > prompt and not one[start].role is other[start].role is Speaker.ASSISTANT:
        start -= 1
    return start


def _formless(value: Any) -> Hashable:
    """An answer in the form in which those that differ in nothing but whitespace or order are equal."""
    return comparable(_in_one_line(value))


def _in_one_line(value: Any) -> Any:
    match value:
        case str():
            return " ".join(value.split())
        case list():
            return [_in_one_line(part) for part in value]
        case dict():
            return {name: _in_one_line(part) for name, part in value.items()}
        case _:
            return value
