"""What is kept of models from run to run: plain arrays by name, which are read without parsing."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]
Kept = Mapping[str, npt.NDArray[Any]]
"""Arrays by name, none of them of Python objects."""
Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


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


class KeptColumns:
    """A dataclass of arrays, which are kept under the names of its fields."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def read(cls, kept: Kept) -> Self:
        """What ``arrays`` has given."""
        return cls(**{name: kept[name] for name in cls.__dataclass_fields__})

    def arrays(self) -> Arrays:
        """What is to be kept."""
        return dict(vars(self))
