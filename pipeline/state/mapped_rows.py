"""Rows in sealed files that are mapped into memory: columns and rows that are not asked for are not read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.state.atomic import replacing, sealed_bytes

ROWS_AT_ONCE = 50_000
"""Rows of a piece of a file."""


def arrow_of(frame: pl.DataFrame) -> pa.Table:
    """A frame as it is written: without string views, whose bytes are scattered; older readers do not know them."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def write_rows(frame: pl.DataFrame, path: Path, by: str = "") -> None:
    """Write a file for ``read_rows``, sorted by a column if one is named; it appears once it is complete."""
    order = frame[by].arg_sort() if by and not frame[by].is_sorted() else None
    parts = (slice(start, start + ROWS_AT_ONCE) for start in range(0, frame.height, ROWS_AT_ONCE))
    pieces = (frame[mine] if order is None else frame[order[mine]] for mine in parts)
    write_pieces(pieces, path, frame.schema, values_of(frame))


def write_pieces(
    pieces: Iterable[pl.DataFrame], path: Path, schema: pl.Schema, values: Mapping[str, pl.Series]
) -> None:
    """Write a file for ``read_rows`` piece by piece; it appears once it is complete.

    Args:
        pieces: rows with the columns of ``schema``, a piece of any size at a time.
        path: of the file.
        schema: the columns; categorical ones are written as small numbers.
        values: what the pieces have in these, by column (``values_of``).
    """
    empty = _arrow_of_categories(pl.DataFrame(schema=schema), values)
    with replacing(path, sealed=True) as sink, pa.ipc.new_file(sink, empty.schema) as file:
        for piece in put_together(pieces):
            # Written as Arrow's, texts take their room again.
            file.write_table(_arrow_of_categories(piece.select(schema.names()).rechunk(), values))


def values_of(*frames: pl.DataFrame) -> dict[str, pl.Series]:
    """The different values of the categorical columns of some frames, which all have the same ones."""
    names = [name for name, kind in frames[0].schema.items() if kind == pl.Categorical]
    found = {name: pl.concat([frame[name].unique() for frame in frames]) for name in names}
    return {name: values.unique().drop_nulls().cast(pl.String).sort() for name, values in found.items()}


def put_together(pieces: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Pieces as they are written: many small ones would take long to read, and a large one much memory."""
    held: list[pl.DataFrame] = []
    for piece in pieces:
        for part in piece.iter_slices(ROWS_AT_ONCE):
            held.append(part)
            # Not only full ones: a piece that has lost some rows would take some of the next one.
            if sum(one.height for one in held) >= ROWS_AT_ONCE / 2:
                yield pl.concat(held)
                held = []
    if held:
        yield pl.concat(held)


def _arrow_of_categories(frame: pl.DataFrame, values: Mapping[str, pl.Series]) -> pa.Table:
    """A frame as it is written, its categorical columns as numbers of the same values in every piece."""
    columns = {}
    for column in frame.get_columns():
        if column.name in values:
            numbers = column.cast(pl.Enum(values[column.name])).to_physical().to_arrow()
            names = values[column.name].to_arrow(compat_level=pl.CompatLevel.oldest())
            columns[column.name] = pa.DictionaryArray.from_arrays(numbers, names)
        else:
            columns[column.name] = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.table(columns)


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

    @property
    def height(self) -> int:
        """How many rows it has."""
        return int(self._file.read_all().num_rows)

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
