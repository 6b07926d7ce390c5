"""Rows that a person can repair: they ask something, but their answer breaks the task's schema."""

import copy
import dataclasses
import difflib
import functools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import BaseModel

from schemas.decision import Decision
from schemas.expected_values import field_at
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.field import JsonValue, TargetField, canonical, is_absent
from schemas.parsed import Parsed
from schemas.partial_model import partial_model
from schemas.row_problems import bare, labels_now
from schemas.task import Role, Task
from schemas.task_faults import written
from schemas.task_fields import conversation_target
from schemas.task_rows import given_values
from schemas.user_code_errors import described, own

REPAIRABLE = frozenset({ReasonCode.INVALID, ReasonCode.MISSING, ReasonCode.RESPELLED})
"""Why a row may be rejected that a person can repair, if it is wrong with its answer."""
_BEFORE = "repaired, before "
_ALIKE = 0.8
"""Similarity of spelling, by difflib, from which on a value can only be a slip of a choice, if no other is as near."""


def with_draft(task: type[Task], row: Mapping[str, Any], parsed: Parsed) -> Parsed:
    """The same row, with its inputs and the valid part of its answer if a person can repair it.

    All of its problems are then with single targets, and the rest of it would be valid if it were unlabeled. Not so:
    what validators over several fields refuse, since nobody can tell whether an answer would help; what the task's own
    code fails at; and conversations, which are read as a whole.

    Args:
        task: the one that parsed it.
        row: the values that it was parsed from.
        parsed: what became of it.
    """
    targets = task.task_names(Role.TARGET)
    if not parsed.problems or parsed.faults or conversation_target(task):
        return parsed
    if any(one.code not in REPAIRABLE or one.field.partition(".")[0] not in targets for one in parsed.problems):
        return parsed
    asked = task.task_parse({name: value for name, value in row.items() if name not in targets})
    if asked.problems:
        return parsed
    given = given_values(task, targets, row)
    draft: dict[str, JsonValue] = {}
    for field in task.task_targets():
        valid = _valid_part(task, field, given.get(field.name), parsed.problems)
        draft |= {} if valid in (None, []) else {field.name: valid}
    return dataclasses.replace(parsed, inputs=asked.inputs, draft=draft)


def awaits_repair(decision: Decision) -> bool:
    """Whether annotators were asked to repair a row and have not answered."""
    is_asked = decision.routed is Routed.REPAIR and decision.fate is Fate.REJECTED
    return is_asked and decision.reasons[0].code in REPAIRABLE


def repaired(problems: Sequence[Reason]) -> str:
    """What a valid answer has repaired, field by field; empty if it was nothing of the kind."""
    wrong = [f"{one.field}: {one.detail or 'nothing'}" for one in problems if one.code in REPAIRABLE]
    return f"{_BEFORE}{'; '.join(wrong)}" if wrong else ""


def is_repair(reason: Reason) -> bool:
    """Whether a reason says what an answer has repaired."""
    return reason.code is ReasonCode.REVIEWED and reason.detail.startswith(_BEFORE)


# --- the valid part of an answer ----------------------------------------------------------------------
def _valid_part(task: type[Task], field: TargetField, value: Any, problems: Sequence[Reason]) -> JsonValue:
    """A target in canonical form as far as it is valid, with slips of choices corrected; None if nothing of it is."""
    if is_absent(value):
        return None
    value = copy.deepcopy(value)
    # Of a list the last items first: those before them keep their places.
    for path in sorted((_path(problem) for problem in problems), key=_places, reverse=True):
        if path[0] == field.name:
            value = _mended(task, value, path)
    if is_absent(value):
        return None
    with suppress(ValueError, TypeError):
        return _validated(task, field, value)
    with suppress(ValueError, TypeError, AttributeError):
        # Within an object something is missing now.
        return canonical(field, value) if field.fields else None
    return None


def _validated(task: type[Task], field: TargetField, value: Any) -> JsonValue:
    try:
        found = _alone(task, field.name).model_validate({field.name: value})
        return canonical(field, written(found, [field.name])[field.name])
    except BaseException as error:
        # A validator that looks at other fields need not expect them to be absent.
        raise ValueError(described(own(error))) from error


@functools.cache
def _alone(task: type[Task], name: str) -> type[BaseModel]:
    """A model of one target."""
    return partial_model(task, [name], f"{task.__name__}{name.title()}")


def _path(problem: Reason) -> tuple[int | str, ...]:
    return tuple(int(part) if part.isdecimal() else part for part in problem.field.split("."))


def _places(path: tuple[int | str, ...]) -> list[int]:
    return [part if isinstance(part, int) else -1 for part in path]


def _mended(task: type[Task], value: Any, path: tuple[int | str, ...], at: int = 1) -> Any:
    """A value without the part at a path, or with the choice that this part is a slip of."""
    if at == len(path):
        if labels_now(task, path, value):
            return None
        return _without_mistake(value, field_at(task, path))
    match path[at]:
        case int(place) if isinstance(value, list) and place < len(value):
            part = _mended(task, value[place], path, at + 1)
            value[place : place + 1] = [] if is_absent(part) else [part]
        case str(name) if isinstance(value, dict) and name in value:
            value[name] = _mended(task, value[name], path, at + 1)
    return value


def _without_mistake(value: Any, field: TargetField | None) -> Any:
    choices = field.choices if field else ()
    if isinstance(value, list) and field and field.is_label_set:
        return [choice for choice in choices if choice in value]
    return meant(value, choices) if isinstance(value, str) and choices else None


@functools.lru_cache(maxsize=2**14)
def meant(value: str, choices: tuple[str, ...]) -> str | None:
    """The choice that a value is obviously a slip of; None if there is none, or several."""
    if len(value) > 2 * max(map(len, choices)):
        return None
    same = [choice for choice in choices if bare(choice) == bare(value)]
    if len(same) == 1:
        return same[0]
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(value.casefold(), folded, 2, _ALIKE)
    return folded[near[0]] if len(near) == 1 else None
