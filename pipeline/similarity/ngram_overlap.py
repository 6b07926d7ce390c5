"""Finds long runs of words (n-grams) that texts share with the rows of an evaluation set."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.similarity.signatures import Identities, in_threads
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.state.arrays import mapped, save

LEAST_WORDS = 8
"""Shorter texts consist of common phrases; they are compared only as a whole."""
_FILTER_BITS = 20


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
        table[self.hashes >> np.uint64(64 - _FILTER_BITS)] = True
        return table


def runs_of(texts: Texts, width: int) -> list[Runs]:
    """All n-grams of ``width`` words; a shorter text of at least ``LEAST_WORDS`` words is a single n-gram."""
    from pipeline.similarity import kernels

    words = texts.words(np.arange(len(texts), dtype=np.int64))
    counts = np.diff(words.starts) - 2
    found = []
    for length in range(min(LEAST_WORDS, width), width + 1):
        rows = np.flatnonzero(counts == length if length < width else counts >= length)
        if len(rows):
            part = texts.words(rows)
            hashes = np.empty(len(part.hashes), dtype=np.uint64)
            owners = np.empty(len(part.hashes), dtype=np.int64)
            count = kernels.runs(part.hashes, part.starts, length, hashes, owners)
            unique, first = np.unique(hashes[:count], return_index=True)
            found.append(Runs(length, unique, rows[owners[first]]))
    return found


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
    from pipeline.similarity import kernels

    owners = np.full(len(texts), -1, dtype=np.int64)

    all_rows = np.arange(len(texts), dtype=np.int64)

    def work(block: slice) -> None:
        rows = all_rows[block]
        words = texts.words(rows)
        found = np.empty(len(rows), dtype=np.int64)
        # The longest last, so that its text is the one that is named.
        for part in runs:
            kernels.shared_runs(words.hashes, words.starts, part.width, part.hashes, part.maybe, found)
            hit = found >= 0
            owners[rows[hit]] = part.texts[found[hit]]

    in_threads(work, list(texts.blocks(all_rows)))
    return owners
