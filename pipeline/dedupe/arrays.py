"""Arrays in files without a header: who reads one knows what it holds.

Not numpy's own format: to read its headers in several threads at once crashes Python 3.11.
"""

import os
import threading
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write the elements row by row; the file is there as a whole or not at all, whoever is killed or writes it too."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    np.ascontiguousarray(array).tofile(unfinished)
    unfinished.replace(path)


def load(path: Path, kind: type[Scalar], *shape: int) -> npt.NDArray[Scalar]:
    """Read an array of a shape, of which one part may be -1; without it, one of a single dimension."""
    return np.fromfile(path, dtype=kind).reshape(shape or -1)


def mapped(path: Path, kind: type[Scalar], *shape: int) -> npt.NDArray[Scalar]:
    """The same without reading what is not looked at."""
    if path.stat().st_size == 0:
        # There is nothing that could be mapped.
        return load(path, kind, *shape)
    return np.memmap(path, dtype=kind, mode="r").reshape(shape or -1)
