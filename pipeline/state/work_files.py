"""A run's intermediate tables: written once, read once or twice, removed with the run."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import polars as pl

from pipeline.state.atomic import replacing, sealed_bytes


def write_work(frame: pl.DataFrame, path: Path) -> None:
    """Write a table, uncompressed, for ``read_work``."""
    with replacing(path, sealed=True) as sink:
        frame.write_parquet(cast("IO[bytes]", sink), compression="uncompressed", statistics=False)


def read_work(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a table, or some of its columns in this order.

    Raises:
        StoreError: it is corrupt.
    """
    frame = pl.read_parquet(sealed_bytes(path).tobytes(), columns=list(columns) if columns else None)
    return frame.select(columns) if columns else frame
