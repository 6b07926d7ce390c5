"""Agreement beyond chance: Krippendorff's alpha of labels and texts, and Cohen's kappa.

1 is perfect agreement, 0 what answers drawn at random would give, and below 0 annotators contradict each other more
than by chance. Intervals come from resampling items, many of them in groups, since answers about one item belong
together (Krippendorff, "Content Analysis", 4th edition, 2018; Cohen, "A coefficient of agreement for nominal scales",
1960).
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_GROUPS = 500
_RESAMPLES = 1000
_SEED = 17
_FEWEST = 6
"""Items that an interval takes."""
_ROUNDING = 1e-9
_TEXT_PAIRS = 2000
"""Pairs of texts of any items that are compared for what chance would give."""

ONE_ANSWER = "no item has answers of two annotators"
ALL_ALIKE = "all answers are the same, so that agreement proves nothing"


@dataclass(frozen=True)
class Agreement:
    """A chance-corrected agreement with its 95% interval."""

    value: float | None
    """None if it is not defined."""
    low: float | None
    high: float | None
    """None if there are fewer than six items."""
    items: int
    """Those with answers of at least two annotators."""
    answers: int
    """To these items."""
    undefined: str = ""
    """Why there is no value."""


def krippendorff(votes: Integers) -> Agreement:
    """Krippendorff's alpha of labels, any two of which are equally far apart. Items may have any number of answers.

    Args:
        votes: item, annotator and label of each, as integers from 0; shape (n, 3). Of an annotator and item, one.
    """
    paired = _paired(votes)
    if reason := paired.undefined:
        return _undefined(paired, reason)
    return _estimated(paired, np.column_stack([paired.apart(), paired.counts]), _nominal)


def cohen_kappa(one: Integers, other: Integers) -> Agreement:
    """Cohen's kappa of two annotators, by their labels of the same items, shape (n,) each."""
    item = np.arange(len(one))
    votes = np.concatenate([np.column_stack([item, item * 0 + who, said]) for who, said in enumerate((one, other))])
    paired = _paired(votes)
    if reason := paired.undefined:
        return _undefined(paired, reason)
    eye = np.eye(len(paired.used))
    sides = [eye[np.searchsorted(paired.used, said)] for said in (one, other)]
    return _estimated(paired, np.column_stack([one != other, *sides]), _cohen)


def krippendorff_texts(items: Integers, texts: Sequence[str], similarity: Callable[[str, str], float]) -> Agreement:
    """Krippendorff's alpha of free texts: two are as far apart as their similarity is below 1.

    What chance would give comes from 2,000 pairs of the texts, whatever items they are about.

    Args:
        items: the item of each text, as integers from 0; of an annotator and item, one.
        texts: the answers.
        similarity: of two texts, from 0 to 1; both orders are asked, as it need not be symmetric.
    """
    code = {text: number for number, text in enumerate(sorted(set(texts)))}
    said = np.array([code[text] for text in texts], dtype=np.int64)
    paired = _paired(np.column_stack([items, said * 0, said]))
    if reason := paired.undefined:
        return _undefined(paired, reason)
    words = list(code)

    @functools.cache
    def distance(one: int, other: int) -> float:
        first, second = words[one], words[other]
        return 0.0 if one == other else 1 - (similarity(first, second) + similarity(second, first)) / 2

    apart = [
        2 * sum(distance(a, b) for a, b in combinations(mine.tolist(), 2)) / (len(mine) - 1)
        for mine in np.split(paired.label, np.cumsum(paired.size)[:-1])
    ]
    chance = np.random.default_rng(_SEED)
    one = chance.integers(0, paired.answers, _TEXT_PAIRS)
    other = (one + chance.integers(1, paired.answers, _TEXT_PAIRS)) % paired.answers
    pairs = zip(paired.label[one].tolist(), paired.label[other].tolist(), strict=True)
    expected = float(np.mean([distance(a, b) for a, b in pairs]))
    if not expected:
        return _undefined(paired, ALL_ALIKE)
    return _estimated(
        paired, np.column_stack([apart, paired.size]), lambda sums: _beyond(sums[:, 0] / sums[:, 1], expected)
    )


