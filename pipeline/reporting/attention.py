"""Finds what no queue shows: answers that only annotators can settle, why rows are rejected, keys that are empty."""

from collections import Counter
from collections.abc import Collection, Iterator
from enum import StrEnum

import polars as pl
from pydantic import BaseModel

from pipeline.ingest.row_places import current_places
from pipeline.reporting.lookup import places_of
from pipeline.review.consensus import DECISIVE, invalid_annotations, said_about
from pipeline.review.gold import invalid_gold_answers
from pipeline.review.queue import is_open, open_ones
from pipeline.state.decisions import from_frame, named_records, question_key
from pipeline.state.snapshot import Snapshot
from pipeline.text.wording import counted
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode, Routed
from schemas.run_summary import CollectSummary
from schemas.task import Task


class Need(StrEnum):
    """What a record waits for, though Label Studio counts its task as done."""

    CORRECTION = "correction"
    """Its answer is not valid."""
    SECOND_OPINION = "second_opinion"
    """An annotator was unsure, or two annotators disagreed."""


class Attention(BaseModel, frozen=True):
    """A record whose answer only annotators can settle."""

    kind: Need
    record_id: str
    file: str
    line: int
    project: int | None
    task_id: int | None
    """In Label Studio; None if no task is known."""
    url: str
    """Opens the task; empty if no server or no task is known."""
    annotator: str = ""
    """Who gave an answer that is not valid, by e-mail address where the server knows it."""
    what: str
    """What is wrong with the answer, or why no answer counts."""


def attention(
    snapshot: Snapshot, task: type[Task], studio: str = "", asked_again: Collection[str] = ()
) -> list[Attention]:
    """Records that annotators must settle and are not asked about again: invalid answers first, then second opinions.

    Args:
        snapshot: the committed state.
        task: parses the answers.
        studio: the URL of Label Studio, for the links; empty if none is configured.
        asked_again: records about which one more annotator is asked, in a task of their own: nobody else is to see it.
    """
    invalid = [*_corrections(snapshot, task, asked_again), *_corrections_of_gold(snapshot, task)]
    others = {*asked_again, *(record_id for _, record_id, *_ in invalid)}
    each = ((*invalid, *_uncounted(snapshot, task, others)), _second_opinions(snapshot, task, asked_again))
    found = [one for some in each for one in sorted(some, key=_by_task)]
    rows = (
        current_places(snapshot).filter(pl.col("record_id").is_in([record_id for _, record_id, *_ in found])).collect()
    )
    place = {record_id: (file, line) for record_id, file, line in rows.iter_rows()}
    last = snapshot.last_run(CollectSummary)
    there = last.summary.settled if last else {}
    return [
        Attention(
            kind=kind,
            record_id=record_id,
            file=place[record_id][0],
            line=place[record_id][1],
            project=at.project if at else None,
            task_id=at.task_id if at else None,
            url=f"{studio.rstrip('/')}/projects/{at.project}/data?task={at.task_id}" if studio and at else "",
            annotator=given.whose if given and kind is Need.CORRECTION else "",
            what=what,
        )
        for kind, record_id, what, given in found
        if record_id in place
        for at in [given if given and given.server in there else None]
    ]


def unread_answers(snapshot: Snapshot, asked_again: Collection[str] = ()) -> str:
    """How many answers to open questions confirm nothing, and whose, in words; empty if there are none.

    Args:
        snapshot: the committed state.
        asked_again: see ``attention``.
    """
    given = snapshot.latest_annotations().filter(~pl.col("deleted"), pl.col("verdict") == Verdict.UNREAD.value)
    found = given.select("record_id", "email", "annotator").collect()
    waits = open_ones() | pl.col("record_id").is_in(list(asked_again))
    here = snapshot.outline.lazy().filter(waits).select("record_id").collect()
    whose = found.join(here, on="record_id", how="semi").select("email", "annotator").iter_rows()
    counts = Counter(email or f"user {number}" for email, number in whose)
    if not counts:
        return ""
    each = ", ".join(f"{who} {count:,}" for who, count in sorted(counts.items()))
    return (
        f"{counted(counts.total(), 'answer')} {'confirms' if counts.total() == 1 else 'confirm'} nothing ({each}): "
        "what was filled in was submitted without the time to read it; delete these annotations in Label Studio, and "
        "their tasks are open again"
    )


