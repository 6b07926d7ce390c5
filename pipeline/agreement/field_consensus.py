"""The label that several annotators' votes about an item amount to, with its probability.

Dawid and Skene's model ("Maximum Likelihood Estimation of Observer Error-Rates", 1979): each annotator has a table of
how often each label is mistaken for each other one, and tables and true labels are estimated in turn. Annotators who
gave few votes have tables that are mostly chance, so a table is shrunk towards what is expected of its annotator: the
errors of all annotators, as much more or less often as this one errs. How much that expectation weighs, and how much
annotators differ in how often they err, is estimated from the votes themselves (empirical Bayes, with Minka's fixed
point for the Dirichlet, "Estimating a Dirichlet distribution", 2000). So many votes are left nearly as they are.

The model takes annotators to err independently of each other. Where they do not, as about items that mislead most of
them, it would be too sure, and would overrule majorities that are right. So each vote is weighed by what is known of
its annotator from other items only, it speaks for its own label beyond that, which shrinks labels towards the majority,
and how far all of this counts is fitted to votes left out in turn, and to known labels where there are some.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_ROUNDS = 20
_CLOSE = 1e-4
"""Rounds end when no probability changes by more."""
_FEW = 100
"""With fewer items x (annotators - 2), the majority is right more often than what can be learned about annotators."""
_KNOWN_ENOUGH = 10
"""So many known labels make up for few votes."""
_TIE = 1e-9

# Chosen on simulated crowds only (docs/decisions.md, "Several annotators, one label"); results hardly depend on them.
_EVEN_WORTH = 20.0
"""Votes that evenly spread errors count for in each row of the table of all annotators."""
_ACCURACY, _ACCURACY_WORTH = 0.7, 10.0
_WEIGHT_SHAPE, _WEIGHT_RATE = 8.0, 0.4
"""The gamma prior of how many votes an expectation is worth in each row of a table: about 20."""
_SPREAD, _SPREAD_WORTH = 1.0, 2.0
"""The variance of annotators' error rates, relative to their mean, and how many annotators that is worth."""
_LEAST_SPREAD, _MOST_SPREAD = 0.02, 1 / 0.3
_LABEL_WORTH = 5.0
"""Items that each label is assumed to have beyond those in the votes."""
_VOTED_SHARE = 0.1
"""How far the labels' frequencies stay those among the votes: otherwise a frequent label can swallow all others."""
_OWN_LABEL = 1.2
"""Log odds that each vote adds to its label beyond what is known of its annotator: the shrinkage to the majority."""
_OWN_LABELS = (0.0, 0.4, 0.8, _OWN_LABEL, 2.0)
_SCALES = np.geomspace(0.1, 1, 15)
"""By how much all log odds are multiplied: 1 if annotators err independently."""
_USUAL_SCALE, _SCALE_WORTH, _BONUS_WORTH = 0.6, 5.0, 4.0
"""Log likelihood that other values of the two must gain, by the distance from the usual ones."""
_NEVER = 1e-9


@dataclass(frozen=True)
class Consensus:
    """What the votes about a field amount to. Rows are those of ``items`` and ``annotators``, in ascending order."""

    items: Integers
    probabilities: Floats
    """Of each label for each item, shape (items, labels)."""
    label: Integers
    """The most probable label of each item; of equally probable ones, the first."""
    annotators: Integers
    tables: Floats
    """How often each annotator gives each label, by the true one: shape (annotators, labels true, labels given). Empty
    if the majority decided."""
    is_majority: bool
    """The votes are too few to learn how reliable annotators are: each counts the same."""
    scale: float = 1.0
    """By how much the log odds were multiplied: the less, the more annotators err alike."""
    own_label: float = 0.0
    """What each vote added to the log odds of its label."""

    @property
    def probability(self) -> Floats:
        """That an item's label is right; of a majority, its share of the votes."""
        found: Floats = self.probabilities.max(axis=1)
        return found

    @property
    def accuracy(self) -> Floats:
        """How often each annotator is right, were all labels as frequent as among these items."""
        frequency = self.probabilities.mean(axis=0)
        found: Floats = np.diagonal(self.tables, axis1=1, axis2=2) @ frequency
        return found


