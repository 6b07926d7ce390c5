"""A task's target field, reduced to what labeling, rendering and scoring need to know."""

import datetime
import math
import types
import typing
import unicodedata
from collections.abc import Hashable, Mapping
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from schemas.user_code_errors import in_a_line, own

JsonValue = str | int | float | bool | None | list[str]
"""A target in canonical JSON form; a list only for a text field that holds several."""


class ValueType(StrEnum):
    """The types of a single target value."""

    CHOICE = "choice"
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"


class TargetField(BaseModel):
    """Name, type and constraints of one target."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: ValueType
    many: bool = False
    """A list of texts."""
    optional: bool = False
    """Whether None is a valid answer."""
    choices: tuple[str, ...] = ()
    """The values of an enum or Literal, in definition order."""
    description: str = ""


class UnsupportedType(TypeError):
    """A target has a type that no labeling form supports."""


_SCALARS: dict[Any, ValueType] = {
    str: ValueType.TEXT,
    int: ValueType.INTEGER,
    float: ValueType.NUMBER,
    bool: ValueType.BOOLEAN,
    datetime.date: ValueType.DATE,
}


def target_field(name: str, annotation: Any, description: str = "") -> TargetField:
    """Parse a target's annotation.

    Raises:
        UnsupportedType: for nested models, chat messages, lists of anything but text, and choices
            that a model's or a form's text could not reproduce exactly.
    """
    inner, optional = _without_none(_without_metadata(annotation))
    if choices := _choices(inner):
        if odd := [choice for choice in choices if choice != _text(choice) or "\n" in choice or is_blank(choice)]:
            raise UnsupportedType(
                f"target '{name}' has the choice {odd[0]!r}; a choice must be one line of text without outer space"
            )
        return TargetField(
            name=name, type=ValueType.CHOICE, optional=optional, choices=choices, description=description
        )
    if inner in _SCALARS:
        return TargetField(name=name, type=_SCALARS[inner], optional=optional, description=description)
    if get_origin(inner) is list and _without_metadata(get_args(inner)[0]) is str:
        return TargetField(name=name, type=ValueType.TEXT, many=True, optional=True, description=description)
    raise UnsupportedType(
        f"target '{name}' has the type {annotation!r}; use an enum or Literal of strings, str, int, float, bool, "
        "datetime.date, list[str], or one of these | None"
    )


def shown(value: object) -> str:
    """A value as shown in errors; Python prints integers of thousands of digits only in hexadecimal."""
    try:
        text = f"{value:#x}" if isinstance(value, int) and value.bit_length() > 1024 else repr(value)
    except BaseException as error:
        own(error)
        text = f"<{type(value).__name__}>"
    return in_a_line(text, 80)


def is_blank(value: Any) -> bool:
    """Whether a value is a text with nothing visible: only whitespace, control and format characters."""
    if not isinstance(value, str):
        return False
    # Most texts are decided by their first character.
    return not value[:1].isalnum() and all(
        unicodedata.category(character) in ("Cf", "Cc") or character.isspace() for character in value
    )


def is_absent(value: Any) -> bool:
    """Whether a field has no value: None or a blank text, which is how CSV writes None."""
    return value is None or is_blank(value)


def admits_none(annotation: Any) -> bool:
    """Whether None is a value of the annotated type."""
    return annotation is None or types.NoneType in get_args(annotation)


def is_beyond_64_bits(value: Any) -> bool:
    """Whether a value is, or contains, an integer too large for JSON and Parquet writers."""
    if isinstance(value, dict):
        return any(map(is_beyond_64_bits, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(is_beyond_64_bits, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def comparable(value: JsonValue) -> Hashable:
    """A canonical value in the form in which equal answers are equal: the order of a list does not matter."""
    return tuple(sorted(value)) if isinstance(value, list) else value


def comparable_targets(targets: Mapping[str, JsonValue] | None) -> Hashable:
    """The same of a canonical answer; None is no answer."""
    if targets is None:
        return None
    return tuple(sorted((name, comparable(value)) for name, value in targets.items()))


def same_targets(one: Mapping[str, JsonValue] | None, other: Mapping[str, JsonValue] | None) -> bool:
    """Whether two canonical answers are the same one."""
    return comparable_targets(one) == comparable_targets(other)


def canonical(field: TargetField, value: Any) -> JsonValue:
    """Bring a target to the canonical form, in which equal answers are equal.

    Texts lose NUL characters and surrounding whitespace and get ``\\n`` line ends; an empty text becomes
    None; whole numbers of an integer field become ints; dates become ISO texts.
    """
    if field.many:
        texts = [_text(str(part)) for part in (value or [])]
        return [text for text in texts if not is_blank(text)]
    if value is None or is_blank(value):
        return None
    match field.type:
        case ValueType.TEXT:
            return _text(str(value))
        case ValueType.INTEGER:
            return int(value)
        case ValueType.NUMBER:
            # Negative zero would print differently from zero.
            return float(value) + 0.0 if math.isfinite(float(value)) else None
        case ValueType.BOOLEAN:
            return bool(value)
        case ValueType.DATE:
            return value.isoformat() if isinstance(value, datetime.date) else _text(str(value))
        case ValueType.CHOICE:
            return str(value.value) if isinstance(value, Enum) else str(value)


def _text(value: str) -> str:
    return value.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n").strip()


def _without_metadata(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    args = [arg for arg in get_args(annotation) if arg is not types.NoneType]
    if len(args) != 1:
        return annotation, False
    return _without_metadata(args[0]), len(args) < len(get_args(annotation))


def choices_of(annotation: Any) -> tuple[str, ...]:
    """The choices of an annotation, optional or not; none if it allows any other values."""
    return _choices(_without_none(_without_metadata(annotation))[0])


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        values: tuple[Any, ...] = typing.get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        values = tuple(member.value for member in annotation)
    else:
        return ()
    return tuple(values) if all(isinstance(value, str) for value in values) else ()
