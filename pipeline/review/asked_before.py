"""What annotators were asked, whatever the task asked then, and whether their answers are about what it asks now."""

from typing import Any

import orjson
import polars as pl

from pipeline.review.form_fields import has_its_fields
from pipeline.review.labeling_tasks import says_all
from pipeline.review.seats import seats_of
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.same_question import AskedNow
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.decision import Decision
from schemas.fate import LabelSource, ReasonCode
from schemas.renamed_labels import with_new_names
from schemas.run_summary import Verb
from schemas.seat import FIRST
from schemas.task import Task

FROM_ANNOTATORS = (ReasonCode.UNUSABLE, ReasonCode.UNSURE, ReasonCode.DISAGREEMENT)
"""Reasons from annotators in curate's decisions, in which the row's own label still counts as the source's."""


def questions_by_key(snapshot: Snapshot, task: type[Task], records: list[str]) -> dict[str, Decision]:
    """By push key: what was decided about some records in all the states in which they could be asked about, whatever
    the task asked then.
    """
    is_one = pl.col("record_id").is_in(records)
    decided = snapshot.committed_decisions(Verb.CURATE).filter(is_one).collect()
    found: dict[str, Decision] = {}
    seats = seats_of(snapshot, records)
    for decision in (in_new_names(one, task) for one in from_frame(decided)):
        for seat in (FIRST, *seats.get(decision.record_id, ())):
            key = question_key(decision, task, seat)
            if key not in found or involved_annotators(found[key]) or not involved_annotators(decision):
                found[key] = decision
    # Keys that the task as it is now does not give, since its inputs were others.
    sent = snapshot.scan(Table.PUSHES).filter(
        is_one, ~pl.col("push_key").is_in(list(found)), pl.col("run").is_not_null()
    )
    sent_in = sent.select("push_key", "record_id", "revision", "task_digest", sent_in="run").collect()
    asked = sent_in.join(decided, on=["record_id", "revision", "task_digest"]).filter(
        pl.col("run") <= pl.col("sent_in")
    )
    last = asked.sort("run").unique("push_key", keep="last")
    keys = last["push_key"].to_list()
    before = (in_new_names(one, task) for one in from_frame(last.select(decided.columns)))
    return found | dict(zip(keys, before, strict=True))


def in_new_names(decision: Decision, task: type[Task]) -> Decision:
    """The same with the answer as the task calls its labels now."""
    if not task.renamed or decision.targets is None:
        return decision
    fields = {one.name: one for one in task.task_targets()}
    named = {
        name: with_new_names(task.renamed, fields[name], value) if name in fields else value
        for name, value in decision.targets.items()
    }
    return decision.model_copy(update={"targets": named})


def is_about(asks: AskedNow, asked: Decision, row: dict[str, Any]) -> bool:
    """Whether an annotation answers what the task asks now: nobody said anything about a field that is new.

    Which labels the task has, and of which type its fields are, is no part of that: it is read as it was sent.
    """
    if not asks.shows(asked):
        return False
    if (known := asks.asks_for_all(asked)) is not None:
        return known
    if asked.targets is not None:
        return has_its_fields(asks.task, asked.targets)
    return says_all(asks.task, orjson.loads(row["result"]))


def involved_annotators(decision: Decision) -> bool:
    """Whether annotators had a part in an automatic decision."""
    return decision.label_source is LabelSource.HUMAN or any(r.code in FROM_ANNOTATORS for r in decision.reasons)
