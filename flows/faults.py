"""Puts into one line what goes wrong outside of the program: with disks, folders and damaged tables.

Errors of the program itself, such as a KeyError, are none of these: they need their traceback.
"""

import errno
import os
import re
from pathlib import Path

_ELSEWHERE = ", or set GOLDLEAF_HOME to another folder"
_NO_SPACE, _NO_RIGHT = "free some space there", "let this user write there"
_ADVICE = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "raise the limit on the size of files",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.EIO: "see whether the disk is sound",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""What the table libraries write into their texts; they keep the number to themselves."""


def outside_fault(error: Exception, home: Path | None) -> str | None:
    """What went wrong, where, and what to do; None for an error of the program.

    Args:
        error: anything.
        home: where the tables are; None where the setting cannot be read.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error, error.errno, home)
    # Whoever raises one of these has imported its library already.
    from deltalake.exceptions import DeltaError
    from polars.exceptions import ComputeError

    number = int(found[1]) if (found := _OS_ERROR.search(str(error))) else None
    if isinstance(error, DeltaError | ComputeError) or (isinstance(error, OSError) and number):
        return _of_a_table(error, number, home)
    return None


def _of_the_system(error: OSError, number: int, home: Path | None) -> str | None:
    if isinstance(error, BrokenPipeError | ConnectionError | TimeoutError):
        return None
    place = Path(error.filename).absolute() if isinstance(error.filename, str) else home
    # Or a folder above the home, which would have to be made.
    if place and home and (place.is_relative_to(home) or home.is_relative_to(place)):
        advice = _ADVICE[number] + _ELSEWHERE if number in _ADVICE else "set GOLDLEAF_HOME to a folder that can be used"
    else:
        advice = f"{_ADVICE.get(number, 'correct it')}, or name another place"
    return f"{place or 'the disk'} cannot be used: {error.strerror or os.strerror(number)}; {advice}"


def _of_a_table(error: Exception, number: int | None, home: Path | None) -> str:
    if number in _ADVICE:
        text, advice = os.strerror(number), _ADVICE[number] + _ELSEWHERE
    else:
        text, advice = str(error).strip().split("\n")[0].rstrip("."), "restore it from a backup"
    return f"a table below the home {home} cannot be used: {text}; {advice}"
