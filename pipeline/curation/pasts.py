"""The committed past of each chunk's records: the table of decisions is read once, whatever the number of chunks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
    names = _halves(record_ids)
    order = np.lexsort(names.T[::-1])
    ordered, chunk_of = names[order], chunk_of[order]
    for piece in pieces:
        wanted = _halves(piece["record_id"])
        at = np.searchsorted(ordered[:, 0], wanted[:, 0])
        # Hardly ever do two ids begin alike.
        for _ in range(_most_alike(ordered[:, 0])):
            clipped = np.minimum(at, len(ordered) - 1)
            at += (ordered[clipped, 0] == wanted[:, 0]) & (ordered[clipped, 1] < wanted[:, 1])
        clipped = np.minimum(at, len(ordered) - 1)
        yield piece, np.where((ordered[clipped] == wanted).all(axis=1), chunk_of[clipped], -1)


def _halves(record_ids: pl.Series) -> npt.NDArray[np.uint64]:
    """Both halves of each id as numbers."""
    parts = [record_ids.str.slice(start, 16).str.to_integer(base=16, dtype=pl.UInt64) for start in (0, 16)]
    return np.stack([part.to_numpy() for part in parts], axis=1)


def _most_alike(ordered: npt.NDArray[np.uint64]) -> int:
    """How many more ids begin like one of them, at most."""
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] + np.uint64(1)))
    return int(np.diff(np.append(starts, len(ordered))).max(initial=1)) - 1
