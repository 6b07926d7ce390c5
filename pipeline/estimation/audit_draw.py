"""Draws the audit: a random sample of rows, stratified by score, that stays the same while a dataset grows.

Every row has a number from 0 to 1, its hash, which never changes (a permanent random number: E. Ohlsson, "Sequential
Poisson Sampling", Journal of Official Statistics 14, 1998), and a chance. It is drawn if its number is below its
chance, so every run draws the same, in any order of rows. Rows keep stratum and chance; new rows come in with theirs.

Likely wrong rows have a better chance, as in J. Neyman, "On the Two Different Aspects of the Representative Method"
(1934), and in active inference (arXiv 2403.03208); how much the scores are trusted is limited, since an audit must
also find what the scores do not know.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Strata = NDArray[np.int8]

NO_STRATUM = -1
UNSCORED = 0
"""The stratum of rows without a score; those with a score are in 1 (likely right) and up."""
_MOST_STRATA = 12
_FEWEST_PER_STRATUM = 6
"""Expected questions of a stratum: with fewer, it would say nothing."""
_TRUST = 0.5
"""How far chances follow the scores: no row has less than half of the chance that it would have without them."""
_LEAST, _MOST = 0.02, 0.98
"""Scores are not believed beyond these."""
_SPREAD = 5
"""From so many expected questions on, a new stratum gets exactly as many."""


@dataclass(frozen=True)
class Chances:
    """The stratum and the chance of every row, in the order of the rows."""

    stratum: Strata
    """``NO_STRATUM`` where a row has no chance."""
    probability: Floats
    """0 where a row has no chance."""

    @staticmethod
    def none(rows: int) -> "Chances":
        """No chances yet."""
        return Chances(np.full(rows, NO_STRATUM, dtype=np.int8), np.zeros(rows))

    def drawn(self, numbers: Floats) -> Bools:
        """Which rows are drawn, by their numbers."""
        return np.asarray(numbers < self.probability)


def hashes_of(record_ids: Collection[str]) -> NDArray[np.uint64]:
    """By which records are drawn: uniform over 64 bits."""
    digests = (hashlib.blake2b(f"audit {name}".encode(), digest_size=8).digest() for name in record_ids)
    return np.fromiter((int.from_bytes(one, "big") for one in digests), dtype=np.uint64, count=len(record_ids))


def numbers(hashes: NDArray[np.uint64]) -> Floats:
    """Hashes of 64 bits as numbers from 0 to below 1."""
    # Of 53 bits, so that none is rounded up to 1.
    return np.asarray((hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def numbers_of(record_ids: Collection[str]) -> Floats:
    """The numbers of records."""
    return numbers(hashes_of(record_ids))


def draw(spots: Floats, scores: Floats, size: float, earlier: Chances) -> Chances:
    """Give every row a chance, so that about ``size`` are drawn.

    Rows that have a chance keep it, unless the size grows faster than the rows: then all earlier chances rise by the
    same factor. No chance ever falls, so no question is withdrawn. New rows get their part of the size, so that a
    dataset that grows without limit is asked about ever more, though ever less often.

    Args:
        spots: the numbers of the rows, uniform from 0 to 1; shape (n,).
        scores: how likely each row is wrong, 0 to 1; NaN if unknown. Only their order and rough size matter.
        size: how many of the rows to draw, answered ones included.
        earlier: the chances so far.
    """
    if not len(spots) or size <= 0:
        return earlier
    base = min(1.0, size / len(spots))
    stratum, weight = _strata(scores, size)
    old = earlier.stratum != NO_STRATUM
    probability = np.where(old, earlier.probability, 0.0)
    for name in np.unique(stratum[~old]):
        rows = np.flatnonzero(~old & (stratum == name))
        probability[rows] = _threshold(spots[rows], min(1.0, base * weight[rows[0]]))
    if old.any():
        probability[old] = _raised(earlier.stratum[old], probability[old], spots[old], base * int(old.sum()))
    return Chances(np.where(old, earlier.stratum, stratum).astype(np.int8), probability)


def _strata(scores: Floats, size: float) -> tuple[Strata, Floats]:
    """The stratum of each row by the present scores, and how much better its chance is than the average."""
    known = ~np.isnan(scores)
    believed = np.clip(np.where(known, scores, 0.0), _LEAST, _MOST)
    spread = np.sqrt(believed * (1 - believed))
    # What is unknown is taken for average.
    spread[~known] = spread[known].mean() if known.any() else 1.0
    weight = 1 - _TRUST + _TRUST * spread / spread.mean()
    stratum = np.full(len(scores), UNSCORED, dtype=np.int8)
    if known.any():
        order = np.argsort(scores[known], kind="stable")
        share = np.cumsum(weight[known][order])
        count = int(np.clip(size * known.mean() / _FEWEST_PER_STRATUM, 1, _MOST_STRATA))
        at = np.searchsorted(share, share[-1] * np.arange(1, count) / count)
        # By score, so that equal scores are in one stratum, whatever the order of the rows.
        cuts = np.unique(scores[known][order][np.minimum(at, len(order) - 1)])
        stratum[known] = 1 + np.searchsorted(cuts, scores[known], side="left")
    sums = np.bincount(stratum, weights=weight) / np.maximum(1, np.bincount(stratum))
    return stratum, np.asarray(sums[stratum])


def _threshold(spots: Floats, probability: float) -> float:
    """The chance by which a stratum is drawn: of many rows exactly as many as expected, of few by chance."""
    expected = probability * len(spots)
    count = round(expected)
    if expected < _SPREAD or count >= len(spots):
        return probability
    least, most = np.partition(spots, (count - 1, count))[count - 1 : count + 1]
    return float(least + most) / 2


def _raised(stratum: Strata, probability: Floats, spots: Floats, wanted: float) -> Floats:
    """Earlier chances, raised by one factor if they draw too few."""
    chances = np.unique(probability)
    cells = stratum.astype(np.int64) * len(chances) + np.searchsorted(chances, probability)
    drawn = np.bincount(cells, weights=spots < probability)
    expected = np.bincount(cells, weights=probability)
    # Of few rows, chance decides how many are drawn; that is no reason to draw more.
    if float(np.maximum(drawn, expected).sum()) >= wanted - 1:
        return probability
    return _drawing(round(wanted), probability, spots)


def _drawing(count: int, probability: Floats, spots: Floats) -> Floats:
    """Chances that draw so many rows, raised by one factor."""
    if count >= len(spots):
        return np.ones(len(spots))
    # The rows whose numbers are the smallest parts of their chances come next.
    parts = np.sort(spots / probability)
    return np.minimum(1.0, probability * max(1.0, float(parts[count - 1] + parts[count]) / 2))


def raised_to(chances: Chances, spots: Floats, answered: Bools, wanted: dict[int, float]) -> Chances:
    """Chances under which so many rows of each stratum are drawn; none falls.

    Args:
        chances: so far.
        spots: the numbers of the rows.
        answered: rows that count as drawn.
        wanted: by stratum.
    """
    probability = chances.probability.copy()
    for name, count in wanted.items():
        rows = np.flatnonzero(chances.stratum == name)
        drawn = int((answered[rows] | (spots[rows] < probability[rows])).sum())
        if drawn >= round(count):
            continue
        probability[rows] = _drawing(round(count), probability[rows], spots[rows])
    return Chances(chances.stratum, probability)
