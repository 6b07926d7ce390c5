"""The four models of a label as they are kept: they judge rows that come later.

What they say of a row does not depend on which others are judged with it, not even by a rounding error: products with
sparse rows are added up row by row, and those of dense ones are exact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import Hashes, small
from pipeline.label_errors.kept_weights import AT_ONCE, KeptLinear, compact
from pipeline.label_errors.label_models import (
    COMPARED_AT_ONCE,
    FAR,
    LEADING,
    NEAR,
    SMOOTHING,
    Ints,
    Scores,
    Trained,
    compared_rows,
    usual_votes,
    votes_of,
)
from pipeline.label_errors.label_odds import occurring
from pipeline.label_errors.read_texts import Sight
from pipeline.label_errors.static_embeddings import Vectors, directions

_LENGTH = 4_000
"""Of embeddings in whole numbers: their products stay below 2 to the 24, so that sums in float32 are exact."""


@dataclass(frozen=True)
class KeptModel:
    """What was learned of some rows, without their neighbors."""

    linear: KeptLinear
    counts: npt.NDArray[Any]
    """In how many texts of a label a feature occurs, in the order of the linear model's weights."""
    total: Scores
    """A single number: the sum of all counts, smoothed."""
    absent: Scores
    """By label, what a feature says for naive Bayes that does not occur with it."""
    frequent: Scores
    """By label, the logarithm of its rows and one more; 0 if the model has not seen it."""
    centers: Scores
    offsets: Scores

    @classmethod
    def of(cls, trained: Trained, order: Ints) -> "KeptModel":
        """Keep what was trained.

        Args:
            trained: with features in any order.
            order: the features as the vocabulary has them.
        """
        counts = trained.counts[order]
        there, weight = counts > 0, SMOOTHING * len(counts)
        totals = counts.sum(axis=0, dtype=np.float64)
        return cls(
            linear=KeptLinear.of(trained.linear[np.append(order, len(order))], there),
            counts=small(counts[there]),
            total=np.array([totals.sum() + weight], dtype=np.float32),
            absent=np.log(weight / (totals + weight)).astype(np.float32),
            frequent=trained.frequent,
            centers=trained.centers,
            offsets=trained.offsets,
        )

    def scores(self, seen: Sight) -> Scores:
        """What the linear model, naive Bayes and linear discriminants say of rows, not normalized."""
        found = np.empty((3, len(seen.meanings), len(self.absent)), dtype=np.float32)
        for first in range(0, found.shape[1], AT_ONCE):
            chunk = slice(first, first + AT_ONCE)
            used, asked = compact(seen.words[chunk])
            found[0, chunk] = self.linear.scores(used, asked)
            asked = occurring(asked)
            features = np.diff(asked.indptr)[:, None].astype(np.float32)
            found[1, chunk] = asked @ self._ratios(used) + (features * self.absent + self.frequent)
        found[2] = _row_by_row(seen.meanings, self.centers) + (self.offsets + self.frequent)
        return found

    def _ratios(self, used: Ints) -> Scores:
        """Features x labels: how much more a feature says for naive Bayes where it occurs with the label."""
        weights = self.linear.weights
        lines, at = weights.pairs(used)
        counts = self.counts[at].astype(np.float64)
        usual = (np.bincount(lines, weights=counts, minlength=len(used)) + SMOOTHING) / float(self.total[0])
        smoothed = SMOOTHING * len(weights.steps) * usual[lines]
        found = np.zeros((len(used), len(self.absent)), dtype=np.float32)
        found[lines, weights.columns[at]] = np.log1p(counts / smoothed)
        return found


def _row_by_row(meanings: Vectors, weights: Scores) -> Scores:
    """A product as if rows were sparse: a dense one may be added up in another order if more rows are with it."""
    from scipy.sparse import csr_matrix

    found: Scores = csr_matrix(meanings) @ np.asarray(weights)
    return found


@dataclass(frozen=True)
class KeptNeighbors:
    """The rows that vote."""

    vectors: npt.NDArray[np.int16]
    """Numbers x rows, by label."""
    groups: Hashes
    """Of these rows; 0 for a row that may judge any other."""
    labels: npt.NDArray[np.int32]
    """Those that have a vote."""
    starts: npt.NDArray[np.int32]
    """Where the rows of each begin."""
    usual: Scores

    @classmethod
    def of(cls, meanings: Vectors, labels: Ints, groups: Hashes, many: int, seed: int) -> "KeptNeighbors":
        """Keep those that are compared.

        Args:
            meanings: of all rows.
            labels: of all rows; negative for an unlabeled one.
            groups: of all rows.
            many: how many labels there are.
            seed: of the sample.
        """
        compared = compared_rows(labels, seed)
        there, starts = np.unique(labels[compared], return_index=True)
        return cls(
            np.ascontiguousarray(_whole(meanings[compared]).T),
            groups[compared],
            there.astype(np.int32),
            starts.astype(np.int32),
            usual_votes(labels, many),
        )

    def scores(self, meanings: Vectors, groups: Hashes) -> Scores:
        """The votes on rows: the logarithms."""
        others, wanted = self.vectors.astype(np.float32), _whole(meanings).astype(np.float32)
        votes = np.tile(self.usual, (len(wanted), 1))
        for first in range(0, len(wanted), COMPARED_AT_ONCE):
            chunk = slice(first, first + COMPARED_AT_ONCE)
            alike = wanted[chunk] @ others
            alike *= np.float32(1 / (_LENGTH * _LENGTH * NEAR))
            alike[groups[chunk, None] == self.groups] = FAR
            votes[chunk, self.labels] += votes_of(alike, self.starts.astype(np.int64))
        with np.errstate(divide="ignore"):
            return np.log(votes)


def _whole(meanings: Vectors) -> npt.NDArray[np.int16]:
    """The leading numbers of embeddings, as whole ones."""
    found: npt.NDArray[np.int16] = np.rint(directions(meanings[:, :LEADING]) * np.float32(_LENGTH)).astype(np.int16)
    return found
