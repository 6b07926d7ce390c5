"""Four cheap models of a label, out of fold: each sees something else in a text, and none is best everywhere.

A linear model decides by single words, naive Bayes by many weak hints; linear discriminants and neighbors know words
that mean the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.label_odds import label_scores
from pipeline.label_errors.static_embeddings import directions

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
"""Rows x labels, or models x rows x labels."""

MAX_TRAINING_ROWS = 50_000
"""Models are trained on a random sample of at most this many rows; training time grows with rows times labels."""
_COMPARED_ROWS = 16_384
"""Neighbors are looked for among at most this many rows."""
_CHUNK = 256
_PASSES = 3
"""Of the linear model: with the others beside it, five find no more (docs/decisions.md)."""
_LEADING = 128
"""So many leading numbers of an embedding tell which texts are similar as well as all do: it was trained that way."""
_NEAR = 0.07
"""By how much less similar a neighbor may be than the nearest one before its vote is a third."""
_FAR = -1e6
"""How similar a row is to one of its group, as a neighbor."""
_SMOOTHING = 0.1
_SHRINKAGE = 0.3
"""How much of the spread of the embeddings is taken to be the same in all directions."""
_IMPOSSIBLE = -50.0
"""The log probability of a label that a model has not seen."""
_TEMPERATURES = 2.0 ** np.arange(-5, 6.5, 0.5)
_TEMPERATURE_ROWS = 2_000


@dataclass(frozen=True)
class Sight:
    """What the models see of texts."""

    words: Any
    """TF-IDF of words and of pieces of words (sparse)."""
    meanings: npt.NDArray[np.float32]
    """Embeddings of length 1."""

    def __getitem__(self, rows: Ints) -> "Sight":
        return Sight(self.words[rows], self.meanings[rows])


@dataclass(frozen=True)
class Lesson:
    """The rows that a model learns from."""

    seen: Sight
    labels: Ints
    many: int
    """How many labels there are in all."""
    seed: int

    def given(self) -> Bools:
        """Rows x labels."""
        found: Bools = self.labels[:, None] == np.arange(self.many)
        return found

    def smaller(self, most: int) -> "Lesson":
        """At most so many rows, the same number of each label, so that rare labels keep all their rows."""
        if len(self.labels) <= most:
            return self
        kept = _some_of_each(self.labels, most, self.seed)
        return Lesson(self.seen[kept], self.labels[kept], self.many, self.seed)


def _some_of_each(labels: Ints, most: int, seed: int) -> Ints:
    """Which rows to take: at most so many, the same number of each label."""
    if len(labels) <= most:
        return np.arange(len(labels))
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found: Ints = np.sort(by_label[np.argsort(rank, kind="stable")[:most]])
    return found


@dataclass(frozen=True)
class Judgeable:
    """Rows whose labels are to be judged, and by which others."""

    labels: Ints
    """Their codes, -1 for an unlabeled row."""
    partitions: Sequence[Ints]
    """Folds of all rows, in one or more ways: no trained model sees the fold of a row that it judges."""
    members: Ints
    """Groups: no row is a neighbor of its own group; -1 for a row that any other may judge."""
    impossible: Bools
    """Rows x labels: which ones a row cannot have."""


def log_probabilities(seen: Sight, rows: Judgeable, seed: int) -> Scores:
    """The log probability of every label for every row, by each model: models x rows x labels.

    The linear model, which takes longer than all others together, learns from the first partition only.

    Args:
        seen: of all rows.
        rows: which are judged by which.
        seed: of the samples.
    """
    found = _of_partition(_TRAINED, seen, rows, rows.partitions[0], seed)
    for folds in rows.partitions[1:]:
        again = _of_partition(_TRAINED[1:], seen, rows, folds, seed)
        found[1:] = np.logaddexp(found[1:], again) - np.float32(np.log(2))
    votes = _normalized(_neighbors(seen.meanings, rows, seed), rows.impossible, rows.labels)
    return np.concatenate([found, votes[None]])


def _of_partition(models: Sequence["_Model"], seen: Sight, rows: Judgeable, folds: Ints, seed: int) -> Scores:
    labels = rows.labels
    many = rows.impossible.shape[1]
    found = np.empty((len(models), len(labels), many), dtype=np.float32)
    unseen = rows.impossible.copy()
    for inside, outside in _parts(folds, labels >= 0):
        lesson = Lesson(seen[outside], labels[outside], many, seed).smaller(MAX_TRAINING_ROWS)
        wanted = seen[inside]
        unseen[inside] |= np.bincount(lesson.labels, minlength=many) == 0
        for place, model in enumerate(models):
            found[place, inside] = model(lesson, wanted)
    for place, scores in enumerate(found):
        found[place] = _normalized(scores, unseen, labels)
    return found


def _normalized(scores: Scores, unseen: Bools, labels: Ints) -> Scores:
    """Log probabilities, at the temperature that fits the given labels best."""
    judged = np.flatnonzero(labels >= 0)
    judged = judged[~unseen[judged, labels[judged]]]
    scores[unseen] = -np.inf
    if len(judged):
        scores *= _temperature(scores, judged, labels)
    scores -= _log_sums(scores)
    return np.maximum(scores, _IMPOSSIBLE, out=scores)


def _parts(folds: Ints, labeled: Bools) -> Iterator[tuple[Ints, Ints]]:
    for fold in np.unique(folds):
        yield np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & labeled)


def _log_sums(scores: Scores) -> Scores:
    largest = scores.max(axis=1, keepdims=True)
    largest[~np.isfinite(largest)] = 0
    with np.errstate(divide="ignore"):
        found: Scores = largest + np.log(np.exp(scores - largest).sum(axis=1, keepdims=True))
    return found


def _temperature(scores: Scores, rows: Ints, labels: Ints) -> np.float32:
    """What to multiply scores with, so that they make the given labels most likely."""
    rows = rows[:: len(rows) // _TEMPERATURE_ROWS + 1]
    some, given = scores[rows], scores[rows, labels[rows]][:, None]
    losses = [float((_log_sums(some * t) - given * t).mean()) for t in _TEMPERATURES.astype(np.float32)]
    return np.float32(_TEMPERATURES[int(np.argmin(losses))])


def _linear(lesson: Lesson, wanted: Sight) -> Scores:
    """A support vector machine per label, on words and pieces of words."""
    return label_scores(wanted.words, lesson.seen.words, lesson.given(), lesson.seed, _PASSES).astype(np.float32)


def _bayes(lesson: Lesson, wanted: Sight) -> Scores:
    """Naive Bayes, by which words and pieces occur; what is rare with a label is drawn to how rare it is at all."""
    there, asked = _occurring(lesson.seen.words), _occurring(wanted.words)
    counts = np.asarray((there.T @ lesson.given().astype(np.float32)).T)
    usual = counts.sum(axis=0) + _SMOOTHING
    usual /= usual.sum()
    weight = _SMOOTHING * there.shape[1]
    counts += weight * usual
    counts /= counts.sum(axis=1, keepdims=True)
    counts /= usual
    found: Scores = asked @ np.log(counts, out=counts).T + _log_frequencies(lesson)
    return found


def _occurring(words: Any) -> Any:
    found = words.copy()
    found.data = np.ones_like(found.data)
    return found


def _log_frequencies(lesson: Lesson) -> Scores:
    return np.log(np.bincount(lesson.labels, minlength=lesson.many) + 1).astype(np.float32)


def _centers(lesson: Lesson, wanted: Sight) -> Scores:
    """Which label's mean is nearest, given how embeddings spread around these means (linear discriminants)."""
    seen = lesson.seen.meanings
    sizes = np.bincount(lesson.labels, minlength=lesson.many)[:, None]
    sums = lesson.given().T.astype(np.float32) @ seen
    means = sums / np.maximum(sizes, 1)
    spread = (seen.T @ seen).astype(np.float64) - (means * sizes).T @ means
    spread /= len(seen)
    level = np.trace(spread) / len(spread)
    spread = (1 - _SHRINKAGE) * spread + (_SHRINKAGE * level + 1e-9) * np.eye(len(spread))
    # One more row at the mean of all, so that a label with few rows is no outlier.
    centers = (sums + seen.mean(axis=0)) / (sizes + 1)
    weights = np.linalg.solve(spread, centers.T)
    offsets = 0.5 * (weights * centers.T).sum(axis=0)
    found: Scores = wanted.meanings @ weights.astype(np.float32) - offsets.astype(np.float32)
    found += _log_frequencies(lesson)
    return found


