"""Temporary folders in memory: on a disk, a third of the time of tests with a server is waiting for its database."""

import os
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
NEEDED = 8 * 2**30
"""Free bytes: a run of all tests writes 3 GB of temporary files, and processes need memory, too."""


def use_memory(memory: Path = MEMORY, needed: int = NEEDED) -> None:
    """Let temporary folders, ours and those of the programs that we start, be in memory, if there is enough of it.

    A given ``TMPDIR`` is left alone. What is written and flushed is the same; only the disk is not waited for.
    """
    if "TMPDIR" in os.environ or not memory.is_dir() or not os.access(memory, os.W_OK):
        return
    there = os.statvfs(memory)
    free = min(there.f_bavail * there.f_frsize, psutil.virtual_memory().available)
    # Some tests start programs that they write.
    if free >= needed and not there.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None  # may have been found before
