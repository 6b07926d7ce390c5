"""Keeps stdout for results: whatever else is written there while a command runs goes to stderr.

A ``print`` in a task, in a worker process or in a program that the task starts would otherwise end up in ``--json``.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from types import FrameType
from typing import TextIO

from pipeline.errors import GoldleafError

_STDOUT, _STDERR = 1, 2
_kept: list[TextIO] = []
"""What stdout was when the command that runs was called; empty while none runs."""


def results() -> TextIO:
    """Where results go."""
    return _kept[-1] if _kept else sys.stdout


@contextmanager
def results_alone() -> Iterator[None]:
    """Let nothing but results reach stdout: the file descriptor too, which children and workers inherit, is stderr's.

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
    """Another way to stdout, which itself leads to stderr from now on; None where it is no file of this process."""
    try:
        if stdout.fileno() != _STDOUT:
            return None
        stdout.flush()
        number = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)
    except (OSError, AttributeError):
        # A test's or a notebook's stream, or one that is closed.
        return None
    # What is no character, as in the name of a file, is written out.
    return os.fdopen(number, "w", 1 if stdout.isatty() else -1, encoding=stdout.encoding, errors="backslashreplace")


def _give_back(stdout: TextIO, copy: TextIO) -> None:
    try:
        copy.flush()
    except BrokenPipeError:
        # Whoever read the results has gone; that is for the command line to judge.
        raise
    except OSError as error:
        raise GoldleafError(
            f"the results cannot be written to stdout: {error.strerror}; correct where it goes"
        ) from error
    finally:
        stdout.flush()
        os.dup2(copy.fileno(), _STDOUT)
        with suppress(OSError):
            copy.close()


@contextmanager
def known_interrupts() -> Iterator[None]:
    """Let Ctrl-C leave a trace in its KeyboardInterrupt, by which it is told from one that a task raises."""
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
