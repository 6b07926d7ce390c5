"""What is kept of models from run to run: plain arrays by name, which are read without parsing.

A dataclass is kept under the names of its fields. These are arrays, numbers, texts, other such dataclasses, and lists
of texts or of such dataclasses; or None.
"""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]
Kept = Mapping[str, npt.NDArray[Any]]
"""Arrays by name, none of them of Python objects."""
Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Kind = TypeVar("Kind")


def to_arrays(value: object, name: str = "") -> Arrays:
    """A dataclass as arrays whose names begin with one, then have those of its fields, with a dot between them."""
    found = Arrays()
    for part, kind in typing.get_type_hints(type(value)).items():
        found |= _kept(kind, getattr(value, part), part)
    return named(name, found) if name else found


def from_arrays(kind: type[Kind], kept: Kept, name: str = "") -> Kind:
    """The dataclass of that name again.

    Raises:
        KeyError: a part of it is not there.
    """
    arrays = of_name(kept, name) if name else kept
    return kind(**{part: _read(one, arrays, part) for part, one in typing.get_type_hints(kind).items()})


def _kept(kind: Any, value: Any, name: str) -> Arrays:
    if value is None:
        return {}
    if dataclasses.is_dataclass(value):
        return to_arrays(value, name)
    if any(map(dataclasses.is_dataclass, typing.get_args(kind))):
        found: Arrays = {name: np.array([len(value)])}
        for number, one in enumerate(value):
            found |= to_arrays(one, f"{name}.{number}")
        return found
    return {name: as_json(value) if _is_text(kind) else np.atleast_1d(value)}


def _read(kind: Any, kept: Kept, name: str) -> Any:
    if kind is float:
        return float(kept[name][0])
    parts: list[Any] = [one for one in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(one)]
    if not parts:
        return from_json(kept[name]) if _is_text(kind) else kept[name]
    if kind is not parts[0] and name in kept:
        return [from_arrays(parts[0], kept, f"{name}.{number}") for number in range(int(kept[name][0]))]
    return from_arrays(parts[0], kept, name) if kind is parts[0] or of_name(kept, name) else None


def _is_text(kind: Any) -> bool:
    return kind is str or str in typing.get_args(kind)


def named(name: str, arrays: Kept) -> Arrays:
    """Arrays with a common beginning of their names."""
    return {f"{name}.{key}": array for key, array in arrays.items()}


def of_name(kept: Kept, name: str) -> Arrays:
    """The arrays whose names begin like that, without that beginning; none if there are none."""
    start = f"{name}."
    return {key.removeprefix(start): array for key, array in kept.items() if key.startswith(start)}


def from_json(array: npt.NDArray[Any]) -> Any:
    """The names and options that ``as_json`` has written."""
    return json.loads(np.asarray(array, dtype=np.uint8).tobytes())


def as_json(value: object) -> npt.NDArray[np.uint8]:
    """Names and options as an array of bytes."""
    return np.frombuffer(json.dumps(value, separators=(",", ":")).encode(), dtype=np.uint8)


def hashed(texts: Iterable[str]) -> Hashes:
    """A hash of 64 bits for each text, the same in every process; never 0."""
    digests = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    found: Hashes = np.frombuffer(b"".join(digests), dtype="<u8") | np.uint64(1)
    return found


def small(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Counts in as few bytes as hold them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))
