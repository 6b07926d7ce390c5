"""Keeps what follows from a row alone: a row is parsed, cleaned and screened once, and not in every run.

A cache: what is missing, damaged or was derived by other rules is derived anew from the raw rows.
"""

import hashlib
import json
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.row_facts import Facts
from pipeline.errors import StoreError
from pipeline.state.atomic import replacing, sealed_bytes
from pipeline.state.own_code import code_digest

_FACTS, _REPLACES = b"facts", b"replaces"
DERIVED = pl.Schema(
    {
        "record_id": pl.String(),
        "revision": pl.String(),
        "source": pl.String(),
        # What it shares with others of its group, as a JSON list with one entry per field of split.group_by.
        "group_keys": pl.String(),
        "inputs": pl.String(),
        "targets": pl.String(),
        # Of both; null if the row breaks the schema.
        "content": pl.String(),
        # For prompt and answer; null if the task's own code fails.
        "tokens": pl.Int64(),
        # JSON lists of reasons: why it is rejected, why an annotator must look.
        "rejection_reasons": pl.String(),
        "review_reasons": pl.String(),
        # Of a rejected row that a person can repair: the valid part of its answer.
        "draft": pl.String(),
    }
)
"""What is kept of a row; what else is prepared of it follows from these without parsing it again."""


def write_derived(frame: pl.DataFrame, facts: Facts, path: Path, replaces: Sequence[str] = ()) -> None:
    """Write the rows of a file, and what they are like; it appears once it is complete.

    Args:
        frame: with the columns of ``DERIVED``, and perhaps others.
        facts: what the rows are like.
        path: of the file.
        replaces: the names of files in whose place it is, once what stands says so.
    """
    table = (
        frame.select(pl.col(name).cast(kind) for name, kind in DERIVED.items())
        .rechunk()
        .to_arrow(compat_level=pl.CompatLevel.oldest())
    )
    table = table.replace_schema_metadata({_FACTS: facts.as_json(), _REPLACES: json.dumps(list(replaces))})
    with replacing(path, sealed=True) as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)


def derivation_digest(dataset: LoadedDataset) -> str:
    """16 hex digits over all that a derived row depends on but the raw row itself."""
    config = dataset.config
    parts = {
        "goldleaf": code_digest(),
        "task": dataset.task_code,
        "sources": {one.name: [dict(one.fields), one.layout] for one in config.sources},
        "normalize": config.normalize.model_dump(mode="json"),
        "screen": config.screen.model_dump(mode="json"),
        "encoding": config.measure.encoding,
        "group_by": config.split.group_by,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class DerivedRows:
    """The files of derived rows under one digest."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of this digest, which need not exist; those of others are its siblings."""
        self.folder = folder

    @cached_property
    def files(self) -> list[Path]:
        """Those that can be read, in the order of their names; damaged ones are removed."""
        return [path for path in sorted(self.folder.glob("*.arrow")) if self._is_sound(path)]

    def _is_sound(self, path: Path) -> bool:
        try:
            sealed_bytes(path)
        except (StoreError, OSError):
            with suppress(OSError):
                path.unlink()
            return False
        return True

    def known(self) -> pl.DataFrame:
        """``record_id``, ``revision``, ``file`` (its name) and ``row`` of all rows that are kept, each once."""
        parts = [
            _frame(_table(path).select(["record_id", "revision"]))
            .with_row_index("row")
            .with_columns(file=pl.lit(path.name))
            for path in self.files
        ]
        schema = {"record_id": pl.String, "revision": pl.String, "file": pl.String, "row": pl.UInt32}
        rows = pl.concat([pl.DataFrame(schema=schema), *(part.select(list(schema)) for part in parts)])
        # A killed run may have left rows that the next one derived again.
        return rows.unique(["record_id", "revision"], keep="first", maintain_order=True)

    def take(self, places: pl.DataFrame) -> pl.DataFrame:
        """Rows with the columns of ``DERIVED`` at some ``file`` and ``row``, in the order of these.

        Raises:
            StoreError: a file is gone or damaged.
        """
        wanted = places.select("file", "row").with_row_index("at")
        parts = [pl.DataFrame(schema=DERIVED | {"at": pl.UInt32})]
        for (name,), some in wanted.group_by("file", maintain_order=True):
            rows = pa.array(some["row"].cast(pl.Int64).to_numpy())
            found = _frame(_table(self.folder / str(name)).take(rows))
            parts.append(found.with_columns(at=some["at"]).select(parts[0].columns))
        return pl.concat(parts).sort("at").drop("at")

    def facts(self, names: Collection[str] | None = None) -> list[Facts]:
        """What the rows of each file are like, or of some; those of a file that another one replaces count once."""
        doubled = {name for replaced in self.replaced().values() for name in replaced}
        known = [path for path in self.files if path.name not in doubled and (names is None or path.name in names)]
        return [Facts.of_json(_table(path).schema.metadata[_FACTS]) for path in known]

    def replaced(self) -> dict[Path, list[str]]:
        """By file: the names of those in whose place it is."""
        told = {path: (_table(path).schema.metadata or {}).get(_REPLACES, b"[]") for path in self.files}
        return {path: names for path, text in told.items() if (names := json.loads(text))}

    def renew(self) -> None:
        """Begin anew: what is kept so far, by these rules or by others, does not count any more."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        self.folder.mkdir(parents=True)


def _table(path: Path) -> pa.Table:
    """Map a file: rows that are not taken are not read, except for the checksum the first time."""
    return pa.ipc.open_file(pa.py_buffer(sealed_bytes(path))).read_all()


def _frame(table: pa.Table) -> pl.DataFrame:
    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    return found