@dataclass(frozen=True)
class _Votes:
    """Votes by what an annotator said: each column is an annotator's votes for one label."""

    matrix: Any
    """Sparse, shape (items, columns): 1 where the annotator gave the item that label."""
    at: Integers
    """The item of each vote."""
    column: Integers
    """That of each vote."""
    annotator: Integers
    said: Integers
    annotators: int
    labels: int


@dataclass(frozen=True)
class _Tables:
    """What is known of annotators after a round."""

    columns: Floats
    """The probability of each column's label by the true one, shape (columns, labels)."""
    expected: Floats
    """What the tables are shrunk towards, shape (annotators, labels, labels)."""
    counts: Floats
    """Expected votes, shape (columns, labels)."""
    totals: Floats
    """Expected votes by annotator and true label."""
    weight: float
    """Votes that an expectation is worth in each row."""


def consensus_of_field(
    votes: Integers, labels: int | None = None, known: Integers | None = None, annotators: int | None = None
) -> Consensus:
    """The most probable label of each item, by all votes about all items.

    The same for any order of the votes; linear in votes times labels, also in memory.

    Args:
        votes: item, annotator and label of each, as integers from 0; shape (n, 3). Of an annotator and item, one.
        labels: how many there are; by default, as many as occur.
        known: item and label of those whose true label is known, shape (m, 2). They tell how reliable annotators are.
        annotators: how many of them decide whether the votes are few; by default, all. A model is none.

    Raises:
        ValueError: there are no votes, or an annotator has two about the same item.
    """
    if not len(votes):
        raise ValueError("no votes")
    votes = votes[np.lexsort(votes.T[::-1])]
    if (np.diff(votes[:, :2], axis=0) == 0).all(axis=1).any():
        raise ValueError("an annotator votes twice about an item")
    given = np.empty((0, 2), dtype=np.int64) if known is None else known
    items, at = np.unique(votes[:, 0], return_inverse=True)
    people, who = np.unique(votes[:, 1], return_inverse=True)
    said = votes[:, 2]
    count = labels or int(max(said.max(), given[:, 1].max(initial=0))) + 1
    read = _columns(at, who, said, len(people), count)
    given = given[np.isin(given[:, 0], items)]
    fixed = np.searchsorted(items, given[:, 0]), given[:, 1]
    share = _shares(read, fixed)
    counted = len(people) if annotators is None else annotators
    few = len(items) * (counted - 2) < _FEW and len(given) < _KNOWN_ENOUGH
    if few or count == 1:
        return Consensus(items, share, _first_best(share), people, np.empty((0, count, count)), is_majority=True)
    estimated, tables = _estimated(read, share, fixed)
    probabilities, scale, own_label = _calibrated(read, estimated, tables, fixed)
    _fix(probabilities, fixed)
    whole, best = _whole(read, tables), _first_best(probabilities)
    return Consensus(items, probabilities, best, people, whole, is_majority=False, scale=scale, own_label=own_label)


def without_own_vote(votes: Integers, consensus: Consensus) -> tuple[Floats, NDArray[np.bool_]]:
    """What the others say about the item of each vote.

    Args:
        votes: those of the consensus, in any order.
        consensus: of these votes.

    Returns:
        The probabilities of the labels, shape (n, labels), and whether anybody else voted about the item.
    """
    at, who = np.searchsorted(consensus.items, votes[:, 0]), np.searchsorted(consensus.annotators, votes[:, 1])
    number = np.bincount(at, minlength=len(consensus.items))[at]
    if consensus.is_majority:
        others = consensus.probabilities[at] * number[:, None]
        others[np.arange(len(votes)), votes[:, 2]] -= 1
        others = np.maximum(others, 0)
    else:
        own = np.log(consensus.tables[who, :, votes[:, 2]])
        own[np.arange(len(votes)), votes[:, 2]] += consensus.own_label
        others = consensus.probabilities[at] / np.exp(consensus.scale * own)
    sums = others.sum(axis=1, keepdims=True)
    return np.divide(others, sums, out=np.zeros_like(others), where=sums > 0), number > 1


