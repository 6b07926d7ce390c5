"""Pairs of similar texts: signatures propose them, the exact Jaccard similarity decides."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.similarity.signatures import (
    FULL_BUCKET,
    LEADERS,
    MOST_NEIGHBORS,
    NEAR_MISS,
    Scheme,
    Signatures,
    in_threads,
    sign,
)
from pipeline.similarity.text_columns import Rows, Texts

Shares = npt.NDArray[np.float64]
_BUFFER = 2**20
_PAIRS_AT_ONCE = 2_000
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts, ``left < right``, with their exact Jaccard similarities (0 to 1)."""

    left: Rows
    right: Rows
    similarity: Shares
    """For whole texts."""
    answers: Shares
    """For answers; 1 if neither has one."""

    def __len__(self) -> int:
        return len(self.left)

    def where(self, chosen: npt.NDArray[np.bool_] | Rows) -> "Pairs":
        """A selection of the pairs."""
        return Pairs(self.left[chosen], self.right[chosen], self.similarity[chosen], self.answers[chosen])

    def between(self, one: Rows, other: Rows) -> "Pairs":
        """The same pairs of renumbered texts, each once; a pair with an unknown side, -1, is left out.

        Either side may be the first now, and a killed run may have written a pair twice.
        """
        present = np.flatnonzero((one >= 0) & (other >= 0))
        lower, upper = np.minimum(one, other)[present], np.maximum(one, other)[present]
        _, once = np.unique((lower << 32) | upper, return_index=True)
        kept = present[once]
        return Pairs(lower[once], upper[once], self.similarity[kept], self.answers[kept])

    @classmethod
    def concat(cls, parts: Iterable["Pairs"]) -> "Pairs":
        """All pairs of several lists."""
        found = [cls.none(), *parts]
        return cls(
            left=np.concatenate([part.left for part in found]),
            right=np.concatenate([part.right for part in found]),
            similarity=np.concatenate([part.similarity for part in found]),
            answers=np.concatenate([part.answers for part in found]),
        )

    @classmethod
    def none(cls) -> "Pairs":
        """No pairs."""
        empty = np.empty(0, dtype=np.int64)
        return cls(empty, empty, np.empty(0), np.empty(0))


def similar_pairs(texts: Texts, threshold: float) -> Pairs:
    """Pairs of texts that are similar, or miss the ``threshold`` by no more than ``NEAR_MISS``.

    All listed similarities are exact. Of the pairs exactly at a threshold of 0.7, 999 in 1,000 are found, at other
    thresholds from 0.2 up at least 997; of more similar pairs more, of those below it some. Texts of equal words are
    paired only with the first of them, and in a dense cluster of more than ``FULL_BUCKET`` similar texts each is paired
    with a few others, not with all, and with at most ``MOST_NEIGHBORS`` earlier ones.
    """
    scheme = Scheme(threshold)
    signed = sign(texts, scheme)
    first, equal = distinct(signed.identities, signed.sizes)
    proposed = propose(signed, scheme, first)
    found = verify(texts, *proposed)
    return Pairs.concat([equal, found.where(found.similarity >= threshold - NEAR_MISS)])


def distinct(identities: npt.NDArray[np.uint64], sizes: Rows) -> tuple[Rows, Pairs]:
    """The first row of each text that has words, in ascending order, and the others paired with it."""
    order, new = grouped(identities)
    starts = np.flatnonzero(new)
    firsts = np.minimum.reduceat(order, starts) if len(starts) else order
    first = firsts[np.cumsum(new) - 1]
    worded = sizes[order] != 0
    copies = worded & (order != first)
    left, right = first[copies], order[copies]
    ones = np.ones(len(left))
    return np.sort(order[worded & (order == first)]), Pairs(left, right, ones, ones)


def grouped(identities: npt.NDArray[np.uint64]) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """An order of the rows in which equal texts are adjacent, and where each text begins in it."""
    # Both halves of an identity decide, but the second one hardly ever makes a difference.
    order = np.argsort(identities[:, 0])
    ordered = identities[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = ordered[1:, 0] != ordered[:-1, 0]
    if (ordered[1:, 1] != ordered[:-1, 1])[~new[1:]].any():
        order = np.lexsort((identities[:, 1], identities[:, 0]))
        ordered = identities[order]
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, new


def propose(signed: Signatures, scheme: Scheme, rows: Rows, first_new: int = 0) -> tuple[Rows, Rows]:
    """Pairs of some rows that share a band and whose sketches agree; rows before ``first_new`` only meet new ones."""

    def of_band(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
        return band_pairs(keys[rows], rows, signed.sketches, scheme.need, first_new)

    return parted(most_similar(in_threads(of_band, list(signed.keys)), signed.sketches))


def parted(codes: npt.NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """The two rows of pairs given as ``later << 32 | earlier``, the earlier ones first."""
    return (codes & _LOW).astype(np.int64), (codes >> _HALF).astype(np.int64)


def most_similar(parts: list[npt.NDArray[np.uint64]], sketches: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The distinct pairs of several bands, in order.

    For a row with more than ``MOST_NEIGHBORS`` earlier ones, only the most promising.
    """
    from pipeline.similarity import kernels

    codes = np.concatenate(parts)
    codes.sort()
    once = np.ones(len(codes), dtype=np.bool_)
    np.not_equal(codes[1:], codes[:-1], out=once[1:])
    codes = codes[once]
    left, right = parted(codes)
    dense = np.flatnonzero((np.bincount(right) > MOST_NEIGHBORS)[right])
    if not len(dense):
        return codes
    left, right = left[dense], right[dense]
    equal = np.empty(len(left), dtype=np.int64)
    kernels.agreements(sketches, left, right, equal)
    order = np.lexsort((left, -equal, right))
    starts = np.flatnonzero(np.diff(right[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return np.delete(codes, dense[order[rank >= MOST_NEIGHBORS]])


def band_pairs(
    keys: npt.NDArray[np.uint32], rows: Rows, sketches: npt.NDArray[np.uint8], need: int, first_new: int
) -> npt.NDArray[np.uint64]:
    """The pairs of one band, as ``later << 32 | earlier``, from some rows, in any order, and their keys."""
    from pipeline.similarity import kernels

    packed = (keys.astype(np.uint64) << _HALF) | rows.astype(np.uint64)
    packed.sort()
    buffer = np.empty(_BUFFER, dtype=np.uint64)
    found: list[npt.NDArray[np.uint64]] = []
    start = member = 0
    while start < len(packed):
        start, member, count = kernels.bucket_pairs(
            packed, sketches, need, first_new, FULL_BUCKET, LEADERS, start, member, buffer
        )
        found.append(buffer[:count].copy())
    return np.concatenate(found) if found else np.empty(0, dtype=np.uint64)


def verify(texts: Texts, left: Rows, right: Rows) -> Pairs:
    """The exact similarities of pairs of rows."""
    from pipeline.similarity import kernels

    whole, answers = np.empty(len(left)), np.empty(len(left))
    # Those with the same right text are adjacent.
    order = np.argsort(right, kind="stable")

    def work(part: Rows) -> None:
        rows, places = np.unique(np.concatenate([left[part], right[part]]), return_inverse=True)
        words = texts.words(rows)
        one, other = np.split(places, 2)
        found = np.empty((2, len(part)))
        kernels.pair_similarities(words.hashes, words.starts, words.asked, one, other, found[0], found[1])
        whole[part], answers[part] = found

    in_threads(work, np.array_split(order, -(-len(order) // _PAIRS_AT_ONCE) or 1))
    return Pairs(left, right, whole, answers)
