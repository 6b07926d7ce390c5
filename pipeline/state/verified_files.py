"""Remembers which files of a folder held what was written to them, so that a command need not read them whole again.

A cache: what it says of a file counts only while the file has the stamp that it had then.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipeline.state.atomic import replacing
from pipeline.state.file_stamps import Stamp

_FILE = ".verified"


class VerifiedFiles:
    """Those of a folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._known: dict[str, Stamp] = {}
        self._is_new = False
        with suppress(OSError, ValueError, TypeError, AttributeError):
            told = json.loads(self._file.read_bytes())
            self._known = {name: Stamp(*stamp) for name, stamp in told.items()}

    def knows(self, name: str, stamp: Stamp) -> bool:
        """Whether a file was verified when it had this stamp."""
        return self._known.get(name) == stamp

    def note(self, name: str, stamp: Stamp, now: int) -> None:
        """A file with this stamp was verified, which began at a time in nanoseconds since 1970."""
        if stamp.is_settled(now):
            self._known[name], self._is_new = stamp, True

    def keep(self, names: Iterable[str]) -> None:
        """Keep what is known of some files, if any of it is new."""
        if self._is_new:
            there = {name: self._known[name] for name in names if name in self._known}
            # In a folder that may only be read, they are verified each time.
            with suppress(OSError), replacing(self._file) as sink:
                sink.write(json.dumps(there).encode())


def forget_verified(folder: Path) -> None:
    """Let the files of a folder be read whole once more."""
    (folder / _FILE).unlink(missing_ok=True)
