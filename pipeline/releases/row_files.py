"""Writes the rows of a split to the file that is published, piece by piece, and counts what the card says of them.

The file has its content's digest in its name, because ``datasets`` would otherwise serve a cached version instead of
another.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.releases.published_rows import ROWS_AT_ONCE
from pipeline.releases.row_digests import Digests, content_of, row_digests, together
from pipeline.releases.versions import sha256_of
from pipeline.state.atomic import writing
from schemas.manifest import SplitFile

_UNNAMED = "rows.parquet"
_COUNTED = ["source", "license", "label_source"]
_COUNTS = pl.Schema(dict.fromkeys(_COUNTED, pl.String()) | {"rows": pl.UInt32(), "tokens": pl.Int64()})


@dataclass(frozen=True)
class RowFile:
    """The file of a split, and what its rows are like."""

    entry: SplitFile
    """As the manifest has it; without rows there is no file."""
    schema: pa.Schema
    in_memory: int
    """Bytes of the columns."""
    first: dict[str, Any]
    """The first row."""
    counts: pl.DataFrame
    """``rows`` and ``tokens`` of each combination of ``source``, ``license`` and ``label_source``; of preference pairs,
    which have none of these, nothing.
    """

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.entry.rows

    @property
    def tokens(self) -> int:
        """Of all rows whose tokens were counted."""
        return int(self.counts["tokens"].sum())

    @property
    def licenses(self) -> dict[str, str]:
        """By source."""
        return dict(self.counts.select("source", "license").iter_rows())

    def by(self, column: str) -> Counter[str]:
        """Rows by the values of a counted column."""
        return Counter(dict(self.counts.group_by(column).agg(pl.col("rows").sum()).iter_rows()))


def pieces_of(table: pa.Table) -> Iterator[pa.Table]:
    """The rows of a table that is in memory."""
    return (table.slice(start, ROWS_AT_ONCE) for start in range(0, table.num_rows, ROWS_AT_ONCE))


def write_rows(folder: Path, split: str, schema: pa.Schema, pieces: Iterable[pa.Table]) -> RowFile:
    """Write the rows of a split; in memory is one piece of them.

    Args:
        folder: is created.
        split: its name begins the file's.
        schema: of all pieces.
        pieces: all but the last one have ``ROWS_AT_ONCE`` rows, and none is empty.
    """
    folder.mkdir(exist_ok=True)
    counts, digests, first, in_memory = [_COUNTS.to_frame()], list[Digests](), dict[str, Any](), 0
    path = folder / _UNNAMED
    with (
        writing(path, lasting=True) as sink,
        pq.ParquetWriter(sink, schema, compression="zstd", compression_level=3) as writer,
    ):
        for piece in pieces:
            # The bytes depend on memory layout: each row group is written from one chunk.
            rows = piece.combine_chunks()
            writer.write_table(rows, row_group_size=ROWS_AT_ONCE)
            first = first or rows.slice(0, 1).to_pylist()[0]
            in_memory += rows.nbytes
            digests.append(row_digests(rows))
            if _COUNTED[0] in rows.column_names:
                counts.append(_counted(rows))
    found = together(digests)
    entry = _named(path, split, len(found), content_of(found))
    return RowFile(entry, schema, in_memory, first, pl.concat(counts))


def _counted(rows: pa.Table) -> pl.DataFrame:
    named = pl.DataFrame(rows.select([*_COUNTED, "tokens"]))
    counts = named.group_by(_COUNTED).agg(pl.len().alias("rows"), pl.col("tokens").sum())
    return counts.select(pl.col(name).cast(kind) for name, kind in _COUNTS.items())


def _named(path: Path, split: str, rows: int, digest: str) -> SplitFile:
    """Give a file its name; without rows it is removed."""
    if not rows:
        path.unlink()
        return SplitFile(file="", rows=0, bytes=0, sha256="", content=digest)
    named = path.replace(path.with_name(f"{split}-00000-of-00001-{digest[:16]}.parquet"))
    name = named.relative_to(named.parent.parent).as_posix()
    return SplitFile(file=name, rows=rows, bytes=named.stat().st_size, sha256=sha256_of(named), content=digest)
