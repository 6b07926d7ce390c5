"""A task's target field, reduced to what labeling, rendering and scoring need to know."""

import datetime
import decimal
import math
import types
import typing
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic import JsonValue as JsonValue

from schemas.message import Message, Speaker
from schemas.moments import in_utc
from schemas.names_read import is_read_by_code, takes_other_names
from schemas.user_code_errors import in_a_line, own

_DECIMAL_DIGITS = 38
_DEEPEST = 3
"""Objects within objects: a form with more could not be read, let alone filled in."""


class ValueType(StrEnum):
    """The types of a single target value."""

    CHOICE = "choice"
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    OBJECT = "object"
    MESSAGES = "messages"
    """The turns of a conversation."""


class Wording(StrEnum):
    """How a text target comes about, if that does not follow from the other targets."""

    FREE = "free"
    """Written anew, such as a summary; other texts are copied from the inputs."""


T = TypeVar("T", bound=str | None)
FreeText = Annotated[T, Wording.FREE]


class TargetField(BaseModel, frozen=True):
    """Name, type and constraints of one target."""

    name: str
    type: ValueType
    many: bool = False
    """A list; of choices, a set."""
    optional: bool = False
    """Whether it may be left out: then it is None, or an empty list. A set of labels may be empty, but not left out."""
    choices: tuple[str, ...] = ()
    """The values of an enum or Literal, in definition order."""
    fields: tuple["TargetField", ...] = ()
    """Of an object, in definition order."""
    takes_other_names: bool = False
    """Whether an object is read by aliases or by the task's own code, or keeps what its model does not name."""
    is_free: bool = False
    """A text marked as written anew."""
    description: str = ""

    @property
    def is_label_set(self) -> bool:
        """Whether the value is a set of choices: without order and repeats, and the empty one is an answer."""
        return self.many and self.type is ValueType.CHOICE


class UnsupportedType(TypeError):
    """A target has a type that no labeling form supports."""


_SCALARS: dict[Any, ValueType] = {
    str: ValueType.TEXT,
    int: ValueType.INTEGER,
    float: ValueType.NUMBER,
    decimal.Decimal: ValueType.DECIMAL,
    bool: ValueType.BOOLEAN,
    datetime.date: ValueType.DATE,
    datetime.datetime: ValueType.DATETIME,
    datetime.time: ValueType.TIME,
}
_LISTS = (list, set, frozenset)


def target_field(name: str, annotation: Any, description: str = "", metadata: Sequence[Any] = ()) -> TargetField:
    """Parse a target's annotation.

    Args:
        name: of the field.
        annotation: its type.
        description: what annotators and models read about it.
        metadata: what pydantic has taken out of the annotation.

    Raises:
        UnsupportedType: for types that no form could show, such as dicts, lists of lists, or objects that contain
            themselves, and choices that a model's or a form's text could not reproduce exactly.
    """
    return _field(name, annotation, description, metadata, ())


def _field(
    name: str, annotation: Any, description: str, metadata: Sequence[Any], within: tuple[type[BaseModel], ...]
) -> TargetField:
    bare, optional = without_none(without_metadata(annotation))
    is_free = Wording.FREE in metadata or Wording.FREE in metadata_of(annotation)
    if get_origin(bare) in _LISTS and get_args(bare):
        inner = without_metadata(get_args(bare)[0])
        if inner is Message:
            return TargetField(name=name, type=ValueType.MESSAGES, optional=optional, description=description)
        one = _single(name, inner, annotation, within)
        if one.type is ValueType.BOOLEAN:
            raise UnsupportedType(f"target '{name}' is a list of booleans, which nobody could read; use choices")
        # An empty list of labels is a decision like any other, which annotators must make.
        may_be_empty = one.type is not ValueType.CHOICE
        is_free = is_free or Wording.FREE in metadata_of(get_args(bare)[0])
        more = {"many": True, "optional": may_be_empty, "description": description, "is_free": is_free}
        return one.model_copy(update=more)
    one = _single(name, bare, annotation, within)
    return one.model_copy(update={"optional": optional, "description": description, "is_free": is_free})


