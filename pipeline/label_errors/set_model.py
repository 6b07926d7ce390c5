"""How a given set of labels came about, and how likely it is the right one.

A text makes some sets likely: each label by its own odds, and every set by its size. Then an annotator may have
forgotten labels, added some, or taken one for another. How often that happens is estimated from the given sets: what a
model denies more often than its own odds allow was added, not right.

Labels cannot be judged one by one. Where nearly every row has one label, an empty set is suspicious whatever its text
says, and a second label makes the first one doubtful. Sums over all sets are exact: they depend on a set only through
its labels' odds and its size, so it suffices to follow the distribution of the size from label to label. Of hundreds of
labels, only a row's likeliest are taken to be possible, and those that it was given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_FITTED_ROWS = 1_500
"""Eight parameters are the same from 1,500 rows as from 4,000."""
_LARGEST_OWN_SIZE = 4
"""Larger sets share a weight: there are few of them."""
_POSSIBLE = 64
"""Labels of a row that are looked at, unless half as many were given."""
_CELLS = 2_000_000
"""Rows are judged in chunks of so many numbers: rows x labels x sizes."""
_LEAST = 1e-12
_STEEPNESS = 1.5
"""The logarithm of the expected steepness. The odds come from the given labels, mistakes included, and are too moderate
for the right ones; how much so, well separated labels do not show."""
_SIZE_TIES = 0.025
_START = (_STEEPNESS, 0.0, 0.0, 0.0, 0.0, -5.0, -3.0, -3.0)
_SELDOM = 0.01
"""How often annotators make each mistake where nothing shows it: in one of a hundred rows."""
_NEVER = (-40.0, -40.0, -40.0)
"""The same as a fit has it: never."""
_MUCH, _SOME = 0.5, 0.03
"""How much texts must tell of the labels for one that they deny to be a mistake, and at least where the sets themselves
speak for mistakes; of CUAD's clauses it is 0.74, of the same with a tenth of all bits flipped 0.06.
"""
_EVIDENCE = 2.0
"""By how much mistakes must make the given sets likelier than their absence does, as a logarithm."""


@dataclass(frozen=True)
class SetModel:
    """How sets come about."""

    steepness: float
    """What log odds are multiplied by."""
    size_weights: Floats
    """By size, how much likelier a set is than its labels' odds alone say; the last one is that of all larger ones."""
    added: float
    """How often a label is given that does not belong to a row."""
    forgotten: float
    """How often a label that belongs to a row is not given."""
    confused: float
    """How often one label of a set is taken for another."""

    def mean_weights(self, sizes: Floats) -> Floats:
        """The mean weight of each row's distribution of sizes."""
        # Not a product of matrices: that may round a row in another way if more rows are with it.
        found: Floats = (sizes * self.size_weights).sum(axis=1)
        return found


class _Trial(SetModel):
    """One of the models that a fit tries, all on the same rows."""

    def mean_weights(self, sizes: Floats) -> Floats:
        found: Floats = sizes @ self.size_weights
        return found


@dataclass(frozen=True)
class Judgment:
    """What is wrong with given sets."""

    wrong: Floats
    """By row, how likely its set is not the right one."""
    doubts: Floats
    """By row and label, how likely the label is wrongly given, or wrongly absent."""


@dataclass(frozen=True)
class _Cells:
    """The labels of some rows: how likely each is, as if sizes did not matter."""

    by_text: Floats
    """How likely the label belongs to the row, by the text."""
    by_both: Floats
    """The same by the text and by what was given."""
    likelihood: Floats
    """How likely what was given is."""
    others: int
    """Labels that are not looked at."""


