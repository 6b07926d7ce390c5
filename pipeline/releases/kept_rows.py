"""Keeps what the rows of the last version follow from, and their digests: the next one copies those that stay.

A cache beside the versions: if it is gone or damaged, or the version itself is, all rows are made anew.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import StoreError
from pipeline.releases.published_rows import rows_schema
from pipeline.releases.row_digests import DIGEST, Digests, together
from pipeline.releases.row_files import RowFile
from pipeline.releases.versions import sha256_of
from pipeline.state.atomic import replacing, sealed_bytes
from pipeline.state.own_code import code_digest
from pipeline.state.store import Store
from schemas.manifest import Manifest

_HEADER = b"version"


@dataclass(frozen=True)
class KeptRows:
    """The rows of a version that is as it was published."""

    rows: pl.DataFrame
    """``record_id``, the ``run`` that decided what the row says, ``split``, and ``kept_at``, its place in the file of
    the split."""
    digests: Mapping[str, Digests]
    """Of the rows, in their order, by split."""
    files: Mapping[str, Path]
    """With the rows, by split."""


def rows_rules(dataset: LoadedDataset) -> str:
    """16 hex digits over all that a published row depends on, but its decision."""
    licenses = {source.name: source.license for source in dataset.config.sources}
    text = json.dumps([code_digest(), dataset.task_code, licenses], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def keep_rows(
    store: Store, dataset: LoadedDataset, manifest: Manifest, rows: pl.DataFrame, files: Mapping[str, RowFile]
) -> None:
    """Keep the rows of a version that was just published; those of earlier ones are forgotten.

    Args:
        store: has the version.
        dataset: its rules made the rows.
        manifest: of the version.
        rows: ``record_id``, ``run`` and ``split``, in the order of the files.
        files: of the splits, in their order.
    """
    header = {"rules": rows_rules(dataset), "files": {name: file.sha256 for name, file in manifest.splits.items()}}
    digests = together(file.digests for file in files.values())
    columns = rows.select("record_id", "run", "split").to_arrow(compat_level=pl.CompatLevel.oldest())
    kept = pa.FixedSizeBinaryArray.from_buffers(_DIGEST, len(digests), [None, pa.py_buffer(digests)])
    table = columns.append_column("digest", kept).replace_schema_metadata({_HEADER: json.dumps(header)})
    path = store.kept_rows(manifest.version)
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    with replacing(path, sealed=True) as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)


def kept_rows(store: Store, dataset: LoadedDataset, manifest: Manifest) -> KeptRows | None:
    """What was kept of a version; None if its rows would not be made like this now, or anything is not as it was."""
    folder = store.releases / manifest.version
    with suppress(StoreError, OSError, ValueError, KeyError, pa.ArrowException):
        table = pa.ipc.open_file(pa.py_buffer(sealed_bytes(store.kept_rows(manifest.version)))).read_all()
        header = json.loads(table.schema.metadata[_HEADER])
        files = {split: folder / file.file for split, file in manifest.splits.items()}
        if header["rules"] != rows_rules(dataset) or header["files"] != {n: sha256_of(f) for n, f in files.items()}:
            return None
        if any(pq.read_schema(path) != rows_schema(dataset.task) for path in files.values()):
            return None
        rows = pl.DataFrame(table.select(["record_id", "run", "split"]))
        kept_at = pl.int_range(pl.len(), dtype=pl.Int64).over("split")
        digests = np.frombuffer(table["digest"].combine_chunks().buffers()[1], dtype=DIGEST)
        is_of = {split: (rows["split"] == split).to_numpy() for split in files}
        return KeptRows(rows.with_columns(kept_at=kept_at), {s: digests[mask] for s, mask in is_of.items()}, files)
    return None


_DIGEST = pa.binary(DIGEST.itemsize)
