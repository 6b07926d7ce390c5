"""Counts which rows of a frozen source are published as is, and why the others are not."""

from collections.abc import Iterable, Mapping

import polars as pl
from pydantic import BaseModel

from pipeline.state.decisions import first_reason
from pipeline.state.snapshot import Snapshot
from schemas.dataset import Source
from schemas.fate import Fate, ReasonCode


class FrozenSource(BaseModel, frozen=True):
    """A source that is published as is, as far as possible."""

    name: str
    split: str
    rows: int
    elsewhere: dict[str, int] = {}
    """How many of them are in which other split, where they were published before, the most first."""
    left_out: dict[ReasonCode, int]
    """How many of them are not published, by first reason, the most frequent one first."""
    is_published: bool = True
    """Whether there is a version; else this is said of the next one."""

    @property
    def is_whole(self) -> bool:
        """Whether all of it is where it should be."""
        return not self.elsewhere and not self.left_out

    def __str__(self) -> str:
        """Text for the report and the card; names are marked as in Markdown."""
        kept = self.rows - sum(self.elsewhere.values()) - sum(self.left_out.values())
        are = "are" if self.is_published else "will be"
        said = [f"{kept:,} of {self.rows:,} rows of `{self.name}` {are} published unchanged in {self.split}"]
        if self.elsewhere:
            others = ", ".join(f"{count:,} in {split}" for split, count in self.elsewhere.items())
            said.append(f"published before, and rows never move: {others}")
        if self.left_out:
            said.append("left out: " + ", ".join(f"{count:,} {code}" for code, count in self.left_out.items()))
        return "; ".join(said)


def frozen_sources(
    snapshot: Snapshot, sources: Iterable[Source], decisions: pl.LazyFrame | None = None
) -> list[FrozenSource]:
    """The frozen sources that have rows, in order.

    Args:
        snapshot: has their rows, and some rows' splits.
        sources: all of the dataset's.
        decisions: ``record_id``, ``source``, ``fate`` and the code of the first reason, ``first``, if they are not
            committed yet.
    """
    frozen = {source.name: str(source.split) for source in sources if source.frozen}
    if not frozen:
        return []
    if decisions is None:
        decisions = snapshot.outline.lazy().with_columns(first=first_reason("code"))
    first = pl.when(pl.col("fate") != Fate.ACCEPTED.value).then("first")
    mine = decisions.filter(pl.col("source").is_in(list(frozen))).cast(dict.fromkeys(("source", "first"), pl.String()))
    found = mine.select("record_id", "source", first.alias("code"))
    placed = found.join(snapshot.splits().select("record_id", "split"), on="record_id", how="left")
    is_out = pl.col("code").is_not_null()
    is_elsewhere = ~is_out & (pl.col("split") != pl.col("source").replace_strict(frozen))
    where = placed.select("source", "code", pl.when(is_elsewhere).then("split").alias("split"))
    counts = (
        where.group_by("source", "code", "split").len().sort(["len", "code", "split"], descending=[True, False, False])
    )
    by_source = counts.collect().partition_by("source", as_dict=True)
    return [_counted(name, split, by_source[(name,)]) for name, split in frozen.items() if (name,) in by_source]


def _counted(name: str, split: str, counts: pl.DataFrame) -> FrozenSource:
    return FrozenSource(
        name=name,
        split=split,
        rows=counts["len"].sum(),
        elsewhere=_by(counts, "split"),
        left_out={ReasonCode(code): count for code, count in _by(counts, "code").items()},
    )


def _by(counts: pl.DataFrame, column: str) -> Mapping[str, int]:
    return dict(counts.drop_nulls(column).select(column, "len").iter_rows())
