"""Dataclasses of arrays and numbers as arrays by name, which are kept in files, and back."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
Kind = TypeVar("Kind")


def to_arrays(value: object, name: str) -> dict[str, npt.NDArray[Any]]:
    """A dataclass whose fields are arrays, numbers and other such dataclasses, or None where there is nothing.

    An array's name is that of the value, then those of the fields it is in, with a dot between them.
    """
    if value is None:
        return {}
    if not dataclasses.is_dataclass(value):
        return {name: np.atleast_1d(np.asarray(value))}
    parts = (to_arrays(getattr(value, part.name), f"{name}.{part.name}") for part in dataclasses.fields(value))
    return {key: array for part in parts for key, array in part.items()}


def from_arrays(kind: type[Kind], arrays: Arrays, name: str) -> Kind:
    """The dataclass of that name again.

    Raises:
        KeyError: a part of it is not there.
    """
    types = typing.get_type_hints(kind)
    return kind(**{part: _part(types[part], arrays, f"{name}.{part}") for part in types})


def is_kept(arrays: Arrays, name: str) -> bool:
    """Whether there is anything of that name."""
    return any(key.startswith(f"{name}.") for key in arrays)


def _part(type_: Any, arrays: Arrays, name: str) -> Any:
    if type_ is float:
        return float(arrays[name][0])
    if dataclasses.is_dataclass(type_):
        return from_arrays(typing.cast(type[Any], type_), arrays, name)
    optional = [one for one in typing.get_args(type_) if dataclasses.is_dataclass(one)]
    if not optional:
        return arrays[name]
    return from_arrays(typing.cast(type[Any], optional[0]), arrays, name) if is_kept(arrays, name) else None
