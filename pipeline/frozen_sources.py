"""Counts which rows of a frozen source are published as they are, and why the others are not."""

from collections.abc import Iterable

import polars as pl
from pydantic import BaseModel, ConfigDict

from schemas.dataset import Source
from schemas.fate import Fate, ReasonCode


class FrozenSource(BaseModel):
    """A source that is published as it is, as far as that can be."""

    model_config = ConfigDict(frozen=True)

    name: str
    split: str
    rows: int
    left_out: dict[ReasonCode, int]
    """How many of them are not published for which first reason, the most frequent one first."""

    def __str__(self) -> str:
        """For people; names are marked as Markdown does."""
        kept = self.rows - sum(self.left_out.values())
        said = f"{kept:,} of {self.rows:,} rows of `{self.name}` are in {self.split} as they are"
        why = ", ".join(f"{count:,} {code}" for code, count in self.left_out.items())
        return f"{said}; left out: {why}" if why else said


def frozen_sources(records: pl.LazyFrame, decisions: pl.LazyFrame, sources: Iterable[Source]) -> list[FrozenSource]:
    """The frozen sources that have rows, in their order.

    Args:
        records: the current ones.
        decisions: those that count about them.
        sources: all of the dataset's.
    """
    frozen = {source.name: str(source.split) for source in sources if source.frozen}
    if not frozen:
        return []
    mine = records.filter(pl.col("source").is_in(list(frozen))).select("record_id", "source")
    first = pl.when(pl.col("fate") != Fate.ACCEPTED.value).then(pl.col("reasons").str.json_path_match("$[0].code"))
    found = decisions.join(mine, on="record_id").select("source", first.alias("code"))
    counts = found.group_by("source", "code").len().sort(["len", "code"], descending=[True, False]).collect()
    return [
        FrozenSource(
            name=name,
            split=split,
            rows=its["len"].sum(),
            left_out={ReasonCode(code): count for code, count in its.drop_nulls("code").select("code", "len").rows()},
        )
        for name, split in frozen.items()
        if (its := counts.filter(pl.col("source") == name)).height
    ]
