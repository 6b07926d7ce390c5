"""Splits the current records into shards, and prepares them in sequence or in parallel."""

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.prepare import RECORD_COLUMNS, Prepared, prepare_shard
from pipeline.errors import ConfigError
from pipeline.state.mapped_rows import scatter
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.tokens import count_tokens

SHARD_ROWS = 50_000
"""Maximum rows that one worker prepares at a time; progress is shown by finished shards."""
FEW_ROWS = 10_000
"""Fewer are not worth another worker."""
_RECORDS = pl.Schema({name: (SCHEMAS[Table.RECORDS] | {"order": pl.Int64()})[name] for name in RECORD_COLUMNS})
_SHARDS_A_WORKER = 4
"""Shards per worker for a corpus that fits: then no worker waits long for the last one."""


def write_shards(
    pieces: Iterable[pl.DataFrame], orders: npt.NDArray[np.int64], folder: Path, workers: int = 1
) -> list[Path]:
    """Divide records among files for this many workers, by their order; within a file they come as they are.

    Memory holds a piece at a time.

    Args:
        pieces: records, in any order.
        orders: of each of these, its place among all that are to be prepared; -1 if it is not one of them.
        folder: for the files.
        workers: how many prepare them at once.
    """
    count = int(orders.max(initial=-1)) + 1
    size = shard_size(count, workers)
    shards = [folder / f"records-{number:05}.rows" for number in range(math.ceil(count / size))]
    scatter(_numbered(pieces, orders, size), shards, _RECORDS)
    return shards


def shard_size(rows: int, workers: int) -> int:
    """How many of these rows a shard has, for so many workers."""
    even = math.ceil(rows / (workers * _SHARDS_A_WORKER))
    return min(max(even, FEW_ROWS), SHARD_ROWS)


def _numbered(
    pieces: Iterable[pl.DataFrame], orders: npt.NDArray[np.int64], size: int
) -> Iterator[tuple[pl.DataFrame, npt.NDArray[np.int64]]]:
    start = 0
    for piece in pieces:
        mine = orders[start : start + piece.height]
        start += piece.height
        yield piece.with_columns(order=pl.Series(mine)), mine // size


def shard_records(snapshot: Snapshot, aged: pl.DataFrame, folder: Path, workers: int = 1) -> list[Path]:
    """Divide the current records among files, given their ``batch`` and ``position`` in their order."""
    place = ["batch", "position"]
    rows = snapshot.scan(Table.RECORDS).select(place).collect()
    orders = rows.join(aged.select(*place, "order"), on=place, how="left", maintain_order="left")["order"]
    pieces = snapshot.pieces(Table.RECORDS, *(name for name in RECORD_COLUMNS if name != "order"))
    return write_shards(pieces, orders.fill_null(-1).to_numpy(), folder, workers)


def prepared_path(shard: Path) -> Path:
    """Where the prepared rows of a shard of records go."""
    return shard.with_name(shard.name.replace("records-", "prepared-"))


def warm_up(dataset: LoadedDataset) -> None:
    """Load what a worker needs to prepare shards, before there are any."""
    # Errors are reported when a shard is prepared.
    with suppress(ConfigError):
        count_tokens(["a word"], dataset.config.measure.encoding)


def prepare(shard: Path, kept: Path, dataset: LoadedDataset) -> Prepared:
    """Prepare one shard of records, and keep what it derives in a folder, in a file for each run and shard."""
    derived = kept / f"{shard.parent.name}-{shard.with_suffix('.arrow').name}"
    return prepare_shard(shard, prepared_path(shard), derived, dataset)
