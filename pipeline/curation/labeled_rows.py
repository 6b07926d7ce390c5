"""The labeled rows that a judge was trained on, as hashes: by them a later run counts how many have changed since."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.curation.relations import Names, hashed
from pipeline.sorted_places import places_of

Counts = npt.NDArray[np.uint8]
_CHANGED, _CAME = 1, 2


@dataclass(frozen=True)
class LabeledRows:
    """Rows that have an answer, of their source or of annotators: 16 bytes each."""

    records: Names
    """By record, in ascending order."""
    states: Names
    """Of the same rows, what they ask and what their sources answer."""

    @classmethod
    def of(cls, records: pl.Series, states: pl.Series) -> "LabeledRows":
        """Those with some ids and states (``Decision.state``)."""
        return cls.together([cls(hashed(records), hashed(states))])

    @classmethod
    def together(cls, parts: Sequence["LabeledRows"]) -> "LabeledRows":
        """Those of several parts."""
        none = [np.empty(0, dtype=np.uint64)]
        records = np.concatenate(none + [part.records for part in parts])
        states = np.concatenate(none + [part.states for part in parts])
        order = np.argsort(records)
        return cls(records[order], states[order])

    @property
    def height(self) -> int:
        """How many there are."""
        return len(self.records)

    def unlearned(self, records: Names, states: Names) -> Counts:
        """What of later labeled rows is new, given the hashes of their ids and states: 0 for a row that is among these,
        1 for one that has changed since, 2 for one that has come.
        """
        places = places_of(records, self.records)
        found = np.full(len(records), _CAME, dtype=np.uint8)
        there = places >= 0
        found[there] = np.where(self.states[places[there]] == states[there], 0, _CHANGED)
        return found

    def others(self, labeled: int, unlearned: int) -> int:
        """How many labeled rows have changed, come or gone since, all together.

        Args:
            labeled: how many there are by now.
            unlearned: the sum of what is new of them.
        """
        # Each that has come counts twice there, and makes up for one that has gone here.
        return unlearned + len(self.records) - labeled
