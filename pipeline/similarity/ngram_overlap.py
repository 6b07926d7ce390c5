"""Finds long runs of words (n-grams) that texts share with the rows of an evaluation set."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.similarity.signatures import Identities, in_threads
from pipeline.similarity.text_columns import Rows, Texts, Words
from pipeline.sorted_places import places_of
from pipeline.state.arrays import mapped, save

LEAST_WORDS = 8
"""Shorter texts consist of common phrases; they are compared only as a whole."""
_FILTER_BITS = 20
_SHIFT = np.uint64(64 - _FILTER_BITS)


@dataclass(frozen=True)
class Runs:
    """The n-grams of one width in some texts."""

    width: int
    hashes: Identities
    """Sorted and distinct."""
    texts: Rows
    """The first text with each n-gram."""

    @cached_property
    def maybe(self) -> npt.NDArray[np.bool_]:
        """A table over the high bits of hashes; false where there is no n-gram."""
        table = np.zeros(2**_FILTER_BITS, dtype=np.bool_)
        table[self.hashes >> _SHIFT] = True
        return table


def runs_of(texts: Texts, width: int) -> list[Runs]:
    """All n-grams of ``width`` words; a shorter text of at least ``LEAST_WORDS`` words is a single n-gram."""
    words = texts.words(np.arange(len(texts), dtype=np.int64))
    counts = np.diff(words.starts) - 2
    found = []
    for length in range(min(LEAST_WORDS, width), width + 1):
        rows = np.flatnonzero(counts == length if length < width else counts >= length)
        if len(rows):
            hashes, owners = _runs(texts.words(rows), length)
            unique, first = np.unique(hashes, return_index=True)
            found.append(Runs(length, unique, rows[owners[first]]))
    return found


def _runs(words: Words, width: int) -> tuple[npt.NDArray[np.uint64], Rows]:
    """The hash of every n-gram of some texts, and the number of its text."""
    from pipeline.similarity import kernels

    hashes, owners = np.empty(len(words.hashes), dtype=np.uint64), np.empty(len(words.hashes), dtype=np.int64)
    count = kernels.runs(words.hashes, words.starts, width, hashes, owners)
    return hashes[:count], owners[:count]


def save_runs(folder: Path, runs: Sequence[Runs]) -> list[tuple[int, Path]]:
    """Write n-grams for several readers; returns the width and the file of each."""
    for part in runs:
        save(folder / f"runs-{part.width}", np.concatenate([part.hashes, part.texts.astype(np.uint64)]))
    return [(part.width, folder / f"runs-{part.width}") for part in runs]


def load_runs(files: Sequence[tuple[int, Path]]) -> list[Runs]:
    """Map the output of ``save_runs``."""
    found = []
    for width, path in files:
        hashes, texts = mapped(path, np.uint64, 2, -1)
        found.append(Runs(width, hashes, texts.astype(np.int64)))
    return found


def shared(texts: Texts, runs: Sequence[Runs]) -> Rows:
    """For each text, one that shares an n-gram with it; -1 if there is none."""
    owners = np.full(len(texts), -1, dtype=np.int64)
    all_rows = np.arange(len(texts), dtype=np.int64)

    def work(block: slice) -> None:
        rows = all_rows[block]
        words = texts.words(rows)
        # The longest last, so that its text is the one that is named.
        for part in runs:
            hashes, numbers = _runs(words, part.width)
            # Most need no search.
            maybe = np.flatnonzero(part.maybe[hashes >> _SHIFT])
            at = places_of(hashes[maybe], part.hashes)
            hit, first = np.unique(numbers[maybe[at >= 0]], return_index=True)
            owners[rows[hit]] = part.texts[at[at >= 0][first]]

    in_threads(work, list(texts.blocks(all_rows)))
    return owners
