"""A disk that fails on purpose: commands run in a process of their own, and what it changes below a folder fails.

The kernel itself hands every call that changes files to the test (seccomp's user notification), which lets it pass,
lets it fail, or lets it write half: so it does not matter whether Python, Rust or C has made the call, and it takes
neither a compiler nor rights. One process imports everything once; each command runs in a fork of it.
"""

import array
import ctypes
import errno
import fcntl
import gc
import json
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Kind(StrEnum):
    """What happens to a change."""

    FULL = "ENOSPC"
    BROKEN = "EIO"
    SHORT = "half is written"
    KILL = "kill -9"


@dataclass(frozen=True)
class Fault:
    """What goes wrong."""

    at: int
    """The how-manieth change below the folder, from 1."""
    kind: Kind
    lasting: bool = False
    """Everything fails from there on, not for a moment only; after a short write the disk is full then."""

    def __str__(self) -> str:
        return f"{self.kind}{' from' if self.lasting else ' at'} change {self.at}{' on' if self.lasting else ''}"


@dataclass
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str
    changes: list[str] = field(default_factory=list)
    """The calls that it made below the folder, in their order."""


# --- the calls ------------------------------------------------------------------------------------
# By name: the number on x86-64 (-1: there is none), that on ARM.
_CALLS = {
    "write": (1, 64),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "pwritev": (296, 70),
    "sendfile": (40, 71),
    "copy_file_range": (326, 285),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "open": (2, -1),
    "openat": (257, 56),
    "mkdir": (83, -1),
    "mkdirat": (258, 34),
    "rename": (82, -1),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, -1),
    "linkat": (265, 37),
}
_ARM = platform.machine() == "aarch64"
_NUMBERS = {name: numbers[_ARM] for name, numbers in _CALLS.items() if numbers[_ARM] >= 0}
_NAMES = {number: name for name, number in _NUMBERS.items()}
_DESCRIPTOR = {"sendfile": 0, "copy_file_range": 2}
"""Which argument is the file that is changed, where it is named by a descriptor: else the first one."""
_PATHS = {"open": (None, 0), "openat": (0, 1), "mkdir": (None, 0), "mkdirat": (0, 1)} | {
    "rename": (None, 1), "renameat": (2, 3), "renameat2": (2, 3), "link": (None, 1), "linkat": (2, 3)
}  # fmt: skip
"""Which arguments are the folder's descriptor and the path of the file that is made."""
_CREATES = os.O_CREAT
_SECCOMP = 277 if _ARM else 317
_GETFD = 438
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE = 1
_HERE = -100


def _program() -> bytes:
    """The filter: what changes files is handed over, all else passes."""

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    load, equal, any_bit, answer = 0x20, 0x15, 0x45, 0x06
    passes, handed_over = 0x7FFF0000, 0x7FC00000
    always = [number for name, number in _NUMBERS.items() if name not in ("open", "openat")]
    steps = [step(load, 0)]
    # Whether a file is made is in the flags, whose place is another for each of the two.
    for name, at in (("open", 1), ("openat", 2)):
        if name in _NUMBERS:
            steps += [
                step(equal, _NUMBERS[name], 0, 4),
                step(load, 16 + 8 * at),
                step(any_bit, _CREATES, 0, 1),
                step(answer, handed_over),
                step(answer, passes),
            ]
    for place, number in enumerate(always):
        steps.append(step(equal, number, len(always) - place, 0))
    return b"".join([*steps, step(answer, passes), step(answer, handed_over)])


