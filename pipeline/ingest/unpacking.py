"""Opens files of rows; a compressed one is decompressed as it is read, up to a limit."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.ingest.checked_file import CheckedFile

UNPACKED_TIMES = 1_000
"""A compressed file may hold this many times its size."""
UNPACKED_FLOOR = 64 * 2**20
"""Bytes that it may hold in any case."""


def opened_file(path: Path, compression: str | None) -> tuple["CheckedFile | _Unpacked", io.BufferedReader]:
    """A file open for reading, decompressed as it is read, and the stream of its bytes, which closes it."""
    file = CheckedFile(path) if compression is None else _Unpacked(path, compression)
    return file, io.BufferedReader(file, buffer_size=1 << 20)


class _Unpacked(io.RawIOBase):
    """A compressed file's content, as long as it is not out of all proportion to the file."""

    def __init__(self, path: Path, compression: str) -> None:
        self._path = path
        self._packed = pa.OSFile(str(path))
        self._stream = pa.CompressedInputStream(self._packed, compression)
        self._left = most_unpacked(path)
        self._passed = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = int(self._stream.readinto(buffer))
        self._left -= count
        if self._left < 0:
            raise too_much(self._path)
        self._passed = self._packed.tell()
        return count

    def passed(self) -> int:
        """How many bytes of the compressed file were read so far."""
        return self._passed

    def close(self) -> None:
        self._stream.close()
        self._packed.close()
        super().close()


def most_unpacked(path: Path) -> int:
    """How many bytes a compressed file may hold: a few kilobytes can hold gigabytes of nothing, and take hours."""
    return max(UNPACKED_FLOOR, UNPACKED_TIMES * path.stat().st_size)


def too_much(path: Path) -> SourceError:
    """The error for a file that holds more."""
    return SourceError(
        f"'{path}' unpacks to more than {UNPACKED_TIMES:,} times its size; if that is intended, decompress it and name "
        "the result"
    )
