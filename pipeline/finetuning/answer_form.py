"""The form of a task's answers as a grammar: what a model may write, token by token.

A model that is held to the form cannot answer in words of its own, so that an untuned one is judged by what it
knows rather than by whether it guesses the format. The grammar is llguidance's, in its dialect of Lark.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.finetuning.field_limits import FieldLimits, Limits, limits_of
from pipeline.finetuning.value_patterns import value_terminal
from schemas.chat_rendering import is_single_value
from schemas.field import TargetField, ValueType
from schemas.task import Task

_QUOTED = (ValueType.DECIMAL, ValueType.DATE, ValueType.DATETIME, ValueType.TIME)
"""Texts in JSON."""
_SEEN = r"[^\s\p{Cf}\p{Cc}]"
"""A character that can be seen: a text without one is absent."""
_JSON = {
    "whitespace_flexible": False,
    "item_separator": ",",
    "key_separator": ":",
    "json_allow_general_unicode_escapes": False,  # half of a surrogate pair is no text
}


def grammar_of(task: type[Task]) -> str | None:
    """The grammar of the task's answers, as ``task_answer`` writes them; None if any text may be one."""
    if task.task_answer.__func__ is not Task.task_answer.__func__:  # type: ignore[attr-defined]
        # Only its author knows what it writes.
        return None
    fields, rules = task.task_targets(), _Rules()
    limits = limits_of(task, [field.name for field in fields])
    if not is_single_value(fields):
        return rules.starting_with(rules.object(fields, limits))
    [field] = fields
    is_json = field.many or field.type is ValueType.OBJECT
    own = limits[field.name]
    answer = rules.value(field, own) if is_json else rules.text(field, own.own)
    # A list has an empty form of its own.
    nothing = ' | ""' if field.optional and not field.many else ""
    return rules.starting_with(f"{answer}{nothing}") if answer else None


class _Rules:
    """The rules and terminals of a grammar. All that can be one terminal is: rules cost more at every step."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def starting_with(self, body: str) -> str:
        """The whole grammar."""
        return "\n".join([f"start: {body}", *self._lines])

    def _rule(self, body: str) -> str:
        return self._named("r", body)

    def _terminal(self, body: str) -> str:
        return self._named("T", body)

    def _named(self, letter: str, body: str) -> str:
        name = f"{letter}_{len(self._lines)}"
        self._lines.append(f"{name}: {body}")
        return name

    def text(self, field: TargetField, limits: Limits) -> str | None:
        """A single value that stands by itself; None if it may be any text."""
        if field.type is ValueType.CHOICE:
            return self._terminal(" | ".join(map(_literal, field.choices)))
        body = value_terminal(field.type, limits)
        return body and self._terminal(body)

    def object(self, fields: Sequence[TargetField], limits: Mapping[str, FieldLimits]) -> str:
        """An object with its fields in order; those that may be absent may be left out."""
        pairs = [
            self._rule(f"{_literal(f'{_text(field.name)}:')} {self.value(field, limits[field.name])}")
            for field in fields
        ]
        needed = [_is_needed(field, limits[field.name].own) for field in fields]
        body, _ = self._in_order(pairs, needed, self._rule)
        return self._rule(f'"{{" {body}{"" if any(needed) else "?"} "}}"')

    def value(self, field: TargetField, limits: FieldLimits) -> str:
        """A value within JSON."""
        if field.is_label_set:
            return self._label_set(field.choices, limits.own)
        if not field.many:
            return self._one(field, limits.own, limits.fields)
        one = self._rule(self._one(field, limits.each, limits.fields))
        least, most = limits.own.min_length or 0, limits.own.max_length
        if most == 0:
            return self._rule('"[]"')
        more = f'("," {one}){{{max(0, least - 1)},{"" if most is None else most - 1}}}'
        return self._rule(f'"[" {one} {more} "]"' if least else f'"[" ({one} {more})? "]"')

    def _one(self, field: TargetField, limits: Limits, fields: Mapping[str, FieldLimits]) -> str:
        match field.type:
            case ValueType.CHOICE:
                return self._terminal(" | ".join(_literal(_text(choice)) for choice in field.choices))
            case ValueType.TEXT:
                return self._rule(f"%json {json.dumps(_text_schema(limits) | {'x-guidance': _JSON})}")
            case ValueType.OBJECT:
                return self.object(field.fields, fields)
            case ValueType.MESSAGES:
                raise AssertionError("a conversation is never within JSON")
            case _:
                written = self.text(field, limits)
                return self._rule(f'"\\"" {written} "\\""' if field.type in _QUOTED else str(written))

    def _label_set(self, choices: Sequence[str], limits: Limits) -> str:
        """A list of choices, each at most once, in the order of their definition, as canonical sets have them."""
        written = [self._terminal(_literal(_text(choice))) for choice in choices]
        body, _ = self._in_order(written, [False] * len(written), self._terminal)
        every = self._terminal(f'"[" {body}{"" if limits.min_length else "?"} "]"')
        least, most = limits.min_length or 0, len(choices) if limits.max_length is None else limits.max_length
        if (least <= 1 and most >= len(choices)) or not least <= most:
            return every
        return self._terminal(f"{every} & /{_list_of(least, most)}/")

    def _in_order(self, parts: Sequence[str], needed: Sequence[bool], define: Callable[[str], str]) -> tuple[str, str]:
        """At least one of some parts, in their order and with commas; and what of them may follow others.

        By halves: a chain of thousands of labels is nested deeper than the library can follow.
        """
        if len(parts) == 1:
            return parts[0], define(f'("," {parts[0]}){"" if needed[0] else "?"}')
        half = len(parts) // 2
        early, early_after = self._in_order(parts[:half], needed[:half], define)
        late, late_after = self._in_order(parts[half:], needed[half:], define)
        without_early = "" if any(needed[:half]) else f" | {late}"
        return define(f"{early} {late_after}{without_early}"), define(f"{early_after} {late_after}")


def _list_of(least: int, most: int) -> str:
    """A regular expression for lists of texts in JSON, by how many there may be."""
    if not most:
        return r"\[\]"
    text = r'"([^"\\]|\\.)*"'
    some = f"{text}(,{text}){{{max(0, least - 1)},{most - 1}}}"
    return rf"\[{some}\]" if least else rf"\[({some})?\]"


def _is_needed(field: TargetField, limits: Limits) -> bool:
    """Whether an object must have a field."""
    return bool(limits.min_length) if field.many else not field.optional


def _text_schema(limits: Limits) -> dict[str, Any]:
    """A text within JSON, as JSON schema."""
    patterns = [_SEEN, *([limits.pattern] if limits.pattern and _is_known(limits.pattern) else [])]
    lengths = {"minLength": limits.min_length, "maxLength": limits.max_length}
    return {
        "type": "string",
        "allOf": [{"pattern": pattern} for pattern in patterns],
        **{name: length for name, length in lengths.items() if length is not None},
    }


def _is_known(pattern: str) -> bool:
    """Whether the library knows all of a regular expression; some, such as word boundaries, it does not."""
    from llguidance import LLMatcher

    schema = {"type": "string", "pattern": pattern}
    return not LLMatcher.validate_grammar(f"start: %json {json.dumps(schema)}")


def _literal(text: str) -> str:
    """A text as the grammar quotes it."""
    return json.dumps(text)


def _text(value: str) -> str:
    """A text as it is in JSON."""
    return json.dumps(value, ensure_ascii=False)
