"""Takes the rows of a release piece by piece, in the order of its files: those that stay are copied in columns.

A row stays if the decision that the last version published of it still counts. All others are made from what their
decisions say: these are read once, and of more than a piece the texts wait in files, one for each piece.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.dataset_file import LoadedDataset
from pipeline.releases.kept_rows import KeptRows
from pipeline.releases.published_rows import ROWS_AT_ONCE, PublishedRow, rows_schema, rows_table
from pipeline.releases.row_digests import Digests, row_digests, together
from pipeline.releases.row_files import Piece
from pipeline.state.atomic import sealed_bytes, writing
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table

_FEW_ROWS = 5_000
"""That are Python objects at a time."""
_MANY_STRETCHES = 5_000
"""Of rows that stay side by side; shorter ones are not worth being copied one by one."""
_SAID = ["inputs", "targets"]
ROWS = pl.Schema(
    {
        "record_id": pl.String(),
        "run": pl.String(),
        "split": pl.String(),
        "source": pl.String(),
        "label_source": pl.String(),
        "group": pl.String(),
        "tokens": pl.Int64(),
    }
)
"""What a release knows of its rows beside what they say; ``run`` has decided that."""


_NONE = pl.DataFrame(schema={"record_id": pl.String, "run": pl.String, "split": pl.String, "kept_at": pl.Int64})


class ReleaseRows:
    """The rows of a release, which are never all in memory."""

    def __init__(
        self, rows: pl.DataFrame, snapshot: Snapshot, dataset: LoadedDataset, kept: KeptRows | None, folder: Path
    ) -> None:
        """Find out which rows stay.

        Args:
            rows: with the columns of ``ROWS``, by split in the order of the files, then by id.
            snapshot: has their decisions.
            dataset: the task that renders them.
            kept: the rows of the last version, if they are known.
            folder: for texts that wait; it exists.
        """
        self._snapshot, self._dataset, self._kept, self._folder = snapshot, dataset, kept, folder
        place = pl.int_range(pl.len(), dtype=pl.Int64).over("split")
        before = (kept.rows if kept else _NONE).select("record_id", "kept_at", kept_run="run", kept_split="split")
        placed = rows.with_columns(piece=place // ROWS_AT_ONCE)
        found = placed.join(before, on="record_id", how="left", maintain_order="left")
        stays = (pl.col("kept_run") == pl.col("run")) & (pl.col("kept_split") == pl.col("split"))
        self._rows = found.with_columns(kept_at=pl.when(stays).then("kept_at")).drop("kept_run", "kept_split")

    @property
    def are_kept(self) -> bool:
        """Whether they are those of the last version, all of them and no others."""
        known = self._kept.rows.height if self._kept else 0
        return known == self._rows.height == self._rows["kept_at"].count()

    def pieces(self, split: str) -> Iterator[Piece]:
        """The rows of a split, by id."""
        rows = self._rows.filter(pl.col("split") == split)
        with ExitStack() as opened:
            before = None
            if self._kept and split in self._kept.files:
                file = opened.enter_context(pq.ParquetFile(self._kept.files[split]))
                before = _Before(file, self._kept.digests[split])
            for piece in rows.partition_by("piece", maintain_order=True):
                yield self._piece(piece, before)

    def _piece(self, rows: pl.DataFrame, before: "_Before | None") -> Piece:
        is_new = pl.col("kept_at").is_null()
        made = self._made(rows.filter(is_new))
        staying = rows["kept_at"].drop_nulls()
        if before is None or staying.is_empty():
            return made
        first, last = int(staying[0]), int(staying[-1])
        copied = before.take(first, last)
        places = pl.when(is_new).then(len(copied.digests) - 1 + is_new.cum_sum()).otherwise(pl.col("kept_at") - first)
        order = rows.select(places).to_series().to_numpy()
        return Piece(
            _in_order(pa.concat_tables([copied.table, made.table]), order),
            together([copied.digests, made.digests])[order],
        )

    def _made(self, rows: pl.DataFrame) -> Piece:
        """Rows that are rendered."""
        task = self._dataset.task
        parts = [self._rendered(some) for some in self._with_texts(rows).iter_slices(_FEW_ROWS)]
        return Piece(
            pa.concat_tables([pa.Table.from_batches([], rows_schema(task)), *parts]), together(map(row_digests, parts))
        )

    def _rendered(self, rows: pl.DataFrame) -> pa.Table:
        licenses = {source.name: source.license for source in self._dataset.config.sources}
        columns = rows.select("record_id", *_SAID, "source", "label_source", "group", "tokens").iter_rows()
        return rows_table(
            self._dataset.task,
            (
                PublishedRow(
                    record_id=record_id,
                    inputs=orjson.loads(inputs),
                    targets=orjson.loads(targets),
                    source=source,
                    license=licenses.get(source, "unknown"),
                    label_source=label_source,
                    group=group,
                    tokens=tokens,
                )
                for record_id, inputs, targets, source, label_source, group, tokens in columns
            ),
        )

    def _with_texts(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The new rows of a piece with what they say."""
        if rows.is_empty():
            return rows
        path = self._texts[rows["split"][0], rows["piece"][0]]
        said = pl.DataFrame(pa.ipc.open_stream(pa.py_buffer(sealed_bytes(path))).read_all())
        return rows.join(said, on="record_id", maintain_order="left")

    @cached_property
    def _texts(self) -> Mapping[tuple[str, int], Path]:
        """Files with what the new rows say, by split and piece."""
        new = self._rows.filter(pl.col("kept_at").is_null()).select("record_id", "run", "split", "piece")
        decisions = self._snapshot.scan(Table.DECISIONS).filter(pl.col("run").is_in(new["run"].unique().implode()))
        found = decisions.select("record_id", "run", *_SAID).join(new.lazy(), on=["record_id", "run"])
        paths: dict[tuple[str, int], Path] = {}
        files: dict[tuple[str, int], pa.RecordBatchStreamWriter] = {}
        with ExitStack() as opened:
            for batch in found.collect_batches(chunk_size=ROWS_AT_ONCE):
                for key, part in batch.partition_by("split", "piece", as_dict=True).items():
                    rows = part.select("record_id", *_SAID).to_arrow(compat_level=pl.CompatLevel.oldest())
                    if key not in files:
                        paths[key] = self._folder / f"texts-{len(paths):05}.arrows"
                        sink = opened.enter_context(writing(paths[key], sealed=True))
                        files[key] = opened.enter_context(pa.ipc.new_stream(sink, rows.schema))
                    files[key].write_table(rows)
        return paths


