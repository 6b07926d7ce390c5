"""Words errors in one line, also failures of the environment: disks, folders and damaged tables.

Errors of the program itself, such as a KeyError, are not among them: they need their traceback.
"""

import errno
import os
import re
from pathlib import Path

from pydantic import ValidationError

from pipeline.errors import GoldleafError
from schemas.user_code_errors import described

_ELSEWHERE = ", or set GOLDLEAF_HOME to another folder"
_NO_SPACE, _NO_RIGHT = "free some space there", "give this user write permission there"
_ADVICE = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "raise the file size limit (ulimit -f)",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENOLCK: "use a file system that supports locks",
    errno.EIO: "check whether the disk is failing",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
_TABLE_ERRORS = {("_internal", "DeltaError"), ("polars.exceptions", "ComputeError")}
"""By name: only the store knows the libraries, and other errors need not wait for their import."""
_OS_ERROR = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")
"""What the table libraries write into their texts; they do not expose the number."""


def in_a_line(error: Exception | SystemExit) -> str | None:
    """An error's text for the user; None for a bug, which needs its traceback."""
    if isinstance(error, GoldleafError):
        return str(error)
    if isinstance(error, SystemExit):
        # No command ends so: with exit code 0, the caller would think that an unfinished run had succeeded.
        return None if error.code else f"the task's code exited the program ({described(error)}); fix the task's code"
    if isinstance(error, ValidationError) and error.title.endswith("Settings"):
        first = error.errors()[0]
        setting = ".".join([error.title.removesuffix("Settings").lower(), *map(str, first["loc"])])
        return f"Prefect cannot use its setting {setting}, {first['input']!r}: {first['msg']}; correct the environment"
    from flows.settings import Settings

    try:
        home = Settings().home
    except GoldleafError:
        home = None
    return outside_fault(error, home)


def outside_fault(error: Exception, home: Path | None) -> str | None:
    """What went wrong, where, and what to do; None for an error of the program.

    Args:
        error: any error.
        home: where the tables are; None if the setting cannot be read.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error, error.errno, home)
    number = int(found[1] or found[2]) if (found := _OS_ERROR.search(str(error))) else None
    kinds = {(kind.__module__, kind.__name__) for kind in type(error).__mro__}
    if kinds & _TABLE_ERRORS or (isinstance(error, OSError) and number):
        return _of_a_table(error, number, home)
    return None


def _of_the_system(error: OSError, number: int, home: Path | None) -> str | None:
    if isinstance(error, BrokenPipeError | ConnectionError | TimeoutError):
        return None
    place = Path(error.filename).absolute() if isinstance(error.filename, str) else home
    # Or a folder above the home, which would have to be created.
    at_home = place and home and (place.is_relative_to(home) or home.is_relative_to(place))
    if not at_home:
        advice = f"{_ADVICE.get(number, 'correct it')}, or use another place"
    elif number in _ADVICE:
        advice = _ADVICE[number] + _ELSEWHERE
    elif home and home.is_dir():
        advice = "move it away, or restore it from a backup"
    else:
        advice = "set GOLDLEAF_HOME to a usable folder"
    return f"{place or 'the disk'} cannot be used: {error.strerror or os.strerror(number)}; {advice}"


def _of_a_table(error: Exception, number: int | None, home: Path | None) -> str:
    if number in _ADVICE:
        text, advice = os.strerror(number), _ADVICE[number] + _ELSEWHERE
    else:
        text, advice = str(error).strip().split("\n")[0].rstrip("."), "restore it from a backup"
    return f"a table in the home {home} cannot be used: {text}; {advice}"
