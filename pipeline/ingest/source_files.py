"""Finds the files of a source: a named one, those that match a glob, or the download of a URL."""

import glob
import os
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.ingest.source_urls import is_url
from pipeline.state.atomic import is_file
from pipeline.state.store import Store
from schemas.dataset import Source
from schemas.user_code_errors import no_json, writable


def source_files(source: Source, folder: Path, downloads: Path, store: Store) -> list[Path]:
    """The files of a source in a stable order; a URL is fetched into ``downloads`` unless already there.

    Files in the home belong to Goldleaf and are never sources.

    Raises:
        SourceError: nothing matches, a name is not UTF-8, the path is in the home, or the URL cannot be fetched.
    """
    if is_url(source):
        from pipeline.ingest.download import fetch

        return [fetch(source, downloads)]
    files = _matching(source, folder / source.path, folder)
    outside = [file for file in files if not store.owns(file)]
    if not outside:
        raise SourceError(
            f"source '{source.name}': {files[0]} is one of Goldleaf's own files, in its home; name a file outside "
            "it; to use the rows of a version, name it with `release:` in an evaluation set"
        )
    if odd := [file for file in outside if no_json(str(file))]:
        raise SourceError(
            f"source '{source.name}': the file {writable(str(odd[0]))} has a name that is not UTF-8, which no table "
            "can hold; rename it"
        )
    return outside


def _matching(source: Source, path: Path, folder: Path) -> list[Path]:
    if is_file(path):
        # First, since a file may well be called data[1].jsonl.
        return [path]
    shown = writable(str(path)).replace("\0", "\\0")
    if glob.has_magic(source.path) and "\0" not in source.path:
        names = glob.glob(source.path, root_dir=folder, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        if files := sorted(folder / name for name in names if is_file(folder / name)):
            return files
        raise SourceError(f"source '{source.name}': nothing matches {shown}; correct its path")
    is_folder = os.path.isdir(path)  # noqa: PTH112 (as above)
    what = "is a folder; write a glob such as folder/*.jsonl" if is_folder else "does not exist; correct its path"
    raise SourceError(f"source '{source.name}': {shown} {what}")
