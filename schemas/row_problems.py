"""How the problems of a row are worded, so that its author knows what to change."""

import difflib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.expected_values import expectation, field_at
from schemas.fate import Reason, ReasonCode
from schemas.field import shown
from schemas.renamed_labels import becomes
from schemas.user_code_errors import plain_words

_FEW_CHOICES = 8
"""Up to this many choices are all listed in the error about an unknown one."""
_NEAREST = 3
DIVIDED = "It was divided into"
"""Begins what is wrong with a label that the task has divided: no mistake, but a question."""
_GOT = ", got "
_UNKNOWN_CHOICE = ("enum", "literal_error")


def problems_of(task: type[BaseModel], error: ValidationError) -> list[Reason]:
    """The problems that validation found, each with its field."""
    return [_problem(item, task) for item in error.errors(include_url=False, include_context=False)]


def problem_in_words(item: Mapping[str, Any], task: type[BaseModel]) -> str:
    """What pydantic found wrong with a value: what is expected, and what is there instead."""
    is_choice = item["type"] in _UNKNOWN_CHOICE
    text = _divided(item, task) or _among_many(item, task) if is_choice else expectation(item, task)
    text = text or plain_words(item["msg"])
    # For a validator over several fields, the value is the whole row.
    return f"{text}{_GOT}{shown(item['input'])}" if item["loc"] else text


def _problem(item: Mapping[str, Any], task: type[BaseModel]) -> Reason:
    field = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        return Reason(code=ReasonCode.MISSING, field=field)
    if choice := _respelled(item, task):
        return Reason(code=ReasonCode.RESPELLED, field=field, detail=f"got {shown(item['input'])}, not {shown(choice)}")
    return Reason(code=ReasonCode.INVALID, field=field, detail=problem_in_words(item, task))


def _divided(item: Mapping[str, Any], task: type[BaseModel]) -> str:
    """What a label was divided into; empty if it was not."""
    names = labels_now(task, item["loc"], item["input"])
    return f"{DIVIDED} {' and '.join(map(repr, names))}" if len(names) > 1 else ""


def label_before(reason: Reason) -> str:
    """The label that the task has divided, if a reason is about one; empty if it is not."""
    _, is_divided, detail = reason.detail.partition(DIVIDED)
    return detail.rpartition(_GOT)[2].rstrip(")")[1:-1] if is_divided else ""


def may_mean(reason: Reason, label: Any) -> bool:
    """Whether the label that such a reason is about may mean another one: it was divided into that."""
    return repr(label) in reason.detail.partition(DIVIDED)[2].rpartition(_GOT)[0]


def labels_now(task: type[BaseModel], place: Sequence[int | str], label: Any) -> tuple[str, ...]:
    """What a label at a place of a row is now, if the task says so: one choice, or those it was divided into."""
    field, renamed = field_at(task, place), getattr(task, "renamed", {})
    path = ".".join(part for part in place if isinstance(part, str))
    return becomes(renamed, field, path, label) if field and isinstance(label, str) and renamed else ()


def _among_many(item: Mapping[str, Any], task: type[BaseModel]) -> str:
    """What is wrong with a value that is not among the choices; of many choices only the nearest are named."""
    choices = _choices(item, task)
    if len(choices) <= _FEW_CHOICES:
        return ""
    nearest = nearest_choices(item["input"], choices) if isinstance(item["input"], str) else choices[:_NEAREST]
    return f"Input should be one of {len(choices)} choices, such as {', '.join(map(repr, nearest))}"


def _respelled(item: Mapping[str, Any], task: type[BaseModel]) -> str:
    """The choice that a value equals except for case or whitespace; empty if there is none."""
    value = item["input"]
    if item["type"] not in _UNKNOWN_CHOICE or not isinstance(value, str):
        return ""
    choices = _choices(item, task)
    return next((choice for choice in choices if bare(choice) == bare(value)), "")


def _choices(item: Mapping[str, Any], task: type[BaseModel]) -> tuple[str, ...]:
    """The choices of the field that an error is about, or of the items of a list."""
    field = field_at(task, item["loc"])
    return field.choices if field else ()


def bare(text: str) -> str:
    """A text without case and whitespace."""
    return "".join(text.casefold().split())


@functools.lru_cache(maxsize=2**14)
def nearest_choices(value: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Up to three choices that are spelled most like a value, or the first ones if none is."""
    if len(value) > 2 * max(map(len, choices)):
        # A text in place of a label is close to none, and comparing it would take long.
        return choices[:_NEAREST]
    folded = {choice.casefold(): choice for choice in reversed(choices)}
    near = difflib.get_close_matches(value.casefold(), folded, _NEAREST)
    return tuple(folded[name] for name in near) or choices[:_NEAREST]
