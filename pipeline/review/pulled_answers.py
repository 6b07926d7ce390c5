"""Collects annotators' answers: what changed on the server since the last pull, as rows of ``annotations``.

A pull is incremental and repeatable: annotations are stored by id. It only fetches; storing is a separate step, which
waits for no server.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Connection
from pipeline.review.known_answers import Known
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_models import PulledTask
from pipeline.review.label_studio_pull import changes
from pipeline.review.labeling_tasks import LabelingAnswer, read_result
from pipeline.review.leftovers import recognized
from pipeline.review.pushing import push_rows
from pipeline.review.queue import TASK, marker, markers
from pipeline.review.seats import seats_of
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from schemas.annotation import Annotation, Verdict
from schemas.run_summary import Settled
from schemas.seat import FIRST
from schemas.task import Task


@dataclass(frozen=True)
class Pulled:
    """The result of one pull."""

    project: int | None = None
    """None if the server has no project of this dataset: nothing was ever pushed, or it was deleted."""
    server: str = ""
    tasks: Sequence[PulledTask] = ()
    """What changed since the last pull, and a little from before it."""
    there: Mapping[int, str] = field(default_factory=dict)
    """The push keys of the project's tasks by their ids."""
    watermark: datetime | None = None
    settled_to: int = 0
    """The tasks up to this id are not listed: all that were there at the last pull still are."""
    settled: Settled = field(default_factory=Settled)
    """What the next pull should know."""
    people: Mapping[str, str] = field(default_factory=dict)
    """The e-mail addresses of the server's users by id, if there are answers."""
    earlier: Sequence["Pulled"] = ()
    """The same of projects with earlier forms of the task."""

    @property
    def all(self) -> list["Pulled"]:
        """What each project brought; nothing if there is none."""
        return [] if self.project is None else [self, *self.earlier]


def pull_annotations(
    dataset: LoadedDataset,
    connection: Connection,
    known: Known,
    on_tasks: Callable[[int], None] = lambda tasks: None,
) -> Pulled:
    """Fetch what changed since the last pull; nothing is written.

    Annotators may go on in projects of earlier forms of the task: all that this home has sent questions to are read.

    Args:
        dataset: names the project.
        connection: the server.
        known: what earlier pulls have brought, and where questions were sent.
        on_tasks: called with how many more tasks were read.
    """
    with LabelStudio(connection.url, connection.api_key) as client:
        client.check()
        sent = [one for one in client.projects_of(markers(dataset)) if client.identity(one) in known.servers]
        present = client.find_project(marker(dataset)) or max(sent, default=None)
        if present is None:
            return Pulled()
        earlier = [_pulled(client, one, known, on_tasks) for one in sent if one != present]
        return replace(_pulled(client, present, known, on_tasks), earlier=earlier)


def _pulled(client: LabelStudio, project: int, known: Known, on_tasks: Callable[[int], None]) -> Pulled:
    """What changed in one project."""
    server = client.identity(project)
    start = datetime.fromisoformat(known.marks[server]) if server in known.marks else None
    settled = known.settled.get(server, Settled())
    found = changes(client.requests, project, start, settled, partial(known.count, server))
    # An action of the server moves annotations to another task of the same question, and no times.
    seen = {task.task_id for task in found.pull.tasks}
    moved = known.questions_without(server, found.settled_to, found.there, seen)
    tasks = [*found.pull.tasks, *(task for task in client.answers_to(project, moved) if task.task_id not in seen)]
    people = client.emails() if any(task.annotations for task in tasks) else {}
    on_tasks(len(tasks))
    watermark = found.pull.watermark or start
    return Pulled(project, server, tasks, found.there, watermark, found.settled_to, found.settled, people)


def keep_annotations(store: Store, dataset: LoadedDataset, pulled: Pulled, run: str) -> int:
    """Append the result of a pull to the ``annotations`` table; the caller has held the lock of pulls since it began.

    What the table already has is not written again.

    Returns:
        How many annotations are new, edited or deleted since the last pull.
    """
    return sum(_keep(store, dataset, one, run) for one in pulled.all)


