"""Finds, reads and verifies published versions: plain folders with a sealed manifest."""

import hashlib
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
import polars as pl
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from pipeline.errors import Damaged, ReleaseError
from pipeline.releases.published_rows import ROWS_AT_ONCE
from pipeline.releases.row_digests import content_of, row_digests, together
from schemas.manifest import Manifest
from schemas.task import Task

MANIFEST = "manifest.json"
FIRST_VERSION = "1.0.0"

_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")


class Problem(BaseModel, frozen=True):
    """A file that is not as it was published."""

    file: str
    """Relative to the version's folder."""
    detail: str

    def __str__(self) -> str:
        return f"{self.file} {self.detail}"


class Verification(BaseModel, frozen=True):
    """What ``verify`` found."""

    reference: str
    """The version's ``goldleaf.lock`` line; only the folder's name if the manifest is damaged."""
    rows: int
    """Rows whose content was read and is correct."""
    problems: tuple[Problem, ...]

    def require_sound(self) -> None:
        """Raise ``Damaged`` with every problem, if there is one."""
        if self.problems:
            found = "; ".join(map(str, self.problems))
            raise Damaged(f"{self.reference} is damaged: {found}; restore the folder from a copy.")


def parse_version(text: str) -> tuple[int, int, int]:
    """Read ``X.Y.Z``; the result sorts as versions do.

    Raises:
        ReleaseError: it is something else.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ReleaseError(f"'{text}' is not a version; use three numbers such as 1.2.0")
    major, minor, patch = map(int, match.groups())
    return major, minor, patch


def next_version(versions: Sequence[str]) -> str:
    """The next minor version after the highest one, or 1.0.0."""
    if not versions:
        return FIRST_VERSION
    major, minor, _ = max(map(parse_version, versions))
    return f"{major}.{minor + 1}.0"


def list_versions(releases: Path) -> list[Manifest]:
    """The manifests of all published versions, lowest version first; folders with other names are ignored.

    Raises:
        Damaged: a manifest cannot be read.
    """
    return [read_manifest(folder) for folder in version_folders(releases)]


def readable_versions(releases: Path) -> tuple[list[Manifest], list[str]]:
    """For display: the manifests that can be read, and what is wrong with each of the others."""
    sound, damaged = [], []
    for folder in version_folders(releases):
        try:
            sound.append(read_manifest(folder))
        except Damaged as error:
            damaged.append(str(error))
    return sound, damaged


def is_of_task(manifest: Manifest, task: type[Task]) -> bool:
    """Whether a version's rows can be judged by a task: fields, choices and types are those of its publication."""
    return manifest.task_digest == task.task_digest()


def in_order_of_publication(versions: Iterable[Manifest]) -> list[Manifest]:
    """The oldest first, whatever their numbers; by their runs, which count up even if the clock was set back."""
    return sorted(versions, key=lambda manifest: (manifest.run, parse_version(manifest.version)))


def version_folders(releases: Path) -> list[Path]:
    """The folders with a version's name, lowest first, whether readable or not."""
    found = [folder for folder in releases.glob("*") if folder.is_dir() and _VERSION.fullmatch(folder.name)]
    return sorted(found, key=lambda folder: parse_version(folder.name))


def find_version(releases: Path, reference: str, dataset: Path | None = None) -> Path:
    """The folder of ``name@version``, or of the highest one for ``name@latest``, damaged or not.

    Args:
        releases: the folder of the versions.
        reference: which version.
        dataset: its dataset.yaml, which an error names in what to run.

    Raises:
        ReleaseError: the reference is invalid, or there is no such version.
    """
    name, at, version = reference.partition("@")
    if not (name and at and version):
        raise ReleaseError(f"'{reference}' names no version; use {name or 'name'}@latest or {name or 'name'}@1.0.0")
    folders = {folder.name: folder for folder in version_folders(releases)}
    if not folders:
        file = "" if dataset is None else f" {shlex.quote(str(dataset))}"
        raise ReleaseError(f"'{name}' has no published version yet; run `goldleaf release{file}`")
    if version == "latest":
        return list(folders.values())[-1]
    parse_version(version)
    if version not in folders:
        raise ReleaseError(f"'{name}' has no version {version}; it has {', '.join(folders)}")
    return folders[version]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a version's folder.

    Raises:
        ReleaseError: the folder is not a published version.
        Damaged: the manifest cannot be read, or is missing from a folder that has a version's name.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        if folder.is_dir() and _VERSION.fullmatch(folder.name):
            raise Damaged(f"{folder} has no {MANIFEST}; restore the folder from a copy") from error
        raise ReleaseError(f"{folder} is not a published version: it has no {MANIFEST}") from error
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise Damaged(f"{folder / MANIFEST} cannot be read ({first}); restore the folder from a copy") from error


