"""Answers that contradict each other, in words: by the values in which they differ."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from schemas.annotation import Annotation
from schemas.conversation import turn_texts
from schemas.field import JsonValue, is_turn
from schemas.field_values import differences, value_in_words


def told_apart(one: Annotation, other: Annotation) -> tuple[str, str]:
    """Two answers by the values in which they differ."""
    if one.targets is None or other.targets is None:
        return _in_short(one), _in_short(other)
    found = list(differences(_as_said(one.targets), _as_said(other.targets)))
    first = ", ".join(f"{path} {quoted(value)}" for path, value, _ in found)
    return first, ", ".join(f"{path} {quoted(value)}" for path, _, value in found)


def quoted(value: JsonValue) -> str:
    """A value within a sentence."""
    return "nothing" if value in (None, []) else f"'{value_in_words(value)}'"


def _as_said(targets: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Targets with conversations as texts: a call is one thing, not a value for each of its keys."""
    return {name: "\n".join(turn_texts(value)) if _are_turns(value) else value for name, value in targets.items()}


def _are_turns(value: JsonValue) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(map(is_turn, value))


def _in_short(annotation: Annotation) -> str:
    if annotation.targets is None:
        return annotation.verdict.value
    return ", ".join(f"{name} {quoted(value)}" for name, value in annotation.targets.items())