# --- what follows from a model ----------------------------------------------------------------------
def judge_sets(model: SetModel, log_odds: Floats, given: Bools) -> Judgment:
    """Judge given sets.

    Args:
        model: as fitted to the same or other sets.
        log_odds: rows x labels, of a label by its text, by a model that did not see the row.
        given: rows x labels.
    """
    wrong, doubts = np.empty(len(given)), np.zeros(given.shape)
    for rows, columns in _parts(log_odds, given):
        cells = (rows[:, None], columns)
        odds = np.ascontiguousarray(log_odds[cells])
        judgment = _judge_some(model, odds, np.ascontiguousarray(given[cells]), given.shape[1] - columns.shape[1])
        wrong[rows], doubts[cells] = judgment.wrong, judgment.doubts
    return Judgment(wrong, doubts)


def _parts(log_odds: Floats, given: Bools) -> Iterator[tuple[Ints, Ints]]:
    """Rows that are judged together, and which labels are looked at: rows x labels."""
    labels = given.shape[1]
    few = (given.sum(axis=1) <= _POSSIBLE // 2) & (labels > _POSSIBLE)
    for rows, looked_at in ((np.flatnonzero(few), _POSSIBLE), (np.flatnonzero(~few), labels)):
        chunk = max(1, _CELLS // (looked_at * (_LARGEST_OWN_SIZE + 1)))
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            yield part, _possible(log_odds[part], given[part], looked_at)


def _possible(log_odds: Floats, given: Bools, most: int) -> Ints:
    """The labels of each row that were given, and the likeliest others."""
    if most == given.shape[1]:
        return np.broadcast_to(np.arange(most), given.shape)
    found: Ints = np.sort(np.argsort(-np.where(given, np.inf, log_odds), axis=1, kind="stable")[:, :most], axis=1)
    return found


def likeliest_sets(model: SetModel, log_odds: Floats) -> tuple[Bools, Floats]:
    """The likeliest set of rows without one, and how likely it is wrong.

    Of each size, the labels with the highest odds are likeliest, so there is one candidate per size.
    """
    shares = _shares(model.steepness, np.ascontiguousarray(log_odds))
    order = np.argsort(-shares, axis=1, kind="stable")
    odds = np.take_along_axis(np.log(shares / (1 - shares)), order, axis=1)
    gains = np.column_stack([np.zeros(len(odds)), np.cumsum(odds, axis=1)])
    best = (gains + _log_weights(model, np.arange(gains.shape[1]))).argmax(axis=1)
    chosen = np.zeros(shares.shape, dtype=np.bool_)
    np.put_along_axis(chosen, order, np.arange(shares.shape[1]) < best[:, None], axis=1)
    return chosen, -np.expm1(_log_prior(model, shares, chosen))


def _judge_some(model: SetModel, log_odds: Floats, given: Bools, others: int) -> Judgment:
    cells = _cells(model, log_odds, given, others)
    belongs, total = _posterior(model, cells.by_both)
    doubts = np.where(given, 1 - belongs, belongs)
    right = _log_product(cells.by_both, given) + _log_weights(model, given.sum(axis=1)) - np.log(total)
    confused, missing, extra = _confusion(model, cells, given)
    doubts = (1 - confused)[:, None] * doubts + confused[:, None] * (missing + extra)
    right += np.log1p(-np.minimum(confused, 1 - _LEAST))
    return Judgment(-np.expm1(np.minimum(right, 0)), np.clip(doubts, 0, 1))


def _confusion(model: SetModel, cells: _Cells, given: Bools) -> tuple[Floats, Floats, Floats]:
    """How likely one label was taken for another, and then for every label, how likely it is the one or the other."""
    odds = cells.by_text / (1 - cells.by_text)
    missing, extra = np.where(given, 0, odds), np.where(given, 1 / odds, 0)
    all_missing, all_extra = missing.sum(axis=1, keepdims=True), extra.sum(axis=1, keepdims=True)
    both = _log_confusion(model, cells, given) - _log_likelihood(model, cells, given)
    return np.exp(np.minimum(both, 0)), missing / (all_missing + _LEAST), extra / (all_extra + _LEAST)


# --- likelihoods ------------------------------------------------------------------------------------
def _shares(steepness: float, log_odds: Floats) -> Floats:
    from scipy.special import expit

    found: Floats = np.clip(expit(steepness * log_odds), _LEAST, 1 - _LEAST)
    return found


def _cells(model: SetModel, log_odds: Floats, given: Bools, others: int) -> _Cells:
    by_text = _shares(model.steepness, log_odds)
    there = by_text * np.where(given, 1 - model.forgotten, model.forgotten)
    likelihood = there + (1 - by_text) * np.where(given, model.added, 1 - model.added)
    return _Cells(by_text, np.clip(there / likelihood, _LEAST, 1 - _LEAST), likelihood, others)


def _log_likelihood(model: SetModel, cells: _Cells, given: Bools) -> Floats:
    """How likely the given sets are, by every way in which they may have come about."""
    by_size = _size_total(model, cells.by_both)
    normal = _size_total(model, cells.by_text)
    independent = np.log(cells.likelihood).sum(axis=1) + np.log(by_size) - np.log(normal)
    independent += cells.others * np.log1p(-model.added)
    found: Floats = np.logaddexp(np.log1p(-model.confused) + independent, _log_confusion(model, cells, given))
    return found


def _log_confusion(model: SetModel, cells: _Cells, given: Bools) -> Floats:
    """How likely a given set is one in which a label was taken for another, each as likely as the next."""
    odds = cells.by_text / (1 - cells.by_text)
    size, labels = given.sum(axis=1), given.shape[1] + cells.others
    pairs = np.where(given, 0, odds).sum(axis=1) * np.where(given, 1 / odds, 0).sum(axis=1)
    share = pairs / np.maximum(size * (labels - size), 1)
    found: Floats = np.log(model.confused) + _log_prior(model, cells.by_text, given) + np.log(share + 1e-300)
    return found


def _log_prior(model: SetModel, shares: Floats, chosen: Bools) -> Floats:
    """How likely sets are by their text alone."""
    weights = _log_weights(model, chosen.sum(axis=1))
    found: Floats = _log_product(shares, chosen) + weights - np.log(_size_total(model, shares))
    return found


def _log_weights(model: SetModel, sizes: Ints) -> Floats:
    found: Floats = np.log(model.size_weights[np.minimum(sizes, len(model.size_weights) - 1)])
    return found


def _log_product(shares: Floats, chosen: Bools) -> Floats:
    found: Floats = np.log(np.where(chosen, shares, 1 - shares)).sum(axis=1)
    return found


def _size_total(model: SetModel, shares: Floats) -> Floats:
    """The mean weight of a set's size, for labels that are independent of each other."""
    sizes = _no_label_yet(len(shares), len(model.size_weights))
    for label in range(shares.shape[1]):
        sizes = _one_more(sizes, shares[:, label : label + 1])
    return model.mean_weights(sizes)


def _no_label_yet(rows: int, sizes: int) -> Floats:
    found = np.zeros((rows, sizes))
    found[:, 0] = 1
    return found


def _one_more(sizes: Floats, share: Floats) -> Floats:
    """The distribution of the size with one more label; the last size stands for all larger ones."""
    found = sizes * (1 - share)
    found[:, 1:] += sizes[:, :-1] * share
    found[:, -1:] += sizes[:, -1:] * share
    return found


def _posterior(model: SetModel, shares: Floats) -> tuple[Floats, Floats]:
    """How likely each label belongs to its row once sizes matter, and the mean weight of a size.

    Forward, the sizes of the labels so far; backward, the mean weight of what the rest adds to each of them.
    """
    rows, labels = shares.shape
    before = [_no_label_yet(rows, len(model.size_weights))]
    for label in range(labels):
        before.append(_one_more(before[-1], shares[:, label : label + 1]))
    total = model.mean_weights(before[-1])
    after = np.tile(model.size_weights, (rows, 1))
    found = np.empty_like(shares)
    for label in reversed(range(labels)):
        share = shares[:, label : label + 1]
        larger = np.hstack([after[:, 1:], after[:, -1:]])
        found[:, label] = share[:, 0] * (before[label] * larger).sum(axis=1) / total
        after = after * (1 - share) + larger * share
    return found, total


# --- fitting ----------------------------------------------------------------------------------------
def fit_set_model(log_odds: Floats, given: Bools) -> SetModel:
    """The model under which the given sets are likeliest.

    Labels that do not follow from the texts can be explained as mistakes, too. So where the texts tell little of the
    labels, mistakes must make the sets likelier than odds that are as moderate as the texts make them; otherwise
    mistakes are taken to be rare.
    """
    from scipy.optimize import minimize

    step = len(given) // _FITTED_ROWS + 1
    # Rows with very many labels are left out if there are others.
    rows, columns = next(iter(_parts(log_odds[::step], given[::step])))
    some = (rows * step)[:, None], columns
    arguments = (log_odds[some], given[some], given.shape[1] - columns.shape[1])
    options: dict[str, Any] = {"args": arguments, "method": "L-BFGS-B", "options": {"maxiter": 60}}
    found, plain = minimize(_loss, _START, **options).x, minimize(_plain_loss, np.zeros(5), **options).x
    gain = _total(_model(found), *arguments) - _total(_model((*plain, *_NEVER)), *arguments)
    told = _told_by_texts(log_odds[some], given[some], given.mean(axis=0)[columns])
    if told >= _MUCH or (told >= _SOME and gain > _EVIDENCE):
        return SetModel(**vars(_model(found)))
    # A label may be added to a row for each that it does not have.
    plain_model = SetModel(**vars(_model((*plain, *_NEVER))))
    return replace(plain_model, added=_SELDOM / given.shape[1], forgotten=_SELDOM, confused=_SELDOM)


def _told_by_texts(log_odds: Floats, given: Bools, frequencies: Floats) -> float:
    """How much the odds tell of the labels, from 0 (no more than their frequencies) to 1: McFadden's R squared."""
    known = np.clip(frequencies, _LEAST, 1 - _LEAST)
    by_text, alone = (_log_product(shares, given).sum() for shares in (_shares(1.0, log_odds), known))
    return float(1 - by_text / alone) if alone else 0.0


def _total(model: SetModel, log_odds: Floats, given: Bools, others: int) -> float:
    """How likely all given sets are, as a logarithm."""
    return float(_log_likelihood(model, _cells(model, log_odds, given, others), given).sum())


def _plain_loss(parameters: Floats, log_odds: Floats, given: Bools, others: int) -> float:
    """Of a model without mistakes, whose odds may be as moderate as they are."""
    likelihood = _total(_model((*parameters, *_NEVER)), log_odds, given, others)
    return (_SIZE_TIES * float((parameters[1:] ** 2).sum()) - likelihood) / len(given)


def _model(parameters: Sequence[float] | Any) -> _Trial:
    from scipy.special import expit

    # Relative to sets of one label, since only ratios matter.
    weights = np.exp(np.array([parameters[1], 0.0, *parameters[2:5]]))
    added, forgotten, confused = (0.5 * float(expit(value)) for value in parameters[5:8])
    return _Trial(float(np.exp(parameters[0])), weights, added, forgotten, confused)


def _loss(parameters: Floats, log_odds: Floats, given: Bools, others: int) -> float:
    model = _model(parameters)
    likelihood = _total(model, log_odds, given, others)
    # Keeps what the data say nothing about near what is expected.
    ties = 2 * (parameters[0] - _STEEPNESS) ** 2 + _SIZE_TIES * (parameters[1:5] ** 2).sum()
    # As if one more mistake of each kind had been seen: if none stands out, no kind is taken for impossible.
    ties -= np.log([model.added, model.forgotten, model.confused]).sum()
    return float(ties - likelihood) / len(given)
