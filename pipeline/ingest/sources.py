"""Reads the rows of the sources, gives each its key, and records what was found in every source."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.errors import SourceError
from pipeline.ingest.download import is_url
from pipeline.ingest.formats import read_rows
from pipeline.ingest.raw_rows import RawRow
from pipeline.ingest.row_keys import content_key, typed_key
from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.field_paths import field_value, has_field
from schemas.dataset import Source
from schemas.identity import ID_BYTES, stable_hash

_CHUNK_ROWS = 50_000
_CHUNK_BYTES = 64 * 2**20
"""Raw bytes held in memory at once, not counting the longest row's."""
_NAMED_ROWS = 100
"""Rows whose fields are named if none has the key."""
_EXACT_BELOW = 2**53
"""Smaller integers are exact as floats."""


@dataclass
class FoundInSource:
    """What was found in a source: whether missing rows are really gone, and whether its key field exists."""

    key: str | None = None
    """The field that identifies a row."""
    keyed: bool = False
    """Some row has it, even if empty."""
    unkeyed: list[dict[str, Any]] = field(default_factory=list)
    """The first rows that do not have it."""
    readable: bool = False
    """Some row can be read."""
    unreadable: str = ""
    """The first row that cannot be read: its place, and why."""
    swallowing: str = ""
    """The first of these that may have swallowed others."""
    rows_in: Counter[str] = field(default_factory=Counter)
    """How many rows each file has."""

    def note(self, file: str, row: RawRow) -> None:
        """Add one more row."""
        self.rows_in[file] += 1
        if row.error is None:
            self.readable = True
            if self.key is not None and not self.keyed:
                self._note_key(self.key, row.row or {})
            return
        problem = f"{file}:{row.line} ({row.error.detail})"
        self.unreadable = self.unreadable or problem
        if row.holds_others:
            self.swallowing = self.swallowing or problem

    def _note_key(self, key: str, row: dict[str, Any]) -> None:
        self.keyed = has_field(row, key)
        if len(self.unkeyed) < _NAMED_ROWS:
            self.unkeyed.append(row)

    def damage(self) -> str:
        """Why rows may only appear to be gone; empty if they really are."""
        if not self.readable and self.unreadable:
            return f"has no row that can be read, from {self.unreadable} on"
        if self.swallowing:
            return f"cannot be read at {self.swallowing}, so that rows after it may be missing"
        return ""


_READ_COLUMNS = ("record_id", "revision", "key", "file", "line", "raw", "error")


def row_frames(
    source: Source, files: list[Path], folder: Path, found: FoundInSource, run: str, start: int
) -> Iterator[pl.DataFrame]:
    """The rows of a source as frames in the schema of the ``records`` table."""
    schema = SCHEMAS[Table.RECORDS]
    now = datetime.now(UTC)
    for rows in _chunks(source, files, folder, found):
        # By columns: row by row, polars takes several times as long.
        columns = dict(zip(_READ_COLUMNS, zip(*rows, strict=True), strict=True))
        frame = pl.DataFrame(columns, schema={name: schema[name] for name in _READ_COLUMNS}).with_columns(
            source=pl.lit(source.name),
            withdrawn=pl.lit(False),
            batch=pl.lit(run),
            position=pl.int_range(start, start + len(rows), dtype=pl.Int64),
            ingested_at=pl.lit(now).cast(schema["ingested_at"]),
        )
        yield frame.select(schema.names())
        start += len(rows)


def _chunks(source: Source, files: list[Path], folder: Path, found: FoundInSource) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a source, in chunks that fit in memory."""
    occurrences: Counter[bytes] = Counter()
    rows: list[tuple[Any, ...]] = []
    size = 0
    for file in files:
        shown = shown_file(file, folder, source)
        found.rows_in[shown] += 0  # a file without rows counts, too
        for raw in _read(source, file):
            found.note(shown, raw)
            revision = hashlib.blake2b(raw.raw, digest_size=ID_BYTES)
            key = _key(source, raw, revision, occurrences)
            error = raw.error.model_dump_json() if raw.error else ""
            rows.append((stable_hash(source.name, key), revision.hexdigest(), key, shown, raw.line, raw.raw, error))
            size += len(raw.raw)
            if len(rows) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows


def _read(source: Source, file: Path) -> Iterator[RawRow]:
    try:
        yield from read_rows(file, source.format)
    except SourceError as error:
        # A download has an internal name.
        problem = str(error).replace(str(file), shown_file(file, file.parent, source)) if is_url(source) else error
        raise SourceError(f"source '{source.name}': {problem}") from error


def _key(source: Source, raw: RawRow, revision: "hashlib.blake2b", occurrences: Counter[bytes]) -> str:
    """The user's id of a row, or its content and occurrence number if it has none."""
    value = field_value(raw.row, source.key) if source.key and raw.row is not None else None
    if isinstance(value, float) and abs(value) >= _EXACT_BELOW:
        # An integer beyond 64 bits, which the fast parser rounds: many ids would become one.
        value = field_value(json.loads(raw.raw), str(source.key))
    if value is not None and value != "":
        return typed_key(value)
    digest = revision.digest()
    occurrences[digest] += 1
    return content_key(revision.hexdigest(), occurrences[digest])


def shown_file(file: Path, folder: Path, source: Source) -> str:
    """The name of a source's file for the user: relative to the dataset.yaml, or its URL."""
    if is_url(source):
        return source.path
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)
