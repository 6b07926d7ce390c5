"""Finds the files of a source: a named one, those that match a glob, or the download of a URL."""

import glob
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import dropwhile
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.ingest.source_urls import is_url
from pipeline.state.atomic import is_file, is_folder, no_file
from pipeline.state.store import Store
from schemas.dataset import Source
from schemas.user_code_errors import no_json, writable

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def source_files(source: Source, folder: Path, downloads: Path, store: Store) -> list[Path]:
    """The files of a source in a stable order; a URL is fetched into ``downloads`` unless already there.

    Files in the home belong to Goldleaf and are never sources.

    Raises:
        SourceError: nothing matches, a name is not UTF-8, the path is in the home, or the URL cannot be fetched.
    """
    if is_url(source):
        from pipeline.ingest.download import fetch

        return [fetch(source, downloads)]
    if scheme := _SCHEME.match(source.path):
        raise SourceError(
            f"{source.told}: {scheme[0]} is not supported yet; name an http(s) URL, such as a signed one, or "
            "download the files and name these"
        )
    files = _matching(source, folder / source.path, folder)
    outside = [file for file in files if not store.owns(file)]
    if not outside:
        raise SourceError(
            f"{source.told}: {files[0]} is one of Goldleaf's own files, in its home; name a file outside "
            "it; to use the rows of a version, name it with `release:` in an evaluation set"
        )
    if odd := [file for file in outside if no_json(str(file))]:
        raise SourceError(
            f"{source.told}: the file {writable(str(odd[0]))} has a name that is not UTF-8, which no table "
            "can hold; rename it"
        )
    return outside


def _matching(source: Source, path: Path, folder: Path) -> list[Path]:
    if is_file(path):
        # First, since a file may well be called data[1].jsonl.
        return [path]
    shown = writable(str(path)).replace("\0", "\\0")
    if glob.has_magic(source.path) and "\0" not in source.path:
        if files := _each_once(_named(source.path, folder)):
            return files
        raise SourceError(f"{source.told}: nothing matches {shown}; correct its path")
    if kind := no_file(path):
        raise SourceError(f"{source.told}: {shown} is {kind}, not a file; name a file")
    what = "is a folder; write a glob such as folder/*.jsonl" if is_folder(path) else "does not exist; correct its path"
    raise SourceError(f"{source.told}: {shown} {what}")


def _each_once(paths: Iterable[Path]) -> list[Path]:
    """The files among some paths, each once, however many names and links lead to it."""
    found: dict[tuple[int, int], Path] = {}
    for path in sorted(filter(is_file, paths), key=lambda path: (path.is_symlink(), len(path.parts), path)):
        with suppress(OSError):
            status = path.stat()
            found.setdefault((status.st_dev, status.st_ino), path)
    return sorted(found.values())


def _named(pattern: str, folder: Path) -> Iterator[Path]:
    """All paths that match a pattern, some perhaps twice; ``**`` stands for any folders, also behind links."""
    parts = pattern.split("/")
    if "**" not in parts:
        # Path.glob takes no absolute pattern.
        yield from (folder / name for name in glob.glob(pattern, root_dir=folder))  # noqa: PTH207
        return
    at = parts.index("**")
    before, after = "/".join([*parts[:at], ""]), "/".join(dropwhile("**".__eq__, parts[at:]))
    roots = glob.glob(before, root_dir=folder) if at else [""]  # noqa: PTH207
    for place in _folders([folder / root for root in roots]):
        yield from _named(after or "*", place)


def _folders(roots: Sequence[Path]) -> Iterator[Path]:
    """Some folders and all below them, each once, by links last: a link to a folder above would have no end."""
    seen: set[tuple[int, int]] = set()
    ahead, links = deque(roots), deque[Path]()
    while ahead or links:
        place = (ahead or links).popleft()
        with suppress(OSError):
            status = place.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            inner = sorted(path for path in place.iterdir() if not path.name.startswith(".") and is_folder(path))
            yield place
            for path in inner:
                (links if path.is_symlink() else ahead).append(path)
