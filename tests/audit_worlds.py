"""Made-up rows with scores that know a lot, little or the opposite of what is wrong."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import expit, logit

from pipeline.estimation.audit_draw import Bools, Floats


class World(StrEnum):
    """What the scores know."""

    SHARP = "calibrated, sharp"
    CALIBRATED = "calibrated"
    TOO_SURE = "ordered, too sure"
    TOO_MODEST = "ordered, too modest"
    HALF = "half of the errors unknown to them"
    UNINFORMATIVE = "uninformative"
    MISLEADING = "misleading: the reverse order"
    NONE = "no scores"


INFORMATIVE = (World.SHARP, World.CALIBRATED, World.TOO_SURE, World.TOO_MODEST, World.HALF)
_SPREAD, _SHARP = 2.2, 3.5
"""Of the log odds to be wrong; with the first, errors have higher scores than 93% of the other rows at a rate of 2%."""


@dataclass(frozen=True)
class MadeUp:
    """Rows, their order by hash included."""

    scores: Floats
    wrong: Bools
    hashes: np.typing.NDArray[np.uint64]


def made_up(world: World, rate: float, rows: int, chance: np.random.Generator) -> MadeUp:
    """Rows of which about ``rate`` are wrong."""
    odds = chance.normal(size=rows) * (_SHARP if world is World.SHARP else _SPREAD)
    low, high = -30.0, 10.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if expit(middle + odds).mean() > rate else (middle, high)
    likely = expit(low + odds)
    wrong = chance.random(rows) < likely
    scores = likely
    match world:
        case World.SHARP | World.CALIBRATED:
            pass
        case World.TOO_SURE:
            scores = expit(2 * logit(likely) + 2)
        case World.TOO_MODEST:
            scores = expit(0.4 * logit(likely))
        case World.HALF:
            wrong = np.where(chance.random(rows) < 0.5, wrong, chance.random(rows) < rate)
        case World.UNINFORMATIVE:
            scores = chance.permutation(likely)
        case World.MISLEADING:
            scores = np.empty(rows)
            scores[np.argsort(likely)] = np.sort(likely)[::-1]
        case World.NONE:
            scores = np.full(rows, np.nan)
    return MadeUp(scores, wrong, chance.integers(0, 2**64, rows, dtype=np.uint64))
