"""Finds all pairs of similar texts: MinHash proposes, the exact Jaccard similarity decides.

Two texts are compared by their sets of word 3-grams, in lower case, letters and digits only. Every
hash here is spelled out in 64-bit arithmetic, so that it is the same in every process and version.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

SHINGLE_WORDS = 3
PERMUTATIONS = 64
LEADERS = 4
"""Each text of a bucket is compared with its first texts only, so that the cost stays linear."""

_MARKS = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Japanese and Chinese
)
"""Ranges of the scripts that are written without spaces."""
_SEPARATORS = re.compile(r"[\W_]+")
_SEPARATORS_BUT_MARKS = re.compile(rf"(?:_|[^\w{_MARKS}])+")
"""Marks are parts of words: the vowels of Thai and Hindi are no letters to ``\\w``."""
_SPECIAL = re.compile(f"[{_MARKS}{_UNSPACED}]")
_CHARACTER = re.compile(f"[{_UNSPACED}][{_MARKS}]*")
_TEXTS_AT_ONCE = 2_000
_PAIRS_AT_ONCE = 50_000
_CERTAINTY = 5
"""Standard errors by which a MinHash estimate may miss the threshold before it settles the matter."""

_WORD_BASE = 0x9E3779B97F4A7C15
"""Odd, so that its powers can be divided by again modulo 2**64."""
_SEED = 0x5DEECE66D


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs of row numbers, ``left < right``, with their exact Jaccard similarity (0 to 1)."""

    left: Indices
    right: Indices
    similarity: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True)
class _Shingled:
    """The texts as rows of a sparse matrix of 3-grams, and their MinHash signatures."""

    grams: csr_matrix
    """One row a text, one column a 63-bit hash; sorted, without repeats."""
    signatures: npt.NDArray[np.uint32]
    """Texts x PERMUTATIONS; meaningless for a text without words."""

    @property
    def sizes(self) -> Indices:
        """Number of 3-grams by text."""
        return np.diff(self.grams.indptr).astype(np.int64)


def words(text: str) -> list[str]:
    """The words that count: runs of letters and digits, in lower case; in scripts without spaces each character."""
    lower = text.lower()
    if lower.isascii() or not _SPECIAL.search("".join(set(lower))):
        return _SEPARATORS.sub(" ", lower).split()
    # Ten times as slow, so only where it is needed.
    return _CHARACTER.sub(r" \g<0> ", _SEPARATORS_BUT_MARKS.sub(" ", lower)).split()


def jaccard(left: str, right: str) -> float:
    """The similarity of two texts by definition, 0 to 1; a text without words resembles nothing."""
    one, other = _shingle_set(left), _shingle_set(right)
    return len(one & other) / max(len(one | other), 1)


