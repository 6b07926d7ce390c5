"""What annotators have found so far among suspect labels, and how many errors their next answers would find."""

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from pipeline.state.decisions import with_reason
from pipeline.state.snapshot import Snapshot
from schemas.fate import Fate, LabelSource, ReasonCode, Routed

_FEWEST = 20
"""Answers about suspect labels; with fewer, how far scores can be trusted is hardly known."""
_ROUND = 100
"""Answers that are forecast, if so many labels are left to ask about."""


class ErrorOutlook(BaseModel):
    """Errors found, and expected from the next answers; both are about labels that were suspect when asked about."""

    model_config = ConfigDict(frozen=True)

    answered: int
    found: int
    """Of these, answers that corrected or removed the row."""
    answers: int
    """The next answers, about the likeliest errors that nobody has looked at."""
    expected: float
    """Errors among these."""
    low: int
    high: int
    """The number of errors is between these with a probability of 95%."""

    def __str__(self) -> str:
        """The same in words."""
        so_far = f"{self.found:,} of {self.answered:,} suspect labels were wrong"
        if not self.answers:
            return f"{so_far}; none is left"
        expected = f"about {self.expected:.0f} ({self.low} to {self.high})"
        return f"{so_far}; the next {self.answers:,} answers would find {expected}"


def error_outlook(snapshot: Snapshot) -> ErrorOutlook | None:
    """Learn from the answers so far how far scores can be trusted; None while there are too few.

    Cost: a scan of the decisions' columns.
    """
    scores, wrong = _answered(snapshot)
    if len(scores) < _FEWEST:
        return None
    # Imported here: scipy takes half a second.
    from pipeline.estimation.error_curve import error_curve

    source = pl.col("label_source").eq_missing(LabelSource.SOURCE.value)
    looked_for = ~with_reason(ReasonCode.PASSED) & ~with_reason(ReasonCode.FROZEN)
    left = (
        snapshot.current_decisions()
        .filter(pl.col("fate").is_in([Fate.ACCEPTED.value, Fate.REVIEW.value]), source, looked_for)
        .select(pl.col("label_error_score").drop_nulls().top_k(_ROUND))
        .collect()
        .to_series()
        .to_numpy()
    )
    forecast = error_curve(scores, wrong).forecast(left)
    return ErrorOutlook(
        answered=len(scores),
        found=int(wrong.sum()),
        answers=forecast.answers,
        expected=forecast.found,
        low=forecast.low,
        high=forecast.high,
    )


def _answered(snapshot: Snapshot) -> tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.bool_]]:
    """Of answered suspect labels, the scores that they had when asked about, and whether they were wrong."""
    is_labeled = pl.col("label_source").eq_missing(LabelSource.HUMAN.value)
    unusable = (pl.col("fate") == Fate.REJECTED.value) & with_reason(ReasonCode.UNUSABLE)
    routed = pl.col("routed").eq_missing(Routed.UNCERTAIN.value)
    answers = (
        snapshot.current_decisions()
        .filter(routed, is_labeled | unusable)
        .select("record_id", "revision", wrong=unusable | pl.col("replaced").is_not_null())
    )
    asked = (
        snapshot.committed_decisions()
        .filter(routed, pl.col("label_source").eq_missing(LabelSource.SOURCE.value), pl.col("label_error_score") > 0)
        .join(answers, on=["record_id", "revision"], how="semi")
        .unique("record_id", keep="first", maintain_order=True)
        .select("record_id", "label_error_score")
    )
    found = answers.join(asked, on="record_id").sort("record_id").select("label_error_score", "wrong").collect()
    return found["label_error_score"].to_numpy(), found["wrong"].to_numpy()
