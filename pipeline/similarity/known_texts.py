"""Recognises texts that an index knows, by 128 bits over their bytes or over their words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.similarity.kernels import seen_keys
from pipeline.similarity.signatures import Identities, Keys
from pipeline.similarity.text_columns import Rows
from pipeline.state.arrays import mapped, save

_FILTER_BITS = 22


@dataclass(frozen=True)
class Known:
    """Values of 128 bits, and what each stands for."""

    one: npt.NDArray[np.uint64]
    """The first halves, in ascending order."""
    other: npt.NDArray[np.uint64]
    places: Rows

    @classmethod
    def of(cls, values: Identities, places: Rows) -> "Known":
        """Take values x 2; where one comes twice, its first place counts."""
        order = np.argsort(values[:, 0])
        found = cls(values[order, 0], values[order, 1], places[order])
        if found.differ:
            return found
        # Only what was killed leaves a value twice; an order that keeps such ones as they came takes longer.
        order = np.argsort(values[:, 0], kind="stable")
        return cls(values[order, 0], values[order, 1], places[order])

    @property
    def differ(self) -> bool:
        """Whether none of them comes twice, to go by their first halves."""
        return not (self.one[1:] == self.one[:-1]).any()

    @classmethod
    def read(cls, path: Path) -> "Known":
        """Map what ``write`` has written."""
        one, other, places = mapped(path, np.uint64, 3, -1)
        return cls(one, other, places.view(np.int64))

    def write(self, path: Path) -> None:
        """Write them for others to map."""
        save(path, np.stack([self.one, self.other, self.places.view(np.uint64)]))

    def find(self, values: Identities) -> Rows:
        """The place of each value; -1 of one that is not known."""
        found = np.full(len(values), -1, dtype=np.int64)
        if len(self.one):
            # In ascending order the look-ups find their way in the processor's cache.
            order = np.argsort(values[:, 0])
            at = np.minimum(np.searchsorted(self.one, values[order, 0]), len(self.one) - 1)
            same = (self.one[at] == values[order, 0]) & (self.other[at] == values[order, 1])
            found[order[same]] = self.places[at[same]]
        return found


def met_keys(keys: Keys, new: Keys) -> Rows:
    """The places of the keys that are among the new ones."""
    # A table that says no for nearly all of them is many times as fast as sorting them.
    shift = np.uint32(32 - _FILTER_BITS)
    seen = np.zeros(2**_FILTER_BITS, dtype=np.bool_)
    seen[new >> shift] = True
    places = np.empty(len(keys), dtype=np.int64)
    maybe = places[: seen_keys(keys, seen, shift, places)]
    found: Rows = maybe[np.isin(keys[maybe], new)]
    return found