def _single(name: str, bare: Any, annotation: Any, within: tuple[type[BaseModel], ...]) -> TargetField:
    """A single value of a type without metadata and None."""
    if choices := _choices(bare):
        if odd := [choice for choice in choices if choice != plain_text(choice) or "\n" in choice or is_blank(choice)]:
            raise UnsupportedType(
                f"target '{name}' has the choice {odd[0]!r}; a choice must be one line of text without outer space"
            )
        return TargetField(name=name, type=ValueType.CHOICE, choices=choices)
    if bare in _SCALARS:
        return TargetField(name=name, type=_SCALARS[bare])
    if isinstance(bare, type) and issubclass(bare, BaseModel) and bare is not Message:
        fields = _fields_of_object(name, bare, within)
        return TargetField(name=name, type=ValueType.OBJECT, fields=fields, takes_other_names=takes_other_names(bare))
    raise UnsupportedType(
        f"target '{name}' has the type {annotation!r}; use an enum or Literal of strings, str, int, float, Decimal, "
        "bool, date, datetime, time, a pydantic model of these, a list or set of one of them, list[Message], or one "
        "of these | None"
    )


def _fields_of_object(
    name: str, model: type[BaseModel], within: tuple[type[BaseModel], ...]
) -> tuple[TargetField, ...]:
    if model in within:
        raise UnsupportedType(f"target '{name}': {model.__name__} contains itself, so no form could show it")
    if len(within) == _DEEPEST:
        names = " > ".join(one.__name__ for one in (*within, model))
        raise UnsupportedType(f"target '{name}' nests objects deeper than {_DEEPEST} levels ({names}); flatten them")
    model.model_rebuild()
    fields = tuple(
        _field(f"{name}.{inner}", info.annotation, info.description or "", info.metadata, (*within, model))
        for inner, info in model.model_fields.items()
    )
    if not fields:
        raise UnsupportedType(f"target '{name}': {model.__name__} has no fields")
    if chats := [field.name for field in fields if field.type is ValueType.MESSAGES]:
        raise UnsupportedType(f"target '{chats[0]}' is a conversation within an object; make it a field of the task")
    return tuple(_within_object(model, field) for field in fields)


def _within_object(model: type[BaseModel], field: TargetField) -> TargetField:
    name = field.name.rpartition(".")[2]
    by_code = field.takes_other_names or is_read_by_code(model, name)
    return field.model_copy(update={"name": name, "takes_other_names": by_code})


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


def unwritable(value: Any) -> str:
    """Why a value could not be written to JSON and Parquet; empty if it can, which is not checked of texts."""
    match value:
        case bool() | str() | None:
            return ""
        case int():
            return "" if -(2**63) <= value < 2**63 else "the number needs more than 64 bits"
        case float():
            return "" if math.isfinite(value) else "the number is not finite"
        case decimal.Decimal():
            return _too_long(value)
        case BaseModel():
            return unwritable(dict(value))
        case dict():
            return unwritable(list(value.values()))
        case list() | tuple() | set() | frozenset():
            return next(filter(None, map(unwritable, value)), "")
        case _:
            return ""


def _too_long(number: decimal.Decimal) -> str:
    if not number.is_finite():
        return "the number is not finite"
    digits, exponent = len(number.as_tuple().digits), int(number.as_tuple().exponent)
    fits = max(digits, digits + exponent, -exponent) <= _DECIMAL_DIGITS
    return "" if fits else f"the decimal needs more than {_DECIMAL_DIGITS} digits"


def comparable(value: JsonValue) -> Hashable:
    """A canonical value in the form in which equal answers are equal.

    The order of a list does not matter, of objects either: two annotators who read the same line items in another
    order agree. That of turns does. A date-time or time counts in UTC, whatever offset it is written in.
    """
    if isinstance(value, dict):
        return tuple(sorted((name, comparable(part)) for name, part in value.items()))
    if isinstance(value, list):
        parts = [comparable(part) for part in value]
        return tuple(parts if any(map(is_turn, value)) else sorted(parts, key=repr))
    return in_utc(value) if isinstance(value, str) else value


