"""Finds what no queue shows: answers that only annotators can settle, why rows are rejected, keys that are empty."""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

import polars as pl
from pydantic import BaseModel, ConfigDict

from pipeline.ingest.row_places import current_places
from pipeline.reporting.lookup import places_of
from pipeline.review.consensus import invalid_annotations
from pipeline.review.gold import invalid_gold_answers
from pipeline.review.queue import is_open
from pipeline.state.decisions import from_frame, named_records, question_key
from pipeline.state.snapshot import Snapshot
from schemas.annotation import Annotation
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode, Routed
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
        asked_again: records about which a second annotator or an adjudicator is asked.
    """
    each = (
        (*_corrections(snapshot, task, asked_again), *_corrections_of_gold(snapshot, task)),
        _second_opinions(snapshot, task, asked_again),
    )
    found = [one for some in each for one in sorted(some, key=_by_task)]
    ids = [record_id for _, record_id, *_ in found]
    rows = current_places(snapshot).filter(pl.col("record_id").is_in(ids)).collect()
    place = {record_id: (file, line) for record_id, file, line in rows.iter_rows()}
    return [
        Attention(
            kind=kind,
            record_id=record_id,
            file=place[record_id][0],
            line=place[record_id][1],
            project=project,
            task_id=task_id,
            url=f"{studio.rstrip('/')}/projects/{project}/data?task={task_id}" if studio and task_id else "",
            annotator=_name(given),
            what=what,
        )
        for kind, record_id, project, task_id, what, given in found
        if record_id in place
    ]


_IS_GOLD = "It is a hidden gold item."
_Found = tuple[Need, str, int | None, int | None, str, Annotation | None]


def _name(given: Annotation | None) -> str:
    return (given.email or f"user {given.annotator}") if given else ""


def _by_task(found: _Found) -> tuple[bool, int, int, str]:
    """In the order in which they were asked, so that the same answers always come in the same order."""
    _, record_id, project, task_id, *_ = found
    return task_id is None, project or 0, task_id or 0, record_id


def _corrections(snapshot: Snapshot, task: type[Task], asked_again: Collection[str]) -> Iterator[_Found]:
    """The newest invalid answer of every record that still waits for one, or in which it may contradict another."""
    invalid = sorted(invalid_annotations(snapshot, task), key=lambda item: (item.updated_at, item.annotation_id))
    newest = {item.record_id: item for item in invalid}
    decisions = {decision.record_id: decision for decision in _current(snapshot, list(newest))}
    for record_id, item in newest.items():
        decision = decisions.get(record_id)
        if decision and _is_settled(decision):
            what = f"{item.error} Until then an earlier one counts."
            yield Need.CORRECTION, record_id, item.project, item.task_id, what, item
        elif decision and (is_open(decision) or record_id in asked_again):
            yield Need.CORRECTION, record_id, item.project, item.task_id, item.error, item


def _corrections_of_gold(snapshot: Snapshot, task: type[Task]) -> Iterator[_Found]:
    """The invalid answers to hidden gold items: they decide nothing, and measure nobody until they are corrected."""
    for item in invalid_gold_answers(snapshot, task):
        yield Need.CORRECTION, item.record_id, item.project, item.task_id, f"{item.error} {_IS_GOLD}", item


def _is_settled(decision: Decision) -> bool:
    """Whether an annotator's answer counts."""
    codes = {reason.code for reason in decision.reasons}
    return decision.label_source is LabelSource.HUMAN or ReasonCode.UNUSABLE in codes


def _second_opinions(snapshot: Snapshot, task: type[Task], asked_again: Collection[str]) -> Iterator[_Found]:
    disputed = (pl.col("fate") == Fate.REVIEW.value) & (pl.col("routed") == Routed.ADJUDICATE.value)
    others = ~pl.col("record_id").is_in(list(asked_again))
    decisions = list(from_frame(snapshot.current_decisions(disputed & others).collect()))
    ids = [decision.record_id for decision in decisions]
    pushes = snapshot.tasks().filter(pl.col("record_id").is_in(ids))
    # If a task was deleted, its question was sent again: the last task exists. An answer about an earlier revision
    # with the same text was given to that one's question.
    tasks: dict[str, tuple[int, int]] = {}
    for key, record_id, project, task_id in _columns(pushes, "push_key", "record_id", "project", "task_id"):
        tasks[key] = tasks[record_id] = (project, task_id)
    places = places_of(snapshot, {name for decision in decisions for name in named_records(decision)})
    for decision in decisions:
        where = tasks.get(question_key(decision, task)) or tasks.get(decision.record_id) or (None, None)
        what = str(decision.reasons[0])
        for record_id, place in places.items():
            what = what.replace(f"record {record_id}", place)
        yield Need.SECOND_OPINION, decision.record_id, *where, what, None


def _current(snapshot: Snapshot, records: Sequence[str]) -> Iterator[Decision]:
    yield from from_frame(snapshot.current_decisions(pl.col("record_id").is_in(records)).collect())


def _columns(frame: pl.LazyFrame, *names: str) -> Iterator[tuple[str, str, int, int]]:
    yield from frame.select(names).collect().iter_rows()
