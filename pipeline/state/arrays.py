"""Arrays in files without a header: readers know the type and shape.

Not in numpy's format: reading its headers in several threads at once crashes Python 3.11. Nor by numpy's writer: it
writes a small array to a full disk without an error.
"""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.state.atomic import Sink, replacing, sealed_bytes

Scalar = TypeVar("Scalar", bound=np.generic)


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write the elements row by row, atomically, even if the process is killed or another one writes the same file."""
    with replacing(path, sealed=True) as sink:
        add(sink, array)


def add(sink: Sink, array: npt.NDArray[Any]) -> None:
    """Append the elements; the file must be sealed."""
    sink.write(np.ascontiguousarray(array))


def load(path: Path, kind: type[Scalar], *shape: int) -> npt.NDArray[Scalar]:
    """Read an array of a given shape, in which one dimension may be -1; default: one dimension."""
    return np.array(mapped(path, kind, *shape))


def mapped(path: Path, kind: type[Scalar], *shape: int) -> npt.NDArray[Scalar]:
    """The same without reading unused parts, except for the checksum the first time."""
    return sealed_bytes(path).view(kind).reshape(shape or -1)
