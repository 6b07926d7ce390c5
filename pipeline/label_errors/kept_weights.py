"""Weights of features in a few bytes: one by one only where a feature was seen with what they are weights for.

Elsewhere a weight is the product of a number of the feature and one of what it is for. As many planted mistakes are
found as with all weights as they were trained (docs/decisions.md), which take many times as much.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import small

Floats32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_STEPS = 127
"""Weights of a feature are whole numbers up to this one, times what a step of the feature is worth."""
AT_ONCE = 1_024
"""So many rows have their features looked up together."""
_LINES = 16_384
"""So many features are rounded at once."""
_ROUNDS = 3
_TINY = np.float32(1e-12)


@dataclass(frozen=True)
class KeptWeights:
    """Weights by feature, and by what they are for: the columns."""

    starts: npt.NDArray[np.int32]
    """Where the columns that each feature was seen with begin, and where the last one's end."""
    columns: npt.NDArray[Any]
    values: npt.NDArray[np.int8]
    """Their weights, in steps."""
    steps: Floats32
    """By feature, what a step is worth."""
    by_feature: Floats32
    """What a feature says for columns that it was not seen with, times ``by_column``."""
    by_column: Floats32

    @classmethod
    def of(cls, weights: Floats32, there: Bools) -> "KeptWeights":
        """Features x columns, and where a feature was seen with a column."""
        columns = small(np.nonzero(there)[1])
        starts = np.concatenate([[0], np.cumsum(np.count_nonzero(there, axis=1))]).astype(np.int32)
        values, steps = np.empty(len(columns), dtype=np.int8), np.empty(len(weights), dtype=np.float32)
        for part in _parts(weights):
            some = np.where(there[part], weights[part], 0)
            steps[part] = np.abs(some).max(axis=1, initial=0) / np.float32(_STEPS)
            whole = np.rint(some / np.where(steps[part] > 0, steps[part], 1)[:, None])
            values[starts[part.start] : starts[part.stop]] = whole[there[part]]
        return cls(starts, columns, values, steps, *_elsewhere(weights, there))

    def pairs(self, used: Ints) -> tuple[Ints, Ints]:
        """What some features were seen with: which of these features, and where the column and its weight are."""
        first = self.starts[used].astype(np.int64)
        sizes = self.starts[used + 1] - first
        lines = np.repeat(np.arange(len(used)), sizes)
        at: Ints = np.arange(len(lines)) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
        return lines, at

    def of_features(self, used: Ints) -> Floats32:
        """The weights of some features: features x columns."""
        lines, at = self.pairs(used)
        found: Floats32 = self.by_feature[used][:, None] * self.by_column
        found[lines, self.columns[at]] = self.values[at].astype(np.float32) * self.steps[used][lines]
        return found


def _parts(weights: Floats32) -> Iterator[slice]:
    for first in range(0, len(weights), _LINES):
        yield slice(first, min(first + _LINES, len(weights)))


def _elsewhere(weights: Floats32, there: Bools) -> tuple[Floats32, Floats32]:
    """The numbers by feature and by column whose products are nearest to the weights that are not kept."""
    by_feature: Floats32 = np.zeros(len(weights), dtype=np.float32)
    by_column: Floats32 = np.ones(weights.shape[1], dtype=np.float32)
    for _ in range(_ROUNDS):
        total, squares = np.zeros_like(by_column), np.full_like(by_column, _TINY)
        for part in _parts(weights):
            some, apart = np.where(there[part], 0, weights[part]), (~there[part]).astype(np.float32)
            by_feature[part] = some @ by_column / (apart @ by_column**2 + _TINY)
            total += by_feature[part] @ some
            squares += by_feature[part] ** 2 @ apart
        by_column = total / squares
    return by_feature, by_column


@dataclass(frozen=True)
class KeptLinear:
    """A linear model of each label."""

    weights: KeptWeights
    bias: Floats32
    """By label."""

    @classmethod
    def of(cls, weights: Floats32, there: Bools) -> "KeptLinear":
        """From features + 1 x labels, and where a feature occurs with a label."""
        return cls(KeptWeights.of(weights[:-1], there), weights[-1].copy())

    def scores(self, used: Ints, asked: Any) -> Floats32:
        """The scores of texts for each label, given the features that they have (``compact``)."""
        found: Floats32 = asked @ self.weights.of_features(used) + self.bias
        return found


def compact(words: Any) -> tuple[Ints, Any]:
    """The features that some texts have, and the texts with these alone (sparse)."""
    from scipy.sparse import csr_matrix

    used, columns = used_places(words.indices, words.shape[1])
    return used, csr_matrix((words.data, columns, words.indptr), shape=(words.shape[0], len(used)))


def used_places(places: npt.NDArray[Any], features: int) -> tuple[Ints, npt.NDArray[np.int32]]:
    """Which features there are at all, and which of these each place is; -1 stays -1."""
    there = np.zeros(features + 1, dtype=np.bool_)
    there[places] = True
    used = np.flatnonzero(there[:-1])
    numbers = np.full(features + 1, -1, dtype=np.int32)
    numbers[used] = np.arange(len(used))
    return used, numbers[places]