_IS_GOLD = "It is a hidden gold item."
_DOES_NOT_COUNT = "The row waits, and this answer does not count: the task or the row's label has changed. Edit it."
_Found = tuple[Need, str, str, Annotation | None]
"""With the answer whose task is to be opened: that was there when answers were collected."""


def _by_task(found: _Found) -> tuple[bool, int, int, str]:
    """In the order in which they were asked, so that the same answers always come in the same order."""
    _, record_id, _, given = found
    return given is None, given.project if given else 0, given.task_id if given else 0, record_id


def _corrections(snapshot: Snapshot, task: type[Task], asked_again: Collection[str]) -> Iterator[_Found]:
    """The newest invalid answer of every record that still waits for one, or in which it may contradict another."""
    invalid = sorted(invalid_annotations(snapshot, task), key=lambda item: (item.updated_at, item.annotation_id))
    newest = {item.record_id: item for item in invalid}
    now = snapshot.current_decisions(pl.col("record_id").is_in(list(newest))).collect()
    decisions = {decision.record_id: decision for decision in from_frame(now)}
    for record_id, item in newest.items():
        decision = decisions.get(record_id)
        if decision and _is_settled(decision):
            yield Need.CORRECTION, record_id, f"{item.error} Until then an earlier one counts.", item
        elif decision and (is_open(decision) or record_id in asked_again):
            yield Need.CORRECTION, record_id, item.error, item


def _corrections_of_gold(snapshot: Snapshot, task: type[Task]) -> Iterator[_Found]:
    """The invalid answers to hidden gold items: they decide nothing, and measure nobody until they are corrected."""
    for item in invalid_gold_answers(snapshot, task):
        yield Need.CORRECTION, item.record_id, f"{item.error} {_IS_GOLD}", item


def _uncounted(snapshot: Snapshot, task: type[Task], others: Collection[str]) -> Iterator[_Found]:
    """The answers to questions that are open though they were answered: Label Studio asks nobody about them again."""
    said = pl.col("verdict").is_in([verdict.value for verdict in (*DECISIVE, Verdict.INVALID)])
    # Without what was said: it may be long, and only the task is named.
    given = snapshot.latest_annotations().filter(said, ~pl.col("deleted")).drop("targets", "result").sort("updated_at")
    rows = given.with_columns(pl.col("email").fill_null("")).collect()
    by_key = {row["push_key"]: row for row in rows.iter_rows(named=True)}
    waits = open_ones() & pl.col("record_id").is_in(rows["record_id"].implode())
    for decision in from_frame(snapshot.current_decisions(waits).collect()):
        if decision.record_id not in others and (row := by_key.get(question_key(decision, task))):
            yield Need.CORRECTION, decision.record_id, _DOES_NOT_COUNT, Annotation.model_validate(row)


def _is_settled(decision: Decision) -> bool:
    """Whether an annotator's answer counts."""
    is_unusable = any(reason.code is ReasonCode.UNUSABLE for reason in decision.reasons)
    return decision.label_source is LabelSource.HUMAN or is_unusable


def _second_opinions(snapshot: Snapshot, task: type[Task], asked_again: Collection[str]) -> Iterator[_Found]:
    disputed = (pl.col("fate") == Fate.REVIEW.value) & (pl.col("routed") == Routed.ADJUDICATE.value)
    others = ~pl.col("record_id").is_in(list(asked_again))
    decisions = list(from_frame(snapshot.current_decisions(disputed & others).collect()))
    places = places_of(snapshot, {name for decision in decisions for name in named_records(decision)})
    said = said_about(snapshot, task) if decisions else {}
    for decision in decisions:
        answers = [one.annotation for one in said.get(decision.record_id, ())]
        given = [one for one in answers if not one.deleted and one.verdict in DECISIVE]
        newest = max(given, key=lambda one: (one.updated_at, one.annotation_id), default=None)
        what = str(decision.reasons[0])
        for record_id, place in places.items():
            what = what.replace(f"record {record_id}", place)
        yield Need.SECOND_OPINION, decision.record_id, what, newest
