"""Recognizes texts that are already in an index, by 128 bits over their bytes or over their words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.similarity.signatures import Identities, Keys
from pipeline.similarity.text_columns import Rows
from pipeline.state.arrays import mapped, save

_FILTER_BITS = 22


@dataclass(frozen=True)
class Known:
    """128-bit values, and what each refers to."""

    one: npt.NDArray[np.uint64]
    """The first halves, in ascending order."""
    other: npt.NDArray[np.uint64]
    places: Rows

    @classmethod
    def of(cls, values: Identities, places: Rows) -> "Known":
        """Take values x 2; the first occurrence of a repeated one counts."""
        order = np.argsort(values[:, 0], kind="stable")
        return cls(values[order, 0], values[order, 1], places[order])

    @property
    def differ(self) -> bool:
        """Whether all are distinct, judged by their first halves."""
        return not (self.one[1:] == self.one[:-1]).any()

    @classmethod
    def read(cls, path: Path) -> "Known":
        """Map the output of ``write``."""
        one, other, places = mapped(path, np.uint64, 3, -1)
        return cls(one, other, places.view(np.int64))

    def write(self, path: Path) -> None:
        """Write them for others to map."""
        save(path, np.stack([self.one, self.other, self.places.view(np.uint64)]))

    def find(self, values: Identities) -> Rows:
        """The index of each value; -1 if it is unknown."""
        found = np.full(len(values), -1, dtype=np.int64)
        if len(self.one):
            # In ascending order, look-ups stay in the processor's cache.
            order = np.argsort(values[:, 0])
            at = np.minimum(np.searchsorted(self.one, values[order, 0]), len(self.one) - 1)
            same = (self.one[at] == values[order, 0]) & (self.other[at] == values[order, 1])
            found[order[same]] = self.places[at[same]]
        return found


def met_keys(keys: Keys, new: Keys) -> Rows:
    """The indices of the keys that are among the new ones."""
    # A table that rules out nearly all of them is many times as fast as sorting.
    shift = np.uint32(32 - _FILTER_BITS)
    seen = np.zeros(2**_FILTER_BITS, dtype=np.bool_)
    seen[new >> shift] = True
    maybe = np.flatnonzero(seen[keys >> shift])
    found: Rows = maybe[np.isin(keys[maybe], new)]
    return found
