"""What the audit has found so far: how many rows were checked, and which share of the accepted rows is still wrong."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl
from pydantic import BaseModel

from pipeline.estimation.audit_draw import Bools, Chances, hashes_of, numbers
from pipeline.evaluation.estimates import Estimate
from pipeline.state.decisions import with_reason
from pipeline.state.snapshot import Snapshot
from schemas.fate import Fate, LabelSource, ReasonCode, Routed
from schemas.field import same_targets

if TYPE_CHECKING:
    from pipeline.estimation.audit_estimate import Share


@dataclass(frozen=True)
class OpenAnswers:
    """Records whose answer is missing or not final."""

    again: Collection[str] = ()
    """A second annotator or an adjudicator is asked."""
    vain: Collection[str] = ()
    """Nobody is left to answer."""


ALL_FINAL = OpenAnswers()


class AuditResult(BaseModel, frozen=True):
    """What annotators found among the rows that were drawn, and what follows for the others."""

    checked: int
    """Rows that were drawn and answered."""
    wrong: int
    """Of these, those whose answer was corrected or that were unusable."""
    rows: int
    """Accepted rows that the shares are of: all but those published as is."""
    rate: float
    """The share of them that is likely still wrong; what the audit found is corrected."""
    low: float
    high: float
    """The 95% interval."""
    unheard: int = 0
    """Drawn rows without a final answer: skipped, refused, or annotators are unsure or contradict each other."""
    pending: int = 0
    """Audited rows whose answer waits for a second look or an adjudicator: until then, the estimate is preliminary."""

    def __str__(self) -> str:
        """The estimate in words."""
        known = f"{self.rate:.1%} ({self.low:.1%} to {self.high:.1%}) by {self.checked:,} audited"
        if self.unheard:
            known += f"; {self.gap}"
        return f"{known}; preliminary, since {self.waiting}" if self.pending else known

    @property
    def remaining(self) -> Estimate:
        """The share that is likely still wrong."""
        return Estimate(value=self.rate, low=self.low, high=self.high)

    @property
    def gap(self) -> str:
        """How many drawn rows have no answer, and what that means for the interval, in words."""
        rows = "1 more drawn row has" if self.unheard == 1 else f"{self.unheard:,} more drawn rows have"
        counted = "it as wrong, the lower as right" if self.unheard == 1 else "them as wrong, the lower as right"
        return f"{rows} no final answer: the upper end counts {counted}"

    @property
    def waiting(self) -> str:
        """How many answers are not final, in words."""
        answers = "1 answer waits" if self.pending == 1 else f"{self.pending:,} answers wait"
        return f"{answers} for a second look or an adjudicator"


@dataclass(frozen=True)
class AuditAnswers:
    """The rows that an audit is drawn from, and what annotators found."""

    record_ids: tuple[str, ...]
    chances: Chances
    answered: Bools
    """Drawn, with a final answer."""
    wrong: Bools
    """Of these, the wrong ones; they have been corrected or removed."""
    vain: Bools
    """Drawn, and nobody is left to answer."""
    held: Bools
    """Drawn, and an adjudicator is to answer."""


def audit_answers(snapshot: Snapshot, left: OpenAnswers = ALL_FINAL) -> AuditAnswers | None:
    """What the audit has heard; None if no audit question was answered.

    Cost: a look at the outline; only answered rows are read.

    Args:
        snapshot: the committed state.
        left: the records whose answer is missing or not final.
    """
    outline = snapshot.outline
    human = pl.col("label_source").eq_missing(LabelSource.HUMAN.value)
    unusable = (pl.col("fate") == Fate.REJECTED.value) & with_reason(ReasonCode.UNUSABLE)
    drawn = pl.col("routed").eq_missing(Routed.AUDIT.value)
    frame = (
        outline.lazy()
        .filter(pl.col("audit_probability") > 0)
        .select(
            *("record_id", "audit_stratum", "audit_probability"),
            unusable=unusable & drawn,
            answered=(human | unusable) & drawn,
            vain=drawn & ~(human | unusable) & pl.col("record_id").is_in(list(left.vain)),
            held=pl.col("routed").eq_missing(Routed.ADJUDICATE.value),
            # Rows that were answered without being drawn stand for no others.
            counts=drawn | ~(human | unusable),
        )
        .filter("counts")
        .collect()
    )
    answered = frame["answered"].to_numpy()
    if not answered.any():
        return None
    wrong = answered.copy()
    wrong[answered] = _wrong(snapshot, _as_answered(snapshot, frame.filter("answered")))
    chances = Chances(frame["audit_stratum"].to_numpy(), frame["audit_probability"].to_numpy())
    record_ids = tuple(frame["record_id"].to_list())
    # Whatever they were asked as: those that were drawn.
    held = frame["held"].to_numpy().copy()
    spots = numbers(hashes_of(frame["record_id"].filter(frame["held"]).to_list()))
    held[held] = Chances(chances.stratum[held], chances.probability[held]).drawn(spots)
    return AuditAnswers(record_ids, chances, answered, wrong, frame["vain"].to_numpy(), held)


def audit_result(snapshot: Snapshot, left: OpenAnswers = ALL_FINAL) -> AuditResult | None:
    """Estimate which share of the accepted rows is wrong; None if no audit question was answered.

    Args:
        snapshot: the committed state.
        left: the records whose answer is missing or not final.
    """
    found = audit_answers(snapshot, left)
    if found is None:
        return None
    outline = snapshot.outline
    is_sampled = (pl.col("fate") == Fate.ACCEPTED.value) & ~with_reason(ReasonCode.FROZEN)
    rows = int(outline.select(is_sampled.sum()).item())
    share = share_of(found, rows, int(found.vain.sum()))
    if share is None:
        return None
    return AuditResult(
        checked=int(found.answered.sum()),
        wrong=int(found.wrong.sum()),
        rows=rows,
        rate=share.rate,
        low=share.low,
        high=share.high,
        unheard=int((found.vain | found.held).sum()),
        pending=_pending(outline, left.again),
    )


def share_of(found: AuditAnswers, rows: int, published: int, about: Bools | None = None) -> "Share | None":
    """The share of wrong rows; the interval holds whatever those are that have no final answer.

    People skip what they cannot tell, which is more often wrong than the rest.

    Args:
        found: the audit.
        rows: those that the share is of.
        published: how many of those without a final answer are among them: annotators hold the others.
        about: which of the rows that were drawn from the share is of; by default of all.
    """
    # Imported here: scipy takes half a second.
    from pipeline.estimation.audit_estimate import estimate

    chances, answered, wrong, unheard = found.chances, found.answered, found.wrong, found.vain | found.held
    share = estimate(chances, answered, wrong, rows, about)
    if share is None or not unheard.any():
        return share
    best, worst = (
        estimate(chances, answered | unheard, wrong | bad, rows, about) for bad in (unheard & False, unheard)
    )
    if best is None or worst is None:
        return share
    # Nobody corrected them.
    high = min(1.0, worst.high + published / rows)
    return replace(share, low=min(share.low, best.low), high=max(share.high, high))


def _pending(outline: pl.DataFrame, again: Collection[str]) -> int:
    """How many audited rows have an answer that is not final."""
    if not again:
        return 0
    given = pl.col("label_source").eq_missing(LabelSource.HUMAN.value) | with_reason(ReasonCode.UNUSABLE)
    held = pl.col("routed").eq_missing(Routed.ADJUDICATE.value)
    audited = (pl.col("routed").eq_missing(Routed.AUDIT.value) & given) | (held & (pl.col("audit_probability") > 0))
    return int(outline.select((audited & pl.col("record_id").is_in(list(again))).sum()).item())


def _as_answered(snapshot: Snapshot, answered: pl.DataFrame) -> pl.DataFrame:
    """Answered rows, in their order, with what they ask and what is their answer."""
    given = snapshot.current_decisions(pl.col("record_id").is_in(answered["record_id"].implode()))
    told = given.select("record_id", "inputs", "targets", "replaced").collect()
    return answered.join(told, on="record_id", how="left", maintain_order="left")


def _wrong(snapshot: Snapshot, answered: pl.DataFrame) -> np.typing.NDArray[np.bool_]:
    """Which of some answers differ from what the row had when it was asked about."""
    ids = answered["record_id"].implode()
    before = (
        snapshot.committed_decisions()
        .filter(pl.col("record_id").is_in(ids))
        .filter(pl.col("label_source") == LabelSource.SOURCE.value, pl.col("fate") != Fate.REJECTED.value)
        # Of the same text: its source may have taken the answer over since.
        .join(answered.lazy().select("record_id", "inputs"), on=["record_id", "inputs"], how="semi")
        .unique("record_id", keep="last", maintain_order=True)
        .select("record_id", before="targets")
        .collect()
    )
    rows = answered.join(before, on="record_id", how="left", maintain_order="left")
    return np.array(
        [
            unusable
            or replaced is not None
            or (old is not None and not same_targets(orjson.loads(old), orjson.loads(new or "null")))
            for unusable, replaced, old, new in rows.select("unusable", "replaced", "before", "targets").iter_rows()
        ],
        dtype=bool,
    )
