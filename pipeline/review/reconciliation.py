"""Compares a dataset's project on the server with what its home has noted: tasks, and the annotations on them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from pydantic import BaseModel

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Connection
from pipeline.review.consensus import said_and_hidden
from pipeline.review.form import PUSH_KEY
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_models import PulledTask
from pipeline.review.leftovers import recognized
from pipeline.review.queue import asked_now, marks
from pipeline.review.seat_questions import proposing
from pipeline.review.seating import Asked
from pipeline.state.refusals import refusals
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.seat import FIRST, SeatKind

_Place = tuple[int, int, str]
"""An annotation, its task, and the push key of its question."""


class Comparison(BaseModel, frozen=True):
    """How a project differs from its home; every entry names a task or a record."""

    project: int | None = None
    """None if the server has no project of this dataset."""
    tasks: int = 0
    annotations: int = 0
    missing: list[str] = []
    """Open questions whose task is gone; they are sent."""
    unsent: list[str] = []
    """Open questions that were never sent, such as those that a collect brought; they are."""
    missing_gold: list[str] = []
    """Hidden gold items without a task, which are no open questions; they are sent."""
    unproposed: list[str] = []
    """Open questions whose task has lost the answer that its form begins with; they get it again."""
    refused: list[str] = []
    """Of both, what the server refused when it was sent last, with its reasons; only a curate sends it again."""
    doubled: list[str] = []
    """Questions with several tasks, of which those without work are deleted."""
    answered_twice: list[str] = []
    """Questions with several tasks that people have worked on; all stay, and all answers count for the question."""
    outdated: list[str] = []
    """Tasks about questions that are closed; those without work are deleted."""
    unseen: list[str] = []
    """Annotations that were never collected, or not in their present state; they are collected."""
    lost: list[str] = []
    """Annotations that were collected and are gone from the server; they no longer count."""
    orphaned: list[str] = []
    """Annotations about what no row asks any more, since it has changed or is gone; they are kept."""
    reused: list[str] = []
    """Task ids that the server has given to another question since; nothing is believed by its id alone."""
    foreign: list[str] = []
    """Tasks that this home did not create; they stay."""

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to do."""
        gone = (self.missing, self.unsent, self.missing_gold, self.unproposed, self.lost)
        return not any((*gone, self.doubled, self.outdated, self.unseen))


@dataclass(frozen=True)
class _OnServer:
    """What a project has."""

    identity: str
    tasks: dict[int, str]
    """Push keys by task."""
    touched: set[int]
    """Tasks that somebody has worked on or has open."""
    ours: set[str]
    """Push keys of questions that this home has asked, or once decided to ask."""
    noted: set[str]
    """Those that it has sent."""
    pulled: list[PulledTask]


def compare_with_server(store: Store, dataset: LoadedDataset, connection: Connection) -> Comparison:
    """Read all of a project and compare it; nothing is changed.

    Raises:
        Unreachable: the server does not answer.
        LabelStudioError: it refuses.
    """
    snapshot = store.snapshot().at_last_commit()
    wanted = {one.key(dataset.task): one for one in asked_now(snapshot, dataset)}
    with LabelStudio(connection.url, connection.api_key) as client:
        client.check()
        project = client.find_project(*marks(snapshot, dataset))
        if project is None:
            return Comparison(**_missing(wanted, _noted(snapshot)))
        found = _read(client, project, snapshot, dataset, wanted)
        bare = client.without_proposal(project)
    begun = {key: one for key, one in wanted.items() if key in bare}
    refused = {key: why for key, why in refusals(store, found.identity).items() if key in wanted}
    copies: dict[str, list[int]] = defaultdict(list)
    for number, key in sorted(found.tasks.items()):
        copies[key].append(number)
    unseen, lost = _differences(snapshot, found)
    # A question without its answer will be open again.
    still_asked = wanted.keys() | {key for _, _, key in lost}
    doubled, answered_twice, outdated = [], [], []
    for key, numbers in copies.items():
        worked_on = [number for number in numbers if number in found.touched]
        if key in found.ours and key not in still_asked:
            outdated += [f"task {number}" for number in numbers if number not in found.touched]
        elif key in found.ours and len(numbers) > len(worked_on) + (not worked_on):
            doubled.append(_same(numbers))
        if key in found.ours and len(worked_on) > 1:
            answered_twice.append(_same(worked_on))
    return Comparison(
        project=project,
        tasks=len(found.tasks),
        annotations=sum(len(one.annotations) for one in found.pulled),
        **_missing({key: one for key, one in wanted.items() if not (key in copies or key in refused)}, found.noted),
        refused=sorted(f"{_place(wanted[key])}: {why}" for key, why in refused.items() if key not in copies),
        unproposed=sorted(_place(wanted[one["data"][PUSH_KEY]]) for one in proposing(begun, dataset)),
        doubled=doubled,
        answered_twice=answered_twice,
        outdated=outdated,
        reused=_reused(snapshot, found),
        foreign=[f"task {number}" for number, key in found.tasks.items() if key not in found.ours],
        orphaned=_orphaned(snapshot, dataset, found, unseen),
        unseen=[f"annotation {number} of task {task}" for number, task, _ in unseen],
        lost=[f"annotation {number} of task {task}" for number, task, _ in lost],
    )


