"""Looks numbers up among sorted ones."""

from typing import Any

import numpy as np
import numpy.typing as npt


def places_of(wanted: npt.NDArray[Any], known: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Where each wanted number is among the known ones, which ascend: its first place, or -1 where it is not."""
    if not len(known):
        return np.full(wanted.shape, -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found: npt.NDArray[np.int64] = np.where(known[places] == wanted, places, -1)
    return found
