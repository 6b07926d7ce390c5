"""What the models that find label errors see of a text: TF-IDF of its words and of pieces of words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import Hashes
from pipeline.label_errors.vocabulary import TEXTS, Characters, Grams, Vocabulary, weighed

_MAX_FEATURES = 100_000
"""Of words, and of pieces; the most frequent ones."""
_FEWEST_TEXTS = 2
_CHUNK = TEXTS
_FIRST_SIZE = 1 << 16

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TextFeatures:
    """Texts as they are seen, and what others are read by."""

    matrix: Any
    """TF-IDF (sparse, a row per text)."""
    vocabulary: Vocabulary
    places: Ints
    """Where the vocabulary has the feature of each column."""

    @property
    def in_order(self) -> Any:
        """The matrix with its columns in the order of the vocabulary."""
        from scipy.sparse import csr_matrix

        one = self.matrix
        return csr_matrix((one.data, self.places[one.indices].astype(np.int32), one.indptr), shape=one.shape)


def learned_features(texts: Sequence[str]) -> TextFeatures | None:
    """TF-IDF of words, word bigrams and character n-grams, with what reads other texts; None if texts share nothing.

    What is a word, and how counts are weighed, is as in scikit-learn (``sublinear_tf``, ``char_wb``), of which
    counting alone took longer than the models.
    """
    from scipy.sparse import hstack

    from pipeline.label_errors.feature_kernels import piece_grams, word_grams

    words, pieces = _Counter(word_grams, most=1), _Counter(piece_grams, most=3)
    for first in range(0, len(texts), _CHUNK):
        chunk = Characters.of(texts[first : first + _CHUNK])
        words.count(chunk)
        pieces.count(chunk)
    found = [words.weighed(), pieces.weighed()]
    matrices = [matrix for matrix, _, _ in found if matrix.shape[1]]
    if not matrices:
        return None
    of_words, of_pieces = (_sorted(keys, rare) for _, keys, rare in found)
    places = np.concatenate([of_words[1], len(of_words[1]) + of_pieces[1]])
    return TextFeatures(hstack(matrices, format="csr"), Vocabulary(of_words[0], of_pieces[0]), places)


def _sorted(keys: Hashes, rare: npt.NDArray[np.float32]) -> tuple[Grams, Ints]:
    """Grams in the order of their hashes, and the place of each there."""
    order = np.argsort(keys)
    places = np.empty(len(keys), dtype=np.int64)
    places[order] = np.arange(len(keys))
    return Grams(keys[order], rare[order]), places


class _Counter:
    """Counts grams, chunk by chunk."""

    def __init__(self, grams: Any, most: int) -> None:
        """Take the kernel that writes grams, and how many of them a character has at most."""
        self._grams, self._most = grams, most
        self._known = 0
        self._keys = np.zeros(_FIRST_SIZE, dtype=np.uint64)
        self._ids = np.zeros(_FIRST_SIZE, dtype=np.int32)
        self._seen: Ints = np.empty((0, 2), dtype=np.int64)
        self._texts: Ints = np.empty(0, dtype=np.int64)
        self._columns: list[npt.NDArray[np.int32]] = []
        self._counts: list[npt.NDArray[np.float32]] = []
        self._sizes: list[Ints] = [np.zeros(1, dtype=np.int64)]
        self._rows = 0

    def count(self, chunk: Characters) -> None:
        """Count those of some more texts."""
        from pipeline.label_errors.feature_kernels import count_grams

        grams, ends = chunk.grams(self._grams, self._most)
        total = len(grams)
        self._make_room(self._known + total)
        columns, counts = np.empty(total, dtype=np.int32), np.empty(total, dtype=np.float32)
        starts = np.empty_like(ends)
        table = (self._keys, self._ids, self._seen, self._texts)
        self._known = count_grams(grams, ends, self._rows, self._known, *table, columns, counts, starts)
        self._columns.append(columns[: starts[-1]].copy())
        self._counts.append(counts[: starts[-1]].copy())
        self._sizes.append(np.diff(starts))
        self._rows += len(ends) - 1

    def _make_room(self, grams: int) -> None:
        from pipeline.label_errors.feature_kernels import move_keys

        if len(self._texts) < grams:
            more = grams + grams // 2 - len(self._texts)
            self._texts = np.concatenate([self._texts, np.zeros(more, dtype=np.int64)])
            self._seen = np.concatenate([self._seen, np.zeros((more, 2), dtype=np.int64)])
        if len(self._keys) < 2 * grams:
            size = 1 << (2 * grams).bit_length()
            keys, ids = np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=np.int32)
            move_keys(self._keys, self._ids, keys, ids)
            self._keys, self._ids = keys, ids

    def weighed(self) -> tuple[Any, Hashes, npt.NDArray[np.float32]]:
        """TF-IDF of the grams that enough texts have, each row of length 1 (sparse); by column, its hash and IDF."""
        from scipy.sparse import csr_matrix

        texts = self._texts[: self._known]
        kept = np.flatnonzero(texts >= _FEWEST_TEXTS)
        kept = np.sort(kept[np.argsort(-texts[kept], kind="stable")[:_MAX_FEATURES]])
        place = np.full(self._known, -1, dtype=np.int32)
        place[kept] = np.arange(len(kept))
        columns = place[np.concatenate([np.empty(0, dtype=np.int32), *self._columns])]
        starts, there = np.cumsum(np.concatenate(self._sizes)), columns >= 0
        columns = columns[there]
        rare = np.log((1 + self._rows) / (1 + texts[kept])).astype(np.float32) + 1
        counts = np.concatenate([np.empty(0, dtype=np.float32), *self._counts])[there]
        starts = np.concatenate([[0], np.cumsum(there)])[starts]
        found = csr_matrix((counts, columns, starts), shape=(self._rows, len(kept)))
        return weighed(found, rare), self._hashes()[kept], rare

    def _hashes(self) -> Hashes:
        """The hash of every gram, by its number."""
        found = np.empty(self._known, dtype=np.uint64)
        there = self._keys != 0
        found[self._ids[there]] = self._keys[there]
        return found
