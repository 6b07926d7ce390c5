"""Sends questions to annotators and collects their answers: the review batch out, the annotations in.

A push sends only committed decisions, and only what the server does not have yet, so it may be
repeated at any time. A pull is incremental and repeatable too: annotations are stored by id. It
only fetches; storing is a separate step, which waits for no server.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Connection
from pipeline.errors import LabelStudioError
from pipeline.review.form import labeling_config
from pipeline.review.guidelines import instructions
from pipeline.review.known_answers import Known
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_lease import leased
from pipeline.review.label_studio_models import PulledTask
from pipeline.review.label_studio_pull import changes
from pipeline.review.labeling_tasks import labeling_task, read_result
from pipeline.review.leftovers import leftovers
from pipeline.review.offered_answers import Candidate
from pipeline.review.questions import offered, question, shown_data
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from schemas.annotation import Annotation
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Routed
from schemas.identity import stable_hash
from schemas.run_summary import Settled
from schemas.task import Task

_OPEN_ROUTES = (Routed.UNCERTAIN, Routed.CONFLICT, Routed.AUDIT)
_OPEN_FATES = (Fate.REVIEW, Fate.ACCEPTED)


_TASK = {"task_id": pl.Int64(), "push_key": pl.String()}
"""What identifies a task: an id alone may be reused."""


@dataclass(frozen=True)
class Pushed:
    """The result of one push."""

    project: int
    url: str
    sent: int
    """New tasks."""
    already_there: int
    withdrawn: int
    """Tasks deleted because their row has changed or is gone, or the reason to ask is."""
    refused: list[str]
    """What the server refused, and why."""


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


def marker(dataset: LoadedDataset) -> str:
    """What identifies a dataset's project; another set of answers gets another project."""
    return f"goldleaf:{dataset.config.name}:{dataset.task.task_digest()}"


def open_questions(snapshot: Snapshot) -> list[Decision]:
    """The current decisions that wait for an annotator's answer, the most urgent first, audits in between."""
    waiting = list(from_frame(open_decisions(snapshot).collect()))
    audits = sorted((d for d in waiting if d.routed is Routed.AUDIT), key=lambda d: stable_hash(d.record_id))
    others = sorted((d for d in waiting if d.routed is not Routed.AUDIT), key=_urgency)
    places = [(i / len(part), d) for part in (others, audits) for i, d in enumerate(part)]
    return [decision for _, decision in sorted(places, key=lambda place: place[0])]


def open_decisions(snapshot: Snapshot) -> pl.LazyFrame:
    """Those decisions as rows of their table, in any order; they can be counted without decoding."""
    return snapshot.current_decisions().filter(
        pl.col("routed").is_in([route.value for route in _OPEN_ROUTES]),
        pl.col("fate").is_in([fate.value for fate in _OPEN_FATES]),
        pl.col("label_source").ne_missing(LabelSource.HUMAN.value),
    )


def is_open(decision: Decision) -> bool:
    """Whether an annotator was asked and has not answered."""
    return (
        decision.routed in _OPEN_ROUTES
        and decision.fate in _OPEN_FATES
        and decision.label_source is not LabelSource.HUMAN
    )


def _urgency(decision: Decision) -> tuple[bool, float, str]:
    score = 0.5 if decision.label_error_score is None else decision.label_error_score
    return (decision.routed is not Routed.CONFLICT, -score, decision.record_id)


