"""How much a finding says against a row: the rarer it is among the other rows of its set, the more.

It is counted in whole bits: one more for what half as many rows have. Smaller differences mean nothing, but would let
one kind of fault, slightly more frequent than the others, drop out of a batch altogether.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ORDINARY = 0.3
"""What this share of the rows has is how the set is, and says nothing against a row."""
SHOWN = 2.0
"""Bits that a finding must say to be shown: what more than three rows in forty have is not worth asking about."""
_STRANGERS = tuple(percent / 100 for percent in range(5, 100, 5))
"""Shares of the pairs that do not belong together: so many of them match at most as well as a limit that is tried."""
ROUNDING = 1e-9
_EXPECTED = 0.05
"""How often something is expected where no other row can show it."""
_TAIL_WEIGHT = 0.4
"""Every set has longest and shortest answers; a contradiction it need not have. Measured: docs/decisions.md."""
_TAIL_DEPTH = 0.25
"""How much it counts that hardly any row is as extreme, beyond being outside of the usual range at all."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Which rows are copies of each other: a group counts as one row, and says nothing about its own rows."""

    codes: Ints
    """Every row's group, as a number."""
    weights: Floats
    """How much every row counts: the rows of a group together as one, or not at all."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "Groups":
        """The groups by their names."""
        known: dict[str, int] = {}
        codes = np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)
        return cls(codes, 1 / np.bincount(codes)[codes] if len(codes) else np.zeros(0))

    @classmethod
    def outside(cls, rows: int) -> "Groups":
        """Rows that are judged by others, of which each is alone and counts nothing."""
        return cls(np.arange(rows), np.zeros(rows))

    def without(self, rows: Bools) -> "Groups":
        """The same groups, where some rows do not count."""
        return Groups(self.codes, np.where(rows, 0.0, self.weights))

    def count(self, holds: Bools | None = None) -> float:
        """In how many groups something holds; default: how many there are."""
        return float(self._of_group(holds).sum())

    def others(self, count: float, holds: Bools | None = None) -> Floats:
        """For every row, how many of so many groups are not its own."""
        found: Floats = np.maximum(count - self._of_group(holds), 0)[self.codes]
        return found

    def _of_group(self, holds: Bools | None) -> Floats:
        return counted(self.codes, self.weights if holds is None else self.weights * holds, 0)


def counted(numbers: Ints, weights: Floats, size: int) -> Floats:
    """The weight of every number from 0 to ``size``."""
    found: Floats = np.bincount(numbers, weights, minlength=size).astype(np.float64, copy=False)
    return found


# --- findings -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Rate:
    """How frequent a finding is among the rows that were learned from, in groups."""

    found: float
    possible: float
    """Where it could be found."""
    rows: float

    @classmethod
    def learn(cls, found: Bools, applies: Bools, groups: Groups) -> "Rate":
        """Count rows that have a finding, and rows that could have it."""
        return cls(groups.count(found), groups.count(applies), groups.count())

    def says(self, found: Bools, applies: Bools, groups: Groups, *, may_be_usual: bool = False) -> Floats:
        """What the finding says against the rows that have it; 0 for the others.

        It counts how rare the finding is among all rows, and, where it ``may_be_usual``, among those that could have
        it: dropping numbers may be the point of a rewriting, however few originals have any. Otherwise that only counts
        if most of them have it: if the numbers of half of the answers are not in their originals, many of these may be
        wrong.
        """
        others = groups.others(self.found, found)
        among_possible = np.minimum((others + _EXPECTED) / (groups.others(self.possible, applies) + 1), 1)
        says = _bits(_share(others, groups.others(self.rows)))
        if may_be_usual:
            says = np.minimum(says, _bits(among_possible))
        else:
            says *= np.minimum((1 - among_possible) * 2, 1)
        return np.where(found, says, 0.0)


def _share(others: Floats, all_others: Floats) -> Floats:
    """In which share of the rows something holds, the row that is judged included."""
    return np.minimum((others + 1) / (all_others + 1), 1.0)


# --- unusual values -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Tail:
    """The low values outside of the usual range of the rows that were learned from."""

    values: Floats
    """Each of them once, ascending."""
    at_most: Floats
    """How many groups have a value that is at most as high."""
    outside: float
    """How many groups have a value outside of the usual range."""
    rows: float

    @classmethod
    def learn(cls, values: Floats, outside: Bools, groups: Groups) -> "Tail":
        """Count the values that are outside: all others must be higher."""
        low, weights = values[outside], groups.weights[outside]
        order = np.argsort(low, kind="stable")
        low, total = low[order], np.cumsum(weights[order])
        # Equal values count alike: each takes the weight up to the last of them.
        last = np.r_[low[1:] != low[:-1], True][: len(low)]
        return cls(low[last], total[last], groups.count(outside), groups.count())

    def says(self, values: Floats, outside: Bools, groups: Groups) -> Floats:
        """What a low value says against the rows that are outside of the usual range; 0 for the others."""
        all_others = groups.others(self.rows)
        share = _share(groups.others(self.outside, outside), all_others)
        depth_share = _share(self._others_at_most(values, groups), all_others)
        depth = np.where(share < ORDINARY, np.log2(share / np.minimum(depth_share, share)), 0.0)
        return np.where(outside, _TAIL_WEIGHT * (_bits(share) + _TAIL_DEPTH * depth), 0.0)

    def _others_at_most(self, values: Floats, groups: Groups) -> Floats:
        everywhere = np.r_[0.0, self.at_most][np.searchsorted(self.values, values, side="right")]
        found: Floats = np.maximum(everywhere - _weight_at_most(groups.codes, values, groups.weights), 0)
        return found


def _weight_at_most(codes: Ints, values: Floats, weights: Floats) -> Floats:
    """For every row, the weight of all rows of its code whose value is at most its own."""
    if not len(values):
        return np.zeros(0)
    order = np.lexsort((values, codes))
    codes, values = codes[order], values[order]
    total = np.cumsum(weights[order])
    new_code = np.r_[True, codes[1:] != codes[:-1]]
    new_value = new_code | np.r_[True, values[1:] != values[:-1]]
    before = np.r_[0.0, total][np.flatnonzero(new_code)][np.cumsum(new_code) - 1]
    ends = np.r_[np.flatnonzero(new_value)[1:] - 1, len(values) - 1]
    found = np.empty_like(total)
    found[order] = total[ends][np.cumsum(new_value) - 1] - before
    return found


# --- texts that do not belong together ------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Mismatch:
    """How well texts match that do not belong together, next to the texts of a row."""

    limits: Floats
    """Ascending; as many matches are tried as limits."""
    reached: Floats
    """The share of the texts of different rows that match at most so well."""
    below: Floats
    """In how many groups the texts of a row match at most so well."""
    rows: float

    @classmethod
    def learn(cls, values: Floats, mismatched: Floats, known: Bools, groups: Groups) -> "Mismatch":
        """Compare the matches of rows with those of texts of different rows (NaN: none)."""
        weights = groups.weights * (known & np.isfinite(mismatched))
        values = np.where(known, values, np.inf)
        tried = {quantile(mismatched, weights, share) for share in _STRANGERS} if weights.any() else ()
        limits = np.array(sorted(tried), dtype=np.float64)
        reached = [weights[mismatched <= limit].sum() / weights.sum() for limit in limits]
        below = [groups.count(values <= limit) for limit in limits]
        return cls(limits, np.array(reached, dtype=np.float64), np.array(below, dtype=np.float64), groups.count())

    def says(self, values: Floats, known: Bools, groups: Groups) -> Floats:
        """What a low match says against a row.

        It counts how many more texts of different rows match as badly as this, or less badly, than texts of one row. If
        the measure cannot tell them apart, it says nothing.
        """
        says = np.zeros_like(values)
        values = np.where(known, values, np.inf)
        all_others = groups.others(self.rows)
        for limit, reached, count in zip(self.limits, self.reached, self.below, strict=True):
            below = values <= limit
            share = _share(groups.others(count, below), all_others)
            says = np.where(below, np.maximum(says, _bits(share / reached)), says)
        return says


# --- ranges ---------------------------------------------------------------------------------------
def usual_range(values: Floats, known: Bools, groups: Groups, least_width: float) -> tuple[float, float]:
    """The range outside of which a value is unusual: the middle half of the rows, widened by 1.5 of its width."""
    weights = groups.weights * known
    if not weights.any():
        return -np.inf, np.inf
    low, high = quantile(values, weights, 0.25), quantile(values, weights, 0.75)
    width = max(high - low, least_width)
    return low - 1.5 * width, high + 1.5 * width


def quantile(values: Floats, weights: Floats, share: float) -> float:
    """The value that this share of the weight is at most; 0 without weight."""
    values, weights = values[weights > 0], weights[weights > 0]
    if not len(values):
        return 0.0
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(total, share * total[-1] * (1 - 1e-9))]])


def _bits(share: Floats) -> Floats:
    bits: Floats = np.maximum(np.floor(np.log2(ORDINARY / share) + ROUNDING), 0.0)
    return bits
