"""Finds wrong sets of labels: a linear model, trained on the other rows, says how likely each label belongs to a row.

``set_model.py`` weighs that against the given set: a label may be missing, one too many, or taken for another.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.group_folds import folds_by_group
from pipeline.label_errors.judged_labels import MIN_LABELED, NOTHING_LEARNED
from pipeline.label_errors.kept_arrays import Arrays, Kept, from_arrays, to_arrays
from pipeline.label_errors.kept_folds import EVERY
from pipeline.label_errors.kept_sets import KeptSets, SetKeeper
from pipeline.label_errors.label_odds import calibrated, linear_scores, out_of_fold, rarest_labels, trained_weights
from pipeline.label_errors.read_texts import LaterTexts, LearnedTexts
from pipeline.label_errors.set_model import Bools, Floats, Judgment, fit_set_model, judge_sets, likeliest_sets
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
    """Rows x labels, these sorted; false for unlabeled rows."""
    order: Ints
    """Where each row was."""

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        sets: Sequence[Collection[str] | None],
        labels: Sequence[str],
        groups: Sequence[str],
    ) -> "_Rows":
        given = _given(sets, labels)
        # By text first: a label that an annotator corrects does not move other rows into other folds.
        order = sorted(range(len(texts)), key=lambda row: (texts[row], groups[row], sets[row] is None, *given[row]))
        labeled = np.array([sets[row] is not None for row in order], dtype=np.bool_)
        in_order = [texts[row] for row in order], [groups[row] for row in order]
        return cls(*in_order, labeled, given[order], np.array(order, dtype=np.int64))


def _given(sets: Sequence[Collection[str] | None], labels: Sequence[str]) -> Bools:
    """Rows x labels, sorted: the order in which a task defines its choices says nothing."""
    codes = {label: code for code, label in enumerate(sorted(labels))}
    given = np.zeros((len(sets), len(labels)), dtype=np.bool_)
    for row, one in enumerate(sets):
        given[row, [codes[label] for label in one or ()]] = True
    return given


def learn_label_sets(
    texts: Sequence[str],
    sets: Sequence[Collection[str] | None],
    labels: Sequence[str],
    groups: Sequence[str],
    seed: int,
    read: LearnedTexts | None = None,
) -> tuple[LabelSetScores, Arrays]:
    """Score how likely each row's set of labels is wrong, and keep what judges later rows: nothing if there is too
    little.

    Args:
        texts: what was labeled.
        sets: the given labels of each row, in any order; None if nobody has labeled it yet.
        labels: all labels that there are.
        groups: rows of one group (near-duplicates, one contract) are never used to score each other.
        seed: the same rows and seed give the same scores, whatever the order of the rows.
        read: the same texts, sorted, if more is learned from them; then what reads later ones is not kept here.
    """
    rows = _Rows.of(texts, sets, labels, groups)
    own = read or LearnedTexts(rows.texts)
    sheet = _Sheet(rows.given, labels)
    note, kept = _score(rows, own, sheet, sorted(labels), seed)
    found = sheet.result(np.argsort(rows.order), note)
    if kept is None:
        return found, {}
    return found, to_arrays(kept) | ({} if read else own.kept_words())


def judge_label_sets(
    texts: Sequence[str],
    sets: Sequence[Collection[str] | None],
    labels: Sequence[str],
    groups: Sequence[str],
    kept: Kept,
    read: LaterTexts | None = None,
) -> LabelSetScores:
    """Score rows by what ``learn_label_sets`` has kept of others; one with a label that was not learned has no score.

    Args:
        texts, sets, labels, groups: as for ``learn_label_sets``.
        kept: nothing if there was too little to learn from.
        read: the same texts, if more is known about them; then ``kept`` does not say how to read them.
    """
    given, as_given = _given(sets, labels), np.arange(len(sets))
    sheet = _Sheet(given, labels)
    if not kept:
        return sheet.result(as_given, NOTHING_LEARNED)
    judge = from_arrays(KeptSets, kept)
    places, judged, common = judge.columns(sorted(labels))
    others = np.ones(len(labels), dtype=np.bool_)
    others[[*judged, *common]] = False
    is_labeled = np.array([one is not None for one in sets], dtype=np.bool_)
    labeled, unlabeled = np.flatnonzero(is_labeled & ~given[:, others].any(axis=1)), np.flatnonzero(~is_labeled)
    read = read or LaterTexts(texts, kept)
    log_odds = judge.log_odds(read.words, groups)[:, places]
    sheet.judge(labeled, judged, judge_sets(judge.model, log_odds[labeled], given[np.ix_(labeled, judged)]))
    chosen, wrong = likeliest_sets(judge.model, log_odds[unlabeled])
    sheet.suggest(unlabeled, judged, wrong, chosen)
    sheet.add(unlabeled, common)
    return sheet.result(as_given, judge.note)


def _score(
    rows: _Rows, read: LearnedTexts, sheet: "_Sheet", labels: Sequence[str], seed: int
) -> tuple[str, KeptSets | None]:
    """Fill in the sheet; returns what limits it, and what is kept."""
    labeled, unlabeled = np.flatnonzero(rows.labeled), np.flatnonzero(~rows.labeled)
    if len(labeled) < MIN_LABELED:
        count = "1 labeled row" if len(labeled) == 1 else f"{len(labeled):,} labeled rows"
        return f"{count}: too few to find wrong sets of labels, which takes {MIN_LABELED}", None
    if read.features is None:
        return "no word occurs in two texts, so no set of labels can be scored", None
    given, groups = rows.given[labeled], [rows.groups[row] for row in labeled]
    folds, note = folds_by_group(rarest_labels(given), groups, seed)
    rare, common = _in_one_fold(given, folds), _in_one_fold(~given, folds)
    judged = np.flatnonzero(~(rare | common))
    known = ~given[:, rare].any(axis=1)
    if not len(judged) or not known.any():
        return "no label is in two groups of rows and not in two others, so no set of labels can be scored", None
    given, seen = given[:, judged], read.features.matrix[labeled]
    keeper = SetKeeper(seen, read.features.places, given, groups)
    scores = out_of_fold(seen, given, folds, seed, keeper.take)
    calibration = calibrated(scores, given)
    log_odds = calibration.log_odds(scores)
    model = fit_set_model(log_odds[known], given[known])
    sheet.judge(labeled[known], judged, judge_sets(model, log_odds[known], given[known]))
    limits = "; ".join(_limits(labels, rare, common))
    weights = trained_weights(seen, given, seed)
    unseen = linear_scores(weights, read.features.matrix[unlabeled])
    chosen, wrong = likeliest_sets(model, calibration.log_odds(unseen))
    sheet.suggest(unlabeled, judged, wrong, chosen)
    sheet.add(unlabeled, np.flatnonzero(common))
    keeper.take(EVERY, weights, np.arange(len(labeled)))
    names = [labels[code] for code in judged], [labels[code] for code in np.flatnonzero(common)]
    return "; ".join(filter(None, (note, limits))), keeper.kept(folds, calibration, model, *names, limits)


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

    def __init__(self, given: Bools, labels: Sequence[str]) -> None:
        """Args:
        given: rows x labels, these sorted.
        labels: in the order in which they are named.
        """
        self._labels, self._defined = sorted(labels), {label: place for place, label in enumerate(labels)}
        self._score = np.full(len(given), np.nan)
        self._predicted = given.copy()
        self._missing = np.zeros_like(given)
        self._extra = np.zeros_like(given)

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