def _keep(store: Store, dataset: LoadedDataset, pulled: Pulled, run: str) -> int:
    _note_tasks(store, dataset, pulled)
    snapshot = store.snapshot()
    inputs = _inputs_by_question(snapshot, dataset.task, pulled.tasks)
    seen = [item for task in pulled.tasks for item in _annotations(task, dataset, pulled, inputs.get(task.push_key))]
    known = snapshot.latest_annotations().filter(pl.col("server") == pulled.server).collect()
    gone = _tombstones(known, pulled).with_columns(run=pl.lit(run))
    same = ["server", "annotation_id", "push_key", "task_id", "updated_at", "deleted", "result"]
    fresh = pl.concat([_annotation_rows(seen, run).join(known, on=same, how="anti"), gone])
    store.append(Table.ANNOTATIONS, fresh)
    return fresh.height


def _note_tasks(store: Store, dataset: LoadedDataset, pulled: Pulled) -> None:
    """Note the tasks with answers that a killed push has left, or that a lost home had sent.

    Nothing else says for which seat an answer was given.
    """
    answered = {task.task_id: task for task in pulled.tasks if task.annotations}
    if pulled.project is None or not answered:
        return
    snapshot = store.snapshot()
    noted = set(snapshot.scan(Table.PUSHES).select("push_key").collect().to_series())
    unnoted = [task for task in answered.values() if task.push_key not in noted]
    found = recognized(snapshot, dataset, unnoted)
    # They were there when somebody answered.
    times = {task: min(one.created_at for one in answered[task].annotations) for task in found}
    store.append(Table.PUSHES, push_rows(found, times, dataset, pulled.server, pulled.project, run=None))


def _inputs_by_question(
    snapshot: Snapshot, task: type[Task], pulled: Sequence[PulledTask]
) -> dict[str, dict[str, Any]]:
    """What was asked about, for questions that are still the records' current ones."""
    records = {task.record_id for task in pulled}
    decisions = snapshot.current_decisions(pl.col("record_id").is_in(list(records))).collect()
    seats = seats_of(snapshot, list(records))
    return {
        question_key(decision, task, seat): dict(decision.inputs)
        for decision in from_frame(decisions)
        for seat in (FIRST, *seats.get(decision.record_id, ()))
    }


def _annotations(
    task: PulledTask, dataset: LoadedDataset, pulled: Pulled, inputs: dict[str, Any] | None
) -> Iterator[Annotation]:
    assert pulled.project is not None
    for found in task.annotations:
        answer = read_result(dataset.task, found.result, found.was_cancelled, inputs)
        if not found.was_cancelled and found.is_unread(inputs or {}):
            answer = LabelingAnswer(verdict=Verdict.UNREAD, targets=answer.targets)
        yield Annotation(
            server=pulled.server,
            project=pulled.project,
            task_id=task.task_id,
            annotation_id=found.annotation_id,
            push_key=task.push_key,
            record_id=task.record_id,
            annotator=found.annotator,
            email=pulled.people.get(found.annotator, ""),
            verdict=answer.verdict,
            targets=answer.targets,
            error=answer.error,
            result=found.result,
            created_at=found.created_at,
            updated_at=found.updated_at,
            lead_time=found.lead_time,
        )


def _annotation_rows(annotations: list[Annotation], run: str) -> pl.DataFrame:
    rows = [
        item.model_dump(mode="python")
        | {
            "verdict": item.verdict.value,
            "targets": orjson.dumps(item.targets).decode() if item.targets is not None else None,
            "result": orjson.dumps(item.result).decode(),
            "run": run,
        }
        for item in annotations
    ]
    return pl.DataFrame(rows, schema=SCHEMAS[Table.ANNOTATIONS])


def _tombstones(known: pl.DataFrame, pulled: Pulled) -> pl.DataFrame:
    """Rows that mark known annotations as deleted: gone from their task, or gone with it.

    An annotation that was moved to another task of the same question, as *Remove Duplicated Tasks* does, is not gone.
    """
    present = [(task.push_key, item.annotation_id) for task in pulled.tasks for item in task.annotations]
    seen = pl.DataFrame(present, schema={"push_key": pl.String(), "annotation_id": pl.Int64()}, orient="row")
    looked_at = [task.task_id for task in pulled.tasks]
    now = pl.DataFrame(list(pulled.there.items()), schema=TASK, orient="row")
    unseen = known.filter(~pl.col("deleted")).join(seen, on=seen.columns, how="anti")
    lost = unseen.filter(pl.col("task_id").is_in(looked_at))
    elsewhere = unseen.filter(~pl.col("task_id").is_in(looked_at), pl.col("task_id") > pulled.settled_to)
    return pl.concat([lost, elsewhere.join(now, on=list(TASK), how="anti")]).with_columns(deleted=pl.lit(True))
