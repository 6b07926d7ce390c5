"""Writes files atomically, and reads back exactly what was written.

Everything that is kept or passed on is written here, by Python: numpy's writer has swallowed the error of a full disk,
so that an empty file replaced a full one. A file that a later step of ours reads ends in a seal, its length
and a checksum, since a disk may also lose or change what it accepted without an error.
"""

import errno
import fcntl
import io
import mmap
import os
import shutil
import stat
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.errors import StoreError
from pipeline.state.memory import mapped

_SEAL = struct.Struct("<QQ4s")
_MARK = b"leaf"
_UNFINISHED = ".partial"
_BLOCK = 2**20


class Sink(io.RawIOBase):
    """Counts and checksums what is written to a file."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._hash = file, xxhash.xxh3_64()
        self.size = 0
        """Bytes written so far."""

    @property
    def checksum(self) -> int:
        """Their XXH3, 64 bits."""
        return self._hash.intdigest()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Write all of it, or raise an error."""
        view = memoryview(data)
        if view.nbytes:
            view = view.cast("B")
            self._file.write(view)
            self.size += view.nbytes
            self._hash.update(view)
        return view.nbytes

    def tell(self) -> int:
        """Bytes written so far; seeking is not possible."""
        return self.size

    def flush(self) -> None:
        """Flush everything to the system."""
        if not self._file.closed:
            self._file.flush()


@contextmanager
def writing(path: Path, *, lasting: bool = False, sealed: bool = False, private: bool = False) -> Iterator[Sink]:
    """Write a new file; if that fails, nothing remains of it.

    Args:
        path: of the file, which must not exist.
        lasting: it must survive a power failure.
        sealed: ``sealed_bytes`` will read it.
        private: only its owner may read it.

    Raises:
        OSError: it cannot be written, or ends up shorter than what was written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            sink = Sink(file)
            yield sink
            if sealed:
                sink.write(_SEAL.pack(sink.size, sink.checksum, _MARK))
            file.flush()
            size = os.fstat(file.fileno()).st_size
            if size != sink.size:
                raise OSError(errno.EIO, f"{sink.size:,} bytes were written, but the file has {size:,}", str(path))
            if lasting:
                os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def unfinished(folder: Path) -> Path:
    """A name for an unfinished file."""
    return folder / f".{uuid.uuid4().hex}{_UNFINISHED}"


def remove_unfinished(folder: Path, before: float) -> None:
    """Remove unfinished files of killed processes in a folder and below it.

    Args:
        folder: need not exist.
        before: seconds since 1970; files modified later may be in use.
    """
    for path in folder.rglob(f".*{_UNFINISHED}"):
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink()


@contextmanager
def replacing(path: Path, *, lasting: bool = False, sealed: bool = False, private: bool = False) -> Iterator[Sink]:
    """The same under a temporary name first: the file replaces an older one once it is complete.

    If the process is killed, the older one remains; several processes may write the same file at once.
    """
    partial = unfinished(path.parent)
    try:
        with writing(partial, lasting=lasting, sealed=sealed, private=private) as sink:
            yield sink
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename == str(partial):
            error.filename, error.filename2 = str(path), None
        raise
    if lasting:
        flush(path.parent)


def repeat(path: Path, other: Path) -> None:
    """Let a file that is never changed have another name, too; where there are no links, it is copied.

    Raises:
        OSError: it is gone.
    """
    try:
        os.link(path, other)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, other)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a folder or file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def flush(path: Path) -> None:
    """Make sure that a folder's entries, or a file that others wrote, survive a power failure."""
    with opened(path) as descriptor:
        os.fsync(descriptor)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Let one process at a time work on a folder; the others wait."""
    with opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


# --- reading --------------------------------------------------------------------------------------
def sealed_bytes(path: Path) -> npt.NDArray[np.uint8]:
    """Map a sealed file; its checksum is verified once per process.

    Raises:
        StoreError: its bytes are not those that were written.
    """
    return _mapped(path)[: -_SEAL.size]


def sealed_checksum(path: Path) -> int:
    """The checksum of what a sealed file holds, verified as by ``sealed_bytes``.

    Raises:
        StoreError: its bytes are not those that were written.
    """
    _, checksum, _ = _SEAL.unpack(_mapped(path)[-_SEAL.size :].tobytes())
    return int(checksum)


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    """A sealed file with its seal, verified."""
    found = path.stat()
    _require_seal(path, found.st_ino, found.st_size, found.st_mtime_ns)
    # Not by np.memmap, which takes three times as long: it resolves the path. A small search maps two hundred files.
    with opened(path) as descriptor:
        content = mapped(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    return np.frombuffer(content, dtype=np.uint8)


@lru_cache(maxsize=2**14)
def _require_seal(path: Path, _inode: int, size: int, _changed: int) -> None:
    with path.open("rb") as file:
        if size < _SEAL.size:
            raise _damaged(path, f"it has {size:,} bytes")
        checksum = checksum_of(file, size - _SEAL.size)
        if file.read() != _SEAL.pack(size - _SEAL.size, checksum, _MARK):
            raise _damaged(path, "its checksum does not match")


def _damaged(path: Path, problem: str) -> StoreError:
    return StoreError(f"{path} is corrupt ({problem}); check whether the disk is full or failing, then run it again")


def checksum_of(file: BinaryIO, size: int) -> int:
    """XXH3, 64 bits, of the next bytes of a file: of a gigabyte in 0.1 s, where CRC-32 takes 0.3 s."""
    found = xxhash.xxh3_64()
    while size and (block := file.read(min(size, _BLOCK))):
        found.update(block)
        size -= len(block)
    return found.intdigest()


def is_file(path: Path) -> bool:
    """Whether a file of this name exists; names that no file can have are allowed."""
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises an error for a name of 300 characters)


def is_folder(path: Path) -> bool:
    """Whether a folder of this name exists; names that no folder can have are allowed."""
    return os.path.isdir(path)  # noqa: PTH112 (as above)


def no_file(path: Path) -> str:
    """What a path leads to that can be opened and is no file, in words, such as a device; empty for anything else."""
    with suppress(OSError, ValueError):
        mode = os.stat(path).st_mode  # noqa: PTH116 (as above)
        kinds = {"a device": stat.S_ISCHR, "a disk": stat.S_ISBLK, "a FIFO": stat.S_ISFIFO, "a socket": stat.S_ISSOCK}
        return next((name for name, is_one in kinds.items() if is_one(mode)), "")
    return ""


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file that a user names.

    Raises:
        OSError: it cannot be read, or is no file: a device may have no end, and a FIFO may never begin.
        UnicodeDecodeError: it is no text.
    """
    if kind := no_file(path):
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    return path.read_text(encoding)
