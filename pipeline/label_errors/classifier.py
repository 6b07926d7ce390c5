"""Finds label errors in classification data: how likely each label is wrong, and what may be right instead."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.judged_labels import NOTHING_LEARNED, UNLABELED, Judged
from pipeline.label_errors.kept_arrays import Arrays, Kept, as_json, from_arrays, from_json
from pipeline.label_errors.kept_labels import UNKNOWN, KeptLabels, learn_labels
from pipeline.label_errors.read_texts import LaterTexts, LearnedTexts

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabeledTexts:
    """Texts with their labels, in columns."""

    texts: Sequence[str]
    labels: Sequence[str | None]
    """The given ones; None if there is none yet."""
    groups: Sequence[str]
    """Rows of one group (near-duplicates, one contract) are never used to score each other."""
    verified: Sequence[bool] | None = None
    """Which labels an annotator gave or confirmed: they are right; None if no one did."""
    also: Sequence[Collection[str]] = ()
    """Labels that other rows give the same text, if a text can have several and each has its own row: so they are not
    this row's; empty if a text has one."""

    def codes(self, names: Mapping[str, int]) -> Ints:
        """The labels as numbers."""
        return np.array(
            [UNLABELED if label is None else names.get(label, UNKNOWN) for label in self.labels], dtype=np.int64
        )

    def settled(self) -> Bools:
        """Which labels are right."""
        return np.zeros(len(self.texts), np.bool_) if self.verified is None else np.array(self.verified, np.bool_)

    def impossible(self, given: Ints, names: Mapping[str, int]) -> Bools:
        """Rows x labels: what a row cannot have, since another row of the same text has it."""
        found = np.zeros((len(given), len(names)), dtype=np.bool_)
        for row, labels in enumerate(self.also):
            found[row, [names[label] for label in labels if label in names]] = True
        labeled = np.flatnonzero(given >= 0)
        found[labeled, given[labeled]] = False
        return found


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


def learn_label_errors(rows: LabeledTexts, seed: int) -> tuple[LabelErrors, Arrays]:
    """Score how likely each label is wrong, and keep what judges later rows: nothing if there is too little.

    The same rows and seed give the same scores.
    """
    names, read = _names(rows), LearnedTexts(rows.texts)
    given = rows.codes(names)
    judged, kept = learn_labels(read, given, rows.groups, rows.settled(), seed, rows.impossible(given, names))
    if kept:
        kept |= {"names": as_json(list(names)), **read.kept_words(), **read.kept_meanings()}
    return _errors(judged, given, list(names)), kept


def judge_label_errors(rows: LabeledTexts, kept: Kept) -> LabelErrors:
    """Score rows by what ``learn_label_errors`` has kept of others; one whose label was not learned has no score."""
    if not kept:
        nothing = [None] * len(rows.texts)
        return LabelErrors([*nothing], [*nothing], [*nothing], NOTHING_LEARNED)
    names = {name: code for code, name in enumerate(from_json(kept["names"]))}
    given, read = rows.codes(names), LaterTexts(rows.texts, kept)
    judge = from_arrays(KeptLabels, kept)
    judged = judge.judge(read, given, rows.groups, rows.settled(), rows.impossible(given, names))
    return _errors(judged, given, list(names))


def _names(rows: LabeledTexts) -> dict[str, int]:
    """The labels that rows have, with their codes."""
    return {name: code for code, name in enumerate(sorted({one for one in rows.labels if one is not None}))}


def _errors(judged: Judged, given: Ints, names: Sequence[str]) -> LabelErrors:
    score = np.where(given == UNLABELED, 1 - judged.margins, judged.wrong)
    return LabelErrors(
        score=[None if math.isnan(value) else value for value in score.tolist()],
        predicted=[None if code < 0 else names[code] for code in judged.suggested.tolist()],
        other=[None if code < 0 else names[code] for code in judged.other.tolist()],
        note=judged.note,
    )
