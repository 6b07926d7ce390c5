"""What people should know of a curate run, a line each."""

from pipeline.curation.decide import Decided
from pipeline.ingest.records import Ingested
from schemas.dataset import Source

_OFTEN = 0.25
"""Share of a source's rows that later rows of their keys replace from which on people are told."""
_MOST = 0.5
"""Share of near-duplicates from which on people are told."""


def _left(read: Ingested) -> list[str]:
    """Say what went with a source, since a misspelt name looks like a removed one."""
    return [
        f"source '{name}' is not in the file any more, so its records ({count:,}) are withdrawn; name it again, and "
        "they come back with what annotators said about them"
        for name, count in read.left
    ]


def _doubled(read: Ingested, sources: list[Source]) -> list[str]:
    """Say where a key is perhaps none, since all rows of a key but the last are out of sight; a log has some such."""
    keys = {source.name: source.key for source in sources}
    return [
        f"{count:,} of {rows:,} rows of source '{name}' have a key that a later row has, too, with other content, and "
        f"only the last one counts; is `{keys[name]}` a key?"
        for name, count, rows in read.doubled
        if count > rows * _OFTEN
    ]


def _mostly_similar(decided: Decided) -> str:
    """Say if most rows resemble others: in a template, a few words may be all that counts."""
    near, current = decided.near, decided.funnel.current
    if near <= current * _MOST:
        return ""
    return (
        f"{near:,} of {current:,} rows are near-duplicates of others; look at some with `goldleaf duplicates`, and "
        "raise duplicates.threshold if they ask different things"
    )


def notes_about(read: Ingested, decided: Decided, sources: list[Source]) -> list[str]:
    """All there is to say; empty texts where there is nothing."""
    return [
        *_left(read),
        decided.adopted.note,
        decided.assessed.note,
        _mostly_similar(decided),
        *_doubled(read, sources),
    ]
