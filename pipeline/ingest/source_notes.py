"""Notes about what was read of the sources, a line each."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from pipeline.ingest.new_rows import NewRows, too_many
from pipeline.ingest.row_keys import OFTEN
from pipeline.ingest.sources import SourceReading
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.text.wording import counted
from schemas.dataset import Source


def about_records(
    new: NewRows, returned: pl.DataFrame, lost: pl.DataFrame, sources: Sequence[Source], store: Store
) -> Iterator[str]:
    """Notes about records that left, stay or are back otherwise than users may expect.

    Args:
        new: what was appended.
        returned: the records that are back with their source.
        lost: those that their files have no more, and that stay.
        sources: all that are read.
        store: of the dataset.
    """
    named = {source.name: source for source in sources}
    for name, count in _by_source(new.gone):
        # A misspelled name looks like a removed one.
        if name not in named:
            yield (
                f"source '{name}' is no longer in the file, so its records ({count:,}) are withdrawn; if you add it "
                "again, they come back with their answers"
            )
    kept = new.latest.join(new.gone, on="record_id", how="anti")
    merged = dict(_by_source(new.found.merged.join(new.latest, on="record_id")))
    for name, count in _by_source(kept.join(new.found.keys, on="record_id", how="semi")):
        one, many = "has another key now, and stays the record that it is", "have another key now, and stay the records"
        share = f"; {merged[name]:,} more share theirs with another row, and are withdrawn" if name in merged else ""
        yield f"source '{name}': {counted(count, 'row')} {one if count == 1 else many + ' that they are'}{share}"
    for name, count in _by_source(returned):
        yield (
            f"source '{name}' is in the file again, and with it {counted(count, 'record')} that no file of it has any "
            "more"
        )
    for name, count in _by_source(lost):
        # A file that was cut off looks like one whose rows were removed.
        if among := too_many(named[name], count, store.scan(Table.RECORDS)):
            came = new.wanted.filter(~pl.col("by_content"), source=name).height
            respelled = (
                "; if its keys are written otherwise than before, as 7 for 007, write them as before, or the rows of "
                "before stay beside the new ones"
            )
            yield (
                f"source '{name}': {count:,} of its {among:,} records are no longer in their files; they stay, since "
                f"its mode is append; if a file was cut off, restore it{respelled if came else ''}"
            )


def about_files(readings: Sequence[SourceReading]) -> Iterator[str]:
    """Notes about files without rows, since an export that failed looks like one."""
    for reading in readings:
        if files := reading.found.empty_files():
            have, among = "has" if len(files) == 1 else "have", len(reading.found.files)
            several = f"{len(files):,} of {among:,} files {have} no rows, such as {files[0]}"
            said = several if among > 1 else f"{files[0]} has no rows"
            yield f"source '{reading.source.name}': {said}; add some, or correct `path:`"


def about_keys(readings: Sequence[SourceReading], superseded: Mapping[str, int]) -> Iterator[str]:
    """Notes about keys that repeat, since only the last row of a key counts; for a log that is normal.

    Args:
        readings: of all sources.
        superseded: how many rows of each source later ones supersede.
    """
    for source, rows in ((reading.source, reading.rows) for reading in readings):
        count = superseded[source.name]
        if source.key and not source.updates and count > rows * OFTEN:
            yield (
                f"{count:,} of {rows:,} rows of source '{source.name}' share their key with a later row that has "
                f"different content, and only the last one counts; is `{source.key}` a key?"
            )


def _by_source(rows: pl.DataFrame) -> Iterator[tuple[str, int]]:
    return rows.group_by("source").len().sort("source").iter_rows() if rows.height else iter(())
