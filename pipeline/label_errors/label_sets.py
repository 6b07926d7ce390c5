"""Finds wrong sets of labels: a linear model, trained on the other rows, says how likely each label belongs to a row.

``set_model.py`` weighs that against the given set: a label may be missing, one too many, or taken for another.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.group_folds import folds_by_group
from pipeline.label_errors.judged_labels import MIN_LABELED
from pipeline.label_errors.label_odds import calibrated, label_scores, out_of_fold, rarest_labels
from pipeline.label_errors.set_model import Bools, Floats, Judgment, fit_set_model, judge_sets, likeliest_sets
from pipeline.label_errors.text_features import text_features
from schemas.fate import LEAST_DOUBT

Ints = npt.NDArray[np.int64]

_LIKELY_WRONG = 0.25
"""Another set is proposed if one in four of such sets is wrong; below, it is only named what may be."""
_LIKELY = 0.5
_NAMED = 3


@dataclass(frozen=True)
class LabelSetScores:
    """Label-error scores of rows with sets of labels, in the order of the rows; all lists have one entry per row."""

    score: list[float | None]
    """How likely an annotator would correct the set, from 0 to 1, by a model that saw neither the row nor its group;
    for unlabeled rows, the predicted set. None if unknown: too few rows, or the row has a label that no other group
    has."""
    predicted: list[tuple[str, ...] | None]
    """The set with what is missing and without what is extra, where it is likely enough wrong; for unlabeled rows, the
    likeliest set."""
    missing: list[tuple[str, ...]]
    """What speaks most against the set, from a score of ``LEAST_DOUBT`` on: labels that may belong to the row and are
    not there."""
    extra: list[tuple[str, ...]]
    """Likewise, labels that are there and may not belong to the row."""
    note: str = ""
    """What limits the scores, as text for the report; empty if nothing does."""

    def said_against(self, row: int) -> str:
        """What may be wrong with the set of a row, for annotators; empty if nothing is worth a word."""
        seems, does_not = ("seems to", "does not seem to")
        if (self.score[row] or 0) < _LIKELY_WRONG:
            seems, does_not = ("may", "may not")
        missing = (f"'{label}' {seems} be missing" for label in self.missing[row])
        extra = (f"'{label}' {does_not} belong" for label in self.extra[row])
        return "; ".join([*missing, *extra])


@dataclass(frozen=True)
class _Rows:
    """Rows in an order that does not depend on how they were given."""

    texts: list[str]
    groups: list[str]
    labeled: Bools
    given: Bools
    """Rows x labels; false for unlabeled rows."""


def label_set_scores(
    texts: Sequence[str],
    sets: Sequence[Collection[str] | None],
    labels: Sequence[str],
    groups: Sequence[str],
    seed: int = 17,
) -> LabelSetScores:
    """Score how likely each row's set of labels is wrong, and say which of its labels.

    Args:
        texts: what was labeled.
        sets: the given labels of each row, in any order; None if nobody has labeled it yet.
        labels: all labels that there are.
        groups: rows of one group (near-duplicates, one contract) are never used to score each other.
        seed: the same rows and seed give the same scores, whatever the order of the rows.
    """
    # The order in which a task defines its choices says nothing.
    labels, defined = sorted(labels), {label: place for place, label in enumerate(labels)}
    codes = {label: code for code, label in enumerate(labels)}
    given = np.zeros((len(texts), len(labels)), dtype=np.bool_)
    for row, one in enumerate(sets):
        given[row, [codes[label] for label in one or ()]] = True
    # By text first: a label that an annotator corrects does not move other rows into other folds.
    order = sorted(range(len(texts)), key=lambda row: (texts[row], groups[row], sets[row] is None, *given[row]))
    labeled = np.array([sets[row] is not None for row in order], dtype=np.bool_)
    rows = _Rows([texts[row] for row in order], [groups[row] for row in order], labeled, given[order])
    sheet = _Sheet(rows, labels, defined)
    note = _score(rows, sheet, labels, seed)
    return sheet.result(np.argsort(np.array(order, dtype=np.int64)), note)


def _score(rows: _Rows, sheet: "_Sheet", labels: Sequence[str], seed: int) -> str:
    """Fill in the sheet; returns what limits it."""
    labeled, unlabeled = np.flatnonzero(rows.labeled), np.flatnonzero(~rows.labeled)
    if len(labeled) < MIN_LABELED:
        count = "1 labeled row" if len(labeled) == 1 else f"{len(labeled):,} labeled rows"
        return f"{count}: too few to find wrong sets of labels, which takes {MIN_LABELED}"
    features = text_features(rows.texts)
    if features is None:
        return "no word occurs in two texts, so no set of labels can be scored"
    given = rows.given[labeled]
    folds, note = folds_by_group(rarest_labels(given), [rows.groups[row] for row in labeled], seed)
    rare, common = _in_one_fold(given, folds), _in_one_fold(~given, folds)
    judged = np.flatnonzero(~(rare | common))
    known = ~given[:, rare].any(axis=1)
    if not len(judged) or not known.any():
        return "no label is in two groups of rows and not in two others, so no set of labels can be scored"
    given = given[:, judged]
    scores = out_of_fold(features[labeled], given, folds, seed)
    calibration = calibrated(scores, given)
    log_odds = calibration.log_odds(scores)
    model = fit_set_model(log_odds[known], given[known])
    sheet.judge(labeled[known], judged, judge_sets(model, log_odds[known], given[known]))
    if len(unlabeled):
        unseen = label_scores(features[unlabeled], features[labeled], given, seed)
        chosen, wrong = likeliest_sets(model, calibration.log_odds(unseen))
        sheet.suggest(unlabeled, judged, wrong, chosen)
        sheet.add(unlabeled, np.flatnonzero(common))
    return "; ".join(filter(None, (note, *_limits(labels, rare, common))))


def _in_one_fold(given: Bools, folds: Ints) -> Bools:
    """Which labels no row of another fold has: nothing can be learned about them where they are."""
    in_folds = sum(given[folds == fold].any(axis=0).astype(np.int64) for fold in np.unique(folds))
    found: Bools = np.asarray(in_folds) < 2
    return found


def _limits(labels: Sequence[str], rare: Bools, common: Bools) -> list[str]:
    found = []
    for which, where in ((rare, "that fewer than two groups of rows have"), (common, "that nearly all rows have")):
        names = [f"'{labels[code]}'" for code in np.flatnonzero(which)]
        if names:
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            found.append(f"labels {where} are not judged: {', '.join(names[:_NAMED])}{more}")
    return found


class _Sheet:
    """The results of all rows, filled in step by step."""

    def __init__(self, rows: _Rows, labels: Sequence[str], defined: Mapping[str, int]) -> None:
        """Args:
        rows: all rows.
        labels: the columns of what is filled in.
        defined: the order in which labels are named.
        """
        self._labels, self._defined = labels, defined
        self._score = np.full(len(rows.texts), np.nan)
        self._predicted = rows.given.copy()
        self._missing = np.zeros_like(rows.given)
        self._extra = np.zeros_like(rows.given)

    def judge(self, rows: Ints, judged: Ints, judgment: Judgment) -> None:
        """What is said about labeled rows."""
        wrong, doubts = judgment.wrong, judgment.doubts
        named = doubts >= _LIKELY
        # Several labels may be possible where one is surely missing: then the likeliest is named.
        undecided = np.flatnonzero(~named.any(axis=1))
        named[undecided, doubts[undecided].argmax(axis=1)] = True
        named &= (wrong >= LEAST_DOUBT)[:, None]
        cells = np.ix_(rows, judged)
        given = self._predicted[cells]
        self._score[rows] = wrong
        self._missing[cells], self._extra[cells] = named & ~given, named & given
        self._predicted[cells] = given ^ (named & (wrong >= _LIKELY_WRONG)[:, None])

    def suggest(self, rows: Ints, judged: Ints, wrong: Floats, chosen: Bools) -> None:
        """What is said about unlabeled rows."""
        self._score[rows] = wrong
        self._predicted[np.ix_(rows, judged)] = chosen

    def add(self, rows: Ints, common: Ints) -> None:
        """Predict labels that nearly all rows have."""
        self._predicted[np.ix_(rows, common)] = True

    def result(self, places: Ints, note: str) -> LabelSetScores:
        """The results, at each row's place in the order in which rows were given."""
        scores = [None if math.isnan(value) else value for value in self._score[places].tolist()]
        return LabelSetScores(
            score=scores,
            predicted=[
                None if score is None else named
                for score, named in zip(scores, self._names(self._predicted[places]), strict=True)
            ],
            missing=self._names(self._missing[places]),
            extra=self._names(self._extra[places]),
            note=note,
        )

    def _names(self, chosen: Bools) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = [()] * len(chosen)
        for row in np.flatnonzero(chosen.any(axis=1)).tolist():
            named = (self._labels[code] for code in np.flatnonzero(chosen[row]).tolist())
            found[row] = tuple(sorted(named, key=self._defined.__getitem__))
        return found
