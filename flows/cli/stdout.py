"""Reserves stdout for results, anything else written there goes to stderr; writes out what terminals would obey.

A ``print`` in a task, in a worker process or in a program that the task starts would otherwise end up in ``--json``.
"""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from types import FrameType
from typing import TextIO

from pipeline.errors import GoldleafError

_STDOUT, _STDERR = 1, 2
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_kept: list[TextIO] = []
"""The original stdout when the current command was called; empty if none is running."""


def visible(text: str) -> str:
    """A text with what a terminal would obey written out: control characters, and what reverses the order of others.

    Servers, models and rows may say anything; line ends and tabs are harmless.
    """
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_json(text: str) -> str:
    """The same of JSON, which stays the same to a program."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def results() -> TextIO:
    """The destination of results."""
    return _kept[-1] if _kept else sys.stdout


@contextmanager
def results_alone() -> Iterator[None]:
    """Let only results reach stdout: even the file descriptor, which children and workers inherit, becomes stderr's.

    Raises:
        GoldleafError: the results cannot be written, say to a full disk.
    """
    stdout = sys.stdout
    copy = _copy(stdout)
    _kept.append(copy or stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _kept.pop()
        if copy:
            _give_back(stdout, copy)


def _copy(stdout: TextIO) -> TextIO | None:
    """A duplicate of stdout, which itself leads to stderr from now on; None if it is not a file of this process."""
    try:
        if stdout.fileno() != _STDOUT:
            return None
        stdout.flush()
        number = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)
    except (OSError, AttributeError):
        # A stream of a test or notebook, or a closed one.
        return None
    # Invalid characters, as in a file's name, are escaped.
    return os.fdopen(number, "w", 1 if stdout.isatty() else -1, encoding=stdout.encoding, errors="backslashreplace")


def _give_back(stdout: TextIO, copy: TextIO) -> None:
    try:
        copy.flush()
    except BrokenPipeError:
        # The reader of the results has gone; the command line must handle that.
        raise
    except OSError as error:
        raise GoldleafError(
            f"the results cannot be written to stdout: {error.strerror}; check where stdout is redirected"
        ) from error
    finally:
        stdout.flush()
        os.dup2(copy.fileno(), _STDOUT)
        with suppress(OSError):
            copy.close()


class Terminated(KeyboardInterrupt):
    """SIGTERM: everything ends as on Ctrl-C."""


@contextmanager
def known_interrupts() -> Iterator[None]:
    """Mark KeyboardInterrupts caused by Ctrl-C, to tell them from those that a task raises; SIGTERM ends alike.

    A signal that is ignored, as by ``nohup``, or that has a handler of its own, stays as it is.
    """
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = {signal.SIGINT: _interrupt, signal.SIGTERM: _terminate}
    in_main = threading.current_thread() is threading.main_thread()
    known = [number for number in usual if in_main and signal.getsignal(number) is usual[number]]
    before = {number: signal.signal(number, ours[number]) for number in known}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
