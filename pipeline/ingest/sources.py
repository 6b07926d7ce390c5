"""Reads the rows of the sources, gives each its key, and notes what each source contains.

What an earlier run has read of a file is not read again, as far as it is still there.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from pipeline.errors import SourceError
from pipeline.ingest.checked_file import Content, Resumption, require_as_read
from pipeline.ingest.formats import read_rows
from pipeline.ingest.found_rows import FoundInFile, FoundInSource
from pipeline.ingest.narrow_rows import Rows, narrow_rows
from pipeline.ingest.raw_rows import RawRow
from pipeline.ingest.read_cache import FileRead
from pipeline.ingest.row_keys import Integers, typed_key
from pipeline.ingest.source_urls import is_url, shown_path
from pipeline.state.file_stamps import Stamp, stamp_of
from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.field_paths import field_value
from schemas.dataset import Mode, Source
from schemas.identity import revision_of, stable_hash

_CHUNK_ROWS = 50_000
_CHUNK_BYTES = 64 * 2**20
"""Raw bytes held in memory at once, not counting the longest row's."""
_EXACT_BELOW = 2**53
"""Smaller integers are exact as floats."""
_READ_COLUMNS = ("record_id", "revision", "key", "line", "raw", "error")


@dataclass(eq=False)
class FileReading:
    """A file of a source, and what came of reading it."""

    name: str
    """As users know it."""
    before: FileRead | None
    """What an earlier run has read of it."""
    start: int
    """The position of its first row among all rows of all sources."""
    found: FoundInFile
    goes_on: bool = False
    """Whether the rows of before are still there; the fresh ones follow them."""
    fresh: list[Rows] = field(default_factory=list)
    stamp: Stamp | None = None
    content: Content | None = None

    @property
    def kept(self) -> int:
        """How many rows of before are still there."""
        return self.before.found.rows if self.before is not None and self.goes_on else 0

    @property
    def read(self) -> FileRead:
        """What is known of it now, but for the pieces of the fresh rows."""
        pieces = self.before.pieces if self.before is not None and self.goes_on else ()
        return FileRead(name=self.name, found=self.found, stamp=self.stamp, content=self.content, pieces=pieces)

    def add(self, rows: Rows) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Take more fresh rows, and return their positions."""
        first = self.start + self.kept + sum(len(part) for part in self.fresh)
        self.fresh.append(rows)
        return np.arange(first, first + len(rows))


class SourceReading:
    """A source, and what came of reading it."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        before: Mapping[str, FileRead],
        run: str,
        integers: Integers,
        ids: Mapping[str, str],
    ) -> None:
        """Read nothing yet.

        Args:
            source: to be read.
            folder: that of the dataset.yaml.
            before: what an earlier run has read of its files, by name.
            run: becomes the rows' ``batch``.
            integers: how keys are written that are integers.
            ids: those of ``ids_by_key``.
        """
        self.source, self.integers = source, integers
        self.files: list[FileReading] = []
        """In the order of reading."""
        self.found = FoundInSource(source.key)
        self._folder, self._before, self._run, self._ids = folder, before, run, ids
        self.unsettled: list[Path] = []
        """Those of them that were written to just before they were read."""
        self._read_now = list[tuple[Path, Resumption]]()

    def record_id(self, key: str) -> str:
        """The record that has a key now."""
        plain = stable_hash(self.source.name, key)
        return self._ids.get(plain, plain)

    def key_of(self, raw: bytes) -> str:
        """The key that a row has by what it says; empty if it has none."""
        return _key(self.source, RawRow(0, raw, orjson.loads(raw)), self.integers)

    def require_as_read(self, *, unsettled: bool = False) -> None:
        """Require that what was read is still what the files say, but for rows that were appended.

        Args:
            unsettled: only of files whose writer may have paused while they were read.

        Raises:
            Rewritten: it is not.
        """
        for path, reading in self._read_now:
            if not unsettled or path in self.unsettled:
                with _of_source(self.source, path):
                    require_as_read(path, reading)

    @property
    def half(self) -> list[str]:
        """The revisions of rows that may have been half written: an earlier run found them where their file ended."""
        ends = [file.before.found.last for file in self.files if file.before and not file.goes_on]
        return [revision_of(last.encode()) for last in ends if last]

    @property
    def rows(self) -> int:
        """How many rows the source has."""
        return sum(found.rows for found in self.found.files.values())

    @property
    def passed(self) -> int:
        """How many bytes were read so far, of those that ``unread`` counts."""
        return sum(reading.passed() for _, reading in self._read_now)

    def unread(self, paths: Sequence[Path]) -> int:
        """How many bytes the files have that are to be read, even if only to find that rows were appended to them."""
        files = ((stamp_of(path), self._before.get(self._name(path))) for path in paths)
        return sum(stamp.size for stamp, before in files if stamp and (before is None or before.stamp != stamp))

    def frames(self, paths: Sequence[Path], start: int) -> Iterator[pl.DataFrame]:
        """The rows that no earlier run has read, as frames in the schema of the ``records`` table.

        Rows that are identified by content have no key yet, and their revision in place of their id.

        Args:
            paths: the source's files.
            start: the position of the first row of all.
        """
        rows: list[tuple[Any, ...]] = []
        size = 0
        for path in paths:
            file, count = self._open(path, start), 0
            for raw in self._read(path, file):
                count += 1
                self.found.note(file.name, raw)
                revision = revision_of(raw.raw)
                key = _key(self.source, raw, self.integers)
                identity = self.record_id(key) if key else revision
                error = raw.error.model_dump_json() if raw.error else ""
                rows.append((identity, revision, key, raw.line, raw.raw, error, file))
                size += len(raw.raw)
                if len(rows) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
                    yield self._frame(rows)
                    rows, size = [], 0
            start += file.kept + count
        if rows:
            yield self._frame(rows)

    def _open(self, path: Path, start: int) -> FileReading:
        name = self._name(path)
        self.found.files[name] = FoundInFile()
        self.files.append(FileReading(name, self._before.get(name), start, self.found.files[name]))
        return self.files[-1]

    def _name(self, path: Path) -> str:
        return shown_file(path, self._folder, self.source)

    def _read(self, path: Path, file: FileReading) -> Iterator[RawRow]:
        """The rows that no earlier run has read."""
        now, stamp, before = time.time_ns(), stamp_of(path), file.before
        if before is not None and stamp is not None and stamp == before.stamp:
            self._go_on(file, before)
            file.stamp, file.content = before.stamp, before.content
            return
        content = before.content if before else None
        resumption = Resumption(content, may_grow=self.source.mode is Mode.APPEND)
        self._read_now.append((path, resumption))
        with _of_source(self.source, path):
            rows = read_rows(path, self.source.format, resumption, self.source.csv)
            first = next(rows, None)
            if before is not None and resumption.goes_on:
                self._go_on(file, before)
            if first is not None:
                yield first
                yield from rows
        file.content, stamp = resumption.now, resumption.stamp
        # If it changed since, it has another stamp by now.
        file.stamp = stamp if stamp is not None and stamp.is_settled(now) else None
        if file.stamp is None:
            self.unsettled.append(path)

    def _go_on(self, file: FileReading, before: FileRead) -> None:
        file.goes_on = True
        file.found = self.found.files[file.name] = replace(before.found)

    def _frame(self, rows: list[tuple[Any, ...]]) -> pl.DataFrame:
        schema = SCHEMAS[Table.RECORDS]
        # By columns: row by row, polars takes several times as long.
        *values, files = zip(*rows, strict=True)
        columns = dict(zip(_READ_COLUMNS, values, strict=True))
        narrow = narrow_rows(*(columns[name] for name in ("record_id", "revision", "key", "line", "error")))
        names, positions, at = list[str](), [], 0
        for file, group in groupby(files):
            count = sum(1 for _ in group)
            names += [file.name] * count
            positions.append(file.add(narrow[at : at + count]))
            at += count
        frame = pl.DataFrame(columns, schema={name: schema[name] for name in _READ_COLUMNS}).with_columns(
            pl.Series("file", names, dtype=schema["file"]),
            pl.Series("position", np.concatenate(positions), dtype=schema["position"]),
            source=pl.lit(self.source.name),
            withdrawn=pl.lit(False),
            batch=pl.lit(self._run),
            ingested_at=pl.lit(datetime.now(UTC)).cast(schema["ingested_at"]),
        )
        return frame.select(schema.names())


@contextmanager
def _of_source(source: Source, path: Path) -> Iterator[None]:
    """Name the source of a file in an error about it."""
    try:
        yield
    except SourceError as error:
        # A download has an internal name.
        problem = str(error).replace(str(path), shown_file(path, path.parent, source)) if is_url(source) else error
        raise type(error)(f"source '{source.name}': {problem}") from error


def _key(source: Source, raw: RawRow, integers: Integers) -> str:
    """The user's id of a row; empty if it has none, so that it is identified by its content."""
    value = field_value(raw.row, source.key) if source.key and raw.row is not None else None
    if isinstance(value, float) and abs(value) >= _EXACT_BELOW:
        # An integer beyond 64 bits, which the fast parser rounds: many ids would become one.
        value = field_value(json.loads(raw.raw), str(source.key))
    return "" if value is None or value == "" else typed_key(value, integers)


def shown_file(file: Path, folder: Path, source: Source) -> str:
    """The name of a source's file for the user: relative to the dataset.yaml, or its URL."""
    if is_url(source):
        return shown_path(source)
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)
