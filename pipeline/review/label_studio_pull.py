"""Fetches what has changed in a project, and notices what is gone or was missed, without listing all of it.

The server moves a task's time with each annotation, except in some of its bulk actions, and a deleted task just
vanishes. Both show in numbers: of the older tasks, and of their annotations. Only if one differs is everything read.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.review.form import PUSH_KEY
from pipeline.review.label_studio_models import AgedTask, AnsweredTask, Counted, Pull, PulledTask, Tasks
from pipeline.review.label_studio_pages import by_filter, count_tasks, list_tasks
from pipeline.review.label_studio_requests import Requests
from schemas.run_summary import Settled

OVERLAP = timedelta(minutes=5)
"""How far a pull looks back beyond its watermark, for transactions that ended out of order."""
_CLOCK_TOLERANCE = timedelta(seconds=2)
"""The ``Date`` of a response has whole seconds."""
# The list filters the nested annotations too; without it a page takes six times as long.
_ANSWERED = "id,data,annotations,result,completed_by,was_cancelled,lead_time,parent_prediction,created_at,updated_at"
_AGED = "id,data,created_at"
_TRIES = 3

Answers = Callable[[int, Collection[int]], int]
"""How many annotations without skips we know of tasks up to an id, except of some tasks."""


@dataclass(frozen=True)
class Changes:
    """What has changed on the server, and what is there."""

    pull: Pull
    there: dict[int, str]
    """The push keys of the tasks above ``settled_to`` by their ids."""
    settled_to: int
    """Of the tasks up to this id, none is gone since the last pull."""
    settled: Settled
    """For the next pull."""


def changes(requests: Requests, project: int, since: datetime | None, settled: Settled, known: Answers) -> Changes:
    """Everything that changed since a watermark, and what is still there.

    Args:
        requests: of a client that has made a request.
        project: its id.
        since: the watermark of the last pull.
        settled: what the last pull has found.
        known: counts what was pulled before.
    """
    for _ in range(_TRIES):
        pull = changed_tasks(requests, project, since)
        counted = _counted(requests, project, settled)
        if counted is None or counted.total != settled.tasks:
            return _changes(requests, project, pull, Settled())
        if _unseen(counted, settled, pull, known) == settled.odd:
            return _changes(requests, project, pull, settled)
        # Perhaps somebody has submitted an annotation between the two requests.
    pull = changed_tasks(requests, project, None)
    counted = _counted(requests, project, settled)
    if counted is None or counted.total != settled.tasks:
        return _changes(requests, project, pull, Settled())
    odd = _unseen(counted, settled, pull, known)
    return _changes(requests, project, pull, settled.model_copy(update={"odd": odd}))


def changed_tasks(requests: Requests, project: int, since: datetime | None) -> Pull:
    """Everything that changed since a watermark, and a little from before it; everything if there is none.

    Everything, too, if the watermark is in the server's future.

    Tasks without a push key were not created by Goldleaf and are left out. Deleted tasks do not appear here.
    """
    changed = []
    now = requests.transport.clock
    if since and now and since > now + _CLOCK_TOLERANCE:
        # The server's clock was ahead when the watermark was set, or was set back: new tasks look old.
        since = None
    if since is not None:
        changed.append(by_filter("updated_at", "greater_or_equal", "Datetime", _moment(since - OVERLAP)))
    tasks, watermark = [], since
    for task in list_tasks(requests, project, Tasks[AnsweredTask], _ANSWERED, *changed, fields="all"):
        times = [task.updated_at, *(annotation.updated_at for annotation in task.annotations)]
        watermark = max([*times, watermark] if watermark else times)
        if task.push_key:
            tasks.append(_pulled(task))
    # A single time in the future would hide everything until then.
    return Pull(tasks=tasks, watermark=min(watermark, now) if watermark and now else watermark)


def answered_tasks(requests: Requests, project: int, condition: dict[str, Any]) -> Iterator[PulledTask]:
    """The tasks that meet a condition, with their annotations."""
    for task in list_tasks(requests, project, Tasks[AnsweredTask], _ANSWERED, condition, fields="all"):
        yield _pulled(task)


def _pulled(task: AnsweredTask) -> PulledTask:
    return PulledTask(
        task_id=task.task_id,
        push_key=task.push_key,
        record_id=task.record_id,
        annotations=task.annotations,
        assigned=task.assigned,
    )


def _changes(requests: Requests, project: int, pull: Pull, kept: Settled) -> Changes:
    """The same with the tasks that are there beyond those that are known to be."""
    clock = requests.transport.clock
    tasks = list(list_tasks(requests, project, Tasks[AgedTask], _AGED, after=kept.newest))
    there = {task.task_id: task.push_key for task in tasks}
    if clock is None:
        return Changes(pull, there, kept.newest, kept)
    until = clock - OVERLAP
    young = min((task.task_id for task in tasks if task.created_at > until), default=None)
    old = [task for task in tasks if young is None or task.task_id < young]
    newest = max((task.task_id for task in old), default=kept.newest)
    ours = kept.tasks + sum(bool(task.push_key) for task in old)
    now = Settled(newest=newest, until=_moment(until), tasks=ours, odd=kept.odd) if newest else Settled()
    return Changes(pull, there, kept.newest, now)


def _counted(requests: Requests, project: int, settled: Settled) -> Counted | None:
    """The older tasks that Goldleaf created, as the server counts them now; None if there were none.

    On SQLite the id of the newest task may be given to another one, which is younger.
    """
    if not settled.newest:
        return None
    return count_tasks(
        requests,
        project,
        by_filter("id", "less_or_equal", "Number", settled.newest),
        by_filter("created_at", "less_or_equal", "Datetime", settled.until),
        by_filter(f"data.{PUSH_KEY}", "empty", "String", False),
    )


def _unseen(counted: Counted, settled: Settled, pull: Pull, known: Answers) -> int:
    """How many annotations of older tasks the server counts beyond what is known and was pulled."""
    pulled = [task for task in pull.tasks if task.task_id <= settled.newest]
    brought = sum(not one.was_cancelled for task in pulled for one in task.annotations)
    return counted.total_annotations - brought - known(settled.newest, {task.task_id for task in pulled})


def _moment(time: datetime) -> str:
    """A time as a filter takes it: the server fails without microseconds and without the Z."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
