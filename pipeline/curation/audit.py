"""Draws the audit among the cases: who has a chance, who is asked, and who keeps what earlier runs have drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.audit_draw import NO_STRATUM, Chances, Floats, draw, hashes_of, numbers
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

    record_ids: Sequence[str]
    scores: Sequence[float | None]
    """How likely each is wrong."""
    earlier: Sequence[Chance | None]
    """The chances that they have."""


@dataclass(frozen=True)
class Drawn:
    """The result of a draw."""

    chances: dict[str, Chance]
    """By record; of all records of the frame."""
    asked: set[str]
    """The records to audit, answered ones included."""


def draw_audit(frame: AuditFrame, review: Review) -> Drawn:
    """Draw the audit; records that have a chance keep it, unless a larger share is configured."""
    share, most = (SHARE, MOST) if review.audit is None else (review.audit, len(frame.record_ids))
    hashes, scores, earlier = arrays(frame)
    found = drawn_from(frame, draw(hashes, scores, min(share * len(hashes), most), earlier), numbers(hashes))
    # Without a share, nothing is asked, but what was answered still counts.
    return found if share else Drawn(found.chances, set())


def arrays(frame: AuditFrame) -> tuple[NDArray[np.uint64], Floats, Chances]:
    """The hashes, the scores and the earlier chances of a frame."""
    hashes = hashes_of(frame.record_ids)
    scores = np.array([np.nan if score is None else score for score in frame.scores], dtype=np.float64)
    earlier = Chances(
        np.array([NO_STRATUM if one is None else one.stratum for one in frame.earlier], dtype=np.int8),
        np.array([0.0 if one is None else one.probability for one in frame.earlier], dtype=np.float64),
    )
    return hashes, scores, earlier


def is_drawn(record_id: str, chance: Chance) -> bool:
    """Whether a record's chance draws it."""
    return bool(numbers(hashes_of([record_id]))[0] < chance.probability)


def drawn_from(frame: AuditFrame, chances: Chances, spots: Floats) -> Drawn:
    """The chances by record, and the records that they draw."""
    known = zip(frame.record_ids, chances.stratum.tolist(), chances.probability.tolist(), strict=True)
    return Drawn(
        {name: Chance(stratum, probability) for name, stratum, probability in known if probability > 0},
        {frame.record_ids[at] for at in np.flatnonzero(chances.drawn(spots))},
    )
