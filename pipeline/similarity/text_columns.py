"""Texts as the kernels read them: the bytes and offsets of Arrow columns, in memory or in mapped files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.state.atomic import replacing, sealed_bytes
from pipeline.text.words import fold_table

Rows = npt.NDArray[np.int64]
_BLOCK_BYTES = 2**20
"""Bytes of text whose words are hashed at once: they are still in the processor's cache when read again."""


@dataclass(frozen=True)
class Words:
    """The hashed words of some texts, one after the other."""

    hashes: npt.NDArray[np.uint64]
    """Two zeros follow each text."""
    starts: Rows
    """Where each text begins; one more entry than texts."""
    asked: Rows
    """How many of its words are the prompt's; those of its answer follow."""


class Texts:
    """Texts of two parts, prompt and answer; equal indices belong together."""

    def __init__(self, asked: pa.Array | pa.ChunkedArray, answered: pa.Array | pa.ChunkedArray | None = None) -> None:
        """Take string or binary columns of equal length without nulls; without a second, no text has an answer."""
        self.asked = _whole(asked)
        self.answered = _whole(answered) if answered is not None else None

    @classmethod
    def of(cls, asked: Sequence[str] | pl.Series, answered: Sequence[str] | pl.Series | None = None) -> "Texts":
        """The texts of Python strings or polars columns."""
        return cls(_arrow(asked), None if answered is None else _arrow(answered))

    @classmethod
    def read(cls, path: Path) -> "Texts":
        """Map the output of ``write``: unused parts are not read."""
        table = pa.ipc.open_file(pa.py_buffer(sealed_bytes(path))).read_all()
        return cls(table["asked"], table["answered"] if "answered" in table.column_names else None)

    @classmethod
    def concat(cls, parts: Sequence["Texts"]) -> "Texts":
        """The concatenation of several, all with answers or all without."""
        if not parts:
            return cls.of([])
        answered = [part.answered for part in parts if part.answered is not None]
        asked = pa.chunked_array([part.asked for part in parts])
        return cls(asked, pa.chunked_array(answered) if answered else None)

    def write(self, path: Path) -> None:
        """Write an uncompressed Arrow file, followed by a seal."""
        columns = {"asked": self.asked} | ({"answered": self.answered} if self.answered is not None else {})
        table = pa.table(columns)
        with replacing(path, sealed=True) as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)

    def __len__(self) -> int:
        return len(self.asked)

    @property
    def sizes(self) -> Rows:
        """Bytes of each text."""
        return sum((np.diff(offsets) for _, offsets in self._parts), start=np.zeros(len(self), dtype=np.int64))

    def take(self, rows: Rows) -> "Texts":
        """A copy of some texts."""
        answered = None if self.answered is None else pc.take(self.answered, pa.array(rows))
        return Texts(pc.take(self.asked, pa.array(rows)), answered)

    def words(self, rows: Rows) -> Words:
        """Hash the words of some texts."""
        from pipeline.text.word_kernels import hash_words

        (a, a_at), (b, b_at) = self._parts
        size = int((a_at[rows + 1] - a_at[rows] + b_at[rows + 1] - b_at[rows]).sum())
        # A word takes two bytes of text, including its separator.
        hashes = np.empty(size // 2 + 4 * len(rows) + 2, dtype=np.uint64)
        starts = np.empty(len(rows) + 1, dtype=np.int64)
        asked = np.empty(len(rows), dtype=np.int64)
        table = fold_table()
        hash_words(a, a_at, b, b_at, table.codes, table.letters, rows, hashes, starts, asked)
        return Words(hashes, starts, asked)

    def hashes(self) -> npt.NDArray[np.uint64]:
        """128 bits over the bytes of each text, rows x 2."""
        from pipeline.text.word_kernels import hash_bytes

        (a, a_at), (b, b_at) = self._parts
        hashes = np.empty((len(self), 2), dtype=np.uint64)
        hash_bytes(a, a_at, b, b_at, hashes)
        return hashes

    def blocks(self, rows: Rows) -> Iterator[slice]:
        """Parts of some rows with about a megabyte of text each."""
        ends = np.cumsum(self.sizes[rows])
        start = 0
        while start < len(rows):
            done = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, done + _BLOCK_BYTES)), start + 1)
            yield slice(start, min(stop, len(rows)))
            start = stop

    @property
    def _parts(self) -> tuple[tuple[npt.NDArray[np.uint8], Rows], tuple[npt.NDArray[np.uint8], Rows]]:
        asked = _buffers(self.asked)
        if self.answered is None:
            return asked, (asked[0], np.zeros(len(self) + 1, dtype=np.int64))
        return asked, _buffers(self.answered)


def _arrow(texts: Sequence[str] | pl.Series) -> pa.Array | pa.ChunkedArray:
    # Without string views, whose bytes are scattered; nor by pyarrow, which imports pandas to look at a list.
    series = texts if isinstance(texts, pl.Series) else pl.Series(texts, dtype=pl.String)
    return series.to_arrow(compat_level=pl.CompatLevel.oldest())


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if column.null_count:
        raise ValueError(f"{column.null_count} texts are missing; give empty ones")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    # Offsets of 64 bits, the bytes as they are: binary data may be invalid UTF-8.
    return column if column.type == pa.large_binary() else column.cast(pa.large_binary())


def _buffers(column: pa.Array) -> tuple[npt.NDArray[np.uint8], Rows]:
    _, offsets, data = column.buffers()
    places = np.frombuffer(offsets, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    # A column of empty texts may have no bytes at all.
    return np.frombuffer(data if data is not None and data.size else b"\0", dtype=np.uint8), places