def _shingle_set(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    if not found:
        return set()
    return {tuple(found[at : at + SHINGLE_WORDS]) for at in range(max(len(found) - SHINGLE_WORDS, 0) + 1)}


def similar_pairs(texts: Sequence[str], threshold: float) -> SimilarPairs:
    """Pairs of texts whose Jaccard similarity is at least ``threshold`` (above 0, up to 1).

    No listed pair is wrong; of the pairs at the threshold about 99% are found, of closer ones more.
    In a crowd of similar texts each is paired with the first few, not with everyone: give the texts
    that shall be kept first.
    """
    if len(texts) < 2:
        return _no_pairs()
    shingled = _shingle(texts)
    pairs = np.unique(np.concatenate(list(_candidates(shingled, threshold))))
    left, right = np.divmod(pairs, len(texts))
    found = [
        _verify(shingled, left[at : at + _PAIRS_AT_ONCE], right[at : at + _PAIRS_AT_ONCE], threshold)
        for at in range(0, len(pairs), _PAIRS_AT_ONCE)
    ]
    if not found:
        return _no_pairs()
    return SimilarPairs(
        left=np.concatenate([part.left for part in found]),
        right=np.concatenate([part.right for part in found]),
        similarity=np.concatenate([part.similarity for part in found]),
    )


def _no_pairs() -> SimilarPairs:
    none = np.empty(0, dtype=np.int64)
    return SimilarPairs(left=none, right=none, similarity=np.empty(0))


# --- texts to sets of hashes ------------------------------------------------------------------
def _mix(values: Hashes) -> Hashes:
    """SplitMix64's finaliser: every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _shingle(texts: Sequence[str]) -> _Shingled:
    multipliers = _mix(np.arange(1, PERMUTATIONS + 1, dtype=np.uint64) + np.uint64(_SEED)) | np.uint64(1)
    columns, sizes, signatures = [], [], []
    for at in range(0, len(texts), _TEXTS_AT_ONCE):
        rows, grams = _gram_hashes(texts[at : at + _TEXTS_AT_ONCE])
        count = np.bincount(rows, minlength=min(_TEXTS_AT_ONCE, len(texts) - at))
        columns.append(grams.view(np.int64))
        sizes.append(count)
        signatures.append(_signatures(grams, count, multipliers))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    indices = np.concatenate(columns)
    grams = csr_matrix((np.ones(len(indices), dtype=np.int8), indices, indptr), shape=(len(texts), 2**63 - 1))
    grams.has_canonical_format = True
    return _Shingled(grams=grams, signatures=np.concatenate(signatures))


def _gram_hashes(texts: Sequence[str]) -> tuple[Indices, Hashes]:
    """The distinct 3-grams as (row, 63-bit hash), sorted by both."""
    rows, hashes = _word_hashes(texts)
    counts = np.bincount(rows, minlength=len(texts))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = place <= np.maximum(counts - SHINGLE_WORDS, 0)[rows]
    grams: Hashes = np.zeros(int(starts.sum()), dtype=np.uint64)
    for step in range(SHINGLE_WORDS):
        # Beyond the end of a text that has fewer than three words there is nothing: 0.
        inside = (place + step < counts[rows])[starts]
        word = np.where(inside, np.roll(hashes, -step)[starts], np.uint64(0))
        grams = _mix(grams * np.uint64(_WORD_BASE) + word + np.uint64(step))
    grams >>= np.uint64(1)
    rows = rows[starts]
    order = np.lexsort((grams, rows))
    rows, grams = rows[order], grams[order]
    new = np.ones(len(grams), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (grams[1:] != grams[:-1])
    return rows[new], grams[new]


def _word_hashes(texts: Sequence[str]) -> tuple[Indices, Hashes]:
    """Every word in reading order as (row, hash): a polynomial in its UTF-8 bytes, taken from prefix sums."""
    lines = [" ".join([*words(text), ""]).encode() for text in texts]
    data = np.frombuffer(b"".join(lines), dtype=np.uint8)
    ends = np.flatnonzero(data == ord(" "))
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64) if len(ends) else ends
    powers = _powers(_WORD_BASE, len(data) + 1)
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(data * powers[:-1], dtype=np.uint64)])
    inverse = _powers(pow(_WORD_BASE, -1, 2**64), len(data) + 1)
    hashes = _mix((sums[ends] - sums[starts]) * inverse[starts])
    rows = np.searchsorted(np.cumsum([len(line) for line in lines]), ends, side="right")
    return rows.astype(np.int64), hashes


def _powers(base: int, count: int) -> Hashes:
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors)


def _signatures(grams: Hashes, sizes: Indices, multipliers: Hashes) -> npt.NDArray[np.uint32]:
    """Least hash by text and permutation; texts without words keep zeros."""
    signatures = np.zeros((len(sizes), PERMUTATIONS), dtype=np.uint32)
    filled = np.flatnonzero(sizes)
    if len(filled):
        starts = (np.cumsum(sizes) - sizes)[filled]
        for column, multiplier in enumerate(multipliers):
            # The high half of a product depends on all bits of the hash.
            permuted = ((grams * multiplier) >> np.uint64(32)).astype(np.uint32)
            signatures[filled, column] = np.minimum.reduceat(permuted, starts)
    return signatures


# --- pairs ------------------------------------------------------------------------------------
def _rows_per_band(threshold: float) -> int:
    """The widest bands that still find 95% of the pairs at the threshold: 16 bands of 4 from 0.64 up."""
    chances = {rows: 1 - (1 - threshold**rows) ** (PERMUTATIONS // rows) for rows in (4, 2)}
    return next((rows for rows, chance in chances.items() if chance >= 0.95), 1)


def _candidates(shingled: _Shingled, threshold: float) -> Iterator[Indices]:
    """Per band, pairs that share its hashes, as ``left * texts + right``; linear in a bucket's size."""
    yield np.empty(0, dtype=np.int64)
    filled = np.flatnonzero(shingled.sizes)
    width = _rows_per_band(threshold)
    for at in range(0, PERMUTATIONS, width):
        keys: Hashes = np.zeros(len(filled), dtype=np.uint64)
        for column in range(at, at + width):
            keys = _mix(keys + shingled.signatures[filled, column])
        order = np.argsort(keys, kind="stable")
        rows, keys = filled[order], keys[order]
        first = np.ones(len(rows), dtype=bool)
        first[1:] = keys[1:] != keys[:-1]
        starts = np.flatnonzero(first)
        start = np.repeat(starts, np.diff(np.append(starts, len(rows))))
        for leader in range(LEADERS):
            member = np.flatnonzero(np.arange(len(rows)) > start + leader)
            left, right = rows[start[member] + leader], rows[member]
            yield _promising(shingled, left, right, threshold)


def _promising(shingled: _Shingled, left: Indices, right: Indices, threshold: float) -> Indices:
    """Drop the pairs whose signatures rule the threshold out, before the costly exact comparison."""
    margin = _CERTAINTY * np.sqrt(threshold * (1 - threshold) / PERMUTATIONS)
    need = (threshold - margin) * PERMUTATIONS
    kept = [np.empty(0, dtype=np.int64)]
    for at in range(0, len(left), _PAIRS_AT_ONCE):
        one, other = left[at : at + _PAIRS_AT_ONCE], right[at : at + _PAIRS_AT_ONCE]
        equal = (shingled.signatures[one] == shingled.signatures[other]).sum(axis=1)
        good = equal >= need
        kept.append(one[good] * len(shingled.signatures) + other[good])
    return np.concatenate(kept)


def _verify(shingled: _Shingled, left: Indices, right: Indices, threshold: float) -> SimilarPairs:
    common = np.diff(shingled.grams[left].multiply(shingled.grams[right]).tocsr().indptr)
    similarity = common / (shingled.sizes[left] + shingled.sizes[right] - common)
    good = similarity >= threshold
    return SimilarPairs(left=left[good], right=right[good], similarity=similarity[good])
