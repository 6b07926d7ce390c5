"""Answers that annotators can accept with one key: the row's own, a model's, and those of rows in conflict with it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.field import JsonValue, comparable, comparable_targets
from schemas.field_values import leaves
from schemas.task import Task
from schemas.task_fields import conversation_target

CANDIDATE = "goldleaf-candidate"
"""The control that they are chosen in."""
CANDIDATES = "candidates"
"""The key of their list in a labeling task's data."""
KEYS = ("shift+1", "shift+2", "shift+3")
_SHOWN = 600
"""Characters of an answer; the whole of it is what is accepted."""


class Candidate(BaseModel):
    """An answer, and whose it is."""

    model_config = ConfigDict(frozen=True)

    whose: str
    """Such as "as in the data" or "as the model says"."""
    targets: dict[str, JsonValue]


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The first of all that give the same answer, as many as have a key; none if there is nothing to choose between."""
    found: dict[Any, Candidate] = {}
    for one in candidates:
        found.setdefault(comparable_targets(one.targets), one)
    return list(found.values())[: len(KEYS)] if len(found) > 1 else []


def as_choices(task: type[Task], candidates: Sequence[Candidate]) -> list[dict[str, str]]:
    """The candidates as Label Studio's choices: what is chosen is the answer as JSON, which is read without the row."""
    chosen = distinct(candidates)
    return [
        {
            "value": f"{one.whose}: {_in_words(task, one, chosen)}",
            "alias": json.dumps(one.targets, ensure_ascii=False, sort_keys=True),
            "hotkey": key,
        }
        for one, key in zip(chosen, KEYS, strict=False)
    ]


def read_candidate(chosen: str) -> dict[str, Any]:
    """The answer that was chosen.

    Raises:
        ValueError: it is none of Goldleaf's.
    """
    try:
        targets = json.loads(chosen)
    except ValueError as error:
        raise ValueError(f"the candidate {chosen[:80]!r} cannot be read; fill in the form instead") from error
    if not isinstance(targets, dict):
        raise ValueError(f"the candidate {chosen[:80]!r} is no answer; fill in the form instead")
    return targets


def _in_words(task: type[Task], one: Candidate, among: Sequence[Candidate]) -> str:
    """An answer; of several fields only those in which the candidates differ."""
    fields = task.task_targets()
    if conversation_target(task):
        return _short(task.task_answer(one.targets) or "nothing")
    if len(fields) == 1:
        return _short(_values(task, one.targets, fields[0].name))
    differing = [field.name for field in fields if len({comparable(c.targets[field.name]) for c in among}) > 1]
    return _short("; ".join(f"{name}: {_values(task, one.targets, name)}" for name in differing))


def _values(task: type[Task], targets: Mapping[str, JsonValue], name: str) -> str:
    fields = [field for field in task.task_targets() if field.name == name]
    found = list(leaves(fields, targets))
    nested = any(leaf.path != name for leaf in found)
    texts = (f"{leaf.path.removeprefix(f'{name}.')} {leaf.value}" if nested else str(leaf.value) for leaf in found)
    return ", ".join(texts) or "nothing"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
