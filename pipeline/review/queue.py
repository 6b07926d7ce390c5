"""Sends questions to annotators: the review batch.

A push sends only committed decisions, and only what the server does not have yet, so it may be repeated at any time.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Connection
from pipeline.review.consensus import said_about
from pipeline.review.form import labeling_config
from pipeline.review.gold import gold_items, trusted_records, with_gold
from pipeline.review.guidelines import instructions
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_lease import leased
from pipeline.review.leftovers import leftovers
from pipeline.review.offered_answers import Candidate
from pipeline.review.questions import offered
from pipeline.review.seat_questions import labeling_tasks, shown_data
from pipeline.review.seating import Asked, assignments, is_overlapping, seated
from pipeline.review.team_tabs import set_tabs
from pipeline.state.decisions import first_reason, from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Routed
from schemas.identity import stable_hash
from schemas.repairs import REPAIRABLE, awaits_repair
from schemas.seat import SeatKind

_OPEN_ROUTES = (Routed.UNCERTAIN, Routed.CONFLICT, Routed.AUDIT)
_OPEN_FATES = (Fate.REVIEW, Fate.ACCEPTED)


TASK = {"task_id": pl.Int64(), "push_key": pl.String()}
"""What identifies a task: an id alone may be reused."""


@dataclass(frozen=True)
class Pushed:
    """The result of one push."""

    project: int
    url: str
    sent: int
    """New tasks."""
    hidden: int
    """Of these, about hidden gold items."""
    already_there: int
    withdrawn: int
    """Tasks deleted because their row has changed or is gone, or the reason to ask is."""
    refused: list[str]
    """What the server refused, and why."""
    tabs: dict[str, str]
    """Where each of the named annotators finds the own tasks, by e-mail address."""
    strangers: list[str]
    """Named annotators without an account on the server."""


def marker(dataset: LoadedDataset) -> str:
    """What identifies a dataset's project; another set of answers gets another project."""
    return f"goldleaf:{dataset.config.name}:{dataset.task.task_digest()}"


def open_questions(snapshot: Snapshot) -> list[Decision]:
    """The current decisions that wait for an annotator's answer, the most urgent first, audits in between."""
    return _in_turn(open_decisions(snapshot))


def _in_turn(rows: pl.LazyFrame) -> list[Decision]:
    """Open questions in the order in which they are asked."""
    waiting = list(from_frame(rows.collect()))
    audits = sorted((d for d in waiting if d.routed is Routed.AUDIT), key=lambda d: stable_hash(d.record_id))
    others = sorted((d for d in waiting if d.routed is not Routed.AUDIT), key=_urgency)
    places = [(i / len(part), d) for part in (others, audits) for i, d in enumerate(part)]
    return [decision for _, decision in sorted(places, key=lambda place: place[0])]


def asked_now(snapshot: Snapshot, dataset: LoadedDataset) -> list[Asked]:
    """The open questions under the current task in all of their seats, in the order in which annotators get them."""
    digest = pl.col("task_digest") == dataset.task.task_digest()
    # Another curate may have used a newer task since: its questions belong in another project.
    if not dataset.config.review.has_seats:
        return [Asked(decision) for decision in _in_turn(open_decisions(snapshot).filter(digest))]
    answered = snapshot.latest_annotations().select("record_id").unique().collect().to_series()
    trusted = trusted_records(snapshot, dataset) if dataset.config.review.gold else []
    # Read once: of a million records few are asked about, have answers or are trusted.
    now = (
        snapshot.current_decisions()
        .filter(_is_open() | pl.col("record_id").is_in([*answered, *trusted]))
        .collect()
        .lazy()
    )
    waiting = _in_turn(now.filter(_is_open(), digest))
    said = said_about(snapshot, dataset.task, now)
    asked = seated(snapshot, dataset, waiting, said, now)
    return with_gold(snapshot, dataset, said, asked, gold_items(now, dataset, said, trusted))


