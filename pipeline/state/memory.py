"""Gives memory back to the system between the steps of a run: what was read of mapped files, and what was freed."""

import ctypes
import mmap
import threading
import weakref

_MAPPED: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_LOCK = threading.Lock()
"""Of the set: threads map files, too."""
# Of glibc. Without it, texts that were freed stay in the process: after a first run of a million rows 0.8 GB.
_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)


def mapped(content: mmap.mmap) -> mmap.mmap:
    """Take note of a file that is mapped; returns it."""
    with _LOCK:
        _MAPPED.add(content)
    return content


def let_go_of_files() -> None:
    """Give back what was read of mapped files, which are read again if they are asked: often done, it costs little."""
    with _LOCK:
        known = list(_MAPPED)
    for content in known:
        content.madvise(mmap.MADV_DONTNEED)


def let_go() -> None:
    """The same, and what was freed."""
    let_go_of_files()
    if _TRIM is not None:
        _TRIM(0)
