"""How far annotators agree about each field, beyond what chance would give, in pairs and all together."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel

from pipeline.agreement.alpha import cohen_kappa, krippendorff, krippendorff_texts
from pipeline.agreement.field_consensus import consensus_of_field
from pipeline.agreement.guessing import guessers
from pipeline.evaluation.estimates import Estimate, wilson
from pipeline.evaluation.text_similarity import chrf
from pipeline.review.opinions import compared_fields
from schemas.task import Task

Integers = NDArray[np.int64]
_BY_CHANCE = "agrees with the others no more often than by chance"


class FieldAgreement(BaseModel, frozen=True):
    """The agreement about a field, of answers that were given independently: without adjudicators and gold items."""

    field: str
    items: int
    """Rows with answers of at least two annotators."""
    alpha: float | None
    """Krippendorff's: 1 is perfect, 0 what chance would give; None if it is not defined."""
    low: float | None
    high: float | None
    """Its 95% interval; None for fewer than six rows."""
    by_similarity: bool
    """The field is a free text: texts that are similar agree the more."""
    undefined: str = ""
    """Why there is no alpha."""

    def __str__(self) -> str:
        if self.alpha is None:
            return f"{self.field}: {self.undefined}"
        interval = "" if self.low is None else f" ({self.low:.2f} to {self.high:.2f})"
        how = ", by similarity" if self.by_similarity else ""
        return f"{self.field}: Krippendorff's alpha {self.alpha:.2f}{interval} on {self.items:,} rows{how}"


def agreement_lines(fields: Sequence[FieldAgreement]) -> list[str]:
    """A line for each field about which annotators contradict each other, and one for all others together."""
    told = [one for one in fields if one.alpha is not None and one.alpha < 1]
    alike = [one.field for one in fields if one.alpha is None or one.alpha >= 1]
    if len(alike) < 2:
        return [str(one) for one in fields]
    others = f"{len(alike):,} {'other ' if told else ''}fields: {', '.join(alike)}"
    return [*map(str, told), f"nobody contradicts anybody about {others}"]


def field_agreements(votes: pl.DataFrame, task: type[Task]) -> list[FieldAgreement]:
    """The agreement about each field of a task.

    Args:
        votes: see ``pipeline.review.opinions.votes``.
        task: its free texts are compared by similarity.
    """
    closed = compared_fields(task)
    return [_of_field(field.name, _panel(votes, field.name), field.name not in closed) for field in task.task_targets()]


def whole_agreement(votes: pl.DataFrame, task: type[Task]) -> FieldAgreement | None:
    """The agreement about all fields that are compared at once: whole answers; None unless there are several.

    Args:
        votes: see ``pipeline.review.opinions.votes``.
        task: its free texts are left out.
    """
    closed = compared_fields(task)
    if len(closed) < 2:
        return None
    mine = votes.filter(pl.col("field").is_in(closed), pl.col("comparable")).sort("field")
    whole = mine.group_by("item", "annotator", maintain_order=True).agg(pl.col("label").str.join("\0"))
    return _of_field(f"all {len(closed)} fields at once", whole, is_free=False)


class PairAgreement(BaseModel, frozen=True):
    """How far two annotators agree about a field of the rows that both have answered independently."""

    field: str
    one: str
    other: str
    items: int
    agreed: int
    """Of these, rows about which both said the same."""
    kappa: float | None
    """Cohen's; None if it is not defined, as where all answers are the same."""
    low: float | None
    high: float | None
    """Its 95% interval; None for fewer than six rows."""

    @property
    def shown(self) -> str:
        """The kappa in words."""
        if self.kappa is None:
            return "all alike"
        return f"{self.kappa:.2f}" + ("" if self.low is None else f" ({self.low:.2f} to {self.high:.2f})")


