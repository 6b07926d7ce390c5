"""How far annotators agree about each field, beyond what chance would give, and who agrees no more than by chance."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.agreement.alpha import Agreement, fleiss_kappa, krippendorff, krippendorff_texts
from pipeline.agreement.field_consensus import consensus_of_field
from pipeline.agreement.reliability import Flag, Rate, reliabilities
from pipeline.evaluation.text_similarity import chrf
from pipeline.kinds.registry import kind_of
from schemas.task import Task

Integers = NDArray[np.int64]


class FieldAgreement(BaseModel):
    """The agreement about a field, of answers that were given independently: without adjudicators and gold items."""

    model_config = ConfigDict(frozen=True)

    field: str
    items: int
    """Rows with answers of at least two annotators."""
    alpha: float | None
    """Krippendorff's: 1 is perfect, 0 what chance would give; None if it is not defined."""
    low: float | None
    high: float | None
    """Its 95% interval; None for fewer than six rows."""
    kappa: float | None
    """Fleiss' kappa of these rows; None for free texts, and if they have different numbers of answers."""
    by_similarity: bool
    """The field is a free text: texts that are similar agree the more."""
    undefined: str = ""
    """Why there is no alpha."""

    def __str__(self) -> str:
        if self.alpha is None:
            return f"{self.field}: {self.undefined}"
        interval = "" if self.low is None else f" ({self.low:.2f} to {self.high:.2f})"
        kappa = "" if self.kappa is None else f", Fleiss' kappa {self.kappa:.2f}"
        how = ", by similarity" if self.by_similarity else ""
        return f"{self.field}: Krippendorff's alpha {self.alpha:.2f}{interval}{kappa} on {self.items:,} rows{how}"


def field_agreements(votes: pl.DataFrame, task: type[Task]) -> list[FieldAgreement]:
    """The agreement about each field of a task.

    Args:
        votes: see ``pipeline.review.opinions.votes``.
        task: its free texts are compared by similarity.
    """
    free = set(kind_of(task).free_texts(task))
    return [_of_field(field.name, _panel(votes, field.name), field.name in free) for field in task.task_targets()]


def chance_flags(votes: pl.DataFrame, task: type[Task]) -> dict[str, list[str]]:
    """Who agrees with the others by chance only about a field, free texts left out, and how often."""
    free = set(kind_of(task).free_texts(task))
    found: defaultdict[str, list[str]] = defaultdict(list)
    for field in (field.name for field in task.task_targets() if field.name not in free):
        mine = _panel(votes, field)
        if mine.is_empty():
            continue
        coded, people = _coded(mine)
        for one in reliabilities(coded, consensus_of_field(coded)):
            if Flag.CHANCE in one.flags and one.agreeing:
                found[people[one.annotator]].append(f"{Flag.CHANCE}, about {field}: {_shown(one.agreeing)}")
    return dict(found)


def _shown(rate: Rate) -> str:
    return f"{rate.value:.0%} of {rate.of:,}"


def _panel(votes: pl.DataFrame, field: str) -> pl.DataFrame:
    return votes.filter(pl.col("field") == field, pl.col("independent"))


def _of_field(name: str, votes: pl.DataFrame, is_free: bool) -> FieldAgreement:
    coded, _ = _coded(votes)
    if is_free:
        found, kappa = krippendorff_texts(coded[:, 0], votes["label"].to_list(), chrf), None
    else:
        found, kappa = krippendorff(coded), fleiss_kappa(_shared(coded)).value
    return _told(name, found, kappa, is_free)


def _told(name: str, found: Agreement, kappa: float | None, is_free: bool) -> FieldAgreement:
    return FieldAgreement(
        field=name,
        items=found.items,
        alpha=found.value,
        low=found.low,
        high=found.high,
        kappa=kappa,
        by_similarity=is_free,
        undefined=found.undefined,
    )


def _shared(votes: Integers) -> Integers:
    """The votes about items that have several."""
    _, at, counts = np.unique(votes[:, 0], return_inverse=True, return_counts=True)
    return votes[counts[at] > 1]


def _coded(votes: pl.DataFrame) -> tuple[Integers, Sequence[str]]:
    """Item, annotator and label as integers from 0, shape (n, 3), and the annotators by number."""
    found = [np.unique(votes[name].to_numpy(), return_inverse=True) for name in ("item", "annotator", "label")]
    return np.column_stack([codes for _, codes in found]).astype(np.int64), found[1][0].tolist()