def push_questions(
    store: Store,
    dataset: LoadedDataset,
    connection: Connection,
    run: str,
    on_tasks: Callable[[int], None] = lambda tasks: None,
) -> Pushed:
    """Send every open question that the server does not have yet, and delete those that are no longer open.

    Raises:
        Unreachable: the server does not answer.
        LabelStudioError: it refuses.
    """
    snapshot = store.snapshot().at_last_commit()
    digest = dataset.task.task_digest()
    # Another curate may have used a newer task since: its questions belong in another project.
    decisions = [decision for decision in open_questions(snapshot) if decision.task_digest == digest]
    by_key = {question_key(decision, dataset.task): decision for decision in decisions}
    with LabelStudio(connection.url, connection.api_key) as client:
        client.check()
        project = client.ensure_project(
            title=dataset.config.release.title or dataset.config.name,
            marker=marker(dataset),
            config=labeling_config(dataset.task),
            instruction=instructions(dataset),
            data=partial(shown_data, by_key, dataset.task),
        )
        server = client.identity(project)
        with leased(client.requests, project, server, store.place, dataset.config.name) as lease:
            there = client.reconcile(project, client.asked(project))
            sent = _sent_questions(snapshot, server, there)
            unnoted = {task: key for task, key in there.items() if key and key not in by_key}
            for task in sent["task_id"]:
                unnoted.pop(task, None)
            left = leftovers(snapshot, dataset.task, client, project, unnoted)
            withdrawn = client.withdraw(project, _outdated(snapshot, sent, by_key.keys()) | left, lease.keep)
            known = set(sent["push_key"])
            todo = {key: decision for key, decision in by_key.items() if key not in known}
            on_tasks(len(by_key) - len(todo))

            def keep(task_ids: dict[str, int]) -> None:
                store.append(Table.PUSHES, _push_rows(task_ids, todo, server, project, run))
                on_tasks(len(task_ids))

            tasks, unfit = _labeling_tasks(todo.values(), dataset, offered(snapshot, dataset.task, todo.values()))
            # What is there and noted nowhere must be looked up; all else was just listed.
            newest = None if by_key.keys() & set(there.values()) - known else max(there, default=0)
            report = client.push(project, tasks, keep, newest, lease.keep)
    return Pushed(
        project=project,
        url=f"{client.url}/projects/{project}/data",
        sent=report.pushed,
        already_there=len(by_key) - report.pushed - len(report.refused) - len(unfit),
        withdrawn=withdrawn,
        refused=unfit + [f"record {todo[key].record_id}: {reason}" for key, reason in report.refused],
    )


def _sent_questions(snapshot: Snapshot, server: str, there: dict[int, str]) -> pl.DataFrame:
    """Task and push key of the questions that were sent and still exist; others are asked again.

    Both must agree: the server may have reused the id of a deleted task.
    """
    found = pl.DataFrame(list(there.items()), schema=_TASK, orient="row")
    pushed = snapshot.scan(Table.PUSHES).filter(pl.col("server") == server).select(list(_TASK)).unique()
    return pushed.join(found.lazy(), on=list(_TASK), how="semi").sort("task_id").collect()


def _outdated(snapshot: Snapshot, sent: pl.DataFrame, open_keys: Collection[str]) -> dict[int, str]:
    """The tasks whose question is no longer open, with their push keys, if they have no answer.

    Their row has changed or is gone, or the finding is. If the question comes back, it is sent again.
    """
    answered = snapshot.latest_annotations().filter(~pl.col("deleted")).select("push_key").collect()
    closed = sent.filter(~pl.col("push_key").is_in(list(open_keys)))
    return dict(closed.join(answered, on="push_key", how="anti", maintain_order="left").iter_rows())


