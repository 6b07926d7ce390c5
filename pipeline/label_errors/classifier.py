"""Finds label errors in classification data: a linear model, trained on the other rows, predicts each row's label.

If it confidently disagrees, the label may be wrong.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.group_folds import folds_by_group
from pipeline.label_errors.text_features import text_features

MIN_LABELED = 30
"""With fewer labeled rows, a model's predictions are too weak to question a label."""
MAX_TRAINING_ROWS = 50_000
"""A model is trained on a random sample of at most this many rows; training time grows with rows times classes."""
_TEMPERATURES = 2.0 ** np.arange(-2, 6.25, 0.25)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelErrors:
    """Label-error scores of all rows, in the order of the rows.

    All lists have one entry per row; an entry is None if the row could not be scored: there are too few
    rows, or no row of another group has its label.
    """

    score: list[float | None]
    """Labeled: 1 minus the probability of the given label, by a model that saw neither the row nor its group.
    Unlabeled: 1 minus the margin between the two likeliest labels."""
    issue: list[bool]
    """Whether confident learning considers the given label wrong; never for an unlabeled row."""
    predicted: list[str | None]
    """The likeliest label."""
    note: str = ""
    """What limits the scores, as text for the report; empty if nothing does."""


def label_error_scores(
    texts: Sequence[str], labels: Sequence[str | None], groups: Sequence[str], seed: int = 17
) -> LabelErrors:
    """Score how likely each label of a classification task is wrong.

    Args:
        texts: what was labeled.
        labels: the given labels; None if there is none yet.
        groups: rows of one group (near-duplicates, one contract) are never used to score each other.
        seed: the same rows and seed give the same scores.
    """
    given = [label for label in labels if label is not None]
    names = sorted(set(given))
    sheet = _Sheet(names, len(texts))
    if len(given) < MIN_LABELED or len(names) < 2:
        return sheet.result(_too_few(len(given), len(names)))
    features = text_features(texts)
    if features is None:
        return sheet.result("no word occurs in two texts, so no label can be scored")
    codes = {name: code for code, name in enumerate(names)}
    targets = np.array([codes[label] for label in given], dtype=np.int64)
    rows = np.array([row for row, label in enumerate(labels) if label is not None], dtype=np.int64)
    folds, note = folds_by_group(targets, [groups[row] for row in rows], seed)
    scores = _out_of_fold(features[rows], targets, folds, seed)
    judged = np.flatnonzero(np.isfinite(scores[np.arange(len(targets)), targets]))
    if not len(judged):
        return sheet.result("no label occurs in two groups of rows, so none can be scored")
    temperature = _temperature(scores[judged], targets[judged])
    sheet.judge_labels(rows[judged], targets[judged], _softmax(scores[judged] * temperature))
    unlabeled = np.array([row for row, label in enumerate(labels) if label is None], dtype=np.int64)
    if len(unlabeled):
        unseen = _scores(features[unlabeled], features[rows], targets, seed)
        sheet.suggest_labels(unlabeled, _softmax(unseen * temperature))
    return sheet.result(note)


def _too_few(labeled: int, different: int) -> str:
    rows = "1 labeled row" if labeled == 1 else f"{labeled:,} labeled rows"
    labels = "1 label" if different == 1 else f"{different:,} different labels"
    return f"{rows} with {labels}: too few to find label errors, which takes {MIN_LABELED} rows and 2 labels"


class _Sheet:
    """The results of all rows, filled in step by step; NaN and -1 mean not scored."""

    def __init__(self, names: Sequence[str], rows: int) -> None:
        self._names = names
        self._error_score = np.full(rows, np.nan)
        self._issue = np.zeros(rows, dtype=bool)
        self._predicted = np.full(rows, -1, dtype=np.int64)

    def judge_labels(self, rows: Ints, targets: Ints, probabilities: Floats) -> None:
        self._predict(rows, probabilities)
        self._error_score[rows] = 1 - probabilities[np.arange(len(rows)), targets]
        self._issue[rows] = _label_issues(targets, probabilities) & (self._predicted[rows] != targets)

    def suggest_labels(self, rows: Ints, probabilities: Floats) -> None:
        self._predict(rows, probabilities)
        second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
        self._error_score[rows] = 1 - (first - second)

    def _predict(self, rows: Ints, probabilities: Floats) -> None:
        self._predicted[rows] = probabilities.argmax(axis=1)

    def result(self, note: str) -> LabelErrors:
        return LabelErrors(
            score=[None if math.isnan(value) else value for value in self._error_score.tolist()],
            issue=self._issue.tolist(),
            predicted=[None if code < 0 else self._names[code] for code in self._predicted.tolist()],
            note=note,
        )


def _out_of_fold(features: Any, targets: Ints, folds: Ints, seed: int) -> Floats:
    """Scores of every row for every label, by a model that did not see the row's fold."""
    scores = np.full((len(targets), targets.max() + 1), -np.inf)
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        found = _scores(features[inside], features[outside], targets[outside], seed)
        scores[inside, : found.shape[1]] = found
    return scores


def _scores(wanted: Any, features: Any, targets: Ints, seed: int) -> Floats:
    """Train on ``features`` and score ``wanted``; a label missing from the training data has minus infinity.

    A support vector machine finds about as many random label errors as logistic regression (92% against 93%), and more
    of those between similar labels, in an eighth of the time; docs/decisions.md has the figures.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    scores = np.full((wanted.shape[0], targets.max(initial=0) + 1), -np.inf)
    sample = _sample(targets, seed)
    if len(np.unique(targets[sample])) < 2:
        return scores
    model = LinearSVC(C=0.3, tol=0.1, random_state=seed)
    with warnings.catch_warnings():
        # Stopping early has no measurable cost.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Many labels with few rows each are reported in the note.
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
        model.fit(features[sample], targets[sample])
    found = model.decision_function(wanted)
    scores[:, model.classes_] = np.column_stack([-found, found]) if found.ndim == 1 else found
    return scores


def _sample(targets: Ints, seed: int) -> Ints:
    """At most ``MAX_TRAINING_ROWS`` rows, the same number of each label, so that rare labels keep all their rows."""
    if len(targets) <= MAX_TRAINING_ROWS:
        return np.arange(len(targets))
    shuffled = np.random.default_rng(seed).permutation(len(targets))
    by_label = shuffled[np.argsort(targets[shuffled], kind="stable")]
    sizes = np.bincount(targets)
    rank = np.arange(len(targets)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(by_label[np.argsort(rank, kind="stable")[:MAX_TRAINING_ROWS]])


def _softmax(scores: Floats) -> Floats:
    powers: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _temperature(scores: Floats, targets: Ints) -> float:
    """The temperature whose softmax of the scores makes the given labels most likely: scores become probabilities."""
    step = len(targets) // 20_000 + 1
    scores, targets = scores[::step], targets[::step]
    losses = [-np.log(_softmax(scores * t)[np.arange(len(targets)), targets] + 1e-12).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def _label_issues(targets: Ints, probabilities: Floats) -> npt.NDArray[np.bool_]:
    """Confident learning over the labels that occur; "both" flags the fewest correct rows."""
    from cleanlab.filter import find_label_issues

    present, codes = np.unique(targets, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(targets), dtype=bool)
    shares = probabilities[:, present]
    with warnings.catch_warnings():
        # Its warning about labels with few rows is already in the note.
        warnings.simplefilter("ignore", UserWarning)
        shares /= shares.sum(axis=1, keepdims=True)
        issues: npt.NDArray[np.bool_] = find_label_issues(codes, shares, filter_by="both", n_jobs=1)
    return issues