def _hand_over() -> int:
    """Install the filter in this process and those that it will start; returns what the calls are received from."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges: that is the condition for everybody but root
    program = _program()
    held = ctypes.create_string_buffer(program, len(program))
    named = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(held))
    found: int = libc.syscall(_SECCOMP, 1, 8, ctypes.create_string_buffer(named, len(named)))
    if found < 0:
        raise OSError(ctypes.get_errno(), "this kernel hands no calls over (Linux 5.6 or later does)")
    return found


# --- the disk -------------------------------------------------------------------------------------
class _Disk:
    """Decides about every call below a folder."""

    def __init__(self, listener: int, folder: Path, fault: Fault | None) -> None:
        self._listener = listener
        self._folder = os.path.realpath(folder)
        self._fault = fault
        self.changes: list[str] = []

    def answer(self) -> None:
        """Take one call and say what becomes of it."""
        data = bytearray(_NOTIFICATION.size)
        with suppress(FileNotFoundError):  # The caller was killed meanwhile.
            fcntl.ioctl(self._listener, _RECEIVE, data)
            number, pid, _, call, _, _, *arguments = _NOTIFICATION.unpack(data)
            value, error, flags = self._decide(pid, _NAMES[call], arguments)
            fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(number, value, -error, flags))

    def _decide(self, pid: int, call: str, arguments: list[int]) -> tuple[int, int, int]:
        passes = 0, 0, _CONTINUE
        path = _changed(pid, call, arguments)
        if not f"{path}/".startswith(f"{self._folder}/"):
            return passes
        self.changes.append(f"{call} {path.removeprefix(self._folder)}")
        place, fault = len(self.changes), self._fault
        if fault is None or place < fault.at or (place > fault.at and not fault.lasting):
            return passes
        if fault.kind is Kind.KILL:
            os.kill(_process(pid), signal.SIGKILL)
            return passes
        if fault.kind is Kind.SHORT and place == fault.at:
            written = _write_half(pid, call, arguments)
            return passes if written is None else (written, 0, 0)
        return 0, errno.EIO if fault.kind is Kind.BROKEN else errno.ENOSPC, 0


def _changed(pid: int, call: str, arguments: list[int]) -> str:
    if call not in _PATHS:
        return str(Path(f"/proc/{pid}/fd/{arguments[_DESCRIPTOR.get(call, 0)]}").readlink())
    folder, name = _PATHS[call]
    path = _text(pid, arguments[name])
    descriptor = _HERE if folder is None else ctypes.c_int(arguments[folder]).value
    base = f"/proc/{pid}/cwd" if descriptor == _HERE else f"/proc/{pid}/fd/{descriptor}"
    return os.path.normpath(Path(base).readlink() / path)


def _text(pid: int, address: int) -> str:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(4096).split(b"\0", 1)[0].decode()


def _process(thread: int) -> int:
    lines = Path(f"/proc/{thread}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Tgid:")).split()[1])


def _write_half(pid: int, call: str, arguments: list[int]) -> int | None:
    """Write the first half of what a call would write; None for a call that writes no bytes of the process's."""
    if call not in ("write", "pwrite64") or arguments[2] < 2:
        return None
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(arguments[1])
        data = memory.read(arguments[2] // 2)
    process = os.pidfd_open(_process(pid))
    # A copy of the descriptor shares its place in the file.
    descriptor = ctypes.CDLL(None).syscall(_GETFD, process, arguments[0], 0)
    try:
        return os.write(descriptor, data) if call == "write" else os.pwrite(descriptor, data, arguments[3])
    finally:
        os.close(descriptor)
        os.close(process)


# --- running commands -----------------------------------------------------------------------------
class Commands:
    """Runs ``goldleaf`` commands, each in a fork of one process that has imported everything."""

    def __init__(self, socket: socket.socket) -> None:
        self._socket = socket

    def goldleaf(self, *args: str, home: Path, watched: bool = False, fault: Fault | None = None) -> Done:
        """Run a command; with a fault, or ``watched``, every change below the home is counted."""
        watched = watched or fault is not None
        home.parent.mkdir(parents=True, exist_ok=True)
        streams = [home.with_name(f"{home.name}.{name}") for name in ("stdout", "stderr")]
        order = {"args": args, "home": str(home), "watched": watched, "streams": list(map(str, streams))}
        self._socket.sendall(json.dumps(order).encode() + b"\n")
        changes = self._watch(home, fault) if watched else []
        code = int(self._socket.recv(16))
        return Done(code, *(stream.read_text() for stream in streams), changes)

    def _watch(self, home: Path, fault: Fault | None) -> list[str]:
        _, found, _, _ = socket.recv_fds(self._socket, 1, 1)
        disk = _Disk(found[0], home, fault)
        poll = select.poll()
        poll.register(found[0])
        poll.register(self._socket, select.POLLIN)
        try:
            while True:
                for descriptor, events in poll.poll():
                    if descriptor != found[0]:
                        return disk.changes
                    if events & select.POLLIN:
                        disk.answer()
                    elif events & select.POLLHUP:
                        return disk.changes
        finally:
            os.close(found[0])


@contextmanager
def commands() -> Iterator[Commands]:
    """Start the process that all commands are forks of; it ends with the block."""
    mine, its = socket.socketpair()
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    # Not to be waited for by name: this file is a module for tests and a program for the process.
    call = [sys.executable, __file__, str(its.fileno())]
    with mine, subprocess.Popen(call, env=environment, pass_fds=[its.fileno()]) as process:
        its.close()
        try:
            yield Commands(mine)
        finally:
            # Or a failure in the block would wait for the process forever.
            mine.shutdown(socket.SHUT_RDWR)
        assert process.wait() == 0


def _serve(connection: socket.socket) -> None:
    _import_everything()
    for line in connection.makefile("r"):
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _run(order, connection)
        _, status = os.waitpid(pid, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _import_everything() -> None:
    """And do once what every process does once: a fork has it for nothing."""
    import sklearn.feature_extraction.text
    import sklearn.linear_model

    import flows.cli.main
    import flows.curate
    import flows.release
    import pipeline.reporting.sql
    import pipeline.reporting.status
    from pipeline.similarity.pairs import similar_pairs
    from pipeline.similarity.text_columns import Texts
    from pipeline.text.tokens import count_tokens
    from schemas.dataset import Measure

    assert all(
        (
            sklearn.linear_model,
            flows.cli.main,
            flows.curate,
            flows.release,
            pipeline.reporting.status,
            pipeline.reporting.sql,
        )
    )
    similar_pairs(Texts.of(["a question of words", "a question of words too"]), 0.5)
    count_tokens(["a question"], Measure().encoding)
    gc.freeze()


def _run(order: dict[str, Any], connection: socket.socket) -> None:
    """Run a command in this process and end with it."""
    code = 70
    try:
        for descriptor, path in zip((1, 2), order["streams"], strict=True):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
        os.environ |= {"GOLDLEAF_HOME": order["home"], "LABEL_STUDIO_URL": "", "PREFECT_API_URL": "", "COLUMNS": "500"}
        if order["watched"]:
            listener = _hand_over()
            socket.send_fds(connection, [b"x"], array.array("i", [listener]).tolist())
            os.close(listener)
        from flows.cli.main import app

        app(order["args"], standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