def _labeling_tasks(
    decisions: Iterable[Decision], dataset: LoadedDataset, conflicting: Mapping[str, Sequence[Candidate]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The tasks to import, and records that cannot become one: a single odd text must not hold up the others."""
    tasks, unfit = [], []
    for decision in decisions:
        try:
            asked = question(decision, dataset.task, conflicting.get(decision.record_id, ()))
            tasks.append(labeling_task(dataset.task, asked))
        except LabelStudioError as error:
            unfit.append(f"record {decision.record_id}: {error}")
    return tasks, unfit


def _push_rows(
    task_ids: dict[str, int], decisions: dict[str, Decision], server: str, project: int, run: str
) -> pl.DataFrame:
    now = datetime.now(UTC)
    rows = [
        (key, d.record_id, d.revision, d.task_digest, d.routed, server, project, task_id, run, now)
        for key, task_id in task_ids.items()
        if (d := decisions.get(key))
    ]
    return pl.DataFrame(rows, schema=SCHEMAS[Table.PUSHES], orient="row")


def pull_annotations(
    dataset: LoadedDataset,
    connection: Connection,
    known: Known,
    on_tasks: Callable[[int], None] = lambda tasks: None,
) -> Pulled:
    """Fetch what changed since the last pull; nothing is written.

    Args:
        dataset: names the project.
        connection: the server.
        known: what earlier pulls have brought.
        on_tasks: called with how many more tasks were read.
    """
    with LabelStudio(connection.url, connection.api_key) as client:
        client.check()
        project = client.find_project(marker(dataset))
        if project is None:
            return Pulled()
        server = client.identity(project)
        start = datetime.fromisoformat(known.marks[server]) if server in known.marks else None
        settled = known.settled.get(server, Settled())
        found = changes(client.requests, project, start, settled, partial(known.count, server))
        # An action of the server moves annotations to another task of the same question, and no times.
        seen = {task.task_id for task in found.pull.tasks}
        moved = known.questions_without(server, found.settled_to, found.there, seen)
        tasks = [*found.pull.tasks, *(task for task in client.answers_to(project, moved) if task.task_id not in seen)]
    on_tasks(len(tasks))
    watermark = found.pull.watermark or start
    return Pulled(project, server, tasks, found.there, watermark, found.settled_to, found.settled)


def keep_annotations(store: Store, dataset: LoadedDataset, pulled: Pulled, run: str) -> int:
    """Append the result of a pull to the ``annotations`` table; the caller has held the lock of pulls since it began.

    What the table already has is not written again.

    Returns:
        How many annotations are new, edited or deleted since the last pull.
    """
    if pulled.project is None:
        return 0
    snapshot = store.snapshot()
    inputs = _inputs_by_question(snapshot, dataset.task, pulled.tasks)
    seen = [
        item
        for task in pulled.tasks
        for item in _annotations(task, dataset, pulled.server, pulled.project, inputs.get(task.push_key))
    ]
    known = snapshot.latest_annotations().filter(pl.col("server") == pulled.server).collect()
    gone = _tombstones(known, pulled).with_columns(run=pl.lit(run))
    same = ["server", "annotation_id", "push_key", "task_id", "updated_at", "deleted", "result"]
    fresh = pl.concat([_annotation_rows(seen, run).join(known, on=same, how="anti"), gone])
    store.append(Table.ANNOTATIONS, fresh)
    return fresh.height


def _inputs_by_question(
    snapshot: Snapshot, task: type[Task], pulled: Sequence[PulledTask]
) -> dict[str, dict[str, Any]]:
    """What was asked about, for questions that are still the records' current ones."""
    records = {task.record_id for task in pulled}
    decisions = snapshot.current_decisions().filter(pl.col("record_id").is_in(list(records))).collect()
    return {question_key(decision, task): dict(decision.inputs) for decision in from_frame(decisions)}


def _annotations(
    task: PulledTask, dataset: LoadedDataset, server: str, project: int, inputs: dict[str, Any] | None
) -> Iterator[Annotation]:
    for found in task.annotations:
        answer = read_result(dataset.task, found.result, found.was_cancelled, inputs)
        yield Annotation(
            server=server,
            project=project,
            task_id=task.task_id,
            annotation_id=found.annotation_id,
            push_key=task.push_key,
            record_id=task.record_id,
            annotator=found.annotator,
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
    now = pl.DataFrame(list(pulled.there.items()), schema=_TASK, orient="row")
    unseen = known.filter(~pl.col("deleted")).join(seen, on=seen.columns, how="anti")
    lost = unseen.filter(pl.col("task_id").is_in(looked_at))
    elsewhere = unseen.filter(~pl.col("task_id").is_in(looked_at), pl.col("task_id") > pulled.settled_to)
    return pl.concat([lost, elsewhere.join(now, on=list(_TASK), how="anti")]).with_columns(deleted=pl.lit(True))
