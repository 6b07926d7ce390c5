"""Signatures: what is kept of a text, so that similar ones can be found without reading it again.

Sixty-four permutations of the word n-grams give as many MinHash values. Bands of some of them make the keys
that similar texts share; one byte of each makes the sketch that tells most dissimilar texts
apart. Every MinHash value serves in more than one band: at a threshold of 0.7, 32 bands find 999
of 1,000 pairs that just reach it, while 16 disjoint bands find 988.
"""

import os
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.similarity.text_columns import Rows, Texts
from pipeline.state.tables import BANDS
from pipeline.text.words import SHINGLE_WORDS

Identities = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint32]
Sketches = npt.NDArray[np.uint8]
T = TypeVar("T")
R = TypeVar("R")
PERMUTATIONS = 64
FULL_BUCKET = 64
"""In buckets of up to this many texts, all are compared with each other."""
LEADERS = 2
"""In larger ones, each is compared with the first and with the last few before it, so that the cost stays linear."""
MOST_NEIGHBORS = 64
"""Earlier texts that one is compared with at most, over all bands: those with the most similar sketches."""
NEAR_MISS = 0.1
"""Pairs that miss the threshold by no more than this are kept for the report; not all of them are found."""
INPUTS, WHOLE, SPELLING = "inputs", "whole", "spelling"
"""The views in which records are compared: all inputs of each; these with its answer, if that is free text; and the
letters of short inputs (``spelling.py``).
"""
ALIKE = 1.0
"""The similarity of two texts spelled alike; no others are pairs."""
_LETTERS = 0.6
"""Minimum Jaccard similarity of the letters' 3-grams of two texts that are compared word by word."""
_DEVIATIONS = 3.5
"""Standard deviations by which a sketch may miss the threshold before the pair is dropped: this loses at most 4 in
10,000 pairs exactly at the threshold."""
_MISSED = 0.001
_SEED = 0x5DEECE66D
_VERSION = 3
"""Increase with any change to what words are, how they are hashed, or which pairs are looked at; or if pairs were
lost, as by the first version on a full disk, and by the second one those of texts that had been away."""
NO_IDENTITIES: Identities = np.empty((0, 2), dtype=np.uint64)


@dataclass(frozen=True)
class Scheme:
    """How texts are signed for a threshold (Jaccard similarity, above 0, up to 1)."""

    threshold: float
    view: str = "texts"
    """What the texts are; texts of different views are never compared."""

    @cached_property
    def width(self) -> int:
        """MinHash values per band: as many as still find the pairs at the threshold. 4 from 0.672 up, 3 from 0.588, 2
        from 0.451."""
        # Bands that share hashes find slightly fewer pairs than independent ones.
        found = (width for width in (4, 3, 2) if (1 - self.threshold**width) ** BANDS <= _MISSED * 0.7)
        return next(found, 1)

    @classmethod
    def of(cls, view: str, threshold: float) -> "Scheme":
        """That of a view, for a minimum similarity of near-duplicates; texts spelled alike have one of their own."""
        return cls(_LETTERS if view == SPELLING else threshold, view)

    @property
    def similar(self) -> float:
        """Minimum similarity of texts that count as similar."""
        return ALIKE if self.view == SPELLING else self.threshold

    @property
    def least(self) -> float:
        """Pairs of a smaller similarity are not kept."""
        return ALIKE if self.view == SPELLING else self.threshold - NEAR_MISS

    @property
    def name(self) -> str:
        """Names everything that signatures and verified pairs depend on; another name means starting from scratch."""
        return (
            f"{self.view}-v{_VERSION}-words{SHINGLE_WORDS}-minhash{PERMUTATIONS}-{BANDS}x{self.width}-at{self.threshold:g}"
            f"-unicode{unicodedata.unidata_version}"
        )

    def is_of_run(self, name: str) -> bool:
        """Whether a run compared texts by it, given the name of that by which it compared whole texts: another minimum
        similarity of these makes no difference to how they are spelled.
        """
        if self.view != SPELLING:
            return name == Scheme(self.threshold).name
        rules = [(*parts[1:4], *parts[6:]) for parts in (name.split("-"), self.name.split("-"))]
        return rules[0] == rules[1]

    @property
    def need(self) -> int:
        """Two texts whose sketches have fewer equal bytes are not a pair."""
        spread = np.sqrt(self.threshold * (1 - self.threshold) / PERMUTATIONS)
        return int((self.threshold - _DEVIATIONS * spread) * PERMUTATIONS)

    @cached_property
    def bands(self) -> npt.NDArray[np.int64]:
        """The permutations of each band, BANDS x width: the columns of a table, then its diagonals."""
        columns = PERMUTATIONS // self.width
        table = np.arange(columns * self.width).reshape(self.width, columns)
        rows = np.arange(self.width)
        found = [table[rows, (band % columns + band // columns * rows) % columns] for band in range(BANDS)]
        return np.array(found, dtype=np.int64)

    @cached_property
    def permutations(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """An odd multiplier and a mask for each."""
        numbers = np.arange(1, 2 * PERMUTATIONS + 1, dtype=np.uint64) + np.uint64(_SEED)
        mixed = (_mixed(numbers) >> np.uint64(32)).astype(np.uint32)
        return mixed[:PERMUTATIONS] | np.uint32(1), mixed[PERMUTATIONS:]


def _mixed(values: Identities) -> Identities:
    """SplitMix64's finalizer: every input bit affects every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True)
class Signatures:
    """Signatures of a number of texts."""

    identities: Identities
    """Texts x 2. Equal identities mean equal words in equal order; zeros if there are no words."""
    sizes: Rows
    """Number of word n-grams, repeated ones counted; 0 without words."""
    keys: Keys
    """BANDS x texts."""
    sketches: Sketches
    """Texts x PERMUTATIONS."""

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, rows: Rows) -> "Signatures":
        """The signatures of some of the texts."""
        return Signatures(self.identities[rows], self.sizes[rows], self.keys[:, rows], self.sketches[rows])


def sign(texts: Texts, scheme: Scheme, rows: Rows | None = None) -> Signatures:
    """Sign texts, or those in some rows."""
    from pipeline.similarity import kernels

    rows = np.arange(len(texts), dtype=np.int64) if rows is None else rows
    signed = Signatures(
        identities=np.empty((len(rows), 2), dtype=np.uint64),
        sizes=np.empty(len(rows), dtype=np.int64),
        keys=np.empty((BANDS, len(rows)), dtype=np.uint32),
        sketches=np.empty((len(rows), PERMUTATIONS), dtype=np.uint8),
    )
    multipliers, masks = scheme.permutations

    def work(part: slice) -> None:
        words = texts.words(rows[part])
        kernels.sign_words(
            *(words.hashes, words.starts, words.asked, part.start, multipliers, masks, scheme.bands),
            *(signed.identities, signed.sizes, signed.keys, signed.sketches),
        )

    in_threads(work, list(texts.blocks(rows)))
    return signed


def in_threads(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call a kernel, which releases the GIL, for each item on all cores; the results in the items' order."""
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def of_entries(identities: Identities, entries: Rows) -> Identities:
    """The identities of some entries, in their order; zeros for -1, a text without words. There may be no other."""
    if not len(identities):
        return np.zeros((len(entries), 2), dtype=np.uint64)
    return np.where(entries[:, None] >= 0, identities[entries], np.uint64(0))
