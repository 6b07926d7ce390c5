"""Reads ``goldleaf.lock``: whether a version is the one that it pins, and which numbers it says are taken."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import ReleaseError
from pipeline.releases.versions import Problem, Verification, parse_version

_LINE = re.compile(r"(\S+@\S+) +(sha256:[0-9a-f]{64})")
_SHORTENED = re.compile(r"(\S+@\S+) +sha256:[0-9a-f]{0,63}(?:…|\.{3})?")


def against_lock(found: Verification, lock: str) -> Verification:
    """The result of ``verify``, with one more problem if a lock does not pin this version, or pins another.

    Args:
        found: the result for a version's folder.
        lock: a file with lines for one or more versions (``#`` begins a comment), or a line itself.

    Raises:
        ReleaseError: the lock cannot be read.
    """
    if "@" not in found.reference:
        # The manifest is damaged, so the version is unknown.
        return found
    version, digest = found.reference.split()
    pinned = list(_pins(lock))
    digests = [pin for name, pin in pinned if name == version]
    if not digests:
        names = ", ".join(name for name, _ in pinned) or "nothing"
        detail = f"has no line for {version}; it pins {names}: add the line {found.reference}"
    elif digest not in digests:
        detail = f"pins {version} as {digests[0]}, not {digest}"
    else:
        return found
    problem = Problem(file=lock if Path(lock).is_file() else "lock", detail=detail)
    return found.model_copy(update={"problems": (*found.problems, problem)})


def locked_versions(folder: Path, name: str) -> list[str]:
    """The versions of a dataset that a lock beside its dataset.yaml pins: a home that was restored may not have them.

    Raises:
        ReleaseError: the lock cannot be read, or pins what is no version.
    """
    lock = folder / "goldleaf.lock"
    pinned = [pin.rpartition("@") for pin, _ in _pins(str(lock))] if lock.is_file() else []
    mine = [version for dataset, _, version in pinned if dataset == name]
    for version in mine:
        parse_version(version)
    return mine


def _pins(lock: str) -> Iterator[tuple[str, str]]:
    """Every version that a lock pins, with its digest."""
    for number, line in enumerate(_text(lock).splitlines(), start=1):
        if not (text := line.partition("#")[0].strip()):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            _refuse_shortened(f"{lock}:{number}", text)
            raise ReleaseError(f"{lock}:{number} is not a lock line; write name@1.0.0 sha256: and 64 hex digits")
        yield match[1], match[2]


def _refuse_shortened(shown: str, text: str) -> None:
    """Say what is missing from a line as ``release`` and ``releases`` show it.

    Raises:
        ReleaseError: its digest is shortened.
    """
    if match := _SHORTENED.fullmatch(text):
        raise ReleaseError(
            f"{shown} has a shortened digest; the full line is in the version's README.md, and "
            f"`goldleaf verify {match[1]}` prints it"
        )


def _text(lock: str) -> str:
    if _LINE.fullmatch(lock.strip()):
        return lock
    _refuse_shortened(f"'{lock.strip()}'", lock.strip())
    try:
        return Path(lock).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ReleaseError(
            f"{lock} cannot be read ({problem}); name a file such as goldleaf.lock, or pass its line"
        ) from error
