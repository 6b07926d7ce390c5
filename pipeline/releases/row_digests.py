"""Digests what rows say: the same whatever wrote their file, in whatever order.

A row's digest is the sha256 of its canonical JSON (compact, keys sorted). Texts, whole numbers and truth values are
written in columns; floats and columns of JSON, whose spelling is a matter of its own, row by row.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
import pyarrow as pa

from pipeline.releases.published_rows import JSONS

Digests = npt.NDArray[np.bytes_]
"""Of rows: 32 bytes each."""
DIGEST = np.dtype("S32")
_FEW_ROWS = 5_000
"""Whose JSON is in memory at a time."""


def row_digests(batch: pa.RecordBatch | pa.Table) -> Digests:
    """The digest of each row."""
    parts = (batch.slice(start, _FEW_ROWS) for start in range(0, batch.num_rows, _FEW_ROWS))
    is_plain = all(map(_is_plain, batch.schema.types))
    joined = b"".join(digest for part in parts for digest in (_of_columns(part) if is_plain else _of_rows(part)))
    return np.frombuffer(joined, dtype=DIGEST)


def together(parts: Iterable[Digests]) -> Digests:
    """The digests of several parts, in their order."""
    return np.concatenate([np.empty(0, dtype=DIGEST), *parts])


def content_of(digests: Digests) -> str:
    """A sha256 over the sorted digests of some rows.

    It depends only on the rows: not on their order, the chunks, the Parquet writer or its version, nor on how numbers
    are spelled in columns of JSON.
    """
    return hashlib.sha256(np.sort(digests).tobytes()).hexdigest()


def version_digest(splits: Mapping[str, tuple[int, str]]) -> str:
    """``sha256:`` and 64 hex digits over each split's name, number of rows and content."""
    lines = [f"{split} {rows} {content}\n" for split, (rows, content) in sorted(splits.items())]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _is_plain(kind: pa.DataType) -> bool:
    """Whether polars writes all values of a type as orjson does."""
    if pa.types.is_list(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_is_plain(kind.field(place).type) for place in range(kind.num_fields))
    return bool(pa.types.is_string(kind) or pa.types.is_int64(kind) or pa.types.is_boolean(kind))


def _of_columns(part: pa.RecordBatch | pa.Table) -> Iterator[bytes]:
    frame = pl.DataFrame(part)
    rows = frame.select(pl.struct(pl.col(name).cast(_sorted(frame.schema[name])) for name in sorted(frame.columns)))
    texts = rows.select(pl.nth(0).struct.json_encode()).to_series().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, ends, data = texts.buffers()
    places, view = np.frombuffer(ends, dtype=np.int64)[: len(texts) + 1].tolist(), memoryview(data)
    for start, end in itertools.pairwise(places):
        yield hashlib.sha256(view[start:end]).digest()


def _sorted(kind: Any) -> Any:
    """A type with the keys of its objects sorted."""
    match kind:
        case pl.List():
            return pl.List(_sorted(kind.inner))
        case pl.Struct():
            return pl.Struct(
                {field.name: _sorted(field.dtype) for field in sorted(kind.fields, key=lambda one: one.name)}
            )
        case _:
            return kind


def _of_rows(part: pa.RecordBatch | pa.Table) -> Iterator[bytes]:
    for row in _values(part):
        yield hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).digest()


def _values(part: pa.RecordBatch | pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a batch, with what is JSON text as values."""
    jsons = [field.name for field in part.schema if field.type == JSONS]
    for row in part.to_pylist():
        yield row | {name: [orjson.loads(text) for text in row[name]] for name in jsons}