def open_keys(snapshot: Snapshot, record_id: str, dataset: LoadedDataset | None) -> set[str]:
    """The push keys of the questions about a record that are open, in all of their seats; none without a dataset."""
    asked = [(one, dataset.task) for one in asked_now(snapshot, dataset)] if dataset else []
    return {one.key(task) for one, task in asked if one.decision.record_id == record_id}


def open_decisions(snapshot: Snapshot) -> pl.LazyFrame:
    """Those decisions as rows of their table, in any order; they can be counted without decoding."""
    return snapshot.current_decisions().filter(_is_open())


def _is_open() -> pl.Expr:
    """The same as ``is_open``, over the columns of the decisions."""
    is_asked = pl.col("routed").is_in([route.value for route in _OPEN_ROUTES])
    waits = (is_asked & pl.col("fate").is_in([fate.value for fate in _OPEN_FATES])) | _awaits_repair()
    return waits & pl.col("label_source").ne_missing(LabelSource.HUMAN.value)


def _awaits_repair() -> pl.Expr:
    """The same as ``awaits_repair``, over the columns of the decisions."""
    is_asked = (pl.col("routed") == Routed.REPAIR.value) & (pl.col("fate") == Fate.REJECTED.value)
    return is_asked & first_reason("code").is_in([code.value for code in REPAIRABLE])


def is_open(decision: Decision) -> bool:
    """Whether an annotator was asked and has not answered."""
    return awaits_repair(decision) or (
        decision.routed in _OPEN_ROUTES
        and decision.fate in _OPEN_FATES
        and decision.label_source is not LabelSource.HUMAN
    )


def _urgency(decision: Decision) -> tuple[bool, bool, float, str]:
    score = 0.5 if decision.label_error_score is None else decision.label_error_score
    return (decision.routed is Routed.REPAIR, decision.routed is not Routed.CONFLICT, -score, decision.record_id)


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
    by_key = {one.key(dataset.task): one for one in asked_now(snapshot, dataset)}
    with LabelStudio(connection.url, connection.api_key) as client:
        client.check()
        project = client.ensure_project(
            title=dataset.config.release.title or dataset.config.name,
            marker=marker(dataset),
            config=labeling_config(dataset.task),
            instruction=instructions(dataset),
            data=partial(shown_data, by_key, dataset),
        )
        server = client.identity(project)
        with leased(client.requests, project, server, store.place, dataset.config.name) as lease:
            there = client.reconcile(project, client.asked(project), lease.keep)
            sent = _sent_questions(snapshot, server, there)
            closed = _outdated(snapshot, sent, by_key.keys()) | _left(
                client, snapshot, dataset, project, there, sent, by_key
            )
            withdrawn = client.withdraw(project, closed, lease.keep)
            known = set(sent["push_key"])
            moved = _reassign(client, snapshot, sent, by_key, lease.keep)
            store.append(Table.PUSHES, _push_rows(moved, by_key, server, project, run))
            todo = {key: asked for key, asked in by_key.items() if key not in known}
            on_tasks(len(by_key) - len(todo))

            def keep(task_ids: dict[str, int]) -> None:
                store.append(Table.PUSHES, _push_rows(task_ids, todo, server, project, run))
                on_tasks(len(task_ids))

            tasks, unfit = labeling_tasks(todo.values(), dataset, _offered(snapshot, dataset, todo.values()))
            # What is there and noted nowhere must be looked up; all else was just listed.
            newest = None if by_key.keys() & set(there.values()) - known else max(there, default=0)
            report = client.push(project, tasks, keep, newest, lease.keep)
            named = dataset.config.review.annotators
            found = set_tabs(client.requests, project, named) if named else {}
            accounts = {email.casefold() for email in client.emails().values()} if named else set()
    return Pushed(
        project=project,
        url=f"{client.url}/projects/{project}/data",
        sent=report.pushed,
        hidden=sum(asked.seat.kind is SeatKind.GOLD for key, asked in todo.items() if key in report.task_ids),
        already_there=len(by_key) - report.pushed - len(report.refused) - len(unfit),
        withdrawn=withdrawn,
        refused=unfit + [f"record {todo[key].decision.record_id}: {reason}" for key, reason in report.refused],
        tabs={name: f"{client.url}/projects/{project}/data?tab={tab}" for name, tab in found.items()},
        strangers=[name for name in named if name.casefold() not in accounts],
    )


