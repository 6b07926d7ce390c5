"""Dense clusters: texts with so many pairs that numbering their n-grams pays off."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.similarity.signatures import in_threads
from pipeline.similarity.text_columns import Rows, Texts

_MIN_PAIRS = 3
"""A text with at least this many pairs with earlier texts is in a dense cluster."""
_WORTHWHILE = 10_000
"""Fewer pairs are verified one by one in less time than it takes to compile the numbering."""
_BYTES_AT_ONCE = 128 * 2**20
"""Bytes of text whose n-grams are numbered together. The numbers take about as much memory again."""
_LARGEST_TABLE = 2**24
"""Slots of 16 bytes, half of them empty; a growing table coexists with one of half its size. Texts of a dense
cluster share most of their n-grams; if they do not, they are numbered in parts."""
_MOST_THREADS = 8
"""Each has one byte per number."""
_FIRST_TABLE = 2**16


def in_dense_clusters(right: Rows) -> npt.NDArray[np.bool_]:
    """Which pairs, by their later texts, are worth the numbering."""
    none = np.zeros(len(right), dtype=np.bool_)
    if len(right) < _WORTHWHILE:
        return none
    found: npt.NDArray[np.bool_] = (np.bincount(right) >= _MIN_PAIRS)[right]
    return found if np.count_nonzero(found) >= _WORTHWHILE else none


def fitting(sizes: Rows, left: Rows, right: Rows, order: Rows) -> Iterator[Rows]:
    """Split some pairs into large pieces that fit in memory, so that no text is read too often.

    Args:
        sizes: bytes of all texts.
        left: one text of each pair.
        right: the other.
        order: indices of the requested pairs; those with the same right text should be adjacent, or some of them may
            no longer be in a dense cluster of their piece.
    """
    waiting = [order]
    while waiting:
        part = waiting.pop()
        if len(part) > 1 and sizes[_members(len(sizes), left[part], right[part])].sum() > _BYTES_AT_ONCE:
            waiting += np.array_split(part, 2)
        elif len(part):
            yield part


def _members(count: int, left: Rows, right: Rows) -> Rows:
    """The texts, of ``count``, that occur in some pairs, in ascending order."""
    among = np.zeros(count, dtype=np.bool_)
    among[left] = True
    among[right] = True
    return np.flatnonzero(among)


def dense_cluster_similarities(texts: Texts, left: Rows, right: Rows) -> npt.NDArray[np.float64]:
    """The exact Jaccard similarities of pairs of texts: 2 x pairs, for whole texts and for answers.

    Args:
        texts: all of them.
        left: one row of each pair.
        right: the other; equal ones are adjacent.
    """
    from pipeline.similarity.dense_cluster_kernels import common_grams

    rows = _members(len(texts), left, right)
    numbered = _number(texts, rows, _LARGEST_TABLE if len(left) > 1 else None)
    if numbered is None:
        halves = np.array_split(np.arange(len(left)), 2)
        return np.concatenate([dense_cluster_similarities(texts, left[half], right[half]) for half in halves], axis=1)
    place = np.empty(len(texts), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    one, other = place[left], place[right]
    found = np.empty((2, len(left)))

    def work(part: Rows) -> None:
        whole, answers = found[0, part[0] : part[-1] + 1], found[1, part[0] : part[-1] + 1]
        common_grams(
            *(numbered.entries, numbered.ends, numbered.sizes, numbered.distinct),
            *(one[part], other[part]),
            *(whole, answers),
        )

    threads = min(os.cpu_count() or 1, _MOST_THREADS, len(left))
    in_threads(work, np.array_split(np.arange(len(left)), threads) if threads else [])
    return found


@dataclass(frozen=True)
class _Numbered:
    """Texts as numbers of their n-grams."""

    entries: npt.NDArray[np.uint32]
    """As ``number_grams`` writes them, text by text."""
    ends: Rows
    """Where each text's entries end; the first one is 0."""
    sizes: npt.NDArray[np.int64]
    """Texts x 2: the number of n-grams in the text, and in its answer."""
    distinct: int


def _number(texts: Texts, rows: Rows, largest: int | None) -> _Numbered | None:
    """Number the n-grams of some texts; None if their table would exceed its limit."""
    from pipeline.similarity.dense_cluster_kernels import number_grams

    table, distinct, before = np.zeros((_FIRST_TABLE, 2), dtype=np.uint64), 0, 0
    parts: list[npt.NDArray[np.uint32]] = [np.empty(0, dtype=np.uint32)]
    ends = [np.zeros(1, dtype=np.int64)]
    sizes = np.empty((len(rows), 2), dtype=np.int64)
    for block in texts.blocks(rows):
        words = texts.words(rows[block])
        entries = np.empty(len(words.hashes), dtype=np.uint32)
        stops = np.empty(len(words.asked), dtype=np.int64)
        table, distinct = number_grams(
            *(words.hashes, words.starts, words.asked, table, distinct, before), *(entries, stops, sizes[block])
        )
        if largest is not None and len(table) > largest:
            return None
        parts.append(entries[: stops[-1]].copy())
        ends.append(before + stops)
        before += stops[-1]
    # Before the parts are copied.
    del table
    return _Numbered(np.concatenate(parts), np.concatenate(ends), sizes, distinct)
