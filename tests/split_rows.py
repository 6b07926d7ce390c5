"""Rows as splitting sees them, one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.releases.balance import Lack
from pipeline.releases.split import SPLIT_ROWS, divide

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True)
class SplitRow:
    """A row as splitting sees it."""

    record_id: str
    group: str
    labels: tuple[str, ...] = ()
    split: str | None = None
    published: bool = True
    content: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        return self.group or self.record_id


def row(record_id: str, group: str = "", label: str = "", split: str | None = None, published: bool = True) -> SplitRow:
    return SplitRow(
        record_id=record_id, group=group, labels=(label,) if label else (), split=split, published=published
    )


def assign_splits(rows: Sequence[SplitRow], fractions: Mapping[str, float], salt: str = "") -> Mapping[str, str]:
    return division(rows, fractions, salt)[0]


def division(
    rows: Sequence[SplitRow], fractions: Mapping[str, float], salt: str = ""
) -> tuple[Mapping[str, str], list[Lack]]:
    contents = {one.record_id: one.content for one in rows}
    columns = [(one.record_id, one.group, list(one.labels), one.split, one.published) for one in rows]
    found = divide(pl.DataFrame(columns, schema=SPLIT_ROWS, orient="row"), fractions, salt, lambda ids: contents)
    return dict(found.splits.iter_rows()), found.lacks
