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

from pipeline.estimation.audit_draw import Bools, Chances, Floats, Strata, raised_to
from pipeline.estimation.audit_estimate import Cells, cells_of, upper_bound
from pipeline.estimation.question_plan import Questions

_LEVEL = 0.05
_KEPT = 2 / 3
"""Of the level that is left, this part is kept for later looks."""
_RESERVE = 1.2
"""So many times what is expected to suffice is asked: a look that fails costs more."""
_LEAST_PART = 3
"""Of the largest batch, at least a third is asked, since many looks cost confidence."""
_LEAST_SCORE = 0.002
"""Scores are not believed beyond this, and as much below 1."""
_WORLDS, _SEED = 16, 17
"""Made-up datasets of a forecast."""


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
    scores: Floats
    """How likely each is wrong, 0 to 1; NaN if unknown."""


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


def least_sample(batch: int) -> int:
    """How many rows of a batch are drawn at random at least, however many likely errors there are."""
    return math.ceil(batch / _LEAST_PART)


def level_of(round_: int) -> float:
    """How likely the look after a round, the first being 1, may be mistaken."""
    return _LEVEL * (1 - _KEPT) * _KEPT ** (round_ - 1)


def bound_at(rows: Rows, round_: int) -> float:
    """The error rate is below this, with the confidence that is left for a look.

    Args:
        rows: those that may be asked about; all that were drawn are answered.
        round_: the number of the look, from 1 on.
    """
    return _bound(cells_of(rows.chances, rows.answered, rows.wrong, rows.total), round_)


def next_questions(rows: Rows, target: float, batch: int, round_: int) -> Plan:
    """Compare the error rate with the target, and draw the next batch.

    Args:
        rows: those that may be asked about; all that were drawn are answered.
        target: the highest acceptable share of wrong rows, above 0.
        batch: the most questions to ask at once.
        round_: the number of this look, from 1 on.
    """
    bound = bound_at(rows, round_)
    if bound < target:
        return Plan(bound, True, rows.chances, 0)
    names, questions = _questions(rows)
    more = _ask(questions, bound, target, batch, round_)
    wanted = {int(name): float(count) for name, count in zip(names, questions.asked, strict=True)}
    chances = raised_to(rows.chances, rows.numbers, rows.answered, wanted)
    return Plan(bound, False, chances, max(1, more))


def answers_needed(rows: Rows, target: float, batch: int, round_: int) -> tuple[int, int]:
    """How many more answers it takes from a look on that did not reach the target: four of five times between these.

    Datasets that the answers so far make likely are asked about as ``next_questions`` does.

    Args:
        rows: as they were at that look.
        target: that of the look.
        batch: the most questions to ask at once.
        round_: the number of the look.
    """
    chance, (_, now) = np.random.default_rng(_SEED), _questions(rows)
    needed = [_answers_needed(now.copy(), target, batch, round_, chance) for _ in range(_WORLDS)]
    low, high = np.quantile(needed, [0.1, 0.9], method="nearest")
    return int(low), int(high)


def _answers_needed(questions: Questions, target: float, batch: int, round_: int, chance: np.random.Generator) -> int:
    before, left = questions.asked.sum(), questions.rows - questions.asked
    wrong = chance.binomial(left.astype(int), questions.likely_shares(chance)).astype(np.float64)
    while True:
        bound = _bound(questions.cells(), round_)
        if bound < target:
            return int(questions.asked.sum() - before)
        asked = questions.asked.copy()
        _ask(questions, bound, target, batch, round_)
        more, left = questions.asked - asked, questions.rows - asked
        found = chance.hypergeometric(wrong.astype(int), (left - wrong).astype(int), more.astype(int))
        wrong = wrong - found
        questions.wrong = questions.wrong + found
        round_ += 1


def _bound(cells: Cells, round_: int) -> float:
    return upper_bound(cells, level_of(round_)) if cells.weight.size else 0.0


def _questions(rows: Rows) -> tuple[Strata, Questions]:
    """The strata, and what was asked about each."""
    from scipy.special import logit

    names = np.unique(rows.chances.stratum[rows.chances.stratum >= 0])
    here = [rows.chances.stratum == name for name in names]
    counts = [[at.sum(), (at & rows.answered).sum(), (at & rows.wrong).sum()] for at in here]
    size, asked, wrong = np.array(counts, dtype=np.float64).reshape(-1, 3).T
    odds = logit(np.clip(rows.scores, _LEAST_SCORE, 1 - _LEAST_SCORE))
    # What was corrected has the score of another answer by now.
    told = ~np.isnan(odds) & ~rows.wrong
    places = [float(odds[at & told].mean()) if (at & told).any() else math.nan for at in here]
    return names, Questions(size, asked, wrong, rows.total, np.array(places))


def _ask(questions: Questions, bound: float, target: float, batch: int, round_: int) -> int:
    """Ask the next batch; returns how many more answers are expected to suffice."""
    # What was expected of this look says how far expectations are off.
    scale = max(1.0, bound / float(questions.bound(questions.asked, level_of(round_))))
    more = questions.needed(target / scale, level_of(round_ + 1))
    size = min(batch, max(least_sample(batch), math.ceil(_RESERVE * more)))
    questions.ask(size, level_of(round_ + 1))
    return more
