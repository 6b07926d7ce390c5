"""What the models that find label errors see of a text: TF-IDF of its words and of pieces of words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_CHARACTERS = 4_000
"""Only this many leading characters of a text are used."""
_MAX_FEATURES = 100_000
"""Of words, and of pieces; the most frequent ones."""
_FEWEST_TEXTS = 2
_CHUNK = 2_000
_FIRST_SIZE = 1 << 16
_CODE_POINTS = 0x110000

Ints = npt.NDArray[np.int64]


def text_features(texts: Sequence[str]) -> Any:
    """TF-IDF of words, word bigrams and character n-grams (sparse, a row per text); None if texts share nothing.

    What is a word, and how counts are weighed, is as in scikit-learn (``sublinear_tf``, ``char_wb``), of which
    counting alone took longer than the models.
    """
    from scipy.sparse import hstack

    from pipeline.label_errors.feature_kernels import piece_grams, word_grams

    words, pieces = _Counter(word_grams, most=1), _Counter(piece_grams, most=3)
    for first in range(0, len(texts), _CHUNK):
        chunk = _Characters.of([text[:MAX_CHARACTERS].lower() for text in texts[first : first + _CHUNK]])
        words.count(chunk)
        pieces.count(chunk)
    found = [one for one in (words.weighed(), pieces.weighed()) if one.shape[1]]
    return hstack(found, format="csr") if found else None


class _Characters:
    """The characters of some texts, one after another."""

    def __init__(self, codes: npt.NDArray[np.uint32], kinds: npt.NDArray[np.uint8], starts: Ints) -> None:
        self.codes, self.kinds, self.starts = codes, kinds, starts

    @classmethod
    def of(cls, texts: Sequence[str]) -> "_Characters":
        """Those of texts."""
        from pipeline.label_errors.feature_kernels import OTHER, SPACE, WORD

        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        there = np.zeros(_CODE_POINTS, dtype=np.bool_)
        there[codes] = True
        kinds = np.zeros(_CODE_POINTS, dtype=np.uint8)
        for code in np.flatnonzero(there).tolist():
            one = chr(code)
            kinds[code] = WORD if one.isalnum() or one == "_" else SPACE if one.isspace() else OTHER
        return cls(codes, kinds[codes], np.cumsum([0, *map(len, texts)]))


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

    def count(self, chunk: _Characters) -> None:
        """Count those of some more texts."""
        from pipeline.label_errors.feature_kernels import count_grams

        grams = np.empty(self._most * len(chunk.codes), dtype=np.uint64)
        ends = np.empty_like(chunk.starts)
        self._grams(chunk.codes, chunk.kinds, chunk.starts, grams, ends)
        total = int(ends[-1])
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

    def weighed(self) -> Any:
        """TF-IDF of the grams that enough texts have, each row of length 1 (sparse)."""
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
        values = (1 + np.log(np.concatenate([np.empty(0, dtype=np.float32), *self._counts])[there])) * rare[columns]
        starts = np.concatenate([[0], np.cumsum(there)])[starts]
        found = csr_matrix((values, columns, starts), shape=(self._rows, len(kept)))
        lengths = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        found.data /= np.repeat(np.where(lengths > 0, lengths, 1), np.diff(starts)).astype(np.float32)
        return found
