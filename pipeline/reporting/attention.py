"""Finds what no queue shows: answers that only annotators can settle, why rows are rejected, keys that are empty."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl
from pydantic import BaseModel, ConfigDict

from pipeline.ingest.row_places import current_places
from pipeline.reporting.lookup import places_of
from pipeline.review.consensus import DECISIVE, invalid_annotations
from pipeline.review.gold import invalid_gold_answers
from pipeline.review.queue import is_open, open_ones
from pipeline.review.seats import IS_GOLD, with_seats
from pipeline.state.decisions import from_frame, named_records
from pipeline.state.snapshot import Snapshot
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


class Attention(BaseModel):
    """A record whose answer only annotators can settle."""

    model_config = ConfigDict(frozen=True)

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
    each = (
        (*_corrections(snapshot, task, asked_again), *_corrections_of_gold(snapshot, task)),
        _second_opinions(snapshot, task, asked_again),
    )
    found = [one for some in each for one in sorted(some, key=_by_task)]
    rows = current_places(snapshot).filter(pl.col("record_id").is_in([one.record_id for one in found])).collect()
    place = {record_id: (file, line) for record_id, file, line in rows.iter_rows()}
    last = snapshot.last_run(CollectSummary)
    there = last.summary.settled if last else {}
    return [
        Attention(
            kind=one.kind,
            record_id=one.record_id,
            file=place[one.record_id][0],
            line=place[one.record_id][1],
            project=project,
            task_id=task_id,
            url=f"{studio.rstrip('/')}/projects/{project}/data?task={task_id}" if studio and task_id else "",
            annotator=one.annotator,
            what=one.what,
        )
        for one in found
        if one.record_id in place
        for project, task_id in [(one.project, one.task_id) if one.server in there else (None, None)]
    ]


def unread_answers(snapshot: Snapshot, asked_again: Collection[str] = ()) -> dict[str, int]:
    """How many answers to open questions confirm nothing, by annotator: nobody had the time to read.

    Args:
        snapshot: the committed state.
        asked_again: see ``attention``.
    """
    given = snapshot.latest_annotations().filter(~pl.col("deleted"), pl.col("verdict") == Verdict.UNREAD.value)
    found = given.select("record_id", "email", "annotator").collect()
    if found.is_empty():
        return {}
    waits = open_ones() | pl.col("record_id").is_in(list(asked_again))
    here = snapshot.outline.lazy().filter(waits).select("record_id").collect()
    whose = found.join(here, on="record_id", how="semi").select("email", "annotator").iter_rows()
    return dict(sorted(Counter(email or f"user {number}" for email, number in whose).items()))


_OF_GOLD = "It is a hidden gold item."
_TASK = ("record_id", "server", "project", "task_id")


@dataclass(frozen=True)
class _Found:
    """What needs an annotator, and the task of the answer that says so: it was there when answers were collected."""

    kind: Need
    record_id: str
    what: str
    server: str = ""
    project: int | None = None
    task_id: int | None = None
    annotator: str = ""


def _by_task(found: _Found) -> tuple[bool, int, int, str]:
    """In the order in which they were asked, so that the same answers always come in the same order."""
    return found.task_id is None, found.project or 0, found.task_id or 0, found.record_id


def _corrections(snapshot: Snapshot, task: type[Task], asked_again: Collection[str]) -> Iterator[_Found]:
    """The newest invalid answer of every record that still waits for one, or in which it may contradict another."""
    invalid = sorted(invalid_annotations(snapshot, task), key=lambda item: (item.updated_at, item.annotation_id))
    newest = {item.record_id: item for item in invalid}
    decisions = {decision.record_id: decision for decision in _current(snapshot, list(newest))}
    for record_id, item in newest.items():
        decision = decisions.get(record_id)
        if decision and _is_settled(decision):
            what = f"{item.error} Until then an earlier one counts."
            yield _correction(item, what)
        elif decision and (is_open(decision) or record_id in asked_again):
            yield _correction(item, item.error)


def _corrections_of_gold(snapshot: Snapshot, task: type[Task]) -> Iterator[_Found]:
    """The invalid answers to hidden gold items: they decide nothing, and measure nobody until they are corrected."""
    for item in invalid_gold_answers(snapshot, task):
        yield _correction(item, f"{item.error} {_OF_GOLD}")


def _correction(item: Annotation, what: str) -> _Found:
    whose = item.email or f"user {item.annotator}"
    return _Found(Need.CORRECTION, item.record_id, what, item.server, item.project, item.task_id, whose)


def _is_settled(decision: Decision) -> bool:
    """Whether an annotator's answer counts."""
    codes = {reason.code for reason in decision.reasons}
    return decision.label_source is LabelSource.HUMAN or ReasonCode.UNUSABLE in codes


def _second_opinions(snapshot: Snapshot, task: type[Task], asked_again: Collection[str]) -> Iterator[_Found]:
    disputed = (pl.col("fate") == Fate.REVIEW.value) & (pl.col("routed") == Routed.ADJUDICATE.value)
    others = ~pl.col("record_id").is_in(list(asked_again))
    decisions = list(from_frame(snapshot.current_decisions(disputed & others).collect()))
    ids = [decision.record_id for decision in decisions]
    given = with_seats(snapshot, snapshot.latest_annotations().filter(pl.col("record_id").is_in(ids)))
    answers = given.filter(~pl.col("deleted"), ~IS_GOLD, pl.col("verdict").is_in([one.value for one in DECISIVE]))
    newest = answers.sort("updated_at", "annotation_id").unique("record_id", keep="last")
    where = {one["record_id"]: one for one in newest.select(_TASK).collect().iter_rows(named=True)}
    places = places_of(snapshot, {name for decision in decisions for name in named_records(decision)})
    for decision in decisions:
        what = str(decision.reasons[0])
        for record_id, place in places.items():
            what = what.replace(f"record {record_id}", place)
        yield _Found(Need.SECOND_OPINION, what=what, **where.get(decision.record_id, {"record_id": decision.record_id}))


def _current(snapshot: Snapshot, records: Sequence[str]) -> Iterator[Decision]:
    yield from from_frame(snapshot.current_decisions(pl.col("record_id").is_in(records)).collect())
