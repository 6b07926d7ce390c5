"""Asks as many questions as it takes until the accepted rows' error is below a target with 95% confidence.

Strata are those of the audit. Each batch raises the chances of the strata where answers tell most: likely wrong rows,
until all of a stratum are asked about, since every error found is one less; and enough of the others to know how many
of them are wrong. After each batch the upper bound is compared with the target. Since there may be many such looks,
each of them may be mistaken less often than the one before, and all together in 5% (alpha spending: K. Lan, D. DeMets,
"Discrete Sequential Boundaries for Clinical Trials", 1983).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from pipeline.estimation.audit_draw import Bools, Chances, Floats, Strata, raised_to
from pipeline.estimation.audit_estimate import cells_of, upper_bound

_LEVEL = 0.05
_KEPT = 2 / 3
"""Of the level that is left, this part is kept for later looks."""
_PARTS = 25
"""Into so many parts a batch is divided over the strata."""
_RESERVE = 1.2
"""So many times what is expected to suffice is asked: a look that fails costs more."""
_LEAST_PART = 3
"""Of the largest batch, at least a third is asked, since many looks cost confidence."""


@dataclass(frozen=True)
class Rows:
    """The rows that may be asked about, in one order."""

    chances: Chances
    numbers: Floats
    """By which they are drawn (``audit_draw.numbers``)."""
    answered: Bools
    wrong: Bools
    """Answered and found wrong; corrected or removed since."""
    total: int
    """How many rows the error rate is of, those answered otherwise included."""


@dataclass(frozen=True)
class Plan:
    """Whether the target is reached, and what to ask next if it is not."""

    bound: float
    """The error rate is below this, with the confidence that is left for this look."""
    proven: bool
    chances: Chances
    """With which the next rows are drawn."""
    more: int
    """About how many more answers it takes; 0 if it is proven."""


def level_of(round_: int) -> float:
    """How likely the look after a round, the first being 1, may be mistaken."""
    return _LEVEL * (1 - _KEPT) * _KEPT ** (round_ - 1)


def next_questions(rows: Rows, target: float, batch: int, round_: int) -> Plan:
    """Compare the error rate with the target, and draw the next batch.

    Args:
        rows: those that may be asked about; all that were drawn are answered.
        target: the highest acceptable share of wrong rows, above 0.
        batch: the most questions to ask at once.
        round_: the number of this look, from 1 on.
    """
    cells = cells_of(rows.chances, rows.answered, rows.wrong, rows.total)
    bound = upper_bound(cells, level_of(round_)) if cells.weight.size else 0.0
    if bound < target:
        return Plan(bound, True, rows.chances, 0)
    strata = _Strata.of(rows)
    # What was expected of this look says how far expectations are off.
    scale = max(1.0, bound / strata.bound(strata.asked, level_of(round_)))
    more = strata.allocate(target / scale, len(rows.answered), level_of(round_ + 1), only_count=True)
    size = min(batch, max(math.ceil(batch / _LEAST_PART), math.ceil(_RESERVE * more)))
    strata.allocate(0.0, size, level_of(round_ + 1))
    wanted = {int(name): float(count) for name, count in zip(strata.names, strata.asked, strict=True)}
    chances = raised_to(rows.chances, rows.numbers, rows.answered, wanted)
    return Plan(bound, False, chances, max(1, more))


@dataclass
class _Strata:
    """How many rows of each stratum are asked about, and how much that tells."""

    names: Strata
    rows: Floats
    asked: Floats
    share: Floats
    """Of its rows that are likely wrong."""
    total: int

    @staticmethod
    def of(rows: Rows) -> "_Strata":
        names = np.unique(rows.chances.stratum[rows.chances.stratum >= 0])
        here = [rows.chances.stratum == name for name in names]
        asked = np.array([float((at & rows.answered).sum()) for at in here])
        wrong = np.array([float((at & rows.wrong).sum()) for at in here])
        size = np.array([float(at.sum()) for at in here])
        return _Strata(names, size, asked, (wrong + 0.5) / (asked + 1), rows.total)

    def allocate(self, target: float, most: int, level: float, *, only_count: bool = False) -> int:
        """Ask about more rows where that lowers the expected bound most, until it is below the target.

        Returns how many more.
        """
        before, done = self.asked.copy(), 0
        part = max(1, math.ceil(most / (_PARTS * (4 if only_count else 1))))
        while done < most:
            room = np.minimum(part, self.rows - self.asked)
            if not room.any() or self.bound(self.asked, level) < target:
                break
            gains = np.full(len(self.rows), -np.inf)
            now = self.bound(self.asked, level)
            for at in np.flatnonzero(room > 0):
                asked = self.asked.copy()
                asked[at] += room[at]
                gains[at] = (now - self.bound(asked, level)) / room[at]
            best = int(np.argmax(gains))
            self.asked[best] += min(room[best], most - done)
            done += int(min(room[best], most - done))
        if only_count:
            self.asked = before
        return done

    def bound(self, asked: Floats, level: float) -> float:
        """The bound to expect once so many are answered."""
        z = -float(ndtri(level))
        left = (self.rows - asked) / self.total
        heard = np.maximum(asked, 1)
        # What strata without an error may hide falls with the answers.
        spread = self.share * (1 - self.share) / heard * np.minimum(1.0, left * self.total / np.maximum(self.rows, 1))
        expected = float((left * self.share).sum())
        # Few errors are skewed: where none was found, an error may hide in the stratum with the fewest answers.
        hidden = float(np.where(left > 0, left / heard, 0.0).max())
        return expected + z * math.sqrt(float(((self.rows / self.total) ** 2 * spread).sum())) + z * z / 3 * hidden
