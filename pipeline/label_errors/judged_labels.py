"""Judges given labels: how likely each is wrong, and which one is likelier, by models that did not see the row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.group_folds import folds_of_members, members_of
from pipeline.label_errors.kept_folds import EVERY
from pipeline.label_errors.label_models import MAX_TRAINING_ROWS, Judgeable, Keeper, Scores, log_probabilities
from pipeline.label_errors.noisy_channel import Channel, fit_channel
from pipeline.label_errors.read_texts import LearnedTexts, Sight

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MIN_LABELED = 30
"""With fewer labeled rows, a model's predictions are too weak to question a label."""
NOTHING_LEARNED = "too few labels were there to learn from, so those of new rows are not scored"
UNLABELED = -1
_UNLABELED_GROUP = -1
_CHUNK = 8_192


@dataclass(frozen=True)
class Judged:
    """What is known about the label of each row, in the order of the rows."""

    wrong: Floats
    """The probability that the given label is wrong; 0 if it is verified; NaN if it cannot be judged, or is absent."""
    suggested: Ints
    """The code of the likeliest label, which may be the given one; -1 if unknown."""
    other: Ints
    """The code of the likeliest label beside the given one; -1 if unknown, or if there is no given one."""
    margins: Floats
    """How much likelier it is than the next one; NaN if unknown."""
    own: Floats
    """How likely the given label is by the text alone; NaN if unknown."""
    probabilities: npt.NDArray[np.float32]
    """Rows x labels: how likely each label is the right one, by the text alone."""
    note: str = ""
    """What limits all this, as text for the report; empty if nothing does."""

    @classmethod
    def nothing(cls, rows: int, labels: int, note: str) -> "Judged":
        """No row can be judged."""
        unknown, none = np.full(rows, np.nan), np.full(rows, -1)
        nowhere = np.zeros((rows, labels), dtype=np.float32)
        return cls(unknown, none, none, unknown, unknown, nowhere, note=note)


@dataclass(frozen=True)
class LabelStudy:
    """What was learned while labels were judged, beside the models."""

    folds: Ints
    """Of all rows, the one whose model has not seen the row."""
    channel: Channel
    temperatures: Scores
    """Of the models."""


def study_labels(
    read: LearnedTexts,
    labels: Ints,
    groups: Sequence[str],
    verified: Bools,
    seed: int,
    impossible: Bools | None,
    keep: Keeper,
) -> tuple[Judged, LabelStudy | None]:
    """Judge the given label of every row, and say what was learned for that; None if that is nothing.

    Rows in the same order, and the same seed, give the same result.

    Args:
        read: what was labeled.
        labels: codes from 0, without gaps; ``UNLABELED`` for a row without a label, which is only predicted.
        groups: rows of one group (near-duplicates, one contract) are never used to judge each other.
        verified: labels that an annotator gave or confirmed: they are right.
        seed: of what is random.
        impossible: rows x labels, which ones a row cannot have; never the given one.
        keep: is given the models.
    """
    labeled = np.flatnonzero(labels != UNLABELED)
    given, many = labels[labeled], int(labels.max(initial=-1)) + 1
    if len(given) < MIN_LABELED or many < 2:
        return Judged.nothing(len(labels), many, _too_few(len(given), many)), None
    if read.features is None:
        return Judged.nothing(len(labels), many, "no word occurs in two texts, so no label can be scored"), None
    members = np.full(len(labels), _UNLABELED_GROUP)
    members[labeled], note = members_of([groups[row] for row in labeled])
    partitions = _partitions(labels, labeled, members, seed)
    seen = np.all([_seen_elsewhere(given, folds[labeled], many) for folds in partitions], axis=0)
    judged = labeled[seen]
    if not len(judged):
        note = "no label occurs in two groups of rows, so none can be scored"
        return Judged.nothing(len(labels), many, note), None
    if impossible is None:
        impossible = np.zeros((len(labels), many), dtype=np.bool_)
    rows = Judgeable(labels, partitions, members, impossible)
    models, temperatures = log_probabilities(Sight(read.features.matrix, read.meanings), rows, seed, keep)
    channel = fit_channel(models[:, judged], labels[judged], verified[judged], seed)
    known = labels == UNLABELED
    known[judged] = True
    study = LabelStudy(partitions[0], channel, temperatures)
    return verdict(models, channel, labels, known, verified, note), study


def _too_few(labeled: int, different: int) -> str:
    rows = "1 labeled row" if labeled == 1 else f"{labeled:,} labeled rows"
    labels = "1 label" if different == 1 else f"{different:,} different labels"
    return f"{rows} with {labels}: too few to find label errors, which takes {MIN_LABELED} rows and 2 labels"


def _partitions(labels: Ints, labeled: Ints, members: Ints, seed: int) -> list[Ints]:
    """Folds of all rows, twice: two models that learned from different rows err less than one.

    Unlabeled rows are a fold of their own.
    """
    found: list[Ints] = []
    for number in range(2 if len(labeled) <= MAX_TRAINING_ROWS else 1):
        folds: Ints = np.full(len(labels), EVERY, dtype=np.int64)
        folds[labeled] = folds_of_members(labels[labeled], members[labeled], seed + number)
        found.append(folds)
    return found


def _seen_elsewhere(given: Ints, folds: Ints, many: int) -> Bools:
    """Whether another fold has the row's label, and a second one: otherwise the models of its fold know nothing."""
    counts = np.zeros((folds.max() + 1, many), dtype=np.int64)
    np.add.at(counts, (folds, given), 1)
    elsewhere = counts.sum(axis=0) - counts
    found: Bools = (elsewhere[folds, given] > 0) & ((elsewhere > 0).sum(axis=1) > 1)[folds]
    return found


def verdict(models: Scores, channel: Channel, labels: Ints, known: Bools, verified: Bools, note: str = "") -> Judged:
    """What follows from the models' opinions.

    Args:
        models: log probabilities, models x rows x labels.
        channel: how given labels come about.
        labels: the given ones; negative for a row without one that is known.
        known: rows that the models know something about.
        verified: given labels that are right.
        note: what limits all this.
    """
    rows, many = models.shape[1:]
    probabilities = np.empty((rows, many), dtype=np.float32)
    wrong, own, margins = np.full(rows, np.nan), np.full(rows, np.nan), np.full(rows, np.nan)
    suggested, other = np.full(rows, -1), np.full(rows, -1)
    for first in range(0, rows, _CHUNK):
        chunk = np.arange(first, min(rows, first + _CHUNK))
        right = channel.right(models[:, first : first + _CHUNK])
        probabilities[chunk] = right
        best = np.partition(right, -2, axis=1)
        suggested[chunk], margins[chunk] = right.argmax(axis=1), best[:, -1] - best[:, -2]
        given = np.flatnonzero(labels[chunk] >= 0)
        own[chunk[given]] = right[given, labels[chunk[given]]]
        wrong[chunk[given]] = channel.wrong(right[given], labels[chunk[given]])
        right[given, labels[chunk[given]]] = -1
        other[chunk[given]] = right[given].argmax(axis=1)
    wrong[verified & (labels >= 0)] = 0
    for found in (wrong, own, margins):
        found[~known] = np.nan
    suggested[~known] = other[~known] = -1
    return Judged(wrong, suggested, other, margins, own, probabilities, note)
