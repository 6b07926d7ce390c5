"""Refuses numbers where a date or a time belongs: pydantic would read 1330 as seconds since midnight or 1970."""

import datetime
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainValidator, ValidationError, WrapValidator
from pydantic_core import InitErrorDetails

from schemas.field import metadata_of, without_metadata, without_none

_ERRORS: dict[Any, str] = {
    datetime.date: "date_type",
    datetime.datetime: "datetime_type",
    datetime.time: "time_type",
}
"""pydantic's own error for a value that no date or time can be read from."""
_READERS = (BeforeValidator, PlainValidator, WrapValidator)
_LISTS = (list, set, frozenset, tuple)
_Models = tuple[type[BaseModel], ...]
_Place = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Dates:
    """Where a value holds dates or times: it is one, or its items or some of its fields do."""

    error: str = ""
    """Of a value that should be one."""
    items: "Dates | None" = None
    fields: Mapping[str, "Dates"] = field(default_factory=dict)


@functools.cache
def dates_of(model: type[BaseModel]) -> Mapping[str, Dates]:
    """The fields that hold dates or times at any depth, except where a validator of the author's reads them first."""
    return _of_fields(model, (model,))


def refuse_timestamps(value: Any, dates: Dates) -> None:
    """Refuse a value that is or has a number where a date or a time belongs.

    Raises:
        ValidationError: it does, with the place of each such number within the value.
    """
    if found := list(_timestamps(value, dates, ())):
        raise ValidationError.from_exception_data("timestamps", found)


def _timestamps(value: Any, dates: Dates, at: _Place) -> Iterator[InitErrorDetails]:
    if dates.error:
        if _is_number(value):
            yield InitErrorDetails(type=dates.error, loc=at, input=value)
    elif dates.items and isinstance(value, list):
        for place, part in enumerate(value):
            yield from _timestamps(part, dates.items, (*at, place))
    elif isinstance(value, Mapping):
        for name, inner in dates.fields.items():
            yield from _timestamps(value.get(name), inner, (*at, name))


def _is_number(value: Any) -> bool:
    if not isinstance(value, str):
        return isinstance(value, int | float | Decimal)
    try:
        float(value)
    except ValueError:
        return False
    return True


def _of_fields(model: type[BaseModel], within: _Models) -> dict[str, Dates]:
    found = {
        name: _dates(info.annotation, within)
        for name, info in model.model_fields.items()
        if not _has_reader(info.metadata)
    }
    return {name: dates for name, dates in found.items() if dates}


def _dates(annotation: Any, within: _Models) -> Dates | None:
    """Where a value of a type holds dates; None if nowhere, or if it may have several types."""
    bare, _ = without_none(without_metadata(annotation))
    if _has_reader(metadata_of(annotation)):
        return None
    if get_origin(bare) in _LISTS and get_args(bare):
        items = _dates(get_args(bare)[0], within)
        return Dates(items=items) if items else None
    if not isinstance(bare, type):
        return None
    if issubclass(bare, BaseModel) and bare not in within:
        own = _read_by_the_author(bare)
        fields = {name: dates for name, dates in _of_fields(bare, (*within, bare)).items() if name not in own}
        return Dates(fields=fields) if fields else None
    return Dates(error=_ERRORS[bare]) if bare in _ERRORS else None


def _has_reader(metadata: list[Any]) -> bool:
    return any(isinstance(one, _READERS) for one in metadata)


def _read_by_the_author(model: type[BaseModel]) -> frozenset[str]:
    """The fields of an object that its own validators read before pydantic does; those of a task run before ours."""
    decorators = model.__pydantic_decorators__
    if any(one.info.mode != "after" for one in decorators.model_validators.values()):
        return frozenset(model.model_fields)
    own = [one.info.fields for one in decorators.field_validators.values() if one.info.mode != "after"]
    named = {name for fields in own for name in fields}
    return frozenset(model.model_fields) if "*" in named else frozenset(named)
