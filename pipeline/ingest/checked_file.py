"""Reads the bytes of a file together with their checksum, so that a later reading can tell whether it only grew."""

import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import Rewritten
from pipeline.state.atomic import opened
from pipeline.state.file_stamps import Stamp, stamp_of

_BLOCK = 2**20


class Content(NamedTuple):
    """The bytes of a file, as far as they were read."""

    size: int
    checksum: int
    """Their CRC-32."""
    ends_line: bool
    """Whether the last one ends a line, so that appended bytes change none; true for an empty file."""


class CheckedFile(io.FileIO):
    """An open file that keeps the checksum of all that is read of it.

    It ends where it ended when it was opened: what a writer appends meanwhile is for the next reading, and a line that
    it completes would be read as two.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._end = os.fstat(self.fileno()).st_size
        self._size = self._checksum = 0
        self._last = b"\n"
        self._has_ended = False

    def passed(self) -> int:
        """How many bytes were read so far."""
        return self._size

    @property
    def content(self) -> Content:
        """What was read so far, from the beginning on."""
        return Content(self._size, self._checksum, self._last == b"\n")

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, at most its size."""
        view = memoryview(buffer)[: self._end - self._size]
        count = 0 if self._has_ended else super().readinto(view) or 0
        self._note(view[:count])
        return count

    def readall(self) -> bytes:
        """Read the rest."""
        rest, read = bytearray(self._end - self._size), 0
        while count := self.readinto(memoryview(rest)[read:]):
            read += count
        return bytes(rest[:read])

    def _note(self, data: memoryview) -> None:
        if not data.nbytes:
            self._has_ended = True
            return
        self._size += data.nbytes
        self._checksum = zlib.crc32(data, self._checksum)
        self._last = bytes(data[-1:])

    def pass_over(self, content: Content) -> int | None:
        """Read what was read before, from the beginning on.

        Returns:
            How many lines end in it; None if the bytes are others, and then the file is at its beginning again.
        """
        block, lines = bytearray(_BLOCK), 0
        while self._size < content.size and (
            count := self.readinto(memoryview(block)[: min(_BLOCK, content.size - self._size)])
        ):
            lines += block.count(b"\n", 0, count)
        if self.content == content:
            return lines
        self.seek(0)
        self._size = self._checksum = 0
        self._last, self._has_ended = b"\n", False
        return None


def _nothing() -> int:
    return 0


@dataclass
class Resumption:
    """What was read of a file before, whether its rows are still there, and what is read now."""

    before: Content | None = None
    """None if nothing is known, so that all is read."""
    now: Content | None = None
    """Known at the end, except of a Parquet or compressed file."""
    goes_on: bool = False
    """Whether the rows that are read follow those of before."""
    may_grow: bool = False
    """Whether what is appended while it is read may wait for the next reading; only so if its rows are lines."""
    stamp: Stamp | None = None
    """Known at the end: that of the file as it was opened, and still was when all was read."""
    passed: Callable[[], int] = _nothing
    """How many bytes of the file were read so far, of a compressed file as it is stored."""

    def start(self, file: CheckedFile, may_grow: bool) -> int | None:
        """Pass over what is known of a file.

        Args:
            file: open at its beginning.
            may_grow: lines may follow those of before; otherwise any further byte may change all rows.

        Returns:
            How many lines were passed over; None if no row follows.
        """
        before = self.before
        if before is None:
            return 0
        size, may_grow = os.fstat(file.fileno()).st_size, may_grow and before.ends_line
        if size < before.size or (size > before.size and not may_grow):
            return 0
        lines = file.pass_over(before)
        if lines is None:
            return 0
        self.goes_on = True
        return lines if may_grow else None


@contextmanager
def unmoved(path: Path, reading: Resumption) -> Iterator[int]:
    """Require that nobody writes to a file while it is read; another one may take its place.

    Yields its descriptor.

    Raises:
        Rewritten: somebody has.
    """
    with opened(path) as file:
        reading.stamp = stamp_of(file)
        try:
            yield file
        except Exception:
            # What cannot be read may be half of what was there and half of what is there now.
            require_as_read(path, reading, file)
            raise
        require_as_read(path, reading, file)


def require_as_read(path: Path, reading: Resumption, file: int | None = None) -> None:
    """Require that nobody has written to a file since it was opened; another one may be in its place.

    Args:
        path: of the file.
        reading: has its stamp.
        file: its descriptor, as long as it is open.

    Raises:
        Rewritten: somebody has.
    """
    before, there = reading.stamp, stamp_of(path)
    if before is None or there == before:
        return
    if there is not None and there.inode == before.inode:
        is_as_read = _has_only_grown(path, reading)
    else:
        # A file whose place another one has taken has another entry, and with it another time of its last change.
        now = None if file is None else stamp_of(file)
        is_as_read = now is None or now[:2] == before[:2]
    if not is_as_read:
        raise Rewritten(
            f"'{path}' was rewritten while it was read, so that its rows may be of two states; let its writer write to "
            "a temporary name and rename that, and run it again"
        )


def _has_only_grown(path: Path, reading: Resumption) -> bool:
    if not reading.may_grow or reading.now is None:
        return False
    with CheckedFile(path) as file:
        return file.pass_over(reading.now) is not None
