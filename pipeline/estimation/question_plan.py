"""Plans about which strata to ask next, so that the bound on the error rate falls most."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.estimation.audit_draw import Floats
from pipeline.estimation.audit_estimate import Cells

_PARTS = 25
"""Into so many parts a batch is divided over the strata."""
_PRIOR = 300.0
"""What the curve says is worth so many answers in each stratum."""
_RIDGE, _STEPS = 0.1, 30
"""How much speaks against a steep curve, and how often the fit is improved."""
_TINY = 1e-6


@dataclass
class Questions:
    """How many rows of each stratum were asked about, and what that tells."""

    rows: Floats
    asked: Floats
    wrong: Floats
    total: int
    """How many rows the error rate is of, those answered otherwise included."""
    places: Floats
    """The log odds that the scores give the rows of each stratum, on average; NaN without scores."""

    def copy(self) -> "Questions":
        """The same, to be asked about independently."""
        return Questions(self.rows, self.asked.copy(), self.wrong.copy(), self.total, self.places)

    @property
    def shares(self) -> Floats:
        """How likely the rows of each stratum are wrong: by its answers, and more by how errors follow the scores."""
        return np.asarray((self.wrong + _PRIOR * self._by_score) / (self.asked + _PRIOR))

    def likely_shares(self, chance: np.random.Generator) -> Floats:
        """Shares that the answers make likely, drawn at random."""
        wrong, right = self.wrong.sum() + 0.5, self.asked.sum() - self.wrong.sum() + 0.5
        # How many are wrong in all is less certain than how they follow the scores.
        level = chance.beta(wrong, right) * (wrong + right) / wrong
        center = np.clip(self._by_score * level, _TINY, 1 - _TINY)
        return np.asarray(chance.beta(self.wrong + _PRIOR * center, self.asked - self.wrong + _PRIOR * (1 - center)))

    @property
    def _by_score(self) -> Floats:
        """The share of wrong rows as a curve over the scores, whose log odds are a straight line: two numbers in all.

        With a number for each stratum, batches would go to those where errors were found by chance, those that looked
        good by chance would not be looked at again, and the proof would be wrong too often.
        """
        from scipy.special import expit, logit

        scored = ~np.isnan(self.places)
        overall = (self.wrong.sum() + 0.5) / (self.asked.sum() + 1)
        found = np.full(len(self.places), overall)
        if scored.any():
            places, asked, wrong = self.places[scored], self.asked[scored], self.wrong[scored]
            line = np.stack([np.ones(len(places)), (places - places.mean()) / max(float(places.std()), _TINY)])
            fit = np.array([logit(overall), 0.0])
            for _ in range(_STEPS):
                share = expit(fit @ line)
                slope = line @ (wrong - asked * share) - _RIDGE * fit * (0, 1)
                bend = (line * (asked * share * (1 - share))) @ line.T + np.diag((_TINY, _RIDGE))
                fit = fit + np.clip(np.linalg.solve(bend, slope), -1, 1)
            found[scored] = expit(fit @ line)
        return found

    def cells(self) -> Cells:
        """What is known of each stratum that has rows left."""
        left = self.rows - self.asked
        some = left > 0
        # As for real answers: few rows that are left may differ from those that were asked about.
        worth = (self.asked * left / np.maximum(self.rows, 1))[some]
        share = (self.wrong / np.maximum(self.asked, 1))[some]
        return Cells(left[some] / self.total, worth, share * worth)

    def ask(self, count: int, level: float) -> None:
        """Ask about so many more rows, where that lowers the expected bound most."""
        part, shares = max(1, math.ceil(count / _PARTS)), self.shares
        while count > 0 and (self.rows > self.asked).any():
            count -= self._ask_next(min(part, count), level, shares)

    def needed(self, target: float, level: float) -> int:
        """How many more answers are expected to bring the bound below a target."""
        trial, shares = self.copy(), self.shares
        part = max(1, math.ceil(self.rows.sum() / (_PARTS * 2)))
        while (trial.rows > trial.asked).any() and trial.bound(trial.asked, level, shares) >= target:
            trial._ask_next(part, level, shares)
        return int(trial.asked.sum() - self.asked.sum())

    def _ask_next(self, part: int, level: float, shares: Floats) -> int:
        room = np.minimum(part, self.rows - self.asked)
        now = self.bound(self.asked, level, shares)
        gains = (now - self.bound(self.asked + np.diag(room), level, shares)) / np.maximum(room, 1)
        best = int(np.argmax(np.where(room > 0, gains, -np.inf)))
        self.asked[best] += room[best]
        return int(room[best])

    def bound(self, asked: Floats, level: float, shares: Floats | None = None) -> Floats:
        """The bound to expect once so many are answered; for a matrix, of each of its lines."""
        from scipy.special import ndtri

        share = self.shares if shares is None else shares
        z = -float(ndtri(level))
        left, heard = (self.rows - asked) / self.total, np.maximum(asked, 1)
        # What strata without an error may hide falls with the answers.
        spread = share * (1 - share) / heard * np.minimum(1.0, left * self.total / np.maximum(self.rows, 1))
        expected = (left * share).sum(axis=-1)
        # Few errors are skewed: where none was found, an error may hide in the stratum with the fewest answers.
        hidden = np.where(left > 0, left / heard, 0.0).max(axis=-1)
        width = np.sqrt(((self.rows / self.total) ** 2 * spread).sum(axis=-1))
        return np.asarray(expected + z * width + z * z / 3 * hidden)