@dataclass(frozen=True)
class _Paired:
    """The answers to items that have at least two, in the order of items and labels."""

    label: Integers
    """Of each answer, as a place in ``used``."""
    used: Integers
    """The labels that occur."""
    size: Integers
    """The number of answers of each item."""

    @property
    def answers(self) -> int:
        return len(self.label)

    @property
    def undefined(self) -> str:
        return ONE_ANSWER if not self.answers else ALL_ALIKE if len(self.used) == 1 else ""

    @functools.cached_property
    def counts(self) -> Floats:
        """How many answers to each item are each label, shape (items, labels)."""
        found = np.zeros((len(self.size), len(self.used)))
        np.add.at(found, (np.repeat(np.arange(len(self.size)), self.size), self.label), 1)
        return found

    def apart(self) -> Floats:
        """How many answers to each item are contradicted, each by its share of the others."""
        found: Floats = (self.size**2 - (self.counts**2).sum(axis=1)) / (self.size - 1)
        return found


def _paired(votes: Integers) -> _Paired:
    votes = votes[np.lexsort((votes[:, 2], votes[:, 0]))]
    _, at, size = np.unique(votes[:, 0], return_inverse=True, return_counts=True)
    kept = size[at] > 1
    used, label = np.unique(votes[kept, 2], return_inverse=True)
    return _Paired(label, used, size[size > 1])


def _beyond(observed: Floats, expected: Floats | float) -> Floats:
    """1 - observed / expected; where chance would give no disagreement, there is none: 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(expected) > 0, 1 - observed / expected, 1.0)


def _nominal(sums: Floats) -> Floats:
    counts, n = sums[:, 1:], sums[:, 1:].sum(axis=1)
    return _beyond(sums[:, 0] / n, (n**2 - (counts**2).sum(axis=1)) / (n * (n - 1)))


def _cohen(sums: Floats) -> Floats:
    one, other = np.split(sums[:, 1:], 2, axis=1)
    n = one.sum(axis=1)
    return _beyond(sums[:, 0] / n, 1 - (one * other).sum(axis=1) / n**2)


def _undefined(paired: _Paired, reason: str) -> Agreement:
    return Agreement(None, None, None, len(paired.size), paired.answers, reason)


def _starts(count: int) -> Integers:
    """Where each of at most 500 groups of items begins."""
    found: Integers = np.unique(np.arange(min(count, _GROUPS)) * count // min(count, _GROUPS))
    return found


def _estimated(paired: _Paired, sums: Floats, measure: Callable[[Floats], Floats]) -> Agreement:
    """A measure of sums over items, with the interval of its values over resampled groups of items.

    If annotators agree about all items, so they do in every resample, which proves nothing: then the lower bound is
    where that many items would all be agreed about in 2.5% of the cases.
    """
    items = len(paired.size)
    groups = sums if len(sums) <= _GROUPS else np.add.reduceat(sums, _starts(items), axis=0)
    value = float(measure(groups.sum(axis=0, keepdims=True))[0])
    value = 1.0 if value > 1 - _ROUNDING else value
    if items < _FEWEST:
        return Agreement(value, None, None, items, paired.answers)
    draws = np.random.default_rng(_SEED).multinomial(len(groups), np.full(len(groups), 1 / len(groups)), _RESAMPLES)
    low, high = map(float, np.quantile(measure(draws @ groups), [0.025, 0.975]))
    if value == 1:
        one_apart = _nominal(
            np.column_stack([[paired.answers * (1 - 0.025 ** (1 / items))], paired.counts.sum(axis=0)[None]])
        )
        low = min(low, float(one_apart[0]))
    return Agreement(value, min(low, value), min(max(high, value), 1.0), items, paired.answers)
