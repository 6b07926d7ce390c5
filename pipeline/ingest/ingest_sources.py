"""Reads the sources and adds what is new to the ``records`` table.

A record's identity is its source and key; its revision is its content. Reading the same file again adds
nothing, a changed row is a new revision, and in a snapshot source a vanished row is withdrawn.
A snapshot source that is empty or damaged is refused: its rows may only appear to be gone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pipeline.errors import ConfigError, SourceError
from pipeline.ingest.field_checks import Seen, hinted, names_of
from pipeline.ingest.row_keys import BY_CONTENT
from pipeline.ingest.row_places import moved, note_moved
from pipeline.ingest.source_files import source_files
from pipeline.ingest.sources import FoundInSource, row_frames
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.state.work_files import read_work, write_work
from schemas.dataset import Mode, Source


@dataclass(frozen=True)
class Ingested:
    """The result of reading all sources once."""

    lines: int
    """Rows read, including unreadable ones."""
    added: int
    """New records and new revisions."""
    withdrawn: int
    """Records whose row vanished from a snapshot source, or whose source is no longer in dataset.yaml."""
    left: tuple[tuple[str, int], ...] = ()
    """The sources that are no longer named, with the number of records withdrawn with them."""
    doubled: tuple[tuple[str, int, int], ...] = ()
    """The sources with rows whose key recurs later with other content: how many, of how many rows."""
    empty: tuple[tuple[str, tuple[str, ...], int], ...] = ()
    """The sources with files that have no rows: these files, of how many."""

    @property
    def known(self) -> int:
        """Rows that were already known."""
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
        store: receives the records; it has the downloads.
        sources: read in order; their relative paths start at ``folder``.
        folder: that of the dataset.yaml.
        run: becomes the records' ``batch``; repeating the same run adds nothing.
        on_rows: called with how many more rows were read.

    Raises:
        SourceError: a source has no file, an unknown format or cannot be fetched, or a snapshot
            source is empty or damaged.
        ConfigError: no row of a source has its key, now or earlier.
    """
    found = {source.name: FoundInSource(source.key) for source in sources}
    chunks = _read_all(store, sources, folder, run, found, on_rows)
    added, withdrawn = 0, pl.DataFrame(schema=SCHEMAS[Table.RECORDS])
    index = _index(chunks)
    lines = index.height
    _require_keys(sources, found, index, store.scan(Table.RECORDS))
    doubled = _doubled(index, [source.name for source in sources if source.key])
    empty = tuple(_empty(found))
    places: tuple[pl.DataFrame, pl.DataFrame] | None = None

    def build(present: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        nonlocal added, withdrawn, places
        known = present.select(*_KNOWN_COLUMNS).collect()
        latest = known.sort("batch", "position").unique("record_id", keep="last").filter(~pl.col("withdrawn"))
        wanted = _new_positions(index, known, latest)
        gone = _withdrawals(index, present, sources, found, run)
        added, withdrawn = wanted.height, gone
        unread = latest.join(index, on="record_id", how="anti").join(gone, on="record_id", how="anti")
        places = moved(index.filter("final"), latest), unread
        for chunk in chunks:
            fresh = read_work(chunk).join(wanted, on="position", how="semi", maintain_order="left")
            if fresh.height:
                yield fresh
        if gone.height:
            yield gone

    appended = store.append_if_unseen(Table.RECORDS, run, build)
    if places is not None:
        note_moved(store, *places, index)
    if not appended:
        return Ingested(lines, 0, 0, doubled=doubled, empty=empty)
    named = [source.name for source in sources]
    left = withdrawn.filter(~pl.col("source").is_in(named)).group_by("source").len().sort("source")
    return Ingested(lines, added, withdrawn.height, tuple(left.iter_rows()), doubled, empty)


def _read_all(
    store: Store,
    sources: list[Source],
    folder: Path,
    run: str,
    found: "dict[str, FoundInSource]",
    on_rows: Callable[[int], None],
) -> list[Path]:
    """Write all rows to intermediate files, and record what is found in each source."""
    work, chunks, lines = store.work(run), list[Path](), 0
    for source in sources:
        files = source_files(source, folder, store.downloads, store)
        for frame in row_frames(source, files, folder, found[source.name], run, start=lines):
            chunks.append(work / f"read-{len(chunks):05}.parquet")
            write_work(frame, chunks[-1])
            lines += frame.height
            on_rows(frame.height)
    return chunks


_KNOWN_COLUMNS = ("record_id", "revision", "withdrawn", "batch", "position", "source", "file", "line")


def _require_keys(
    sources: list[Source], found: dict[str, FoundInSource], index: pl.DataFrame, present: pl.LazyFrame
) -> None:
    """Refuse a misspelled key: all rows would be identified by content, and duplicated once it is corrected."""
    for source in sources:
        one = found[source.name]
        if one.unkeyed and not one.keyed and not _has_lost_its_key(source, index, present):
            seen = Seen(names=names_of(one.unkeyed))
            problem = (
                f"no row of source '{source.name}' has its key '{one.key}'; correct `key:` (use dots for nested "
                f"fields) or leave it out; {seen.shown_names}"
            )
            raise ConfigError(hinted(problem, seen))


def _has_lost_its_key(source: Source, index: pl.DataFrame, present: pl.LazyFrame) -> bool:
    """Whether earlier rows of an append source had the key, and differ from those without it: it is not misspelled."""
    if source.mode is not Mode.APPEND:
        return False
    of_source = pl.col("source") == source.name
    keyed = present.filter(of_source, ~BY_CONTENT).select("revision").unique().collect()
    return keyed.height > 0 and keyed.join(index.filter(of_source), on="revision", how="semi").is_empty()


def _doubled(index: pl.DataFrame, keyed: list[str]) -> tuple[tuple[str, int, int], ...]:
    """The keyed sources with rows that later ones supersede in the same read: how many, of how many."""
    last = pl.col("revision").sort_by("position").last().over("record_id")
    rows = index.filter(pl.col("source").is_in(keyed)).with_columns(superseded=pl.col("revision") != last)
    counts = rows.group_by("source", maintain_order=True).agg(pl.col("superseded").sum(), pl.len().alias("rows"))
    return tuple(counts.filter(pl.col("superseded") > 0).iter_rows())


def _empty(found: dict[str, FoundInSource]) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """The sources with files that have no rows."""
    for name, one in found.items():
        if files := tuple(file for file, rows in one.rows_in.items() if not rows):
            yield name, files, len(one.rows_in)


def _index(chunks: list[Path]) -> pl.DataFrame:
    """Identity and place of every row read, with the last occurrence of each key marked ``final``."""
    columns = ["record_id", "revision", "source", "position", "file", "line"]
    if not chunks:
        return pl.DataFrame(schema={name: SCHEMAS[Table.RECORDS][name] for name in columns} | {"final": pl.Boolean()})
    frame = pl.concat([read_work(chunk, columns) for chunk in chunks])
    return frame.with_columns(final=pl.col("position") == pl.col("position").max().over("record_id"))


def _new_positions(index: pl.DataFrame, known: pl.DataFrame, latest: pl.DataFrame) -> pl.DataFrame:
    """Indices of the rows to append, with all known rows and the current one of every record.

    A key's last row is new if it differs from the record's current revision; its earlier rows only
    if that revision was never seen, or reading a file of updates twice would replay them. If an
    earlier row is new, the last one is always appended after it, so that it stays the current revision.
    """
    same = ["record_id", "revision"]
    final = index.filter("final")
    last = final.join(latest, on=same, how="anti")
    earlier = (
        index.filter(~pl.col("final"))
        .join(known, on=same, how="anti")
        .join(final, on=same, how="anti")
        .unique(same, keep="first", maintain_order=True)
    )
    again = final.join(earlier, on="record_id", how="semi")
    return pl.concat([last, earlier, again]).select("position").unique()


def _withdrawals(
    index: pl.DataFrame, present: pl.LazyFrame, sources: list[Source], found: dict[str, FoundInSource], run: str
) -> pl.DataFrame:
    """Marker rows for records of snapshot sources that were not read this time, and of removed sources.

    This is the only way to get rid of a source's rows; if the source comes back, so do they, unchanged.
    """
    appended = [source.name for source in sources if source.mode is Mode.APPEND]
    latest = (
        present.filter(~pl.col("source").is_in(appended))
        .sort("batch", "position")
        .unique("record_id", keep="last", maintain_order=True)
        .filter(~pl.col("withdrawn"))
        .collect()
    )
    gone = latest.join(index, on="record_id", how="anti", maintain_order="left")
    for source in sources:
        if source.mode is Mode.SNAPSHOT:
            known, lost = (rows.filter(pl.col("source") == source.name) for rows in (latest, gone))
            _require_sound(source.name, found[source.name], known, lost)
    first = index.height
    return gone.with_columns(
        withdrawn=pl.lit(True),
        batch=pl.lit(run),
        position=pl.int_range(first, first + gone.height, dtype=pl.Int64),
        ingested_at=pl.lit(datetime.now(UTC)).cast(SCHEMAS[Table.RECORDS]["ingested_at"]),
        raw=pl.lit(b""),
    ).select(SCHEMAS[Table.RECORDS].names())


def _require_sound(name: str, found: FoundInSource, known: pl.DataFrame, lost: pl.DataFrame) -> None:
    """Refuse to withdraw the rows of a snapshot source that is empty, or cannot be read to its end."""
    if lost.height and not (found.readable or found.unreadable):
        raise SourceError(
            f"snapshot source '{name}' is empty, which would withdraw all its {known.height} records; "
            "restore its file, or set `mode: append`"
        )
    # Losing a broken row, or finding it broken differently, is no loss.
    count = lost.filter(pl.col("error") == "").height
    if count and (damage := found.damage()):
        raise SourceError(
            f"snapshot source '{name}' {damage}, which would withdraw {count} of its {known.height} records; "
            "fix or restore the file, or set `mode: append`"
        )
