"""Keeps what was read of the sources, so that the next run opens only files that have changed.

A cache: but for the rows in whose last cells files ended, which may have been half written, it says nothing that the
tables and the files do not say, and a run that finds none, or a damaged one, reads everything. It counts only as long
as the table of records is as it was left, and the places of moved rows are.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ValidationError

from pipeline.errors import StoreError
from pipeline.ingest.checked_file import Content
from pipeline.ingest.found_rows import FoundInFile
from pipeline.ingest.narrow_rows import NO_ROWS, ROW, Rows
from pipeline.ingest.row_keys import Integers
from pipeline.state.atomic import replacing, sealed_bytes
from pipeline.state.file_stamps import Stamp
from pipeline.state.own_code import code_digest
from schemas.dataset import Source

_HEADER, _ENDING = "sources.json", ".rows"
_MOST_PIECES = 16
"""More are put together in one: each run with new rows adds one."""


class NotEnough(Exception):
    """What was read before does not say enough for an exact result, so that everything must be read."""


class Piece(NamedTuple):
    """Consecutive rows in a file of the cache."""

    file: str
    start: int
    rows: int


class FileRead(BaseModel, frozen=True):
    """What was read of a file."""

    name: str
    """As users know it."""
    found: FoundInFile
    stamp: Stamp | None
    """Before it was read; None if it might have changed since without another one."""
    content: Content | None
    """None for a Parquet or compressed file."""
    pieces: tuple[Piece, ...]


class SourceRead(BaseModel, frozen=True):
    """What was read of a source."""

    name: str
    integers: Integers
    """How its keys are written that are integers."""
    digest: str
    """Of all that its rows follow from, beside its files."""
    superseded: int
    """Rows whose key recurs later with other content."""
    lost_files: tuple[str, ...]
    """Those that the records which no file has any more were last seen in, and perhaps others."""
    files: tuple[FileRead, ...]
    """In the order of reading."""


class SourcesRead(BaseModel, frozen=True):
    """What was read of all sources."""

    records: str
    """The state of the table of records afterwards."""
    moved: str
    """The state of the places of moved rows."""
    has_changed_keys: bool = False
    """Whether records have another key than the one that their id follows from."""
    sources: tuple[SourceRead, ...]


def digest_of(source: Source) -> str:
    """16 hex digits over all that the rows of a source follow from, beside its files."""
    parts = [source.name, source.key, source.format, source.mode, source.csv.delimiter, source.csv.encoding]
    return hashlib.sha256(json.dumps([*parts, code_digest()]).encode()).hexdigest()[:16]


class ReadCache:
    """The folder of what was read."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which need not exist."""
        self._folder = folder
        self._pieces: dict[str, Rows] = {}

    def load(self) -> SourcesRead | None:
        """What was read last; None if that is not known."""
        with suppress(StoreError, OSError, ValidationError):
            return SourcesRead.model_validate_json(sealed_bytes(self._folder / _HEADER).tobytes())
        return None

    def rows(self, file: FileRead) -> Rows:
        """The rows of a file.

        Raises:
            NotEnough: a piece of them is gone or damaged.
        """
        parts = [self._piece(piece.file)[piece.start : piece.start + piece.rows] for piece in file.pieces]
        rows = parts[0] if len(parts) == 1 else np.concatenate([NO_ROWS, *parts])
        if len(rows) != file.found.rows:
            raise NotEnough
        return rows

    def _piece(self, name: str) -> Rows:
        if name not in self._pieces:
            try:
                self._pieces[name] = sealed_bytes(self._folder / name).view(ROW)
            except (StoreError, OSError, ValueError) as error:
                raise NotEnough from error
        return self._pieces[name]

    def save(self, read: SourcesRead, fresh: Sequence[Sequence[Rows]], header: Callable[[Path], Path]) -> None:
        """Keep what was read, in place of what was kept before as soon as the header is in its place.

        Args:
            read: whose files have their pieces of before, if their rows are still there.
            fresh: the rows that are new in each file, in the same order; they become one more piece.
            header: where the header waits for that, given its place.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        files = [file for source in read.sources for file in source.files]
        if any(fresh):
            files = self._with_piece(files, fresh)
        if self._is_scattered(files):
            try:
                files = self._with_piece([_without(file) for file in files], [[self.rows(file)] for file in files])
            except NotEnough:
                self.forget()
                return
        left = iter(files)
        sources = [one.model_copy(update={"files": tuple(next(left) for _ in one.files)}) for one in read.sources]
        with replacing(header(self._folder / _HEADER), sealed=True) as sink:
            sink.write(read.model_copy(update={"sources": tuple(sources)}).model_dump_json().encode())
        before = self.load()
        files += [file for source in before.sources for file in source.files] if before else []
        used = {piece.file for file in files for piece in file.pieces}
        for path in self._folder.glob(f"*{_ENDING}"):
            if path.name not in used:
                path.unlink(missing_ok=True)

    def _with_piece(self, files: Sequence[FileRead], fresh: Sequence[Sequence[Rows]]) -> list[FileRead]:
        """The files with one more piece each, all in one new file."""
        name, start, found = f"{uuid.uuid4().hex}{_ENDING}", 0, []
        with replacing(self._folder / name, sealed=True) as sink:
            for file, parts in zip(files, fresh, strict=True):
                count = sum(len(part) for part in parts)
                for part in parts:
                    sink.write(np.ascontiguousarray(part).view(np.uint8))
                more = (Piece(name, start, count),) if count else ()
                found.append(file.model_copy(update={"pieces": file.pieces + more}))
                start += count
        return found

    def _is_scattered(self, files: Iterable[FileRead]) -> bool:
        """Whether there are many pieces, or most of their rows are of no use any more."""
        used: dict[str, int] = {}
        for piece in (piece for file in files for piece in file.pieces):
            used[piece.file] = used.get(piece.file, 0) + piece.rows
        stored = sum((self._folder / name).stat().st_size for name in used if (self._folder / name).exists())
        return len(used) > _MOST_PIECES or stored > 2 * ROW.itemsize * (sum(used.values()) + 1)

    def renew(self, before: str, after: str) -> None:
        """Keep what was read if the table of records has another state, but the same rows."""
        known = self.load()
        if before != after and known is not None and known.records == before:
            with replacing(self._folder / _HEADER, sealed=True) as sink:
                sink.write(known.model_copy(update={"records": after}).model_dump_json().encode())

    def forget(self) -> None:
        """Let the next run read everything."""
        (self._folder / _HEADER).unlink(missing_ok=True)


def _without(file: FileRead) -> FileRead:
    return file.model_copy(update={"pieces": ()})
