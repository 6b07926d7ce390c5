"""Sends open questions to annotators.

A push sends only committed decisions, and only what the server does not have yet, so it may be repeated at any time.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Connection
from pipeline.errors import LabelStudioError
from pipeline.review.earlier_project import close, retire, take_up
from pipeline.review.form import labeling_config
from pipeline.review.guidelines import instructions
from pipeline.review.label_studio import LabelStudio
from pipeline.review.label_studio_claim import Home, claim, note_version
from pipeline.review.label_studio_models import PushReport
from pipeline.review.label_studio_projects import show_form
from pipeline.review.label_studio_requests import Refused
from pipeline.review.label_studio_transport import Limits
from pipeline.review.leftovers import recognized
from pipeline.review.offered_answers import Candidate
from pipeline.review.questions import offered
from pipeline.review.queue import TASK, asked_now, marker, markers, marks
from pipeline.review.seat_questions import labeling_tasks, proposing, shown_data
from pipeline.review.seating import Asked, assignments, is_overlapping, redistributed
from pipeline.review.team_tabs import set_tabs
from pipeline.state.refusals import note_refusals
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.wording import counted
from pipeline.time_limits import Patience
from schemas.seat import SeatKind

_REFUSALS = (400, 422)
"""How a server refuses a form."""
_BRIEF = Limits(usual=Patience(answer=10), whole=20)
"""For what nobody waits for if the server is away."""


@dataclass(frozen=True)
class Pushed:
    """The result of one push."""

    project: int
    url: str
    sent: int
    """New tasks."""
    hidden: int
    """Of these, about hidden gold items."""
    withdrawn: int
    """Tasks deleted because their row has changed or is gone, or the reason to ask is."""
    refused: list[str]
    """What the server refused, and why."""
    tabs: dict[str, str]
    """Where each of the named annotators finds the own tasks, by e-mail address; and others those for anybody."""
    strangers: list[str]
    """Named annotators without an account on the server."""
    notes: list[str]
    """That it has restored the form, given open tasks to others, or begun another project for what is asked now."""


def push_questions(
    store: Store,
    dataset: LoadedDataset,
    connection: Connection,
    run: str,
    on_tasks: Callable[[int], None] = lambda tasks: None,
    *,
    everything: bool = False,
    take_over: bool = False,
) -> Pushed:
    """Send every open question that the server does not have yet, and delete those that are no longer open.

    With ``everything``, those that it has without their proposals get them again; with ``take_over``, another home
    sends none any more.

    Raises:
        Busy: another home sends the questions; nothing was changed.
        Unreachable: the server does not answer.
        LabelStudioError: it refuses.
    """
    snapshot = store.snapshot().at_last_commit()
    by_key = {one.key(dataset.task): one for one in asked_now(snapshot, dataset)}
    config, instruction = labeling_config(dataset.task), instructions(dataset)
    with LabelStudio(connection.url, connection.api_key) as client:
        client.check()
        shown = partial(shown_data, by_key, dataset)
        home = Home(dataset.config.name, str(store.root), set(snapshot.runs["run"]))

        def push(*, is_new: bool = False) -> Pushed:
            named = _title(dataset), marker(dataset), config, instruction, marks(snapshot, dataset)
            project = client.open_project(*named)
            server = client.identity(project)
            claim(client.requests, project, server, home, take_over=take_over)
            try:
                restored = show_form(client.requests, project, config, instruction, shown)
            except Refused as error:
                if is_new or error.status not in _REFUSALS:
                    raise
                # Its annotators have used what the form does not have any more. Nobody is asked in two projects.
                client.withdraw(project, client.asked(project))
                retire(client.requests, project, markers(dataset))
                return push(is_new=True)
            this = _Push(store, dataset, snapshot, client, project, server, run, restored)
            bare = client.without_proposal(project) & by_key.keys() if everything else set()
            return this.send(by_key, bare, on_tasks)

        return push()


def version_seen(snapshot: Snapshot, connection: Connection | None, version: str) -> str | None:
    """The highest version that the project of a home has heard of, from now on at least this one, if it is not empty.

    Empty if there is none, or no project yet; None if it could not be asked: numbers are also kept elsewhere.
    """
    if connection is None:
        return ""
    last = snapshot.scan(Table.PUSHES).sort("pushed_at").select("server", "project").tail(1).collect().rows()
    with suppress(LabelStudioError), LabelStudio(connection.url, connection.api_key, _BRIEF) as client:
        for server, project in last:
            if client.identity(project) == server:
                return note_version(client.requests, project, server, version)
        return ""
    return None


def _title(dataset: LoadedDataset) -> str:
    """The title of a new project."""
    return dataset.config.release.title or dataset.config.name


@dataclass(frozen=True)
class _Push:
    """What a push needs everywhere."""

    store: Store
    dataset: LoadedDataset
    snapshot: Snapshot
    client: LabelStudio
    project: int
    server: str
    run: str
    restored: str
    """What was done to the form."""

    def send(self, by_key: Mapping[str, Asked], bare: Collection[str], on_tasks: Callable[[int], None]) -> Pushed:
        """Delete what is closed, send what is missing, also in tasks that lost their proposals, and set the tabs."""
        client, project = self.client, self.project
        there = client.reconcile(project, client.asked(project))
        sent = self._sent(there)
        left = self._left(there, sent, by_key)
        self._note(left, run=None)
        closed = self._outdated(sent, by_key) | {task: one.key(self.dataset.task) for task, one in left.items()}
        withdrawn = client.withdraw(project, closed)
        self._reassign(sent, by_key)
        known = set(sent["push_key"])
        todo = {key: asked for key, asked in by_key.items() if key not in known}
        on_tasks(len(by_key) - len(todo))

        def on_batch(task_ids: dict[str, int]) -> None:
            new = {task: todo[key] for key, task in task_ids.items() if key in todo}
            self._note(new, self.run)
            on_tasks(len(new))

        unfit: dict[str, str] = {}
        tasks = labeling_tasks(todo, self.dataset, self._offered(todo.values()), unfit)
        again = proposing({key: by_key[key] for key in bare if key in known}, self.dataset)
        # What is there and noted nowhere must be looked up; all else was just listed.
        is_listed = not (again or by_key.keys() & set(there.values()) - known)
        newest = max(there, default=0) if is_listed else None
        report = client.push(project, chain(tasks, again), on_batch, newest)
        refused = unfit | dict(report.refused)
        note_refusals(self.store, self.server, refused, {key: one.decision.record_id for key, one in todo.items()})
        return self._result(todo, by_key.values(), report, refused, withdrawn)

    def _result(
        self,
        todo: Mapping[str, Asked],
        asked: Collection[Asked],
        report: PushReport,
        refused: Mapping[str, str],
        withdrawn: int,
    ) -> Pushed:
        client, project, named = self.client, self.project, self.dataset.config.review.annotators
        page, tabs = f"{client.url}/projects/{project}/data", None
        if named:
            is_anybodys = any(not one.annotator for one in asked)
            tabs = set_tabs(client.requests, project, named, for_anybody=is_anybodys)
        accounts = {email.casefold() for email in client.emails().values()} if named else set()
        return Pushed(
            project=project,
            url=f"{page}?tab={tabs.all_tasks}" if tabs else page,
            sent=report.pushed,
            hidden=sum(one.seat.kind is SeatKind.GOLD for key, one in todo.items() if key in report.task_ids),
            withdrawn=withdrawn,
            refused=[f"record {todo[key].decision.record_id}: {reason}" for key, reason in refused.items()],
            tabs={name: f"{page}?tab={tab}" for name, tab in tabs.own.items()} if tabs else {},
            strangers=[name for name in named if name.casefold() not in accounts],
            notes=[*filter(None, [self.restored, redistributed(self.store.snapshot(), self.run), self._moved()])],
        )

    def _moved(self) -> str:
        """Close the project of the task's earlier form, and take this one up if the task was changed back."""
        client, sent = self.client, self.snapshot.scan(Table.PUSHES).sort("pushed_at")
        last = sent.select("project").tail(1).collect().to_series().to_list()
        if not last or last[0] == self.project:
            return ""
        take_up(client.requests, self.project, _title(self.dataset))
        left = close(client.requests, last[0], markers(self.dataset))
        if left is None:
            return ""
        earlier = f"{client.url}/projects/{last[0]}/data, {counted(left, 'open task')}"
        return (
            "the task has changed too much for the form of its project, so its questions are in another one; the "
            f"earlier one ({earlier}) gets no more of them: send your annotators the new address"
        )

    def _note(self, tasks: Mapping[int, Asked], run: str | None) -> None:
        rows = push_rows(tasks, {}, self.dataset, self.server, self.project, run)
        self.store.append(Table.PUSHES, rows)

    def _offered(self, asked: Collection[Asked]) -> dict[str, list[Candidate]]:
        """Answers that were given elsewhere or earlier, by record; to who answers independently none of annotators."""
        overlap = self.dataset.config.review.overlap
        alone = {
            one.decision.record_id
            for one in asked
            if one.seat.kind is not SeatKind.FIRST or is_overlapping(one.decision.record_id, overlap)
        }
        decisions = [one.decision.model_copy(update={"reasons": [*one.held, *one.decision.reasons]}) for one in asked]
        return offered(self.snapshot, self.dataset.task, decisions, alone)

    def _sent(self, there: dict[int, str]) -> pl.DataFrame:
        """Task and push key of the questions that were sent and still exist; others are asked again.

        Both must agree: the server may have reused the id of a deleted task.
        """
        found = pl.DataFrame(list(there.items()), schema=TASK, orient="row")
        pushed = self.snapshot.scan(Table.PUSHES).filter(pl.col("server") == self.server).select(list(TASK)).unique()
        return pushed.join(found.lazy(), on=list(TASK), how="semi").sort("task_id").collect()

    def _reassign(self, sent: pl.DataFrame, asked: Mapping[str, Asked]) -> None:
        """Give tasks to somebody else whose annotator is named no longer, or has answered in another seat meanwhile."""
        before = assignments(self.snapshot)
        others = {
            task: (key, asked[key].annotator)
            for task, key in sent.select("task_id", "push_key").iter_rows()
            if key in asked and asked[key].annotator != before.get(key, "")
        }
        moved = self.client.assign(others)
        self._note({task: asked[key] for task, key in moved.items()}, self.run)

    def _left(self, there: Mapping[int, str], sent: pl.DataFrame, open_keys: Collection[str]) -> dict[int, Asked]:
        """Tasks of a killed push, noted nowhere, whose question is no longer open."""
        noted = set(sent["task_id"])
        unnoted = {task: key for task, key in there.items() if key and key not in open_keys and task not in noted}
        if not unnoted:
            return {}
        listed = self.client.with_keys(self.project, list(set(unnoted.values())))
        tasks = [task for task in listed if unnoted.get(task.task_id) == task.push_key]
        return recognized(self.snapshot, self.dataset, tasks)

    def _outdated(self, sent: pl.DataFrame, open_keys: Collection[str]) -> dict[int, str]:
        """The tasks whose question is no longer open, with their push keys, if they have no answer.

        Their row has changed or is gone, or the finding is. If the question comes back, it is sent again.
        """
        here = ~pl.col("deleted"), pl.col("server") == self.server
        answered = self.snapshot.latest_annotations().filter(*here).select("push_key").collect()
        closed = sent.filter(~pl.col("push_key").is_in(list(open_keys)))
        return dict(closed.join(answered, on="push_key", how="anti", maintain_order="left").iter_rows())


def push_rows(
    tasks: Mapping[int, Asked],
    times: Mapping[int, datetime],
    dataset: LoadedDataset,
    server: str,
    project: int,
    run: str | None,
) -> pl.DataFrame:
    """Tasks of the server as rows of ``pushes``.

    Args:
        tasks: what each of them asks.
        times: when those that were not sent just now were there.
        dataset: has the task.
        server: its identity.
        project: its id.
        run: the one that has sent them; None if nobody knows.
    """
    now = datetime.now(UTC)
    rows = [
        (one.key(dataset.task), d.record_id, d.revision, d.task_digest, d.routed, server, project, task_id, run,
         times.get(task_id, now), str(one.seat), one.annotator)
        for task_id, one in tasks.items()
        if (d := one.decision)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMAS[Table.PUSHES], orient="row")
