"""Puts what a run has looked at together with what stands, and decides about all of it."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.curation.case import Case
from pipeline.curation.heard_answers import FIRST_ROUTES
from pipeline.curation.settled_columns import ASKING
from pipeline.curation.standing import STANDING, Others
from pipeline.curation.triage import TRIAGED, VERDICT, said_first
from pipeline.state.decisions import latest
from pipeline.state.mapped_rows import ROWS_AT_ONCE
from pipeline.state.memory import let_go_of_files
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import SCHEMAS, Table
from schemas.dataset import Review
from schemas.fate import Routed

_SETTLED = {"settled_fate": "fate", "settled_routed": "routed"}


def told_by_case(cases: Sequence[Case], settled: pl.DataFrame) -> pl.DataFrame:
    """What stands of some rows of what was settled, and of what else their cases say: a narrow row for each."""
    known = [
        pl.Series("state", [case.known.content or case.known.revision for case in cases], dtype=pl.String),
        pl.Series("labeled", [case.known.targets is not None for case in cases], dtype=pl.Boolean),
    ]
    asking = settled.select(*ASKING, "group", "label_error_score", pinned=pl.col("pinned_split") != "", **_SETTLED)
    told = asking.with_columns(known)
    return told.select(pl.col(name).cast(STANDING[name]) for name in told.columns)


def looked_at(places: pl.DataFrame, relations: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """The rows that a run has looked at, by age, with the columns of ``STANDING`` but for verdicts."""
    return places.drop("order").hstack(relations).hstack(told)


def as_triaged(others: Others, rows: pl.DataFrame, also: Sequence[str] = ()) -> pl.DataFrame:
    """All rows as triage takes them, by age: those that stand, and those that a run has looked at.

    Args:
        others: the rows that it has not looked at.
        rows: those that it has, by age, with the columns of ``STANDING`` but for verdicts.
        also: more columns.
    """
    names = [*(name for name in TRIAGED if name not in _SETTLED.values()), *_SETTLED, *also]

    def some(names: Sequence[str]) -> pl.DataFrame:
        return pl.concat([others.unfiltered(*names), rows.select(names)], rechunk=False)

    if others.standing is None or (others.is_everything and rows.is_empty()):
        # By age already.
        return some(names).rename(_SETTLED)
    # A copy of all rows is large: one is made, and not one of those that stay before it.
    places = np.concatenate([np.flatnonzero(others.stay), np.arange(rows.height) + len(others.stay)])
    orders = np.concatenate([others.columns("order")["order"].to_numpy(), rows["order"].to_numpy()])
    by_age = np.argsort(orders, kind="stable")
    at, parts = places[by_age], []
    for name in names:
        # Of the mapped files, a column at a time is in memory.
        parts.append(some([name]).select(pl.all().gather(at)))
        let_go_of_files()
    return pl.concat(parts, how="horizontal").rename(_SETTLED).with_columns(order=pl.Series(orders[by_age]))


_WAS_AUDIT = (pl.col("past_route") == Routed.AUDIT.value) | (pl.col("routed") == Routed.AUDIT.value)
_PAST = {
    "past_stratum": pl.col("audit_stratum"),
    "past_probability": pl.col("audit_probability"),
    "past_route": pl.when(_WAS_AUDIT.fill_null(value=False))
    .then(pl.lit(Routed.AUDIT.value))
    .otherwise(pl.coalesce("past_route", pl.when(pl.col("routed").is_in(FIRST_ROUTES)).then("routed"))),
}
"""What a run decides is the past of the next one: as ``history`` reads it from the decisions."""


def standing_pieces(others: Others, rows: pl.DataFrame, verdicts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """All rows once triage has spoken, by age, some at a time.

    Args:
        others: the rows that a run has not looked at.
        rows: those that it has, by age, with the columns of ``STANDING`` but for verdicts.
        verdicts: of all of them, by age.
    """
    settled = [name for name in STANDING if name not in VERDICT or name == "record_id"]
    done = told = 0
    for piece in others.pieces():
        if piece.is_empty():
            continue
        until = int(rows["order"].search_sorted(piece["order"][-1]))
        both = pl.concat([piece.select(settled), rows[done:until].select(settled)]).sort("order")
        yield _with_verdicts(both, verdicts[told : told + both.height])
        done, told = until, told + both.height
    for later in rows[done:].iter_slices(ROWS_AT_ONCE):
        yield _with_verdicts(later, verdicts[told : told + later.height])
        told += later.height


def _with_verdicts(rows: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    found = rows.hstack(verdicts.drop("record_id")).with_columns(**_PAST)
    return found.select(pl.col(name).cast(kind) for name, kind in STANDING.items())


def changed_verdicts(
    others: Others, verdicts: pl.DataFrame, places: npt.NDArray[np.int64]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What triage said before, and what it says now, of the rows that a run has not looked at, where that differs.

    Args:
        others: these rows.
        verdicts: of all rows.
        places: where those of ``others`` are among them.

    Returns:
        With the columns of ``VERDICT``, and as they were before it spoke, and ``order``; and with those of ``VERDICT``.
    """
    differs = pl.repeat(value=False, n=others.height, eager=True)
    for name in VERDICT:
        if name != "record_id":
            # A column at a time: all of them would be two copies of all rows.
            differs |= others.columns(name)[name].ne_missing(verdicts[name].gather(places))
            let_go_of_files()
    at = differs.arg_true()
    return others.at(at, *VERDICT, *_SETTLED, "order"), verdicts[places[at.to_numpy()]]


def settled_before(snapshot: Snapshot, before: pl.DataFrame, changed: pl.DataFrame, review: Review) -> pl.DataFrame:
    """The decisions about some of these rows as they were before triage spoke (``changed_verdicts``)."""
    ids = changed["record_id"]
    if ids.is_empty():
        return pl.DataFrame(schema=SCHEMAS[Table.DECISIONS])
    found = latest(snapshot.committed_decisions().filter(pl.col("record_id").is_in(ids.implode()))).collect()
    was = before.select(
        "record_id", "unreviewed", "cleared", **{name: pl.col(old).cast(pl.String) for old, name in _SETTLED.items()}
    )
    rows = found.drop("fate", "routed").join(was, on="record_id", maintain_order="left")
    # As it was written: another configuration looks at everything.
    stripped = pl.concat_str(pl.lit("["), pl.col("reasons").str.strip_prefix(said_first(review)))
    return rows.with_columns(reasons=stripped)