def is_turn(value: JsonValue) -> bool:
    """Whether a value is a turn of a conversation, or an object that nobody could tell from one."""
    if not isinstance(value, dict) or not {"role", "content"} <= value.keys() <= Message.model_fields.keys():
        return False
    return value["role"] in [speaker.value for speaker in Speaker]


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
    None; whole numbers of an integer field become ints; decimals, dates and times become texts. A set has its choices
    in the order of their definition. Turns stay as they are.
    """
    if field.type is ValueType.MESSAGES:
        return [_message(one) for one in value or []]
    if not field.many:
        return _canonical_one(field, value)
    parts = [_canonical_one(field, part) for part in (value or [])]
    if field.is_label_set:
        return [choice for choice in field.choices if choice in parts]
    return [part for part in parts if part is not None]


def _canonical_one(field: TargetField, value: Any) -> JsonValue:
    if value is None or is_blank(value):
        return None
    match field.type:
        case ValueType.TEXT:
            return plain_text(str(value))
        case ValueType.INTEGER:
            return int(value)
        case ValueType.NUMBER:
            # Negative zero would print differently from zero.
            return float(value) + 0.0 if math.isfinite(float(value)) else None
        case ValueType.DECIMAL:
            return _plain_decimal(value)
        case ValueType.BOOLEAN:
            return bool(value)
        case ValueType.DATE | ValueType.DATETIME | ValueType.TIME:
            return _iso(field.type, value)
        case ValueType.CHOICE:
            return str(value.value) if isinstance(value, Enum) else str(value)
        case ValueType.OBJECT:
            parts = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            found = {inner.name: canonical(inner, parts.get(inner.name)) for inner in field.fields}
            # In a list, and where it may be absent, an object without any value says nothing.
            is_empty = (field.many or field.optional) and all(part in (None, []) for part in found.values())
            return None if is_empty else found
        case ValueType.MESSAGES:
            raise AssertionError("a conversation is always a list")


def _message(value: Any) -> JsonValue:
    return (value if isinstance(value, Message) else Message.model_validate(value)).as_json()


def _plain_decimal(value: Any) -> str | None:
    """A decimal without exponent and trailing zeros: 12.50 and 12.5 are the same amount."""
    number = decimal.Decimal(str(value))
    if not number.is_finite():
        return None
    plain = f"{number:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("-0", "") else plain


def _iso(type: ValueType, value: Any) -> str:
    """A date or time as ISO text; a text that is none stays for validation to name."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    text = plain_text(str(value))
    try:
        match type:
            case ValueType.DATETIME:
                return datetime.datetime.fromisoformat(text).isoformat()
            case ValueType.TIME:
                return datetime.time.fromisoformat(text).isoformat()
            case _:
                return text
    except ValueError:
        return text


def plain_text(value: str) -> str:
    """A text as it is kept: without NUL characters and outer whitespace, with ``\\n`` line ends."""
    return value.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n").strip()


def metadata_of(annotation: Any) -> list[Any]:
    """What an annotation and its parts are annotated with."""
    found: list[Any] = []
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        found += more
    if get_origin(annotation) in (Union, types.UnionType):
        found += [one for part in get_args(annotation) for one in metadata_of(part)]
    return found


def without_metadata(annotation: Any) -> Any:
    """A type without what it is annotated with."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def without_none(annotation: Any) -> tuple[Any, bool]:
    """A type without None, if it is a single one, and whether it had None."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    args = [arg for arg in get_args(annotation) if arg is not types.NoneType]
    if len(args) != 1:
        return annotation, False
    return without_metadata(args[0]), len(args) < len(get_args(annotation))


def choices_of(annotation: Any) -> tuple[str, ...]:
    """The choices of an annotation, optional or not; none if it allows any other values."""
    return _choices(without_none(without_metadata(annotation))[0])


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        values: tuple[Any, ...] = typing.get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        values = tuple(member.value for member in annotation)
    else:
        return ()
    return tuple(values) if all(isinstance(value, str) for value in values) else ()
