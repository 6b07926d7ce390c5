"""Splits the current records into shards, and prepares them in sequence or in parallel."""

import math
from contextlib import suppress
from pathlib import Path

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.prepare import RECORD_COLUMNS, Prepared, prepare_shard
from pipeline.errors import ConfigError
from pipeline.state.work_files import write_work
from pipeline.text.tokens import count_tokens

SHARD_ROWS = 50_000
"""Maximum rows that one worker prepares at a time; progress is shown by finished shards."""
FEW_ROWS = 10_000
"""Fewer are not worth another worker."""
_SHARDS_A_WORKER = 4
"""Shards per worker for a corpus that fits: then no worker waits long for the last one."""


def write_shards(rows: pl.LazyFrame, folder: Path, workers: int = 1) -> list[Path]:
    """Write records, with their position as ``order``, to Parquet shards for this many workers."""
    records = rows.with_row_index("order").with_columns(pl.col("order").cast(pl.Int64))
    current = records.select(RECORD_COLUMNS).collect()
    even = math.ceil(current.height / (workers * _SHARDS_A_WORKER))
    size = min(max(even, FEW_ROWS), SHARD_ROWS)
    shards: list[Path] = []
    for start in range(0, current.height, size):
        shards.append(folder / f"records-{len(shards):05}.parquet")
        write_work(current.slice(start, size), shards[-1])
    return shards


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
