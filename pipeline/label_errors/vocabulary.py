"""The words and pieces of words that learned texts share, and how other texts are read by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import Hashes
from pipeline.sorted_places import places_of

MAX_CHARACTERS = 4_000
"""Only this many leading characters of a text are used."""
TEXTS = 2_000
"""So many texts are read at once."""
_CODE_POINTS = 0x110000

Ints = npt.NDArray[np.int64]


class Characters:
    """The characters of some texts, one after another."""

    def __init__(self, codes: npt.NDArray[np.uint32], kinds: npt.NDArray[np.uint8], starts: Ints) -> None:
        self.codes, self.kinds, self.starts = codes, kinds, starts

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Characters":
        """The leading ones of texts, in lower case."""
        from pipeline.label_errors.feature_kernels import OTHER, SPACE, WORD

        texts = [text[:MAX_CHARACTERS].lower() for text in texts]
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        there = np.zeros(_CODE_POINTS, dtype=np.bool_)
        there[codes] = True
        kinds = np.zeros(_CODE_POINTS, dtype=np.uint8)
        for code in np.flatnonzero(there).tolist():
            one = chr(code)
            kinds[code] = WORD if one.isalnum() or one == "_" else SPACE if one.isspace() else OTHER
        return cls(codes, kinds[codes], np.cumsum([0, *map(len, texts)]))

    def grams(self, kernel: Any, most: int) -> tuple[Hashes, Ints]:
        """The hashes that a kernel makes of them, and where those of each text begin and the last one's end.

        Args:
            kernel: of ``feature_kernels``.
            most: how many hashes it makes of a character at most.
        """
        found = np.empty(most * len(self.codes), dtype=np.uint64)
        ends = np.empty_like(self.starts)
        kernel(self.codes, self.kinds, self.starts, found, ends)
        return found[: ends[-1]], ends


@dataclass(frozen=True)
class Grams:
    """Words, or pieces of words."""

    keys: Hashes
    """Sorted."""
    rare: npt.NDArray[np.float32]
    """What an occurrence of each weighs: its inverse document frequency."""

    def read(self, chunk: Characters, kernel: Any, most: int) -> Any:
        """TF-IDF of texts, each row of length 1 (sparse, columns in order)."""
        from scipy.sparse import csr_matrix

        grams, ends = chunk.grams(kernel, most)
        places = places_of(grams, self.keys)
        known = places >= 0
        rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))[known]
        ones = np.ones(len(rows), dtype=np.float32)
        found = csr_matrix((ones, (rows, places[known])), shape=(len(ends) - 1, len(self.keys)))
        return weighed(found, self.rare)


def weighed(counts: Any, rare: npt.NDArray[np.float32]) -> Any:
    """Counts as TF-IDF, each row of length 1; changes them in place (sparse)."""
    counts.data = (1 + np.log(counts.data)) * rare[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    counts.data /= np.repeat(np.where(lengths > 0, lengths, 1), np.diff(counts.indptr)).astype(np.float32)
    return counts


@dataclass(frozen=True)
class Vocabulary:
    """The features of learned texts, words before pieces."""

    words: Grams
    pieces: Grams

    def features(self, texts: Sequence[str]) -> Any:
        """TF-IDF of texts (sparse, a row per text); what learned texts lack is left out."""
        from scipy.sparse import csr_matrix, hstack, vstack

        from pipeline.label_errors.feature_kernels import piece_grams, word_grams

        found = []
        for first in range(0, len(texts), TEXTS):
            chunk = Characters.of(texts[first : first + TEXTS])
            parts = [self.words.read(chunk, word_grams, 1), self.pieces.read(chunk, piece_grams, 3)]
            found.append(hstack(parts, format="csr"))
        nothing = csr_matrix((0, len(self.words.keys) + len(self.pieces.keys)), dtype=np.float32)
        return vstack(found, format="csr") if found else nothing
