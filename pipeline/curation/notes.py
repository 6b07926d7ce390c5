"""Notes about a curate run, a line each."""

from pipeline.curation.stages import Decided
from pipeline.ingest.ingest_sources import Ingested
from pipeline.ingest.row_keys import OFTEN
from pipeline.text.wording import counted
from schemas.dataset import Source

_MOST = 0.5
"""Report it if at least this share of rows are near-duplicates."""


def _left(read: Ingested) -> list[str]:
    """Report what was withdrawn with a source, since a misspelled name looks like a removed one."""
    return [
        f"source '{name}' is no longer in the file, so its records ({count:,}) are withdrawn; if you add it "
        "again, they come back with their answers"
        for name, count in read.left
    ]


def _rekeyed(read: Ingested) -> list[str]:
    """Report that a changed key has no further consequence: nobody must look for their answers."""
    return [
        f"source '{name}': {counted(count, 'row')} {'has' if count == 1 else 'have'} another key now, and stay"
        f"{'s' if count == 1 else ''} the {'record' if count == 1 else 'records'} that they are"
        for name, count in read.rekeyed
    ]


def _returned(read: Ingested) -> list[str]:
    """Report records that are back without a row in any file."""
    return [
        f"source '{name}' is in the file again, and with it {counted(count, 'record')} that no file of it has any more"
        for name, count in read.returned
    ]


def _empty(read: Ingested) -> list[str]:
    """Name files without rows, since an export that failed looks like one."""
    notes = []
    for name, files, among in read.empty:
        several = (
            f"{len(files):,} of {among:,} files {'has' if len(files) == 1 else 'have'} no rows, such as {files[0]}"
        )
        said = several if among > 1 else f"{files[0]} has no rows"
        notes.append(f"source '{name}': {said}; add some, or correct `path:`")
    return notes


def _shrunk(read: Ingested) -> list[str]:
    """Report rows that a log has lost, since a file that was cut off looks like one."""
    return [
        f"source '{name}': {count:,} of its {known:,} records are no longer in their files; they stay, since its mode "
        "is append; if a file was cut off, restore it"
        for name, count, known in read.shrunk
        if name not in {one.source for one in read.respelled}
    ]


def _respelled(read: Ingested) -> list[str]:
    """Report rows that are there twice because of how their keys are written."""
    return [
        f"source '{one.source}': {one.rows:,} of {counted(one.among, 'new row')} say what rows under other keys say, "
        f"which are no longer in their files: have its keys changed, as from '{one.before}' to '{one.now}'? If so, "
        "write them as before, or the rows of before stay beside them, since its mode is append"
        for one in read.respelled
    ]


def _doubled(read: Ingested, sources: list[Source]) -> list[str]:
    """Question a key that repeats, since only the last row of a key counts; for a log that is normal."""
    keys = {source.name: source.key for source in sources}
    return [
        f"{count:,} of {rows:,} rows of source '{name}' share their key with a later row that has different content, "
        f"and only the last one counts; is `{keys[name]}` a key?"
        for name, count, rows in read.doubled
        if count > rows * OFTEN
    ]


def _mostly_similar(decided: Decided) -> str:
    """Report it if most rows are similar: in a template, a few words may make all the difference."""
    near, current = decided.near, decided.funnel.current
    if near <= current * _MOST:
        return ""
    return (
        f"{near:,} of {current:,} rows are near-duplicates of others; look at some with `goldleaf duplicates`, and "
        "raise duplicates.threshold if they ask different things"
    )


def notes_about(read: Ingested, decided: Decided, sources: list[Source]) -> list[str]:
    """All notes; empty texts if there is nothing to report."""
    return [
        *_left(read),
        *_rekeyed(read),
        *_returned(read),
        *_empty(read),
        *_shrunk(read),
        *_respelled(read),
        decided.adopted.note,
        decided.note,
        *decided.layouts,
        _mostly_similar(decided),
        *_doubled(read, sources),
    ]
