"""Tells by its stamp whether a file is the one that was read before, without opening it."""

import os
from pathlib import Path
from typing import NamedTuple

_SETTLED_NS = 2_000_000_000
"""The coarsest clock of a file system, FAT's, has steps of 2 s: a younger file may change again under the same time."""


class Stamp(NamedTuple):
    """What the system says about a file; times are in nanoseconds since 1970."""

    size: int
    modified: int
    changed: int
    """When its content or its entry last changed, which no program can set back."""
    inode: int

    def is_settled(self, now: int) -> bool:
        """Whether any change from now on, in nanoseconds since 1970, makes another stamp."""
        return now - max(self.modified, self.changed) >= _SETTLED_NS


def stamp_of(file: Path | int) -> Stamp | None:
    """The stamp of a file, by its path or descriptor; None if it has none, being gone or out of reach."""
    try:
        found = os.stat(file)  # noqa: PTH116 (Path.stat takes no descriptor)
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
