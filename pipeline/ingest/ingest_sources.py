"""Reads the sources and adds what is new to the ``records`` table.

A record's identity is its source and key; its revision is its content. Reading the same file again adds
nothing, a changed row is a new revision, and in a snapshot source a vanished row is withdrawn.
A snapshot source that is empty, damaged or much smaller is refused: its rows may only appear to be gone.

What a run costs follows what has changed: files that are as an earlier run has read them are not opened, and of the
table only the rows of records that a change concerns are looked at. The result is that of reading everything.
"""

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl

from pipeline.errors import ConfigError, Rewritten, SourceError
from pipeline.ingest.changed_keys import ids_by_key
from pipeline.ingest.field_checks import Seen, hinted, names_of
from pipeline.ingest.new_rows import NewRows, new_rows, require_readable, require_sound, rows_to_append
from pipeline.ingest.old_addresses import clean
from pipeline.ingest.read_cache import NotEnough, ReadCache, SourceRead, SourcesRead, digest_of
from pipeline.ingest.returned_sources import appended_again, returned_rows
from pipeline.ingest.row_index import Index, changed_index, superseded, whole_index
from pipeline.ingest.row_keys import BY_CONTENT, Integers, integers_of, is_no_key
from pipeline.ingest.row_places import note_moved, state_of_places
from pipeline.ingest.source_files import source_files
from pipeline.ingest.source_notes import about_files, about_keys, about_records
from pipeline.ingest.sources import SourceReading
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.state.work_files import write_work
from pipeline.steps import Progress, Silent
from schemas.dataset import Mode, Source


@dataclass(frozen=True)
class Ingested:
    """The result of reading all sources once."""

    lines: int
    """Rows read, including unreadable ones."""
    added: int
    """New records and new revisions that were read."""
    withdrawn: int
    """Records whose row vanished from a snapshot source, or whose source is no longer in dataset.yaml."""
    notes: tuple[str, ...] = ()
    """What you should know about it, a line each."""
    unsettled: tuple[SourceReading, ...] = field(default=(), compare=False)
    """The readings of files whose writer may have paused meanwhile."""

    def require_as_read(self) -> None:
        """Require that no writer has gone on with a file since it was read.

        Raises:
            Rewritten: one has.
        """
        for reading in self.unsettled:
            reading.require_as_read(unsettled=True)

    @property
    def known(self) -> int:
        """Rows that were already known."""
        return self.lines - self.added


def ingest(
    store: Store,
    sources: list[Source],
    folder: Path,
    run: str,
    progress: Progress | None = None,
    *,
    on_rows: Callable[[int], None] = lambda rows: None,
    anew: bool = False,
    withdraw: Collection[str] = (),
) -> Ingested:
    """Read what has changed in the sources, then append all that is new in one atomic commit.

    Args:
        store: receives the records; it has the downloads.
        sources: read in order; their relative paths start at ``folder``.
        folder: that of the dataset.yaml.
        run: becomes the records' ``batch``; repeating the same run adds nothing.
        progress: shows how far it is.
        on_rows: called with how many more rows were read.
        anew: read all files, whatever an earlier run has read of them.
        withdraw: the snapshot sources that may lose any number of rows.

    Raises:
        SourceError: a source has no file, an unknown format or cannot be fetched, or a snapshot
            source is empty or damaged, or has lost very many rows.
        Rewritten: a file was written to while it was read, twice; nothing is appended.
        ConfigError: no row of a source has its key, now or earlier, or it is none.
    """
    known = None if anew else _known(store, sources)
    if known is None:
        clean(store)

    def read_from(known: SourcesRead | None) -> Ingested:
        return _Ingestion(store, sources, folder, run, known, withdraw).run_with(progress or Silent(), on_rows)

    def read() -> Ingested:
        if known is not None:
            with suppress(NotEnough):
                return read_from(known)
        return read_from(None)

    with suppress(Rewritten):
        return read()
    # Once more: perhaps the writer has finished.
    return read()


def _known(store: Store, sources: Sequence[Source]) -> SourcesRead | None:
    """What was read before, if the tables are as they were left then, and the sources are read in the same way."""
    known = ReadCache(store.read).load()
    if known is None or known.records != store.state_of(Table.RECORDS) or known.moved != state_of_places(store):
        return None
    # A source that is no longer named takes its records along; one that is named again brings them back.
    is_same = {source.digest for source in known.sources} <= {digest_of(source) for source in sources}
    new = {source.name for source in sources} - {source.name for source in known.sources}
    again = store.scan(Table.RECORDS).filter(pl.col("source").is_in(list(new))).head(1)
    return known if is_same and (not new or again.collect().is_empty()) else None


