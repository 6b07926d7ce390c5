"""Arrays in files without a header: who reads one knows what it holds.

Not numpy's own format: to read its headers in several threads at once crashes Python 3.11. Nor by numpy's own hand: it
writes a small array to a full disk without an error.
"""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.state.atomic import Sink, replacing, sealed_bytes

Scalar = TypeVar("Scalar", bound=np.generic)


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write the elements row by row; the file is there as a whole or not at all, whoever is killed or writes it too."""
    with replacing(path, sealed=True) as sink:
        add(sink, array)


def add(sink: Sink, array: npt.NDArray[Any]) -> None:
    """Write the elements behind others; the file must be sealed."""
    sink.write(np.ascontiguousarray(array))


def load(path: Path, kind: type[Scalar], *shape: int) -> npt.NDArray[Scalar]:
    """Read an array of a shape, of which one part may be -1; without it, one of a single dimension."""
    return np.array(mapped(path, kind, *shape))


def mapped(path: Path, kind: type[Scalar], *shape: int) -> npt.NDArray[Scalar]:
    """The same without reading what is not looked at, but for its checksum the first time."""
    return sealed_bytes(path).view(kind).reshape(shape or -1)
