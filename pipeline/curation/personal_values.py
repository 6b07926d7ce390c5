"""Asks about personal data once per value: what an annotator accepted in one row holds no other row any more."""

from collections import Counter
from collections.abc import Iterable

import polars as pl

from schemas.annotation import Verdict
from schemas.fate import Fate

_WAITS = pl.col("human").is_null() & pl.col("score").is_not_null()


def cleared(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as triage takes them, with ``cleared``: those that nobody must look at any more pass, or are suspect.

    A question that was asked remains asked.
    """
    held = rows.filter(pl.col("personal").is_not_null()).select("record_id", "personal", "human", "past_route", "score")
    accepted = _values(held.filter(pl.col("human") == Verdict.LABELED.value))
    waiting = held.filter(_WAITS, pl.col("past_route").is_null())
    names = [
        name
        for name, values in waiting.select("record_id", "personal").iter_rows()
        if accepted.issuperset(values.split())
    ]
    rows = rows.with_columns(cleared=pl.col("record_id").is_in(names))
    passes = pl.col("cleared") & pl.col("alone").is_null()
    return rows.with_columns(
        fate=pl.when(passes).then(pl.lit(Fate.ACCEPTED.value)).otherwise("fate"),
        score=pl.when("cleared").then("alone").otherwise("score"),
        wait=pl.when("cleared").then(0).otherwise("wait").cast(pl.Int8),
        held=pl.col("held") & ~pl.col("cleared"),
        personal=pl.when(~pl.col("cleared")).then("personal"),
    )


def once_each(rows: pl.DataFrame, is_new: pl.Expr) -> list[str]:
    """The rows to ask about in their order: one for each value that no open question is about, frequent ones first.

    Args:
        rows: as triage takes them.
        is_new: whether a row may be asked about, and was not before.
    """
    held = rows.filter(pl.col("personal").is_not_null())
    asked, new = held.filter("asked"), held.filter(is_new)
    open_values = _values(asked.filter(pl.col("human").is_null()))
    candidates = [(name, values.split()) for name, values in new.select("record_id", "personal").iter_rows()]
    frequent = Counter(value for _, values in candidates for value in values)
    # A stable sort: among equals, the first row.
    candidates.sort(key=lambda one: -max(frequent[value] for value in one[1]))
    chosen = []
    for name, values in candidates:
        if not open_values.issuperset(values):
            chosen.append(name)
            open_values |= set(values)
    return chosen


def _values(rows: pl.DataFrame) -> set[str]:
    texts: Iterable[str] = rows["personal"]
    return {value for text in texts for value in text.split()}
