"""What annotators have found so far among suspect labels, and how many errors their next answers would find."""

import numpy as np
import polars as pl
from pydantic import BaseModel

from pipeline.state.decisions import with_reason
from pipeline.state.snapshot import Snapshot
from schemas.fate import LABEL_ERROR_CODES, RULE_CODES, Fate, LabelSource, ReasonCode, Routed

_DOUBTS = (*LABEL_ERROR_CODES, ReasonCode.SECOND_OPINION, ReasonCode.CORRECTED)
_FEWEST = 20
"""Answers about suspect labels; with fewer, how far scores can be trusted is hardly known."""
_ROUND = 100
"""Answers that are forecast, if so many labels are left to ask about."""
_AHEAD = (25, 50, 100, 200, 400, 800)
"""How far the curve goes on."""
_POINTS = 100
"""Of the curve so far, at most."""


class Found(BaseModel, frozen=True):
    """Errors found by so many answers."""

    answers: int
    found: int


class Ahead(BaseModel, frozen=True):
    """What the next answers would find."""

    answers: int
    expected: float
    """Errors among them."""
    low: int
    high: int
    """The number of errors is between these with a probability of 95%."""


class ErrorOutlook(BaseModel, frozen=True):
    """Errors found, and expected from the next answers; both are about labels that were suspect when asked about."""

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
    curve: list[Found] = []
    """The errors found so far, answer by answer in the order in which they were given; at most 100 points."""
    ahead: list[Ahead] = []
    """What 25, 50, 100, … more answers would find, up to 800 or to those that are left."""

    def __str__(self) -> str:
        """The same in words."""
        so_far = f"{self.found:,} of {self.answered:,} suspect labels were wrong"
        if not self.answers:
            return f"{so_far}; none is left"
        next_ones = f"{self.answers:,}" if self.answers > 1 else "one"
        are_all = self.answers < _ROUND
        which = f"the {next_ones} left" if are_all else f"the next {next_ones}"
        return f"{so_far}; answers about {which} would find about {self.expected:.0f} ({self.low} to {self.high})"


def error_outlook(snapshot: Snapshot, floor: float) -> ErrorOutlook | None:
    """Learn from the answers so far how far scores can be trusted; None while there are too few.

    Cost: a look at the outline; only answered rows are read.

    Args:
        snapshot: the committed state.
        floor: ``review.floor``, from which score on a label is suspect.
    """
    scores, wrong = _answered(snapshot, floor)
    if len(scores) < _FEWEST:
        return None
    # Imported here: scipy takes half a second.
    from pipeline.estimation.error_curve import error_curve

    source = pl.col("label_source").eq_missing(LabelSource.SOURCE.value)
    looked_for = ~with_reason(ReasonCode.PASSED) & ~with_reason(ReasonCode.FROZEN)
    left = (
        snapshot.outline.lazy()
        .filter(pl.col("fate").is_in([Fate.ACCEPTED.value, Fate.REVIEW.value]), source, looked_for, _is_suspect(floor))
        .select(pl.col("label_error_score").drop_nulls().top_k(_AHEAD[-1]))
        .collect()
        .to_series()
        .to_numpy()
    )
    calibrated, left = error_curve(scores, wrong), np.sort(left)[::-1]
    forecast = calibrated.forecast(left[:_ROUND])
    steps = [step for step in _AHEAD if step < len(left)] + [len(left)] * bool(len(left))
    return ErrorOutlook(
        answered=len(scores),
        found=int(wrong.sum()),
        answers=forecast.answers,
        expected=forecast.found,
        low=forecast.low,
        high=forecast.high,
        curve=_so_far(wrong),
        ahead=[
            Ahead(answers=step, expected=one.found, low=one.low, high=one.high)
            for step in steps
            for one in [calibrated.forecast(left[:step])]
        ],
    )


def _is_suspect(floor: float) -> pl.Expr:
    """Whether something speaks against a label; rows that wait for another reason say nothing of suspect labels.

    What rules find has no measured chance of being wrong, so that there the floor is none.
    """
    return with_reason(*_DOUBTS) & (with_reason(*RULE_CODES) | (pl.col("label_error_score") >= floor))


def _so_far(wrong: np.typing.NDArray[np.bool_]) -> list[Found]:
    found = wrong.cumsum()
    places = np.unique(np.linspace(0, len(wrong) - 1, _POINTS).round().astype(int))
    return [Found(answers=int(at) + 1, found=int(found[at])) for at in places]


def _answered(snapshot: Snapshot, floor: float) -> tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.bool_]]:
    """Of answered suspect labels, by the time of the answer: the scores when asked about, and which were wrong."""
    is_labeled = pl.col("label_source").eq_missing(LabelSource.HUMAN.value)
    unusable = (pl.col("fate") == Fate.REJECTED.value) & with_reason(ReasonCode.UNUSABLE)
    is_asked = pl.col("routed").eq_missing(Routed.UNCERTAIN.value)
    routed = is_asked & _is_suspect(floor)
    answers = (
        snapshot.current_decisions(is_asked & (is_labeled | unusable))
        .select("record_id", "inputs", wrong=unusable | pl.col("replaced").is_not_null())
        .collect()
        .lazy()
    )
    ids = answers.select("record_id").collect().to_series()
    asked = (
        snapshot.committed_decisions()
        .filter(pl.col("record_id").is_in(ids.implode()))
        .filter(routed, pl.col("label_source").eq_missing(LabelSource.SOURCE.value), pl.col("label_error_score") > 0)
        .join(answers, on=["record_id", "inputs"], how="semi")
        .unique("record_id", keep="first", maintain_order=True)
        .select("record_id", "label_error_score")
    )
    given = (
        snapshot.latest_annotations().filter(~pl.col("deleted")).group_by("record_id").agg(pl.col("updated_at").max())
    )
    rows = answers.join(asked, on="record_id").join(given, on="record_id", how="left")
    found = rows.sort("updated_at", "record_id").select("label_error_score", "wrong").collect()
    return found["label_error_score"].to_numpy(), found["wrong"].to_numpy()
