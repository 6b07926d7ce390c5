"""Hashed word 3-grams and exact Jaccard similarities, using only numpy and polars.

What a competent user would write around daft or rensa to verify pairs. Faster than polars' regular expressions
(1.2 against 1.7 CPU seconds for 100,000 rows) and than Python's sets (0.2 against 2.5 for their pairs).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
_BLANK = 32
_BLOCK_BYTES = 2**19
_PAIRS_AT_ONCE = 1_000
_BASE = 0x9E3779B97F4A7C15
_MIX, _OTHER = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_FOLD = np.array([ord(chr(byte).lower()) if chr(byte).isalnum() else _BLANK for byte in range(128)], dtype=np.uint8)
_FOLD = np.concatenate([_FOLD, np.arange(128, 256, dtype=np.uint8)])
"""Lower case, and blanks for anything but letters and digits."""


@dataclass(frozen=True)
class Grams:
    """The hashed 3-grams of rows, one row after another. A row of fewer words has none."""

    hashes: Hashes
    starts: Numbers
    """Where each row begins; one more entry than rows."""
    responses: Numbers
    """Where the 3-grams of each row's response begin."""

    @classmethod
    def of(cls, prompts: pl.Series, responses: pl.Series) -> "Grams":
        """The 3-grams of prompts and responses."""
        # The last line break separates the words of neighboring rows.
        whole = pl.select(pl.concat_str(prompts, pl.lit("\n"), responses, pl.lit("\n"))).to_series()
        _, offsets, data = whole.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
        text, ends = np.frombuffer(data, dtype=np.uint8), np.frombuffer(offsets, dtype=np.int64)[: len(whole) + 1]
        answers = ends[:-1] + prompts.str.len_bytes().to_numpy().astype(np.int64) + 1
        # Small blocks, which stay in the processor's cache.
        cuts = np.unique(np.searchsorted(ends, np.arange(0, ends[-1], _BLOCK_BYTES)))
        cuts = np.append(cuts[cuts < len(whole)], len(whole))
        found, counts, asked = [], [], []
        for first, last in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            start = ends[first]
            words, begins = _words(text[start : ends[last]])
            edges = np.searchsorted(begins, ends[first : last + 1] - start)
            found.append(_three(words, edges))
            counts.append(np.maximum(np.diff(edges) - 2, 0))
            asked.append(np.minimum(np.searchsorted(begins, answers[first:last] - start) - edges[:-1], counts[-1]))
        starts = np.cumsum(np.concatenate([[0], *counts]))
        return cls(np.concatenate(found), starts, starts[:-1] + np.concatenate(asked))

    def __len__(self) -> int:
        return len(self.responses)

    def block(self, first: int, last: int) -> tuple[Hashes, Hashes]:
        """The 3-grams of some rows, and where each row begins among them."""
        starts = self.starts[first : last + 1]
        return self.hashes[starts[0] : starts[-1]], (starts - starts[0]).astype(np.uint64)


def _words(text: npt.NDArray[np.uint8]) -> tuple[Hashes, Numbers]:
    """The hash of every word, and where it begins: differences of a running sum of polynomial hashes."""
    folded = _FOLD[text]
    inside = np.zeros(len(text) + 2, dtype=bool)
    np.not_equal(folded, _BLANK, out=inside[1:-1])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    begins, ends = edges[::2], edges[1::2]
    powers, inverses = _powers(max(len(text), 2 * _BLOCK_BYTES))
    sums = np.zeros(len(text) + 1, dtype=np.uint64)
    np.cumsum(folded.astype(np.uint64) * powers[: len(text)], out=sums[1:])
    words = (sums[ends] - sums[begins]) * inverses[begins]
    return (words ^ (words >> np.uint64(32))) * _MIX, begins


@cache
def _powers(size: int) -> tuple[Hashes, Hashes]:
    """The powers of an odd number and of its inverse, modulo 2**64."""
    base, inverse = np.uint64(_BASE), np.uint64(pow(_BASE, -1, 2**64))
    return np.cumprod(np.full(size, base, np.uint64)), np.cumprod(np.full(size, inverse, np.uint64))


def _three(words: Hashes, edges: Numbers) -> Hashes:
    """The hashes of word 3-grams, except those that span two texts."""
    whole = np.ones(len(words), dtype=bool)
    for back in (1, 2):
        last = edges[1:] - back
        whole[last[last >= edges[:-1]]] = False
    found = (words[:-2] * _MIX + words[1:-1]) * _OTHER + words[2:]
    return (found ^ (found >> np.uint64(31)))[whole[:-2]]


def are_similar(grams: Grams, left: Numbers, right: Numbers, whole: float, response: float) -> npt.NDArray[np.bool_]:
    """Which pairs of rows reach the required similarities, as a whole and in their responses."""
    sets = pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(grams.starts, pa.array(grams.hashes))))
    skipped = pl.Series(grams.responses - grams.starts[:-1])
    found = []
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        one, other = left[start : start + _PAIRS_AT_ONCE], right[start : start + _PAIRS_AT_ONCE]
        pairs = pl.DataFrame({"one": sets.gather(one), "other": sets.gather(other)})
        answers = pl.DataFrame({"one": skipped.gather(one), "other": skipped.gather(other)})
        near = _similarities(pairs) >= whole
        cut = [pl.col(side).list.slice(pl.lit(answers.filter(near)[side])) for side in pairs.columns]
        near[near] = _similarities(pairs.filter(near).select(cut)) >= response
        found.append(near)
    return np.concatenate(found) if found else np.empty(0, dtype=bool)


def _similarities(pairs: pl.DataFrame) -> npt.NDArray[np.float64]:
    common = pl.col("one").list.set_intersection("other").list.len()
    either = pl.col("one").list.set_union("other").list.len()
    # Not in polars, where NaN is greater than anything.
    return pairs.select(common / either).to_series().to_numpy()
