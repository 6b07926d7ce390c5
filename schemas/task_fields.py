"""A task's fields by their roles, and a row's values divided into those that ask and those that answer."""

import contextlib
import functools
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from schemas.conversation import parted
from schemas.field import JsonValue, TargetField, UnsupportedType, ValueType, target_field
from schemas.field_values import has_sets
from schemas.message import Message
from schemas.roles import Meaning, Role

_Model = type[BaseModel]


def names_of(model: _Model, *roles: Role) -> list[str]:
    """The fields with one of some roles, in definition order."""
    return [name for name, info in model.model_fields.items() if any(role in info.metadata for role in roles)]


@functools.cache
def fields_with_sets(model: _Model) -> dict[str, TargetField]:
    """The fields that are sets of choices or have some at any depth."""
    found: dict[str, TargetField] = {}
    for name, info in model.model_fields.items():
        with contextlib.suppress(UnsupportedType):
            field = target_field(name, info.annotation)
            found |= {name: field} if has_sets(field) else {}
    return found


@functools.cache
def turn_fields(model: _Model) -> tuple[str, ...]:
    """The fields that hold the turns of a conversation, in order."""
    found: list[str] = []
    for name, info in model.model_fields.items():
        with contextlib.suppress(UnsupportedType):
            found += [name] if target_field(name, info.annotation).type is ValueType.MESSAGES else []
    return tuple(found)


@functools.cache
def tools_field(model: _Model) -> str:
    """The field that defines the tools of a conversation; empty if there is none."""
    return next((name for name, info in model.model_fields.items() if Meaning.TOOLS in info.metadata), "")


@functools.cache
def original_field(model: _Model) -> str:
    """The input that free texts start from: the one that is marked, or the first text; empty if there is none."""
    inputs = names_of(model, Role.INPUT)
    marked = [name for name in inputs if Meaning.ORIGINAL in model.model_fields[name].metadata]
    return next(iter([*marked, *(name for name in inputs if _is_text(model, name))]), "")


def _is_text(model: _Model, name: str) -> bool:
    with contextlib.suppress(UnsupportedType):
        field = target_field(name, model.model_fields[name].annotation)
        return field.type is ValueType.TEXT and not field.many
    return False


@functools.cache
def conversation_target(model: _Model) -> str:
    """The target that is a conversation; empty if there is none."""
    return next((name for name in names_of(model, Role.TARGET) if name in turn_fields(model)), "")


@functools.cache
def whole_conversation(model: _Model) -> str:
    """The conversation that is both question and answer; empty if there is none."""
    return next((name for name in names_of(model, Role.TARGET) if name in names_of(model, Role.INPUT)), "")


def parts_of(model: _Model, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs with the context, and the targets, of a row; no targets if nothing answers a conversation.

    A conversation is divided after the user's last turn.
    """
    inputs = {name: values[name] for name in names_of(model, Role.INPUT, Role.CONTEXT)}
    targets = {name: values[name] for name in names_of(model, Role.TARGET)}
    if whole := whole_conversation(model):
        turns = [Message.model_validate(turn).as_json() for turn in values[whole] or []]
        inputs[whole], targets[whole] = parted(turns)
    if (chat := conversation_target(model)) and not targets[chat]:
        return inputs, {}
    return inputs, targets


def row_of(model: _Model, inputs: Mapping[str, Any], targets: Mapping[str, JsonValue] | None = None) -> dict[str, Any]:
    """All fields of a row by name: inputs, context and targets, with conversations as a whole."""
    row = {**inputs, **(targets or {})}
    if (whole := whole_conversation(model)) and targets is not None:
        row[whole] = [*(inputs.get(whole) or []), *turns_of(targets, whole)]
    return row


def turns_of(targets: Mapping[str, JsonValue], name: str) -> list[JsonValue]:
    """The turns of an answer."""
    turns = targets.get(name)
    return turns if isinstance(turns, list) else []