def pair_agreements(votes: pl.DataFrame, task: type[Task]) -> list[PairAgreement]:
    """The agreement of each two annotators about each field that is no free text, the weakest of a field first."""
    found: list[PairAgreement] = []
    for field in compared_fields(task):
        mine = _panel(votes, field).select("item", "annotator", "label")
        both = mine.join(mine, on="item", suffix="_other").filter(pl.col("annotator") < pl.col("annotator_other"))
        pairs = [_pair(field, one, other, rows) for (one, other), rows in both.group_by("annotator", "annotator_other")]
        found += sorted(pairs, key=lambda pair: (pair.kappa is None, pair.kappa or 0.0, pair.one, pair.other))
    return found


def _pair(field: str, one: object, other: object, rows: pl.DataFrame) -> PairAgreement:
    said = rows.sort("item").select("label", "label_other")
    _, codes = np.unique(said.to_numpy().ravel(), return_inverse=True)
    mine, theirs = codes.reshape(-1, 2).astype(np.int64).T
    kappa = cohen_kappa(mine, theirs)
    return PairAgreement(
        field=field,
        one=str(one),
        other=str(other),
        items=kappa.items,
        agreed=int((mine == theirs).sum()),
        kappa=kappa.value,
        low=kappa.low,
        high=kappa.high,
    )


def guesses(votes: pl.DataFrame, task: type[Task]) -> dict[str, list[str]]:
    """By annotator: the fields about which they agree with the others by chance only, and how often.

    Two who have nobody else beside them contradict each other alike, whoever of them guesses: only gold tells.

    Args:
        votes: see ``pipeline.review.opinions.votes``.
        task: its free texts are left out.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for field in compared_fields(task):
        mine = _panel(votes, field)
        if mine.is_empty():
            continue
        gold = _right_on_gold(votes, field)
        coded, people = _coded(mine)
        for one in guessers(coded, consensus_of_field(coded)):
            who, share = people[one.annotator], f"{one.share:.0%} of {one.of:,}"
            if one.other is None:
                found[who].append(f"{_BY_CHANCE}, about {field}: {share}")
            elif said := _of_two(gold.get(who), gold.get(people[one.other]), people[one.other], field, share):
                found[who].append(said)
    return dict(found)


def _of_two(mine: Estimate | None, theirs: Estimate | None, other: str, field: str, share: str) -> str:
    """What is told of one of two who contradict each other; nothing of who is right more often by gold."""
    beside = f"{other} about {field} ({share} alike)"
    if mine is None or theirs is None or max(mine.low, theirs.low) <= min(mine.high, theirs.high):
        more = "gold items" if mine is None or theirs is None else "more gold items"
        return f"contradicts {beside} as if one of the two guessed: {more} would tell who"
    if mine.low > theirs.high:
        return ""
    return (
        f"contradicts {beside}, and is right on {mine.value:.0%} of gold items, where {other} is on {theirs.value:.0%}"
    )


def _right_on_gold(votes: pl.DataFrame, field: str) -> dict[str, Estimate]:
    """How often each annotator was right about a field of gold items."""
    known = votes.filter(pl.col("field") == field, pl.col("known").is_not_null())
    right = known.group_by("annotator").agg(right=(pl.col("label") == pl.col("known")).sum(), of=pl.len())
    return {annotator: wilson(right, of) for annotator, right, of in right.iter_rows()}


def _panel(votes: pl.DataFrame, field: str) -> pl.DataFrame:
    return votes.filter(pl.col("field") == field, pl.col("comparable"))


def _of_field(name: str, votes: pl.DataFrame, is_free: bool) -> FieldAgreement:
    coded, _ = _coded(votes)
    found = krippendorff_texts(coded[:, 0], votes["label"].to_list(), chrf) if is_free else krippendorff(coded)
    return FieldAgreement(
        field=name,
        items=found.items,
        alpha=found.value,
        low=found.low,
        high=found.high,
        by_similarity=is_free,
        undefined=found.undefined,
    )


def _coded(votes: pl.DataFrame) -> tuple[Integers, Sequence[str]]:
    """Item, annotator and label as integers from 0, shape (n, 3), and the annotators by number."""
    found = [np.unique(votes[name].to_numpy(), return_inverse=True) for name in ("item", "annotator", "label")]
    return np.column_stack([codes for _, codes in found]).astype(np.int64), found[1][0].tolist()
