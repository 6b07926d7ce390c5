"""Puts what a run has looked at together with what stands, and decides about all of it."""

from collections.abc import Sequence

import polars as pl

from pipeline.curation.case import Case
from pipeline.curation.heard_answers import FIRST_ROUTES
from pipeline.curation.settled_columns import ASKING
from pipeline.curation.standing import STANDING
from pipeline.curation.triage import TRIAGED, VERDICT, unreviewed
from pipeline.state.decisions import json_of_reasons, latest
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import SCHEMAS, Table
from schemas.dataset import Review
from schemas.fate import Routed

_SETTLED = {"settled_fate": "fate", "settled_routed": "routed"}


def told_by_case(cases: Sequence[Case], settled: pl.DataFrame) -> pl.DataFrame:
    """What stands of some rows of what was settled, and of what else their cases say: a narrow row for each."""
    known = [
        pl.Series("state", [case.content or case.revision for case in cases], dtype=pl.String),
        pl.Series("labeled", [case.targets is not None for case in cases], dtype=pl.Boolean),
        pl.Series("repairable", [case.draft is not None for case in cases], dtype=pl.Boolean),
    ]
    asking = settled.select(*ASKING, "group", "label_error_score", pinned=pl.col("pinned_split") != "", **_SETTLED)
    return asking.with_columns(known)


def looked_at(places: pl.DataFrame, relations: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """The rows that a run has looked at, with the columns of ``STANDING`` but for verdicts."""
    return places.drop("order").hstack(relations).hstack(told)


def all_rows(others: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """All rows, in any order: those that stand, and those that a run has looked at."""
    # A copy would be large, so none is made.
    return others if rows.is_empty() else pl.concat([others.select(rows.columns), rows], rechunk=False)


def as_triaged(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of ``STANDING`` as triage takes them: by age."""
    settled = [pl.col(old).alias(new) for old, new in _SETTLED.items()]
    triaged = rows.select(*(name for name in TRIAGED if name not in _SETTLED.values()), *settled)
    return triaged if triaged["order"].is_sorted() else triaged.sort("order")


_WAS_AUDIT = (pl.col("past_route") == Routed.AUDIT.value) | (pl.col("routed") == Routed.AUDIT.value)
_PAST = {
    "past_stratum": pl.col("audit_stratum"),
    "past_probability": pl.col("audit_probability"),
    "past_route": pl.when(_WAS_AUDIT.fill_null(value=False))
    .then(pl.lit(Routed.AUDIT.value))
    .otherwise(pl.coalesce("past_route", pl.when(pl.col("routed").is_in(FIRST_ROUTES)).then("routed"))),
}
"""What a run decides is the past of the next one: as ``history`` reads it from the decisions."""


def standing_rows(rows: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """The same rows once triage has spoken, whose verdicts are by age."""
    if not rows["order"].is_sorted():
        verdicts = verdicts[rows["order"].rank("ordinal").cast(pl.Int64) - 1]
    found = rows.with_columns(verdicts.get_columns()).with_columns(**_PAST)
    return found.select(name for name in STANDING if name in found.columns)


def changed_verdicts(others: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Those of rows that a run has not looked at, and of which triage says something else than before."""
    columns = list(VERDICT)
    before = others.select(columns)
    if before.equals(verdicts.select(columns), null_equal=True):
        return verdicts.clear()
    return verdicts.join(before.select("record_id"), on="record_id", how="semi").join(
        before, on=columns, how="anti", nulls_equal=True
    )


def settled_before(snapshot: Snapshot, others: pl.DataFrame, changed: pl.DataFrame, review: Review) -> pl.DataFrame:
    """The decisions about some of these rows as they were before triage spoke."""
    ids = changed["record_id"]
    if ids.is_empty():
        return pl.DataFrame(schema=SCHEMAS[Table.DECISIONS])
    found = latest(snapshot.committed_decisions().filter(pl.col("record_id").is_in(ids.implode()))).collect()
    was = others.select("record_id", "unreviewed", **{name: pl.col(old) for old, name in _SETTLED.items()})
    rows = found.drop("fate", "routed").join(was, on="record_id", maintain_order="left")
    # As it was written: another configuration looks at everything.
    first = json_of_reasons([unreviewed(review)])[:-1] + ","
    stripped = pl.concat_str(pl.lit("["), pl.col("reasons").str.strip_prefix(first))
    return rows.with_columns(reasons=pl.when("unreviewed").then(stripped).otherwise("reasons"))