class _Ingestion:
    """One reading of all sources: of what has changed since an earlier one, or of everything."""

    def __init__(
        self,
        store: Store,
        sources: list[Source],
        folder: Path,
        run: str,
        known: SourcesRead | None,
        withdraw: Collection[str],
    ) -> None:
        self._store, self._sources, self._folder, self._run, self._known = store, sources, folder, run, known
        self._withdraw, self._ids = withdraw, dict[str, str]()
        self._cache = ReadCache(store.read)
        self._before = {source.name: source for source in known.sources} if known else {}
        self._readings: list[SourceReading] = []
        self._chunks: list[Path] = []
        self._lines = 0
        self._new: NewRows | None = None
        self._returned = pl.DataFrame()

    def run_with(self, progress: Progress, on_rows: Callable[[int], None]) -> Ingested:
        """Read, append, and keep what was read.

        Raises:
            NotEnough: what is known of an earlier reading does not suffice.
        """
        self._read_all(progress, on_rows)
        if self._known is None:
            index = whole_index(self._readings)
        else:
            index = changed_index(self._readings, self._known, self._cache)
        self._require_keys(index)
        self._require_own_keys(index)
        counts = self._superseded(index)
        notes = (*about_files(self._readings), *about_keys(self._readings, counts))
        read = Ingested(self._lines, 0, 0, notes)
        if self._known is not None and not index.records.len():
            self._keep(counts, set())
            return read
        self._require_known_places()
        appended = self._store.append_if_unseen(Table.RECORDS, self._run, lambda present: self._build(index, present))
        new = self._new
        if new is None or appended != len(new) + self._returned.height:
            # The rows of this run were appended before.
            return read
        unread = note_moved(self._store, self._run, new, new.found.index, self._files())
        self._keep(counts, unread.places)
        return replace(
            read,
            unsettled=tuple(reading for reading in self._readings if reading.unsettled),
            added=new.wanted.height,
            withdrawn=new.gone.height,
            notes=(*about_records(new, self._returned, unread.lost, self._sources, self._store), *notes),
        )

    def _read_all(self, progress: Progress, on_rows: Callable[[int], None]) -> None:
        """Write all rows that are read to intermediate files."""
        work, paths, total = self._store.work(self._run), list[list[Path]](), 0
        integers = {name: source.integers for name, source in self._before.items()}
        if self._known is None:
            integers = integers_of(self._store.scan(Table.RECORDS))
        if self._known is None or self._known.has_changed_keys:
            self._ids = ids_by_key(self._store.scan(Table.RECORDS))
        for source in self._sources:
            paths.append(source_files(source, self._folder, self._store.downloads, self._store))
            before = self._before[source.name].files if source.name in self._before else ()
            known = {file.name: file for file in before}
            kind = integers.get(source.name, Integers.NUMBERS)
            reading = SourceReading(source, self._folder, known, self._run, kind, self._ids)
            self._readings.append(reading)
            total += reading.unread(paths[-1])
        with _reading(progress, total) as advance:
            passed = written = 0
            for reading, files in zip(self._readings, paths, strict=True):
                for frame in reading.frames(files, self._lines):
                    written += int(frame.estimated_size())
                    _require_space(reading.source, work, written)
                    self._chunks.append(work / f"read-{len(self._chunks):05}.parquet")
                    write_work(frame, self._chunks[-1])
                    on_rows(frame.height)
                    advance(reading.passed - passed)
                    passed = reading.passed
                advance(reading.passed - passed)
                passed = 0
                self._lines += reading.rows

    def _build(self, index: Index, present: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        """The rows to append to a table."""
        if self._known is not None and self._known.records != self._store.state_of(Table.RECORDS):
            raise NotEnough
        new = new_rows(index, present, self._readings, self._run, self._lines, self._chunks)
        for reading in self._readings:
            if (source := reading.source).mode is Mode.SNAPSHOT:
                require_sound(source, reading.found, new, present, agreed=source.name in self._withdraw)
            require_readable(reading.source, reading.found, new)
        # A run that does not look at all rows has no source that was not there before.
        self._returned = returned_rows(new.found, present, new.latest, self._sources if index.is_whole else [])
        self._new = replace(new, unread=pl.concat([new.unread, self._returned]))
        yield from rows_to_append(new.wanted, new.found.index, self._chunks, present, self._run)
        if new.gone.height:
            yield new.gone
        first = self._lines + new.gone.height
        yield from appended_again(new.rekeyed, present, self._run, first, came_now=False)
        first += new.rekeyed.height
        yield from appended_again(self._returned, present, self._run, first, came_now=True)
        for reading in self._readings:
            reading.require_as_read()

    # --- checks -----------------------------------------------------------------------------------
    def _require_keys(self, index: Index) -> None:
        """Refuse a misspelled key: all rows would be identified by content, and duplicated once it is corrected."""
        for reading in self._readings:
            source, found = reading.source, reading.found
            if not found.lacks_key:
                continue
            if not index.is_whole:
                raise NotEnough
            if not _has_lost_its_key(source, index.now, self._store.scan(Table.RECORDS)):
                seen = Seen(names=names_of(found.unkeyed))
                problem = (
                    f"no row of source '{source.name}' has its key '{source.key}'; correct `key:` (use dots for nested "
                    f"fields) or leave it out; {seen.shown_names}"
                )
                raise ConfigError(hinted(problem, seen))

    def _require_own_keys(self, index: Index) -> None:
        """Refuse a field that identifies no row, such as a category: of each of its values one row would be left."""
        rows = dict(index.now.group_by("source").len().iter_rows())
        within, over = superseded(index.now, "file"), superseded(index.now)
        for source in (reading.source for reading in self._readings):
            # The files of a snapshot are one table; in those of a log, later ones may say what is new.
            is_table, count = source.mode is Mode.SNAPSHOT, rows.get(source.name, 0)
            replaced = (over if is_table else within).get(source.name, 0)
            if source.updates or not is_no_key(replaced, count):
                continue
            if not index.is_whole:
                # Of all rows, they may be few.
                raise NotEnough
            raise ConfigError(
                f"{replaced:,} of {count:,} rows of source '{source.name}' share their key with a later row of their "
                f"{'source' if is_table else 'file'} that has different content, and would be lost: is "
                f"`{source.key}` a key? name another field or none, or set `updates: true` in the source if later "
                "rows replace earlier ones"
            )

    def _require_known_places(self) -> None:
        """A file that was gone and is back decides whether it has lost the rows that were last seen in it."""
        for reading in self._readings:
            if before := self._before.get(reading.source.name):
                read = {file.name for file in before.files if file.found.rows}
                back = {file.name for file in reading.files if file.found.rows} - read
                if back & set(before.lost_files):
                    raise NotEnough

    # --- what is told -----------------------------------------------------------------------------
    def _superseded(self, index: Index) -> dict[str, int]:
        """How many rows of each source later ones supersede."""
        now, then = superseded(index.now), superseded(index.before)
        earlier = {name: source.superseded for name, source in self._before.items()}
        names = [source.name for source in self._sources]
        return {name: earlier.get(name, 0) - then.get(name, 0) + now.get(name, 0) for name in names}

    def _files(self) -> pl.DataFrame:
        """``source`` and ``file`` of all files with rows."""
        names = [
            (reading.source.name, name)
            for reading in self._readings
            for name, found in reading.found.files.items()
            if found.rows
        ]
        return pl.DataFrame(names, schema={"source": pl.String, "file": pl.String}, orient="row")

    # --- what is kept -----------------------------------------------------------------------------
    def _keep(self, superseded: dict[str, int], lost: Set[tuple[str, str]]) -> None:
        """Keep what was read for the next run, once this one is committed."""
        moved = state_of_places(self._store, self._run)
        if moved is None or (self._new is not None and self._new.found.keys.height):
            # What was read has the ids of other keys.
            self._cache.forget()
            return
        sources = []
        for reading in self._readings:
            name, before = reading.source.name, self._before.get(reading.source.name)
            files = {file for source, file in lost if source == name} | set(before.lost_files if before else ())
            sources.append(
                SourceRead(
                    name=name,
                    integers=reading.integers,
                    digest=digest_of(reading.source),
                    superseded=superseded[name],
                    lost_files=tuple(sorted(files)),
                    files=tuple(file.read for file in reading.files),
                )
            )
        read = SourcesRead(
            records=self._store.state_of(Table.RECORDS),
            moved=moved,
            has_changed_keys=bool(self._ids),
            sources=tuple(sources),
        )
        if read != self._known:
            fresh = [file.fresh for reading in self._readings for file in reading.files]
            self._cache.save(read, fresh, partial(self._store.until_commit, self._run))


def _require_space(source: Source, folder: Path, size: int) -> None:
    """Stop before the disk is full: what is read is written there, and once more into the table."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise SourceError(
            f"source '{source.name}': its rows do not fit on the disk, which has {free / 2**30:,.1f} GB left after "
            f"{size / 2**30:,.1f} GB of them; make room, or check whether the file is what it should be"
        )


@contextmanager
def _reading(progress: Progress, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many bytes are read of so many, in a unit that suits these."""
    unit, size = ("MB", 1_000_000) if total >= 1_000_000 else ("kB", 1_000)
    passed = 0
    with progress.step("reading the sources", *((-(-total // size), unit) if total else ())) as shown:

        def advance(more: int) -> None:
            nonlocal passed
            before, passed = passed, passed + more
            # Rounded up: what is read to its end is whole.
            shown(-(-passed // size) - -(-before // size))

        yield advance


def _has_lost_its_key(source: Source, index: pl.DataFrame, present: pl.LazyFrame) -> bool:
    """Whether earlier rows of an append source had the key, and differ from those without it: it is not misspelled."""
    if source.mode is not Mode.APPEND:
        return False
    of_source = pl.col("source") == source.name
    keyed = present.filter(of_source, ~BY_CONTENT).select("revision").unique().collect()
    return keyed.height > 0 and keyed.join(index.filter(of_source), on="revision", how="semi").is_empty()
