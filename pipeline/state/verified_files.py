"""Remembers which files of a folder held what was written to them, so that a command need not read them whole again.

A cache: what it says of a file counts only while the file has the stamp that it had then.
"""

import json
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

    def keep(self) -> None:
        """Keep what is known of the files that are there, if any of it is new."""
        if self._is_new:
            # Those of other versions of the table, too: whoever reads these would have to verify them again.
            there = {name: stamp for name, stamp in self._known.items() if self._file.with_name(name).exists()}
            # In a folder that may only be read, they are verified each time.
            with suppress(OSError), replacing(self._file) as sink:
                sink.write(json.dumps(there).encode())


def forget_verified(folder: Path) -> None:
    """Let the files of a folder be read whole once more."""
    (folder / _FILE).unlink(missing_ok=True)
