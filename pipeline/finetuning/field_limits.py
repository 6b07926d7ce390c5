"""The limits that a task's author set to values with pydantic (``ge``, ``max_length``, ``pattern`` and the like)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.field import metadata_of, without_metadata, without_none


@dataclass(frozen=True, slots=True)
class Limits:
    """What pydantic holds a value or a list to, under pydantic's names; None where there is no limit."""

    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    max_digits: int | None = None
    decimal_places: int | None = None


@dataclass(frozen=True, slots=True)
class FieldLimits:
    """The limits of a field and of what is in it."""

    own: Limits = Limits()
    """Of the value, or of the list as a whole."""
    each: Limits = Limits()
    """Of every value of a list."""
    fields: Mapping[str, "FieldLimits"] = field(default_factory=dict)
    """Of an object, or of every object of a list."""


def limits_of(model: type[BaseModel], names: Sequence[str]) -> dict[str, FieldLimits]:
    """The limits of some fields of a model; those that its own validators set are not known."""
    infos = {name: model.model_fields[name] for name in names}
    return {name: _limits(info.annotation, info.metadata) for name, info in infos.items()}


def _limits(annotation: Any, metadata: Sequence[Any]) -> FieldLimits:
    bare, _ = without_none(without_metadata(annotation))
    own = _of([*metadata_of(annotation), *metadata])
    if get_origin(bare) in (list, set, frozenset):
        inner = _limits(get_args(bare)[0], ())
        return FieldLimits(own, inner.own, inner.fields)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return FieldLimits(own, fields=limits_of(bare, list(bare.model_fields)))
    return FieldLimits(own)


def _of(metadata: Sequence[Any]) -> Limits:
    found: dict[str, Any] = {}
    for one in _single(metadata):
        for name in Limits.__dataclass_fields__:
            if (value := getattr(one, name, None)) is not None:
                found[name] = value.pattern if isinstance(value, re.Pattern) else value
    return Limits(**found)


def _single(metadata: Sequence[Any]) -> Iterator[Any]:
    """What is within ``Field(...)``, and everything else as it is."""
    for one in metadata:
        yield from _single(one.metadata) if isinstance(one, FieldInfo) else [one]
