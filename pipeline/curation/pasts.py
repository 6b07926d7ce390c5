"""The committed past of each chunk's records: the table of decisions is read once, whatever the number of chunks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.similarity.text_columns import Rows
from pipeline.state.mapped_rows import read_rows, scatter
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import SCHEMAS, Table


class Pasts:
    """Snapshots that have the decisions about the records of a chunk only."""

    def __init__(self, snapshot: Snapshot, record_ids: pl.Series, chunks: Sequence[Rows], folder: Path) -> None:
        """Divide the decisions among files, if there are several chunks.

        Args:
            snapshot: the committed past of all these records.
            record_ids: theirs.
            chunks: the rows of each.
            folder: for the files.
        """
        self._snapshot = snapshot
        self._paths: list[Path] = []
        if len(chunks) > 1 and not snapshot.runs.is_empty():
            self._paths = [folder / f"past-{chunk:05}.rows" for chunk in range(len(chunks))]
            pieces = snapshot.pieces(Table.DECISIONS, *SCHEMAS[Table.DECISIONS].names())
            scatter(_numbered(pieces, record_ids, chunks), self._paths, SCHEMAS[Table.DECISIONS])

    def of(self, chunk: int) -> Snapshot:
        """The past of a chunk's records."""
        if not self._paths:
            return self._snapshot
        return self._snapshot.with_decisions(read_rows(self._paths[chunk]))


def _numbered(
    pieces: Iterator[pl.DataFrame], record_ids: pl.Series, chunks: Sequence[Rows]
) -> Iterator[tuple[pl.DataFrame, Rows]]:
    """Decisions, and the chunk of the record that each is about; -1 if that is none."""
    chunk_of = np.empty(len(record_ids), dtype=np.int64)
    for chunk, rows in enumerate(chunks):
        chunk_of[rows] = chunk
    known = pl.DataFrame({"record_id": record_ids, "chunk": chunk_of})
    for piece in pieces:
        found = piece.select("record_id").join(known, on="record_id", how="left", maintain_order="left")
        yield piece, found["chunk"].fill_null(-1).to_numpy()
