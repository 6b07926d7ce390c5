"""What annotators have said about the records that a run looks at: it is known before any case is built, since what a
vote weighs depends on all others, and since their answers replace the rows' own when texts are compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from pipeline.curation.prepare import PREPARED, Prepared
from pipeline.review.consensus import Said, deciding, lapsed, said_about, said_before
from pipeline.state.mapped_rows import read_rows
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.fate import Routed
from schemas.task import Task

ASKED = ["record_id", "revision", "inputs", "content"]
"""What tells whether a row still is what annotators were asked about."""
FIRST_ROUTES = [route.value for route in Routed if route is not Routed.ADJUDICATE]
"""The routes of a first question."""


@dataclass(frozen=True)
class Heard:
    """What annotators have said, by record."""

    said: Mapping[str, Said] = field(default_factory=dict)
    """The answer that decides, if any still counts."""
    lapsed: Mapping[str, Said] = field(default_factory=dict)
    """Where none does: the latest that did before the task has changed."""
    routes: Mapping[str, Routed] = field(default_factory=dict)
    """How they were asked about what the row said when they answered, if it says something else now."""
    since: Mapping[str, datetime] = field(default_factory=dict)
    """When the row came to say what it says, if no valid answer is about that."""


def hear(
    snapshot: Snapshot, prepared: Sequence[Prepared], task: type[Task], beside: pl.DataFrame | None = None
) -> Heard:
    """What annotators have said about current records, whose inputs and task are unchanged.

    Args:
        snapshot: the committed state.
        prepared: the records.
        task: as it is now.
        beside: others that annotators have answered, with the columns ``ASKED``: how much a vote weighs depends on all
            of its annotator's.
    """
    answered = snapshot.scan(Table.ANNOTATIONS).select(pl.col("record_id").unique()).collect().to_series()
    if answered.is_empty() or not prepared:
        return Heard()
    is_answered = pl.col("record_id").is_in(answered.implode())
    parts = [read_rows(part.path, ASKED).filter(is_answered) for part in prepared]
    others = [] if beside is None else [beside.select(ASKED)]
    found = said_about(snapshot, task, pl.concat([*parts, *others]).lazy())
    said = {record_id: answer for record_id, items in found.items() if (answer := deciding(items))}
    said |= _handed_on(snapshot, prepared, task, said)
    gone = {name: one for name, items in found.items() if name not in said and (one := lapsed(items))}
    # A label that is back was answered before: that question is not sent again.
    earlier = [name for name, one in said.items() if not one.is_present]
    unseen = [name for name in earlier if not deciding(one for one in found.get(name, ()) if one.is_present)]
    return Heard(said, gone, _routes_of_answers(snapshot, said), _changed_since(snapshot, prepared, unseen))


def _handed_on(
    snapshot: Snapshot, prepared: Sequence[Prepared], task: type[Task], said: Mapping[str, Said]
) -> dict[str, Said]:
    """Annotations about the texts of records without an answer, if the record that was asked about is gone."""
    before = said_before(snapshot, task)
    if not before:
        return {}
    is_same = pl.col("key").is_in({text for _, text in before}) & ~pl.col("record_id").is_in(list(said))
    columns = ["record_id", "source", "key"]
    parts = [read_rows(part.path, columns).filter(is_same) for part in prepared]
    found = pl.concat([pl.DataFrame(schema={name: PREPARED[name] for name in columns}), *parts])
    answers = {record_id: deciding(before.get((source, key), ())) for record_id, source, key in found.iter_rows()}
    return {record_id: answer for record_id, answer in answers.items() if answer is not None}


def routes_of(decided: pl.LazyFrame) -> dict[str, Routed]:
    """How annotators were asked about each record, from decisions given oldest first: as an audit, or else at first.

    What was drawn stays in the sample, whatever the row was asked for before or is since.
    """
    asked = decided.filter(pl.col("routed").is_in(FIRST_ROUTES)).with_columns(
        is_other=pl.col("routed") != Routed.AUDIT.value
    )
    first = asked.sort("is_other", maintain_order=True).unique("record_id", keep="first", maintain_order=True)
    return {
        record_id: Routed(routed) for record_id, routed in first.select("record_id", "routed").collect().iter_rows()
    }


def _routes_of_answers(snapshot: Snapshot, said: Mapping[str, Said]) -> dict[str, Routed]:
    """How annotators were asked if they answered about an earlier revision: that question still counts."""
    earlier = {record_id: answer.asked for record_id, answer in said.items() if not answer.is_present}
    if not earlier:
        return {}
    asked = [(decision.record_id, decision.revision) for decision in earlier.values()]
    of = pl.LazyFrame(asked, schema={"record_id": pl.String, "revision": pl.String}, orient="row")
    decided = snapshot.committed_decisions().join(of, on=["record_id", "revision"], how="semi", maintain_order="left")
    routes = routes_of(decided)
    return {name: routes[one.record_id] for name, one in earlier.items() if one.record_id in routes}


def _changed_since(snapshot: Snapshot, prepared: Sequence[Prepared], unseen: Sequence[str]) -> dict[str, datetime]:
    """When rows came to say what they say, for those about whose present answer nobody has said anything valid.

    A column that the task does not read may have changed since, and the task may read another label in the same row:
    the revision counts that was current when a run first decided about today's content, without another one after it.
    """
    if not unseen:
        return {}
    mine = pl.col("record_id").is_in(unseen)
    now = pl.concat([read_rows(part.path, ASKED).filter(mine) for part in prepared]).select("record_id", now="content")
    decided = snapshot.committed_decisions().filter(mine).join(now.lazy(), on="record_id")
    is_same = (pl.col("content") == pl.col("now")).fill_null(value=False)
    last_other = pl.col("run").filter(~is_same).max().fill_null("")
    first = decided.group_by("record_id").agg(first=pl.col("run").filter(pl.col("run") > last_other).min())
    rows = snapshot.scan(Table.RECORDS).filter(mine, ~pl.col("withdrawn")).join(first, on="record_id", how="left")
    by_then = rows.filter((pl.col("batch") <= pl.col("first")).fill_null(value=True))
    return dict(by_then.group_by("record_id").agg(pl.col("ingested_at").sort_by("batch").last()).collect().iter_rows())
