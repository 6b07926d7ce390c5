"""The outline of what is decided: a few columns of the decision that counts for every current record.

Who looks for the rows in review, or counts fates, need not read what a million rows say. The outline of the last curate
is kept beside what stands of it. A cache: where it is gone or damaged, the tables say the same.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

import polars as pl
import pyarrow as pa

from pipeline.errors import StoreError
from pipeline.state.atomic import repeat, replacing
from pipeline.state.mapped_rows import arrow_of, frame_of, put_together, read_rows
from pipeline.state.memory import let_go
from pipeline.state.tables import SCHEMAS, Table

_OF_DECISION = ("record_id", "revision", "run", "fate", "reasons", "duplicate_of", "similarity", "routed",
                "label_source", "label_error_score", "tokens", "audit_stratum", "audit_probability")  # fmt: skip
OUTLINE = pl.Schema(
    {name: SCHEMAS[Table.DECISIONS][name] for name in _OF_DECISION}
    # Of its record; whether there is a proposal, and whether the model that `suggest` names was heard.
    | {"source": pl.String(), "suggested": pl.Boolean(), "heard": pl.Boolean()}
)
_KNOWN = {"suggestion": "suggested", "model_answer": "heard"}
_FILE = "outline.arrow"
_VIEWS = 16 * len(OUTLINE)
"""Bytes of a row without its texts, at most."""


def outlined(decisions: pl.LazyFrame, records: pl.LazyFrame) -> pl.DataFrame:
    """The outline of some decisions, in their order.

    Args:
        decisions: one per record, with the columns of their table.
        records: ``record_id``, ``revision`` and ``source`` of the current records.
    """
    known = {name: pl.col(column).is_not_null() for column, name in _KNOWN.items()}
    current = records.select("record_id", "revision", pl.col("source").cast(pl.String))
    narrow = decisions.select(*_OF_DECISION, **known)
    found = narrow.join(current, on=["record_id", "revision"], maintain_order="left")
    return found.select(OUTLINE.names()).collect()


@dataclass(frozen=True)
class Renewed:
    """An outline once some decisions count; all at once it is a copy of the one before."""

    before: pl.DataFrame
    stays: pl.Series
    """Which of these rows are still in it."""
    news: pl.DataFrame
    """What comes after them."""

    @property
    def height(self) -> int:
        """How many rows it has."""
        return int(self.stays.sum()) + self.news.height

    @property
    def whole(self) -> pl.DataFrame:
        """All of it."""
        return pl.concat([self.before.filter(self.stays), self.news], rechunk=False)

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Some rows at a time."""
        # As they lie in the file: a part of one would hold on to the texts of all of it.
        heights = [len(chunk) for chunk in self.before["record_id"].get_chunks()]
        for start, height in zip(itertools.accumulate([0, *heights]), heights, strict=False):
            yield self.before.slice(start, height).filter(self.stays.slice(start, height))
            let_go()
        yield self.news


def renewed(before: pl.DataFrame, fresh: pl.LazyFrame, records: pl.LazyFrame, decided: pl.LazyFrame) -> Renewed:
    """An outline once some decisions count.

    Args:
        before: with the columns of ``OUTLINE``.
        fresh: the decisions, one per record, with the columns of their table.
        records: ``record_id``, ``revision`` and ``source`` of the records that are current now.
        decided: all earlier decisions, oldest first; they are read only if a record is back that was withdrawn.
    """
    ids = fresh.select("record_id").collect().to_series().implode()
    news = outlined(fresh, records.filter(pl.col("record_id").is_in(ids)))
    current = records.select(_key()).collect().to_series()
    let_go()
    keys = before.lazy().select(_key()).collect().to_series()
    let_go()
    # Rows that are gone are left out; and what was decided again comes last, as in the table.
    stays = before.select(~pl.col("record_id").is_in(ids)).to_series() & keys.is_in(current.implode())
    if int(stays.sum()) + news.height < current.len():
        back = records.filter(~_key().is_in(keys.filter(stays).implode()), ~pl.col("record_id").is_in(ids))
        kept = pl.concat([before.filter(stays), _of_returned(back, decided)]).sort("run", maintain_order=True)
        return Renewed(kept, pl.repeat(value=True, n=kept.height, eager=True), news)
    return Renewed(before, stays, news)


def _of_returned(records: pl.LazyFrame, decided: pl.LazyFrame) -> pl.DataFrame:
    """The outline of some records whose decisions are older than an outline that does not know them."""
    ids = records.select("record_id").collect().to_series().implode()
    theirs = decided.filter(pl.col("record_id").is_in(ids))
    return outlined(theirs.unique("record_id", keep="last", maintain_order=True), records)


def _key() -> pl.Expr:
    """64 bits that tell a row: a join by texts would hold half a kilobyte of each.

    If two rows had the same, an outline would have a row too many; who keeps it counts them.
    """
    return pl.col("record_id").hash() ^ pl.col("revision").hash(seed=1)


def keep_outline(pieces: Iterable[pl.DataFrame], folder: Path) -> None:
    """Keep an outline, which comes some rows at a time, in the folder of its run.

    As views, which are mapped as they are: what is not looked at is not read. They hold on to the texts of rows that
    are gone; once these are more than the others, they are left behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = _as_views(pl.DataFrame(schema=OUTLINE)).schema
    with replacing(folder / _FILE, sealed=True) as sink, pa.ipc.new_file(cast("IO[bytes]", sink), kind) as file:
        for piece in put_together(pieces):
            file.write_table(_as_views(piece.select(OUTLINE.names()).rechunk()))


def _as_views(rows: pl.DataFrame) -> pa.Table:
    table = rows.to_arrow(compat_level=pl.CompatLevel.newest())
    if table.get_total_buffer_size() > 2 * rows.height * _VIEWS + 2 * _said(rows):
        return frame_of(arrow_of(rows)).to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def _said(outline: pl.DataFrame) -> int:
    """The bytes of its texts."""
    return sum(outline.select(pl.col(pl.String).str.len_bytes().sum()).row(0))


def outline_stands(before: Path, after: Path) -> None:
    """Let the outline of one run be that of another, if there is one; else it is told by the tables."""
    with suppress(OSError):
        repeat(before / _FILE, after / _FILE)


def kept_outline(folder: Path, funnel: str | None) -> pl.DataFrame | None:
    """The outline that a run has kept; None if there is none, or if it cannot be the one of that run.

    Args:
        folder: of the run.
        funnel: its numbers as JSON.
    """
    if funnel is None:
        return None
    with suppress(StoreError, OSError, pa.ArrowInvalid):
        status = (folder / _FILE).stat()
        found = _read(folder / _FILE, status.st_ino, status.st_size, status.st_mtime_ns)
        numbers = json.loads(funnel)
        fates = {fate: numbers[fate] for fate in ("accepted", "rejected", "duplicate", "review") if numbers[fate]}
        if found.schema == OUTLINE and dict(found["fate"].value_counts().iter_rows()) == fates:
            return found
    return None


@lru_cache(maxsize=1)
def _read(path: Path, _inode: int, _size: int, _changed: int) -> pl.DataFrame:
    """Read a file once for all who look at the same state in a command."""
    return read_rows(path)