def _offered(snapshot: Snapshot, dataset: LoadedDataset, asked: Collection[Asked]) -> dict[str, list[Candidate]]:
    """Answers that were given elsewhere or earlier, by record; to who answers independently none of annotators."""
    overlap = dataset.config.review.overlap
    alone = {
        one.decision.record_id
        for one in asked
        if one.seat.kind is not SeatKind.FIRST or is_overlapping(one.decision.record_id, overlap)
    }
    decisions = [one.decision.model_copy(update={"reasons": [*one.held, *one.decision.reasons]}) for one in asked]
    return offered(snapshot, dataset.task, decisions, alone)


def _sent_questions(snapshot: Snapshot, server: str, there: dict[int, str]) -> pl.DataFrame:
    """Task and push key of the questions that were sent and still exist; others are asked again.

    Both must agree: the server may have reused the id of a deleted task.
    """
    found = pl.DataFrame(list(there.items()), schema=TASK, orient="row")
    pushed = snapshot.scan(Table.PUSHES).filter(pl.col("server") == server).select(list(TASK)).unique()
    return pushed.join(found.lazy(), on=list(TASK), how="semi").sort("task_id").collect()


def _reassign(
    client: LabelStudio,
    snapshot: Snapshot,
    sent: pl.DataFrame,
    asked: Mapping[str, Asked],
    keep_lease: Callable[[], None],
) -> dict[str, int]:
    """Give tasks to somebody else whose annotator is named no longer, or has answered in another seat meanwhile."""
    before = assignments(snapshot)
    others = {
        task: (key, asked[key].annotator)
        for task, key in sent.select("task_id", "push_key").iter_rows()
        if key in asked and asked[key].annotator != before.get(key, "")
    }
    return {key: task for task, key in client.assign(others, keep_lease).items()}


def _left(
    client: LabelStudio,
    snapshot: Snapshot,
    dataset: LoadedDataset,
    project: int,
    there: Mapping[int, str],
    sent: pl.DataFrame,
    open_keys: Collection[str],
) -> dict[int, str]:
    """Tasks of a killed push, noted nowhere, whose question is no longer open."""
    noted = set(sent["task_id"])
    unnoted = {task: key for task, key in there.items() if key and key not in open_keys and task not in noted}
    return leftovers(snapshot, dataset, client, project, unnoted)


def _outdated(snapshot: Snapshot, sent: pl.DataFrame, open_keys: Collection[str]) -> dict[int, str]:
    """The tasks whose question is no longer open, with their push keys, if they have no answer.

    Their row has changed or is gone, or the finding is. If the question comes back, it is sent again.
    """
    answered = snapshot.latest_annotations().filter(~pl.col("deleted")).select("push_key").collect()
    closed = sent.filter(~pl.col("push_key").is_in(list(open_keys)))
    return dict(closed.join(answered, on="push_key", how="anti", maintain_order="left").iter_rows())


def _push_rows(
    task_ids: Mapping[str, int], asked: Mapping[str, Asked], server: str, project: int, run: str
) -> pl.DataFrame:
    now = datetime.now(UTC)
    rows = [
        (key, d.record_id, d.revision, d.task_digest, d.routed, server, project, task_id, run, now, str(one.seat),
         one.annotator)
        for key, task_id in task_ids.items()
        if (one := asked.get(key)) and (d := one.decision)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMAS[Table.PUSHES], orient="row")