def _columns(at: Integers, who: Integers, said: Integers, annotators: int, labels: int) -> _Votes:
    from scipy.sparse import csr_array

    used, column = np.unique(who * labels + said, return_inverse=True)
    matrix = csr_array((np.ones(len(at)), (at, column)), shape=(int(at.max()) + 1, len(used)))
    return _Votes(matrix, at, column, used // labels, used % labels, annotators, labels)


def _shares(votes: _Votes, fixed: tuple[Integers, Integers]) -> Floats:
    """Each label's share of the votes about an item; that of a known label is 1."""
    share: Floats = votes.matrix @ (votes.said[:, None] == np.arange(votes.labels))
    share /= share.sum(axis=1, keepdims=True)
    _fix(share, fixed)
    return share


def _fix(probabilities: Floats, fixed: tuple[Integers, Integers]) -> None:
    probabilities[fixed[0]] = 0
    probabilities[fixed] = 1


def _first_best(probabilities: Floats) -> Integers:
    found: Integers = (probabilities >= probabilities.max(axis=1, keepdims=True) - _TIE).argmax(axis=1)
    return found


def _estimated(votes: _Votes, start: Floats, fixed: tuple[Integers, Integers]) -> tuple[Floats, _Tables]:
    probabilities, weight = start, _WEIGHT_SHAPE / _WEIGHT_RATE
    if len(fixed[0]) >= _KNOWN_ENOUGH:
        # Tables first come from what is known: a majority that errs alike would only find itself confirmed.
        probabilities = np.zeros_like(start)
        probabilities[fixed] = 1
    voted = votes.matrix.sum(axis=0) @ (votes.said[:, None] == np.arange(votes.labels))
    for _ in range(_ROUNDS):
        tables = _tables(votes, probabilities, weight)
        weight = tables.weight
        frequency = probabilities.sum(axis=0) + _LABEL_WORTH
        frequency = (1 - _VOTED_SHARE) * frequency / frequency.sum() + _VOTED_SHARE * voted / voted.sum()
        odds = votes.matrix @ np.log(tables.columns) + np.log(frequency)
        now = _softmax(odds)
        _fix(now, fixed)
        change, probabilities = np.abs(now - probabilities).max(), now
        if change < _CLOSE:
            break
    return probabilities, tables


def _calibrated(
    votes: _Votes, estimated: Floats, tables: _Tables, fixed: tuple[Integers, Integers]
) -> tuple[Floats, float, float]:
    """The probabilities of labels, by how much log odds are scaled, and what a vote adds to its own label."""
    said, annotator = votes.said[votes.column], votes.annotator[votes.column]
    mine = estimated[votes.at]
    elsewhere = np.maximum(tables.counts[votes.column] - mine, 0) + tables.weight * tables.expected[annotator, :, said]
    elsewhere /= np.maximum(tables.totals[annotator] - mine, 0) + tables.weight
    own = (said[:, None] == np.arange(votes.labels)).astype(np.float64)
    speaks = np.log(elsewhere)
    odds, counts = np.zeros_like(estimated), np.zeros_like(estimated)
    np.add.at(odds, votes.at, speaks)
    np.add.at(counts, votes.at, own)
    frequency = np.log(estimated.mean(axis=0) + _NEVER)

    item, truth = fixed

    def by_known(scale: float, bonus: float) -> float:
        found = _softmax(frequency + scale * (odds + bonus * counts)[item])
        return float(np.log(found[np.arange(len(item)), truth] + _NEVER).sum())

    is_shared = np.bincount(votes.at)[votes.at] > 1
    left, given = (odds + _OWN_LABEL * counts)[votes.at] - speaks - _OWN_LABEL * own, elsewhere

    def by_votes(scale: float) -> float:
        found = (_softmax(frequency + scale * left) * given).sum(axis=1)
        return float(np.log(found[is_shared]).sum())

    usual = max(_SCALES, key=lambda scale: by_votes(scale) - _far(scale, _USUAL_SCALE))
    scale, bonus = usual, _OWN_LABEL
    if len(fixed[0]) >= _KNOWN_ENOUGH:
        scale, bonus = max(
            ((scale, bonus) for scale in _SCALES for bonus in _OWN_LABELS),
            key=lambda pair: by_known(*pair) - _far(pair[0], usual) - _BONUS_WORTH * abs(pair[1] - _OWN_LABEL),
        )
    return _softmax(frequency + scale * (odds + bonus * counts)), float(scale), bonus


def _far(scale: float, usual: float) -> float:
    """The log likelihood that a scale must gain to be taken instead of the usual one."""
    return float(_SCALE_WORTH * np.log(scale / usual) ** 2)


def _softmax(odds: Floats) -> Floats:
    found: Floats = np.exp(odds - odds.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found


def _tables(votes: _Votes, probabilities: Floats, weight: float) -> _Tables:
    """Annotators' tables by what is thought of the items now."""
    counts: Floats = votes.matrix.T @ probabilities
    totals = np.zeros((votes.annotators, votes.labels))
    np.add.at(totals, votes.annotator, counts)
    expected = _expected(votes, counts, totals)
    means = expected[votes.annotator, :, votes.said]
    weight = _weight(counts, totals, means, weight)
    columns = (counts + weight * means) / (totals[votes.annotator] + weight)
    return _Tables(columns, expected, counts, totals, weight)


def _expected(votes: _Votes, counts: Floats, totals: Floats) -> Floats:
    """The errors of all annotators, as much more or less often as each one errs."""
    labels, right = votes.labels, votes.said[:, None] == np.arange(votes.labels)
    pooled = np.zeros((labels, labels))
    np.add.at(pooled.T, votes.said, counts)
    accuracy = (np.trace(pooled) + _ACCURACY * _ACCURACY_WORTH) / (pooled.sum() + _ACCURACY_WORTH)
    even = np.full((labels, labels), (1 - accuracy) / (labels - 1))
    np.fill_diagonal(even, accuracy)
    pooled = (pooled + _EVEN_WORTH * even) / (pooled.sum(axis=1, keepdims=True) + _EVEN_WORTH)
    error = 1 - pooled.diagonal()
    # Errors of an annotator are Poisson around what all would make, times a gamma with mean 1 (as in small-area rates).
    usual = totals @ error
    made = totals.sum(axis=1) - np.bincount(votes.annotator, (counts * right).sum(axis=1), votes.annotators)
    mean_square = float((usual**2).mean())
    excess = float(((made - usual) ** 2 - made).sum()) + _SPREAD_WORTH * _SPREAD * mean_square
    spread = excess / (float((usual**2).sum()) + _SPREAD_WORTH * mean_square)
    steady = 1 / min(max(spread, _LEAST_SPREAD), _MOST_SPREAD)
    rate = (made + steady) / (usual + steady)
    # Nobody is taken for worse than who answers at random, halfway to always wrong.
    own = np.minimum(error * rate[:, None], 1 - 0.5 / labels)
    expected: Floats = own[:, :, None] * (pooled / error[:, None])
    expected[:, np.arange(labels), np.arange(labels)] = 1 - own
    return expected


def _weight(counts: Floats, totals: Floats, means: Floats, weight: float) -> float:
    """How many votes the expectation is worth: three steps towards the most likely, with its gamma prior."""
    from scipy.special import digamma

    for _ in range(3):
        gain = (means * (digamma(counts + weight * means) - digamma(weight * means))).sum()
        loss = (digamma(totals + weight) - digamma(weight)).sum()
        weight = float((weight * gain + _WEIGHT_SHAPE) / (loss + _WEIGHT_RATE))
    return weight


def _whole(votes: _Votes, tables: _Tables) -> Floats:
    """The tables with the labels that an annotator has not given."""
    counts = np.zeros_like(tables.expected)
    counts[votes.annotator, :, votes.said] = tables.counts
    whole: Floats = (counts + tables.weight * tables.expected) / (tables.totals + tables.weight)[:, :, None]
    return whole
