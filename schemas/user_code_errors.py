"""Tells errors of a task's own code from signals, and formats both, and any foreign text, as one line.

A validator, a check or a method of a task may do anything: exit the program, raise something other than an
``Exception``, raise something whose text raises in turn, or return text that no file can hold. It is an error of that
code, never of the run.
"""

import functools
import inspect
import math
import signal
import threading
import traceback
from pathlib import Path
from typing import Any

_SHOWN_CHARACTERS = 300
_DEEPEST = 250
"""Levels of nesting that every JSON writer supports."""
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


def own(error: BaseException) -> BaseException:
    """The error, if the task's code raised it; re-raises it if a signal raised it while that code ran.

    ``sys.exit()`` in a validator is that validator's error, Ctrl-C is not.
    """
    if not isinstance(error, Exception) and _by_a_signal(error):
        raise error
    return error


def _by_a_signal(error: BaseException) -> bool:
    """Whether a signal handler raised it. Python's own handler leaves no trace, so if it is installed, every
    KeyboardInterrupt of the main thread counts as one.
    """
    handlers = [signal.getsignal(number) for number in _ENDINGS]
    if isinstance(error, KeyboardInterrupt) and signal.default_int_handler in handlers:
        return threading.current_thread() is threading.main_thread()
    codes = {handler.__code__ for handler in handlers if inspect.isfunction(handler)}
    return any(frame.f_code in codes for frame, _ in traceback.walk_tb(error.__traceback__))


def described(error: BaseException, *modules: str, author: Any = None) -> str:
    """What an error says, and where in the named modules it was raised: ``KeyError: 'x' (task.py, line 12)``.

    If no line of these modules ran, the place is the author's: the function that could not be called, or its class.
    """
    try:
        text = str(error)
    except BaseException as other:
        own(other)
        text = f"its text cannot be read, which raises {type(other).__name__}"
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    found = [frame for frame in traceback.walk_tb(error.__traceback__) if frame[0].f_globals.get("__name__") in modules]
    place = _place(found[-1][0].f_code.co_filename, found[-1][1]) if found else place_of(author)
    return f"{in_a_line(said)} ({place})" if place else in_a_line(said)


def plain_words(message: str) -> str:
    """What pydantic says, without the name of the class that a validator raised."""
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def place_of(defined: Any) -> str:
    """File and line of a function or class: ``task.py, line 12``; empty if unknown."""
    if code := getattr(inspect.unwrap(defined), "__code__", None):
        return _place(code.co_filename, code.co_firstlineno)
    return _place_of_class(defined) if isinstance(defined, type) else ""


@functools.cache
def _place_of_class(defined: type) -> str:
    # It reads and parses the file, and each of a million rows may ask for it.
    try:
        return _place(inspect.getfile(defined), inspect.getsourcelines(defined)[1])
    except (OSError, TypeError):
        return ""


def _place(file: str, line: int) -> str:
    return f"{in_a_line(Path(file).name)}, line {line}"


def in_a_line(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    """Any text as one short line that can be printed and stored."""
    line = writable(" ".join(text[: 4 * most].split()))
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[: most - 3]}..."


def writable(text: str) -> str:
    """The same text with lone surrogates, which UTF-8 cannot encode, escaped as ``\\udXXX``."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def no_json(value: Any, depth: int = _DEEPEST) -> str:
    """Why a value cannot be written as portable JSON; empty if it can."""
    match value:
        case str():
            return "" if value.isascii() or _is_whole(value) else "half a surrogate pair, which is not a character"
        case None | bool():
            return ""
        case int():
            return "" if -(2**63) <= value < 2**63 else "a number that needs more than 64 bits"
        case float():
            return "" if math.isfinite(value) else "a number that is not finite"
        case list() | tuple() | dict() if depth == 0:
            return f"values that nest deeper than {_DEEPEST} levels"
        case list() | tuple():
            return next(filter(None, (no_json(item, depth - 1) for item in value)), "")
        case dict():
            if odd := [key for key in value if not isinstance(key, str)]:
                return f"a key that is not a string but a {type(odd[0]).__name__}"
            parts = (no_json(part, depth - 1) for item in value.items() for part in item)
            return next(filter(None, parts), "")
        case _:
            return f"a {type(value).__name__}, which JSON cannot represent"


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
