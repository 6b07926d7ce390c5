"""Finds label errors in classification data: how likely each label is wrong, and what may be right instead."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.judged_labels import UNLABELED, judge_labels


@dataclass(frozen=True)
class LabelErrors:
    """Label-error scores of all rows, in the order of the rows.

    All lists have one entry per row; an entry is None if the row could not be scored: there are too few
    rows, or no row of another group has its label.
    """

    score: list[float | None]
    """Labeled: the probability that the given label is wrong, by models that saw neither the row nor its group.
    Unlabeled: 1 minus the margin between the two likeliest labels."""
    predicted: list[str | None]
    """The likeliest label, which may be the given one."""
    other: list[str | None]
    """Of a labeled row, the likeliest label beside the given one."""
    note: str = ""
    """What limits the scores, as text for the report; empty if nothing does."""


def label_error_scores(
    texts: Sequence[str],
    labels: Sequence[str | None],
    groups: Sequence[str],
    seed: int = 17,
    verified: Sequence[bool] | None = None,
    also: Sequence[Collection[str]] | None = None,
) -> LabelErrors:
    """Score how likely each label of a classification task is wrong.

    Args:
        texts: what was labeled.
        labels: the given labels; None if there is none yet.
        groups: rows of one group (near-duplicates, one contract) are never used to score each other.
        seed: the same rows and seed give the same scores.
        verified: which labels an annotator gave or confirmed: they are right; None if no one did.
        also: labels that other rows give the same text, if a text can have several and each has its own row: so they
            are not this row's; None if a text has one.
    """
    names = sorted({label for label in labels if label is not None})
    codes = {name: code for code, name in enumerate(names)}
    given = np.array([UNLABELED if label is None else codes[label] for label in labels], dtype=np.int64)
    known = np.zeros(len(texts), dtype=np.bool_) if verified is None else np.array(verified, dtype=np.bool_)
    judged = judge_labels(texts, given, groups, known, seed, _impossible(also or (), given, codes))
    score = np.where(given == UNLABELED, 1 - judged.margins, judged.wrong)
    return LabelErrors(
        score=[None if math.isnan(value) else value for value in score.tolist()],
        predicted=[None if code < 0 else names[code] for code in judged.suggested.tolist()],
        other=[None if code < 0 else names[code] for code in judged.other.tolist()],
        note=judged.note,
    )


def _impossible(
    also: Sequence[Collection[str]], given: npt.NDArray[np.int64], codes: Mapping[str, int]
) -> npt.NDArray[np.bool_]:
    """Rows x labels: what a row cannot have, since another row of the same text has it."""
    found = np.zeros((len(given), len(codes)), dtype=np.bool_)
    for row, labels in enumerate(also):
        found[row, [codes[label] for label in labels if label in codes]] = True
    labeled = np.flatnonzero(given != UNLABELED)
    found[labeled, given[labeled]] = False
    return found