def _read(
    client: LabelStudio, project: int, snapshot: Snapshot, dataset: LoadedDataset, wanted: Collection[str]
) -> _OnServer:
    server = client.identity(project)
    pulled = client.pull(project, None).tasks
    tasks = client.asked(project)
    touched = tasks.keys() - client.idle(project)
    noted = _noted(snapshot, server)
    known = noted | set(wanted)
    left = recognized(snapshot, dataset, [one for one in pulled if one.push_key not in known])
    return _OnServer(server, tasks, touched, known | {one.key(dataset.task) for one in left.values()}, noted, pulled)


def _noted(snapshot: Snapshot, server: str | None = None) -> set[str]:
    """The push keys of the questions that were sent, to a server or to any."""
    pushes = snapshot.scan(Table.PUSHES)
    mine = pushes if server is None else pushes.filter(pl.col("server") == server)
    return set(mine.select(pl.col("push_key").unique()).collect().to_series())


def _missing(asked: Mapping[str, Asked], noted: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"missing": [], "unsent": [], "missing_gold": []}
    for key, one in asked.items():
        was_sent = "missing" if key in noted else "unsent"
        found["missing_gold" if one.seat.kind is SeatKind.GOLD else was_sent].append(_place(one))
    return {name: sorted(places) for name, places in found.items()}


def _place(asked: Asked) -> str:
    return f"record {asked.decision.record_id}" + ("" if asked.seat == FIRST else f" ({asked.seat})")


def _same(tasks: list[int]) -> str:
    return "tasks " + " and ".join(str(number) for number in tasks)


def _reused(snapshot: Snapshot, found: _OnServer) -> list[str]:
    """Task ids that were noted for another question than they have now."""
    noted = snapshot.tasks().filter(pl.col("server") == found.identity).select("task_id", "push_key").collect()
    return [f"task {number}" for number, key in noted.iter_rows() if found.tasks.get(number, key) != key]


def _orphaned(snapshot: Snapshot, dataset: LoadedDataset, found: _OnServer, unseen: Collection[_Place]) -> list[str]:
    """Annotations that were collected and say nothing about the text of a current row."""
    about = (items for said in said_and_hidden(snapshot, dataset.task) for items in said.values())
    heard = {(one.annotation.server, one.annotation.annotation_id) for items in about for one in items}
    heard |= {(found.identity, number) for number, *_ in unseen}
    pulled = ((item.annotation_id, one.task_id) for one in found.pulled for item in one.annotations)
    return [f"annotation {number} of task {task}" for number, task in pulled if (found.identity, number) not in heard]


def _differences(snapshot: Snapshot, found: _OnServer) -> tuple[list[_Place], list[_Place]]:
    """Annotations that only the server has, or in another state, and those that only the home has."""
    kept = snapshot.latest_annotations().filter(pl.col("server") == found.identity, ~pl.col("deleted"))
    columns = ("annotation_id", "task_id", "push_key", "updated_at")
    here: dict[_Place, datetime] = {row[:3]: row[3] for row in kept.select(columns).collect().iter_rows()}
    there = {
        (item.annotation_id, one.task_id, one.push_key): item.updated_at
        for one in found.pulled
        for item in one.annotations
    }
    known = {number for number, *_ in there}
    unseen = [place for place, at in there.items() if here.get(place) != at]
    return unseen, [place for place in here if place[0] not in known]