def _neighbors(meanings: npt.NDArray[np.float32], rows: Judgeable, seed: int) -> Scores:
    """The labels of all rows of other groups, which vote by how similar their embeddings are."""
    many = rows.impossible.shape[1]
    labeled = np.flatnonzero(rows.labels >= 0)
    compared = labeled[_some_of_each(rows.labels[labeled], _COMPARED_ROWS, seed)]
    compared = compared[np.argsort(rows.labels[compared], kind="stable")]
    there, starts = np.unique(rows.labels[compared], return_index=True)
    usual = np.bincount(rows.labels[labeled], minlength=many) / len(labeled) * _SMOOTHING
    votes = np.tile(usual.astype(np.float32), (len(meanings), 1))
    leading = directions(meanings[:, :_LEADING])
    others = np.ascontiguousarray(leading[compared].T) / np.float32(_NEAR)
    for first in range(0, len(votes), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        alike = leading[chunk] @ others
        alike[rows.members[chunk, None] == rows.members[compared]] = _FAR
        alike -= alike.max(axis=1, keepdims=True)
        votes[chunk, there] += np.add.reduceat(np.exp(alike, out=alike), starts, axis=1)
    with np.errstate(divide="ignore"):
        return np.log(votes)


_Model = Callable[[Lesson, Sight], Scores]
_TRAINED: tuple[_Model, ...] = (_linear, _bayes, _centers)
