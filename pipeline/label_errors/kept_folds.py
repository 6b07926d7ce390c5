"""Which of several models has not seen the group of a row that comes later."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.group_folds import members_of
from pipeline.label_errors.kept_arrays import Hashes, hashed
from pipeline.sorted_places import places_of

Ints = npt.NDArray[np.int64]

EVERY = -1
"""The fold that no labeled row is in: its model learns from all of them."""


def group_hashes(groups: Sequence[str]) -> Hashes:
    """Those of groups that rows are learned from; 0 where a row may judge any other."""
    if not groups or members_of(groups)[1]:
        return np.zeros(len(groups), dtype=np.uint64)
    return hashed(groups)


def are_several(groups: Hashes) -> bool:
    """Whether some rows, but not all, are of one group: then each fold has its model."""
    return 1 < len(np.unique(groups)) < len(groups)


@dataclass(frozen=True)
class KeptFolds:
    """The models are numbered: that of all rows is 0, and that of each fold is the fold's number and 1."""

    groups: Hashes
    """Those that were learned from, sorted; none if there is only the model of all rows."""
    models: npt.NDArray[np.uint8]
    """By group: the number of the model that has not seen it."""

    @classmethod
    def of(cls, groups: Hashes, folds: Ints) -> "KeptFolds":
        """From the group and the fold of every labeled row."""
        known, first = np.unique(groups if are_several(groups) else groups[:0], return_index=True)
        return cls(known, (folds[first] - EVERY).astype(np.uint8))

    def of_rows(self, groups: Hashes) -> Ints:
        """The number of the model for each row, by the hash of its group: one of a new group has that of all rows."""
        places, found = places_of(groups, self.groups), np.zeros(len(groups), dtype=np.int64)
        known = places >= 0
        found[known] = self.models[places[known]]
        return found
