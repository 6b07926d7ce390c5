"""Draws which accepted rows are checked at random: for the audit, or to prove ``review.error_rate``."""

import numpy as np
import polars as pl

from pipeline.curation.audit import AuditFrame, Drawn, draw_audit
from pipeline.curation.error_proof import Suspects, answers_about, ask_until_proven
from pipeline.estimation.audit_draw import NO_STRATUM, Bools, Chances
from schemas.annotation import Verdict
from schemas.dataset import Review
from schemas.fate import Fate, Routed
from schemas.run_summary import Proof
from schemas.team import Team

_IS_AUDIT = (pl.col("past_route") == Routed.AUDIT.value).fill_null(value=False)
_WAS_UNCERTAIN = (pl.col("past_route") == Routed.UNCERTAIN.value).fill_null(value=False)
_HAS_CHANCE = pl.col("past_stratum").is_not_null()
_IS_ANSWERED = pl.col("human").is_not_null()
_IS_ACCEPTED = pl.col("fate") == Fate.ACCEPTED.value
_DRAWN_BY = [
    *("record_id", "number", "label_error_score", "past_stratum", "past_probability"),
    *("human", "awaits", "was_wrong", "in_vain"),
]
"""The columns that a draw looks at."""
STANDS_FOR_OTHERS = (
    _HAS_CHANCE
    & ~pl.col("rejected")
    & ~pl.col("trusted")
    & _IS_AUDIT
    & (pl.col("number") < pl.col("past_probability")).fill_null(value=False)
)
"""Whether an answered row is one of the random sample; as ``Known.stands_for_others`` says."""
_BECAME_SUSPECT = _HAS_CHANCE & _WAS_UNCERTAIN & ~pl.col("rejected") & ~pl.col("trusted")
"""Whether an answered row had a chance before it was asked about as a suspect."""


def draw_checks(
    rows: pl.DataFrame, review: Review, room: int, proof: Proof | None
) -> tuple[pl.DataFrame, Proof | None]:
    """Draw the random sample from the accepted rows that no annotator has decided.

    The question covers any findings about the record since, and then remains asked. One that was drawn and answered
    keeps its place in the draw, or every answer would call for another question.

    Args:
        rows: all of them, as ``triage`` has routed them so far, with the columns ``asked`` and ``suspect``.
        review: the share of the audit, or the error rate.
        room: the most questions of a batch that proves an error rate.
        proof: of the error rate, after the last run.

    Returns:
        The rows, those that are drawn routed and with their chance; and the new state of the proof.
    """
    rows = rows.with_columns(awaits=_awaits_another(review), drawn_from=_is_drawn_from(review))
    # Nearly all rows are: a copy of all their columns would be large.
    frame = rows.select(*_DRAWN_BY, "drawn_from").filter("drawn_from")
    known = AuditFrame(
        frame["record_id"],
        frame["number"].to_numpy(),
        frame["label_error_score"].fill_null(float("nan")).to_numpy(),
        Chances(
            frame["past_stratum"].fill_null(NO_STRATUM).to_numpy(),
            frame["past_probability"].fill_null(0.0).to_numpy(),
        ),
    )
    if review.error_rate is None:
        drawn, proof = draw_audit(known, review), None
    else:
        accepted = rows.filter(_IS_ACCEPTED, ~pl.col("as_is")).height
        answers = answers_about(frame, accepted)
        drawn, proof = ask_until_proven(known, answers, _suspects(rows), review.error_rate, room, proof)
    rows = rows.hstack(_of_all(rows["drawn_from"].to_numpy(), drawn))
    # What was asked and is doubted since remains asked.
    asked = pl.col("is_drawn") | (pl.col("drawn_from") & _IS_AUDIT & ~pl.col("passed"))
    is_asked = asked & ~_IS_ANSWERED & pl.col("routed").is_null()
    routed = pl.when(is_asked).then(pl.lit(Routed.AUDIT.value)).otherwise(pl.col("routed"))
    return rows.with_columns(routed=routed), proof


def _of_all(drawn_from: Bools, drawn: Drawn) -> pl.DataFrame:
    """The result of the draw for all rows; those that are not drawn from have no chance."""
    count, places = len(drawn_from), np.flatnonzero(drawn_from)
    is_drawn, stratum, probability = np.zeros(count, np.bool_), np.zeros(count, np.int8), np.zeros(count)
    is_drawn[places] = drawn.asked
    stratum[places], probability[places] = drawn.chances.stratum, drawn.chances.probability
    found = pl.DataFrame({"is_drawn": is_drawn, "audit_stratum": stratum, "audit_probability": probability})
    has_chance = pl.col("audit_probability") > 0
    return found.with_columns(pl.when(has_chance).then(name) for name in ("audit_stratum", "audit_probability"))


def _awaits_another(team: Team) -> pl.Expr:
    """Whether another annotator of the team is asked about a row that one has answered, and somebody is left to ask."""
    is_held = pl.col("human").is_in([Verdict.DISPUTED.value, Verdict.UNSURE.value]).fill_null(value=False)
    second, third = pl.lit(team.has_second) & pl.col("unconfirmed"), pl.lit(team.has_third) & is_held
    return pl.col("open_seat") & (second | third)


def _is_drawn_from(review: Review) -> pl.Expr:
    """Whether the draw is about a row: one that is accepted unseen, or was when it got its chance."""
    proves = pl.lit(review.error_rate is not None)
    was_asked = _IS_AUDIT & (pl.col("fate") == Fate.REVIEW.value)
    return (
        pl.when(_IS_ANSWERED)
        .then(STANDS_FOR_OTHERS | (proves & _BECAME_SUSPECT))
        .when(pl.col("as_is"))
        .then(pl.lit(value=False))
        # Suspects are asked about anyway. Who had a chance before still counts as one of those that the sample is of.
        .when(pl.col("suspect") & proves)
        .then(_HAS_CHANCE)
        .otherwise(pl.col("routed").is_null() & (_IS_ACCEPTED | was_asked))
    )


def _suspects(rows: pl.DataFrame) -> Suspects:
    """How many likely errors annotators are asked about, or will be."""
    again = _IS_ANSWERED & pl.col("awaits")
    routed = (pl.col("routed") == Routed.UNCERTAIN.value).fill_null(value=False)
    open_ = ~_IS_ANSWERED & pl.col("suspect") & routed & ~pl.col("in_vain")
    unasked = ~_IS_ANSWERED & pl.col("suspect") & pl.col("routed").is_null() & pl.col("past_route").is_null()
    counts = rows.select(
        asked=((again & _WAS_UNCERTAIN) | open_).sum(),
        waiting=((again & _WAS_UNCERTAIN) | (open_ & pl.col("past_route").is_not_null())).sum(),
        again=again.sum(),
        unasked=unasked.sum(),
        uncounted=(unasked & _IS_ACCEPTED & ~_HAS_CHANCE).sum(),
    )
    return Suspects(**counts.row(0, named=True))
