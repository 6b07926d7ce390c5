"""Reads the sources and adds what is new to the ``records`` table.

A record's identity is its source and key; its revision is its content. The same file again adds
nothing, a changed row is a new revision, and in a snapshot source a vanished row is withdrawn.
"""

import glob
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import polars as pl

from pipeline.errors import SourceError
from pipeline.formats import RawRow, read_rows
from pipeline.store import SCHEMAS, Store, Table
from schemas.dataset import Mode, Source
from schemas.record import stable_hash

_CHUNK_ROWS = 50_000
_DOWNLOAD_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Ingested:
    """What one pass over the sources found."""

    lines: int
    """Rows read, unreadable ones included."""
    added: int
    """New records and new revisions."""
    withdrawn: int
    """Records whose row vanished from a snapshot source."""

    @property
    def known(self) -> int:
        """Rows that were there already."""
        return self.lines - self.added


def ingest(
    store: Store,
    sources: list[Source],
    folder: Path,
    run: str,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Ingested:
    """Read every source once, then append all that is new in one atomic commit.

    Args:
        store: receives the records.
        sources: read in order; their relative paths start at ``folder``.
        folder: where the dataset.yaml lies.
        run: becomes the records' ``batch``; a repeat with the same run adds nothing.
        on_rows: told how many more rows were read.

    Raises:
        SourceError: a source has no file, an unknown format or cannot be fetched, or a snapshot
            source came back empty.
    """
    work = store.work(run)
    chunks: list[Path] = []
    lines = 0
    for source in sources:
        files = source_files(source, folder, work)
        for frame in _frames(source, files, folder, run, start=lines):
            chunks.append(work / f"read-{len(chunks):05}.parquet")
            frame.write_parquet(chunks[-1], compression="zstd", compression_level=1)
            lines += frame.height
            on_rows(frame.height)
    counts = {"added": 0, "withdrawn": 0}

    def build(present: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        index = _index(chunks)
        wanted = _new_positions(index, present)
        gone = _withdrawals(index, present, sources, run)
        counts.update(added=wanted.height, withdrawn=gone.height)
        for chunk in chunks:
            fresh = pl.read_parquet(chunk).join(wanted, on="position", how="semi", maintain_order="left")
            if fresh.height:
                yield fresh
        if gone.height:
            yield gone

    written = store.append_if_unseen(Table.RECORDS, run, build)
    if not written:
        counts.update(added=0, withdrawn=0)
    return Ingested(lines, counts["added"], counts["withdrawn"])


def source_files(source: Source, folder: Path, work: Path) -> list[Path]:
    """The files of a source in a stable order; a URL is fetched into ``work`` first.

    Raises:
        SourceError: nothing matches, or the URL cannot be fetched.
    """
    if source.path.startswith(("http://", "https://")):
        return [_fetch(source, work)]
    pattern = folder / source.path
    if glob.has_magic(source.path):
        files = sorted(Path(name) for name in glob.glob(str(pattern), recursive=True) if Path(name).is_file())  # noqa: PTH207 (Path.glob takes no absolute pattern)
        if not files:
            raise SourceError(f"source '{source.name}': nothing matches {pattern}; correct its path")
        return files
    if not pattern.is_file():
        what = "is a folder; write a glob such as folder/*.jsonl" if pattern.is_dir() else "does not exist"
        raise SourceError(f"source '{source.name}': {pattern} {what}")
    return [pattern]


def _fetch(source: Source, work: Path) -> Path:
    name = Path(urlsplit(source.path).path).name or "download"
    target = work / f"{source.name}-{name}"
    try:
        with httpx.stream("GET", source.path, follow_redirects=True, timeout=_DOWNLOAD_TIMEOUT_S) as response:
            response.raise_for_status()
            with target.open("wb") as file:
                for part in response.iter_bytes():
                    file.write(part)
    except httpx.HTTPError as error:
        raise SourceError(f"source '{source.name}': {source.path} cannot be fetched: {error}") from error
    return target


def _frames(source: Source, files: list[Path], folder: Path, run: str, start: int) -> Iterator[pl.DataFrame]:
    """The rows of a source as frames in the shape of the ``records`` table."""
    now = datetime.now(UTC)
    occurrences: Counter[bytes] = Counter()
    rows: list[tuple[Any, ...]] = []
    position = start
    for file in files:
        shown = _shown(file, folder, source)
        for raw in read_rows(file, source.format):
            revision = hashlib.blake2b(raw.raw, digest_size=16)
            key = _key(source, raw, revision, occurrences)
            rows.append(
                (
                    stable_hash(source.name, key),
                    revision.hexdigest(),
                    source.name,
                    key,
                    shown,
                    raw.line,
                    raw.raw,
                    raw.error.model_dump_json() if raw.error else "",
                    False,
                    run,
                    position,
                    now,
                )
            )
            position += 1
            if len(rows) >= _CHUNK_ROWS:
                yield pl.DataFrame(rows, schema=SCHEMAS[Table.RECORDS], orient="row")
                rows = []
    if rows:
        yield pl.DataFrame(rows, schema=SCHEMAS[Table.RECORDS], orient="row")


def _key(source: Source, raw: RawRow, revision: "hashlib.blake2b", occurrences: Counter[bytes]) -> str:
    if source.key and raw.row is not None and (value := field_value(raw.row, source.key)) is not None:
        # The type is part of the key: 1 and "1" are two ids.
        return value if isinstance(value, str) else f"{type(value).__name__}:{value}"
    digest = revision.digest()
    occurrences[digest] += 1
    return f"{revision.hexdigest()}#{occurrences[digest]}"


def field_value(row: dict[str, Any], path: str) -> Any:
    """A field by its name, or by a dotted path into nested objects; None where it is absent."""
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _shown(file: Path, folder: Path, source: Source) -> str:
    if source.path.startswith(("http://", "https://")):
        return source.path
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)


def _index(chunks: list[Path]) -> pl.DataFrame:
    """Identity and place of every row read, the last occurrence of each key marked ``final``."""
    columns = ["record_id", "revision", "source", "position"]
    if not chunks:
        return pl.DataFrame(schema={name: SCHEMAS[Table.RECORDS][name] for name in columns} | {"final": pl.Boolean()})
    frame = pl.concat([pl.scan_parquet(chunk).select(columns) for chunk in chunks]).collect()
    return frame.with_columns(final=pl.col("position") == pl.col("position").max().over("record_id"))


def _new_positions(index: pl.DataFrame, present: pl.LazyFrame) -> pl.DataFrame:
    """Positions of the rows to append.

    A key's last row is new if it differs from the record's present revision; its earlier rows only
    if that revision was never seen, or reading a file of updates twice would replay them.
    """
    known = present.select("record_id", "revision", "withdrawn", "batch", "position").collect()
    latest = known.sort("batch", "position").unique("record_id", keep="last").filter(~pl.col("withdrawn"))
    same = ["record_id", "revision"]
    last = index.filter("final").join(latest, on=same, how="anti")
    earlier = (
        index.filter(~pl.col("final"))
        .join(known, on=same, how="anti")
        .join(index.filter("final"), on=same, how="anti")
        .unique(same, keep="first", maintain_order=True)
    )
    return pl.concat([last.select("position"), earlier.select("position")])


def _withdrawals(index: pl.DataFrame, present: pl.LazyFrame, sources: list[Source], run: str) -> pl.DataFrame:
    """Marker rows for records of snapshot sources that were not read this time."""
    names = [source.name for source in sources if source.mode is Mode.SNAPSHOT]
    latest = (
        present.filter(pl.col("source").is_in(names))
        .sort("batch", "position")
        .unique("record_id", keep="last", maintain_order=True)
        .filter(~pl.col("withdrawn"))
        .collect()
    )
    read = set(index["source"].unique())
    for name, count in latest.group_by("source").len().iter_rows():
        if name not in read:
            raise SourceError(
                f"snapshot source '{name}' is empty, which would withdraw all its {count} records; "
                "restore its file, or set `mode: append`"
            )
    gone = latest.join(index, on="record_id", how="anti", maintain_order="left")
    first = index.height
    return gone.with_columns(
        withdrawn=pl.lit(True),
        batch=pl.lit(run),
        position=pl.int_range(first, first + gone.height, dtype=pl.Int64),
        ingested_at=pl.lit(datetime.now(UTC)).cast(SCHEMAS[Table.RECORDS]["ingested_at"]),
        raw=pl.lit(b""),
    ).select(SCHEMAS[Table.RECORDS].names())
