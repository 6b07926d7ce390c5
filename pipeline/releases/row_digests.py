"""Digests what rows say: the same whatever wrote their file, in whatever order.

A row's digest is the sha256 of its canonical JSON (compact, keys sorted).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
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
    joined = b"".join(digest for part in parts for digest in _of_rows(part))
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


def _of_rows(part: pa.RecordBatch | pa.Table) -> Iterator[bytes]:
    for row in _values(part):
        yield hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).digest()


def _values(part: pa.RecordBatch | pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a batch, with what is JSON text as values."""
    jsons = [field.name for field in part.schema if field.type == JSONS]
    for row in part.to_pylist():
        yield row | {name: [orjson.loads(text) for text in row[name]] for name in jsons}