def version_rows(folder: Path, manifest: Manifest, *columns: str) -> pl.LazyFrame:
    """Some columns of the rows of a version."""
    files = [folder / split.file for split in manifest.splits.values()]
    return pl.concat([pl.scan_parquet(file, glob=False).select(columns) for file in files])


# --- bytes -----------------------------------------------------------------------------------
def sha256_of(path: Path) -> str:
    """64 hex digits over a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dump_json(document: object) -> bytes:
    """The canonical form of a version's JSON files."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# --- verifying --------------------------------------------------------------------------------
def sealed(manifest: Manifest) -> Manifest:
    """Add the manifest's own hash to its ``files``, computed with that entry empty."""
    unsealed = manifest.model_copy(update={"files": {**manifest.files, MANIFEST: ""}})
    seal = hashlib.sha256(dump_json(unsealed.model_dump(mode="json"))).hexdigest()
    return manifest.model_copy(update={"files": {**manifest.files, MANIFEST: seal}})


def _is_sealed(data: bytes) -> bool:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    match document:
        case {"files": {**files}} if isinstance(seal := files.get(MANIFEST), str):
            # The bytes, not only their meaning: a changed space counts as damage, too.
            untouched = dump_json(document) == data
            document["files"][MANIFEST] = ""
            return untouched and hashlib.sha256(dump_json(document)).hexdigest() == seal
        case _:
            return False


def verify(folder: Path) -> Verification:
    """Recompute every hash, content digest and row count of a version, and look for files that do not belong.

    Raises:
        ReleaseError: the folder is not a published version.
        Damaged: it has no manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        read_manifest(folder)
    if not _is_sealed(path.read_bytes()):
        detail = "is not as it was published, so nothing can be checked against it"
        return Verification(reference=folder.name, rows=0, problems=(Problem(file=MANIFEST, detail=detail),))
    manifest = read_manifest(folder)
    hashes = {name: sha256 for name, sha256 in manifest.files.items() if name != MANIFEST}
    tables = [*manifest.splits.values(), *manifest.preferences.values()]
    hashes |= {table.file: table.sha256 for table in tables}
    damaged = {name: detail for name, sha256 in hashes.items() if (detail := _damage(folder / name, sha256))}
    for table in tables:
        if table.file in damaged:
            continue
        with pq.ParquetFile(folder / table.file) as file:
            digests = together(map(row_digests, file.iter_batches(ROWS_AT_ONCE)))
            if (len(digests), content_of(digests)) != (table.rows, table.content):
                damaged[table.file] = "does not contain the rows listed in the manifest"
    found = {entry.relative_to(folder).as_posix() for entry in folder.rglob("*") if not entry.is_dir()}
    damaged |= dict.fromkeys(found - {MANIFEST, *hashes}, "was not published with this version")
    rows = sum(split.rows for split in manifest.splits.values() if split.file not in damaged)
    problems = tuple(Problem(file=name, detail=detail) for name, detail in sorted(damaged.items()))
    return Verification(reference=manifest.reference, rows=rows, problems=problems)


def _damage(path: Path, sha256: str) -> str:
    if not path.is_file():
        return "is missing"
    return "" if sha256_of(path) == sha256 else "does not have the bytes that were published"