def _in_order(table: pa.Table, order: npt.NDArray[np.int64]) -> pa.Table:
    """Some rows of a table in an order."""
    starts = np.flatnonzero(np.diff(order, prepend=-2) != 1)
    if len(starts) > _MANY_STRETCHES:
        return table.take(pa.array(order))
    ends = np.append(starts[1:], len(order))
    # Whole stretches are copied at once; nested columns would be gathered value by value.
    return pa.concat_tables(table.slice(order[start], end - start) for start, end in zip(starts, ends, strict=True))


class _Before:
    """The rows of a split in the last version, read once from the first to the last."""

    def __init__(self, file: pq.ParquetFile, digests: Digests) -> None:
        self._batches = file.iter_batches(ROWS_AT_ONCE)
        self._digests = digests
        self._held, self._start = pa.Table.from_batches([], file.schema_arrow), 0

    def take(self, first: int, last: int) -> Piece:
        """The rows from one place to another; later calls ask for later ones."""
        while self._start + self._held.num_rows <= last:
            self._drop(first)
            self._held = pa.concat_tables([self._held, pa.Table.from_batches([next(self._batches)])])
        self._drop(first)
        return Piece(self._held.slice(0, last + 1 - first), self._digests[first : last + 1])

    def _drop(self, first: int) -> None:
        """Forget the rows before one."""
        passed = min(first - self._start, self._held.num_rows)
        self._held, self._start = self._held.slice(passed), self._start + passed
