"""Reads Parquet in batches of rows."""

import base64
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ingest.checked_file import Resumption
from pipeline.ingest.csv_rows import refuse_doubled
from pipeline.ingest.raw_rows import RawRow, first_line, unreadable
from pipeline.ingest.unpacking import most_unpacked, too_much

PARQUET_BATCH = 4096
"""Rows held in memory at once, if they are short."""
_BATCH_BYTES = 64 * 2**20
"""Their bytes, going by the first rows."""
_FIRST = 16
_NO_VALUE = (ValueError, OverflowError, KeyError)
"""What pyarrow raises for invalid UTF-8, for dates beyond Python's range and for unknown time zones."""


def read_parquet(path: Path, reading: Resumption) -> Iterator[RawRow]:
    """Every row of a Parquet file; ``reading`` is told how far it is, as if all rows were equally long."""
    with pq.ParquetFile(path) as file:
        refuse_doubled(path, file.schema_arrow.names)
        number = 1
        size, rows = path.stat().st_size, max(1, file.metadata.num_rows)
        reading.passed = lambda: size * (number - 1) // rows
        for batch in batches_of(path, file):
            yield from _parquet_rows(batch, number)
            number += batch.num_rows


def batches_of(path: Path, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """The rows of an open file, as many at a time as memory holds, however well they were compressed.

    Raises:
        SourceError: they are out of all proportion to the file.
    """
    first = next(map(_decoded, file.iter_batches(batch_size=_FIRST)), None)
    fitting = PARQUET_BATCH if first is None else _BATCH_BYTES * _FIRST // max(1, first.nbytes)
    left = most_unpacked(path)
    for batch in map(_decoded, file.iter_batches(batch_size=min(PARQUET_BATCH, max(1, fitting)))):
        left -= batch.nbytes
        if left < 0:
            raise too_much(path)
        yield batch


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same without dictionaries, which hide how long the rows are."""
    is_coded = [isinstance(column, pa.DictionaryArray) for column in batch.columns]
    if not any(is_coded):
        return batch
    columns = [one.dictionary_decode() if coded else one for one, coded in zip(batch.columns, is_coded, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _parquet_rows(batch: pa.RecordBatch, first: int) -> Iterator[RawRow]:
    try:
        rows = batch.to_pylist()
    except _NO_VALUE:
        # One cell that Python cannot represent fails the batch: look for it cell by cell.
        for index in range(batch.num_rows):
            yield _parquet_row(batch, index, first + index)
        return
    for number, row in enumerate(rows, start=first):
        yield _plain_row(number, row)


def _plain_row(number: int, row: Mapping[str, Any]) -> RawRow:
    """The row as read back from its own compact JSON, which gives plain values and NaN as None."""
    raw = orjson.dumps(row, default=_as_json)
    return RawRow(number, raw, orjson.loads(raw))


def _parquet_row(batch: pa.RecordBatch, index: int, number: int) -> RawRow:
    row: dict[str, Any] = {}
    problems: list[str] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        cell = column[index]
        try:
            row[name] = cell.as_py()
        except _NO_VALUE as error:
            row[name] = cell.as_buffer().to_pybytes() if isinstance(cell, pa.BinaryScalar) else None
            problems.append(f"column '{name}': {first_line(error)}")
    plain = _plain_row(number, row)
    return RawRow(number, plain.raw, error=unreadable("; ".join(problems))) if problems else plain


def _as_json(value: Any) -> str:
    """Convert what orjson cannot write: decimals to digits, bytes to text (or base64), times to ISO text."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
