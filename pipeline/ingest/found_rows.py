"""Notes what is found in the files of a source: rows, keys, and what cannot be read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.ingest.raw_rows import RawRow
from pipeline.text.field_paths import has_field

_NAMED_ROWS = 100
"""Rows whose fields are named if none has the key."""


@dataclass
class FoundInFile:
    """What was found in a file."""

    rows: int = 0
    keyed: bool = False
    """Some row has the source's key, even if empty."""
    readable: bool = False
    """Some row can be read."""
    broken: int = 0
    """Rows that cannot be read."""
    unreadable: str = ""
    """The first row that cannot be read: its place, and why."""
    swallowing: str = ""
    """The first of these that may have swallowed others."""
    last: str = ""
    """The last row if it can be read, though its last cell may be cut off."""


@dataclass
class FoundInSource:
    """What was found in a source: whether missing rows are really gone, and whether its key field exists."""

    key: str | None = None
    """The field that identifies a row."""
    files: dict[str, FoundInFile] = field(default_factory=dict)
    """By the name that users know, in the order of reading."""
    unkeyed: list[dict[str, Any]] = field(default_factory=list)
    """The first rows that do not have the key, of files without a row that does."""

    def note(self, file: str, row: RawRow) -> None:
        """Add one more row."""
        found = self.files[file]
        found.rows += 1
        if row.error is None:
            found.readable = True
            found.last = row.raw.decode() if row.may_go_on else ""
            if self.key is not None and not found.keyed:
                self._note_key(found, self.key, row.row or {})
            return
        found.broken += 1
        problem = f"{file}:{row.line} ({row.error.detail})"
        found.unreadable = found.unreadable or problem
        if row.holds_others:
            found.swallowing = found.swallowing or problem

    def _note_key(self, found: FoundInFile, key: str, row: dict[str, Any]) -> None:
        found.keyed = has_field(row, key)
        if len(self.unkeyed) < _NAMED_ROWS:
            self.unkeyed.append(row)

    @property
    def lacks_key(self) -> bool:
        """Whether there are rows, and none has the key."""
        return self.key is not None and self.is_readable and not any(file.keyed for file in self.files.values())

    @property
    def is_readable(self) -> bool:
        """Whether some row can be read."""
        return any(file.readable for file in self.files.values())

    @property
    def is_empty(self) -> bool:
        """Whether there is no row at all."""
        return not any(file.rows for file in self.files.values())

    @property
    def unreadable(self) -> str:
        """The first row that cannot be read: its place, and why."""
        return next((file.unreadable for file in self.files.values() if file.unreadable), "")

    def damage(self) -> str:
        """Why rows may only appear to be gone; empty if they really are."""
        if not self.is_readable and self.unreadable:
            return f"has no row that can be read, from {self.unreadable} on"
        swallowing = next((file.swallowing for file in self.files.values() if file.swallowing), "")
        if swallowing:
            return f"cannot be read at {swallowing}, so that rows after it may be missing"
        return ""

    def lasts(self) -> Iterator[tuple[str, str]]:
        """The files whose last row may be cut off though it can be read, and that row."""
        return ((name, file.last) for name, file in self.files.items() if file.last)

    def empty_files(self) -> tuple[str, ...]:
        """The files without rows."""
        return tuple(name for name, file in self.files.items() if not file.rows)
