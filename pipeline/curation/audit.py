"""Draws the audit among the cases: who has a chance, who is asked, and who keeps what earlier runs have drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.estimation.audit_draw import Bools, Chances, Floats, draw, numbers_of
from schemas.dataset import Review

SHARE = 0.02
MOST = 300
"""Records to audit if no share is configured: with them, an error rate of 5% is estimated at 3% to 8%, or better if the
label-error scores know what is wrong."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A record's chance to be audited."""

    stratum: int
    """Which records it stands for: those of about the same label-error score when it was first drawn from."""
    probability: float
    """It is audited if its hash, as a number from 0 to 1, is below this."""


@dataclass(frozen=True, slots=True)
class AuditFrame:
    """The records that the audit is drawn from, in any order."""

    record_ids: pl.Series
    spots: Floats
    """The numbers by which they are drawn (``audit_draw.numbers``)."""
    scores: Floats
    """How likely each is wrong; NaN if unknown."""
    earlier: Chances
    """The chances that they have."""

    @classmethod
    def of(cls, record_ids: Sequence[str], scores: Sequence[float]) -> "AuditFrame":
        """Records that have no chance yet."""
        spots = numbers_of(record_ids)
        return cls(pl.Series(record_ids), spots, np.array(scores, dtype=np.float64), Chances.none(len(spots)))


@dataclass(frozen=True)
class Drawn:
    """The result of a draw, in the order of the frame."""

    chances: Chances
    asked: Bools
    """The records to audit, answered ones included."""


def draw_audit(frame: AuditFrame, review: Review) -> Drawn:
    """Draw the audit; records that have a chance keep it, unless a larger share is configured."""
    count = len(frame.spots)
    share, most = (SHARE, MOST) if review.audit is None else (review.audit, count)
    chances = draw(frame.spots, frame.scores, min(share * count, most), frame.earlier)
    # Without a share, nothing is asked, but what was answered still counts.
    return Drawn(chances, chances.drawn(frame.spots) & bool(share))


def is_drawn(record_id: str, chance: Chance) -> bool:
    """Whether a record's chance draws it."""
    return bool(numbers_of([record_id])[0] < chance.probability)
