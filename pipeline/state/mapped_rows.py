"""Rows in sealed files that are mapped into memory: columns and rows that are not asked for are not read."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.state.atomic import replacing, sealed_bytes

_ROWS_AT_ONCE = 50_000


def arrow_of(frame: pl.DataFrame) -> pa.Table:
    """A frame as it is written: without string views, whose bytes are scattered; older readers do not know them."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def write_rows(frame: pl.DataFrame, path: Path, by: str = "") -> None:
    """Write a file for ``read_rows``, sorted by a column if one is named; it appears once it is complete."""
    order = frame[by].arg_sort() if by and not frame[by].is_sorted() else None
    kind = arrow_of(frame.clear()).schema
    with replacing(path, sealed=True) as sink, pa.ipc.new_file(sink, kind) as file:
        # Written as Arrow's, texts take their room again.
        for start in range(0, frame.height, _ROWS_AT_ONCE):
            mine = slice(start, start + _ROWS_AT_ONCE)
            file.write_table(arrow_of((frame[mine] if order is None else frame[order[mine]]).rechunk()))


class MappedRows:
    """A file of ``write_rows``, mapped once, however often it is read: a page that is mapped twice counts twice."""

    def __init__(self, path: Path) -> None:
        """Map it.

        Raises:
            StoreError: its bytes are not those that were written.
            OSError: it is gone.
        """
        self._file = pa.ipc.open_file(pa.py_buffer(sealed_bytes(path)))

    @property
    def schema(self) -> pl.Schema:
        """Its columns."""
        # Arrow's own empty table imports pandas, which takes 0.1 s.
        return frame_of(pa.Table.from_batches([], self._file.schema)).schema

    def read(self, columns: Sequence[str] | None = None, rows: npt.NDArray[np.int64] | None = None) -> pl.DataFrame:
        """All of it, or some of its columns; or a copy of some rows, in the given order."""
        table = self._file.read_all()
        table = table.select(list(columns)) if columns is not None else table
        return frame_of(table if rows is None else table.take(pa.array(rows)))

    def pieces(self) -> Iterator[pl.DataFrame]:
        """All of it, a piece at a time."""
        for number in range(self._file.num_record_batches):
            yield frame_of(pa.Table.from_batches([self._file.get_batch(number)]))


def read_rows(
    path: Path, columns: Sequence[str] | None = None, rows: npt.NDArray[np.int64] | None = None
) -> pl.DataFrame:
    """Map a file, or some of its columns, or copy some rows of it, in the given order.

    Raises:
        StoreError: its bytes are not those that were written.
        OSError: it is gone.
    """
    return MappedRows(path).read(columns, rows)


def scatter(
    pieces: Iterable[tuple[pl.DataFrame, npt.NDArray[np.int64]]], paths: Sequence[Path], schema: pl.Schema
) -> None:
    """Divide rows among files; within a file they keep their order. Memory holds a piece at a time.

    Args:
        pieces: rows with the columns of ``schema``, and which of the files each belongs to; -1 for none.
        paths: of the files.
        schema: their columns.
    """
    kind = arrow_of(pl.DataFrame(schema=schema)).schema
    with ExitStack() as files:
        sinks = [files.enter_context(replacing(path, sealed=True)) for path in paths]
        writers = [files.enter_context(pa.ipc.new_file(sink, kind)) for sink in sinks]
        for piece, numbers in pieces:
            order = np.argsort(numbers, kind="stable")
            starts = np.searchsorted(numbers[order], np.arange(len(paths) + 1))
            for number in np.flatnonzero(np.diff(starts)).tolist():
                mine = order[starts[number] : starts[number + 1]]
                writers[number].write_table(arrow_of(piece[mine].select(schema.names()).rechunk()))


def frame_of(table: pa.Table) -> pl.DataFrame:
    """A table as a frame over the same bytes."""
    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    return found
