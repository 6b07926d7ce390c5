"""Folders that appear atomically: prepared under a temporary name, then renamed."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.state.atomic import flush, opened

STAGING = ".staging-"
"""How the names of unfinished folders begin."""


@contextmanager
def staged(parent: Path) -> Iterator[Path]:
    """A new folder in ``parent`` to prepare another one in; removed afterwards unless it was renamed.

    It is locked while its process lives, so that later processes can tell leftovers from work in
    progress. The lock on ``parent`` closes the gap between creating and locking.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"{STAGING}{uuid.uuid4().hex}"
    with opened(parent) as shared:
        fcntl.flock(shared, fcntl.LOCK_EX)
        _remove_leftovers(parent)
        folder.mkdir()
        own = os.open(folder, os.O_RDONLY)
        fcntl.flock(own, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(own)


def put_in_place(folder: Path, final: Path) -> None:
    """Give a staged folder its final name; it appears with all its content, also after a power failure.

    Raises:
        OSError: the rename failed, for example with ENOTEMPTY because ``final`` already exists.
    """
    for inner in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        flush(inner)
    folder.rename(final)
    flush(final.parent)


def _remove_leftovers(parent: Path) -> None:
    for leftover in parent.glob(f"{STAGING}*"):
        try:
            with opened(leftover) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover)
        except (BlockingIOError, FileNotFoundError):
            continue  # its process is alive, or has just renamed or removed it
