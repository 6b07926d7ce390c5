"""Answers that differ, in words: by the values in which they do."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from schemas.annotation import Annotation
from schemas.conversation import turn_texts
from schemas.field import JsonValue, is_turn
from schemas.field_values import differences, value_in_words

Answer = Mapping[str, JsonValue] | str
"""An answer's targets, or what it says instead of any, such as *unusable*."""


def told_apart(one: Annotation, other: Annotation) -> tuple[str, str]:
    """Two answers by the values in which they differ."""
    return apart_in_words(_answer(one), _answer(other))


def apart_in_words(one: Answer, other: Answer) -> tuple[str, str]:
    """The same of answers that are given as their targets, or as a word if they have none."""
    if isinstance(one, str) or isinstance(other, str):
        return _in_short(one), _in_short(other)
    found = list(differences(_as_said(one), _as_said(other)))
    first = ", ".join(f"{path} {quoted(value)}" for path, value, _ in found)
    return first, ", ".join(f"{path} {quoted(value)}" for path, _, value in found)


def what_changed(before: Mapping[str, JsonValue] | None, after: Mapping[str, JsonValue] | None) -> str:
    """Describe how an annotator's answer differs from the earlier one."""
    if before is None or after is None:
        return "answered"
    changed = [f"{path}: {quoted(old)} became {quoted(new)}" for path, old, new in differences(before, after)]
    return "; ".join(changed) or "confirmed"


def quoted(value: JsonValue) -> str:
    """A value within a sentence."""
    return "nothing" if value in (None, []) else f"'{value_in_words(value)}'"


def _as_said(targets: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Targets with conversations as texts: a call is one thing, not a value for each of its keys."""
    return {name: "\n".join(turn_texts(value)) if _are_turns(value) else value for name, value in targets.items()}


def _are_turns(value: JsonValue) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(map(is_turn, value))


def _answer(annotation: Annotation) -> Answer:
    return annotation.verdict.value if annotation.targets is None else annotation.targets


def _in_short(answer: Answer) -> str:
    return answer if isinstance(answer, str) else ", ".join(f"{name} {quoted(value)}" for name, value in answer.items())
