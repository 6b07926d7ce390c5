"""Sends labeling tasks to a Label Studio server, and fetches annotations.

The only module that knows how the server behaves. Every task carries a push key in its data, and before
anything is sent, the server is asked which keys it has, so a push may break off anywhere and be repeated.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import httpx

from pipeline.errors import LabelStudioError, Unreachable
from pipeline.review.form import ASSIGNED, PUSH_KEY
from pipeline.review.label_studio_batches import LOOKUP, batches, portions
from pipeline.review.label_studio_models import (
    Imported,
    ListedTask,
    Processed,
    Pull,
    PulledTask,
    PushReport,
    Tasks,
    TaskState,
    TokenUser,
    User,
)
from pipeline.review.label_studio_pages import by_filter, count_tasks, list_tasks
from pipeline.review.label_studio_projects import (
    all_projects,
    create_project,
    describe,
    find_project,
    lines_of,
    project_identity,
    update_task,
)
from pipeline.review.label_studio_proposals import ATTEMPTS, PAUSE, bare, look_up, proposals
from pipeline.review.label_studio_pull import answered_tasks, changed_tasks
from pipeline.review.label_studio_requests import LOG_IN, Refused, Requests, raw, raw_json
from pipeline.review.label_studio_transport import Limits

MAX_REFUSED = 50
"""If more tasks than this are refused, the tasks are not to blame."""
_WITHDRAW = "cannot delete tasks"
_REFUSALS = (400, 413, 422)
_NOT_FOUND = 404
_LISTED = "id,data"
_IDLE = (
    by_filter("annotations_ids", "empty", "Number", True),
    by_filter("draft_exists", "equal", "Boolean", False),
    by_filter("locks", "empty", "Number", True),
)
"""Nobody has answered a task or begun to, and *Label Tasks* shows it to nobody."""


class LabelStudio:
    """One server, as one user; its connections close with ``close()``, a ``with``, or the object.

    Args:
        url: of the server.
        api_key: an access token, of the older or the newer kind.
        limits: time and size limits for the server.
        transport: sends the requests; default: the network.

    Raises:
        LabelStudioError: the URL or the token is malformed.
    """

    def __init__(
        self, url: str, api_key: str, limits: Limits | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.requests = Requests(url, api_key, limits, transport)
        self.url = self.requests.url
        self.close = self.requests.close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> str:
        """Ask the server who we are, and return the user's e-mail address.

        Raises:
            Unreachable: the server does not answer.
            LabelStudioError: the server is not Label Studio, or refuses the token or its user.
        """
        patience = self.requests.limits.login
        found = self.requests.ask(LOG_IN, TokenUser, lambda sdk: sdk.users.whoami(), patience=patience)
        if found.organization is None:
            raise LabelStudioError(
                f"{LOG_IN}: {found.email} is not in the organization of {self.url} any more; invite them again, or set "
                "LABEL_STUDIO_API_KEY to another's token"
            )
        return found.email

    def emails(self) -> dict[str, str]:
        """The e-mail addresses of all users of the server, by their ids as text."""
        users = self.requests.ask("cannot list the users", list[User], lambda sdk: sdk.users.list())
        return {str(user.user_id): user.email for user in users}

    # --- projects -----------------------------------------------------------------------------
    def open_project(self, title: str, marker: str, config: str, instruction: str, earlier: Sequence[str] = ()) -> int:
        """The id of the project that has a marker as a line of its description; it is created if there is none.

        An existing one stays as it is, but for the marker.

        Args:
            title: of a new project.
            marker: a line.
            config: the form of a new project.
            instruction: HTML.
            earlier: other markers that it may have instead.
        """
        # A second project would ask everything again, so make sure that there is none before creating one.
        markers = (marker, *earlier)
        known = find_project(self.requests, *markers) or find_project(self.requests, *markers)
        if known is None:
            return create_project(self.requests, title, marker, config, instruction)
        if marker not in lines_of(known):
            describe(self.requests, known, [*lines_of(known), marker])
        return known.project_id

    def find_project(self, *markers: str) -> int | None:
        """The id of the project that has one of some markers as a line of its description, the oldest of several."""
        project = find_project(self.requests, *markers)
        return None if project is None else project.project_id

    def projects_of(self, markers: str) -> list[int]:
        """The ids of all projects with a line that begins with what the markers of a dataset begin with."""
        known = all_projects(self.requests)
        return [one.project_id for one in known if any(line.startswith(markers) for line in lines_of(one))]

    def identity(self, project: int) -> str:
        """What tells this project from all others on all servers, even after the address has changed."""
        return project_identity(self.requests, project)

    # --- push ---------------------------------------------------------------------------------
    def push(
        self,
        project: int,
        tasks: Iterable[dict[str, Any]],
        on_batch: Callable[[dict[str, int]], None],
        newest: int | None = None,
    ) -> PushReport:
        """Send the tasks that the server does not have yet, exactly once in effect.

        Args:
            project: id of the project.
            tasks: as ``labeling_task`` makes them; read batch by batch.
            on_batch: called with the task ids by push key after each batch, to record them; a key may
                be repeated with another id.
            newest: the highest id of the project's tasks, if they were just listed and none of these is among them:
                then they are not looked up, and copies are looked for if more tasks have appeared than were sent.

        Raises:
            Unreachable: the connection was lost; what was recorded stays true, and another push continues from there.
            LabelStudioError: the server refuses us, or more than ``MAX_REFUSED`` tasks.
        """
        report, lost_answers = PushReport(), False
        asked: set[str] = set()
        for batch in portions(tasks):
            asked |= batch.keys()
            there = look_up(self.requests, project, batch) if newest is None else {}
            report.task_ids |= there
            missing = {key: task for key, task in batch.items() if key not in there}
            lost_answers |= self._send(project, missing, report)
            on_batch({key: report.task_ids[key] for key in batch if key in report.task_ids})
        if lost_answers or (asked and newest is not None and self._appeared(project, newest) != report.pushed):
            # The request behind a lost response may have completed after its retry, and then both count.
            left = self.reconcile(project, self.asked(project))
            kept = {key: task for task, key in sorted(left.items(), reverse=True) if key in asked}
            report.task_ids |= kept
            on_batch(kept)
        return report

    def _appeared(self, project: int, newest: int) -> int:
        """How many tasks have a higher id: more than were sent if there is another pusher, or a late request."""
        return count_tasks(self.requests, project, by_filter("id", "greater", "Number", newest)).total

    def _send(self, project: int, tasks: dict[str, bytes], report: PushReport) -> bool:
        """Import tasks until the server has them or refuses them one by one; returns whether a response was lost."""
        lost, fault = False, None
        for attempt in range(ATTEMPTS):
            if not tasks:
                return lost
            time.sleep(PAUSE * attempt)
            done = self._import(project, list(tasks.values()))
            fault = done if isinstance(done, LabelStudioError) else None
            if isinstance(fault, Refused) and fault.status in _REFUSALS:
                break
            lost |= fault is not None
            # The server names the tasks in the order in which they were sent; if it has not, they are looked up.
            there = (
                dict(zip(tasks, done, strict=True))
                if isinstance(done, list)
                else look_up(self.requests, project, tasks)
            )
            report.pushed += len(there)
            report.task_ids |= there
            tasks = {key: task for key, task in tasks.items() if key not in there}
        if tasks and isinstance(fault, Unreachable):
            raise fault
        if len(tasks) == 1:
            self._refuse(next(iter(tasks)), fault, report)
        elif tasks:
            for keys in batches(list(tasks), -(-len(tasks) // 2)):
                lost |= self._send(project, {key: tasks[key] for key in keys}, report)
        return lost

    def _import(self, project: int, tasks: list[bytes]) -> list[int] | Unreachable | Refused | None:
        """Send tasks once, and return their ids; None if the server did not name them, or has lost proposals.

        An error that the tasks may have caused, or that leaves their state unknown, is returned.
        """
        patience = self.requests.limits.imports
        try:
            done = self.requests.ask(
                "cannot push tasks",
                Imported,
                raw_json("POST", f"api/projects/{project}/import", tasks, {"return_task_ids": "true"}),
                patience=patience,
            )
        except Unreachable as error:
            return error
        except Refused as error:
            if error.status in _REFUSALS or error.status >= 500:
                return error
            raise
        except LabelStudioError:
            return None
        ids, proposed = done.task_ids, sum(len(proposals(task)) for task in tasks)
        is_whole = len(ids) == len(tasks) and done.prediction_count == proposed
        return ids if is_whole and ids == sorted(set(ids)) else None

    def _refuse(self, key: str, fault: Refused | Unreachable | None, report: PushReport) -> None:
        reason = fault.detail if isinstance(fault, Refused) else "the server accepted it, but did not store it"
        report.refused.append((key, reason))
        if len(report.refused) > MAX_REFUSED:
            raise LabelStudioError(
                f"Label Studio refuses more than {MAX_REFUSED} tasks, the last one with: {reason}; see the server's log"
            )

    def with_keys(self, project: int, keys: Sequence[str]) -> Iterator[ListedTask]:
        """The tasks with these push keys."""
        for part in batches(keys, LOOKUP):
            ours = by_filter(f"data.{PUSH_KEY}", "in_list", "List", part)
            for task in list_tasks(self.requests, project, Tasks[ListedTask], _LISTED, ours):
                if task.push_key in part:
                    yield task

    def asked(self, project: int) -> dict[int, str]:
        """The push keys of all tasks of a project by id; empty for tasks not created by Goldleaf.

        What was recorded or pulled before and is missing here was deleted. Only both together identify a task:
        on SQLite, the server reuses the id of a deleted newest task for the next one.
        """
        return {task.task_id: task.push_key for task in list_tasks(self.requests, project, Tasks[ListedTask], _LISTED)}

    def without_proposal(self, project: int) -> set[str]:
        """The push keys of the tasks that begin with an empty form, whether they should or not."""
        return bare(self.requests, project)

    def idle(self, project: int) -> set[int]:
        """The tasks that nobody has worked on or has open."""
        return {task.task_id for task in list_tasks(self.requests, project, Tasks[ListedTask], _LISTED, *_IDLE)}

    def reconcile(self, project: int, asked: dict[int, str]) -> dict[int, str]:
        """Delete tasks that ask a question a second time, and return the remaining ones.

        A task with annotations or drafts, or that is open before somebody, is never deleted; among the others the
        lowest id stays.

        Args:
            project: its id.
            asked: push keys by task id, as returned by ``asked``.
        """
        same: dict[str, list[int]] = {}
        for task, key in sorted(asked.items()):
            same.setdefault(key, []).append(task)
        surplus: dict[int, str] = {}
        for key, ids in same.items():
            if key and len(ids) > 1:
                states = {task: self._state(project, task, key) for task in ids}
                idle = [task for task in ids if states[task] is TaskState.IDLE]
                surplus |= dict.fromkeys(idle if TaskState.WORKED_ON in states.values() else idle[1:], key)
        self.withdraw(project, surplus)
        return {task: key for task, key in asked.items() if task not in surplus}

    def withdraw(self, project: int, tasks: Mapping[int, str]) -> int:
        """Delete those tasks that have their push key, no work on them, and are open before nobody; count them.

        The server itself looks for these when it deletes, so that none that comes meanwhile goes with its task.
        """
        withdrawn = 0
        for part in batches(list(tasks), LOOKUP):
            keys = list({tasks[task] for task in part})
            there = {task.task_id for task in self.with_keys(project, keys) if tasks.get(task.task_id) == task.push_key}
            chosen = [task for task in part if task in there]
            if chosen and count_tasks(self.requests, project).total == len(chosen):
                # With the last task, the server would delete all tabs of the project.
                last = chosen.pop()
                withdrawn += self._withdraw_one(project, last, tasks[last])
            if chosen:
                withdrawn += self._withdraw_idle(project, chosen, keys)
        return withdrawn

    def assign(self, tasks: Mapping[int, tuple[str, str]]) -> dict[int, str]:
        """Note for whom tasks are, by id: push key and e-mail address; returns the push keys of those still there."""
        done = {}
        for task, (key, annotator) in tasks.items():
            found = self._task(task, key)
            if found is not None:
                update_task(self.requests, task, found.data | {ASSIGNED: annotator})
                done[task] = key
        return done

    def _withdraw_idle(self, project: int, tasks: list[int], keys: list[str]) -> int:
        """Delete those of some tasks that nobody has worked on."""
        idle = [*_IDLE, by_filter(f"data.{PUSH_KEY}", "in_list", "List", keys)]
        body: dict[str, Any] = {
            "filters": {"conjunction": "and", "items": idle},
            "selectedItems": {"all": False, "included": tasks},
        }
        call = raw("POST", "api/dm/actions/", body, {"id": "delete_tasks", "project": project})
        return self.requests.ask(_WITHDRAW, Processed, call).processed_items

    def _withdraw_one(self, project: int, task: int, key: str) -> int:
        if self._state(project, task, key) is not TaskState.IDLE:
            return 0
        self.requests.tell(_WITHDRAW, lambda sdk: sdk.tasks.delete(id=str(task)))
        return 1

    def _state(self, project: int, task: int, key: str) -> TaskState:
        if self._task(task, key) is None:
            return TaskState.GONE
        this = by_filter("id", "equal", "Number", task)
        is_idle = count_tasks(self.requests, project, this, *_IDLE).total
        return TaskState.IDLE if is_idle else TaskState.WORKED_ON

    def _task(self, task: int, key: str) -> ListedTask | None:
        """A task; None if it is gone, or another one has its id by now."""
        try:
            full = self.requests.ask("cannot read a task", ListedTask, lambda sdk: sdk.tasks.get(id=str(task)))
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return full if full.task_id == task and full.push_key == key else None

    # --- pull ---------------------------------------------------------------------------------
    def pull(self, project: int, since: datetime | None) -> Pull:
        """What changed since a watermark; see ``changed_tasks``."""
        return changed_tasks(self.requests, project, since)

    def answers_to(self, project: int, keys: Sequence[str]) -> Iterator[PulledTask]:
        """The tasks with these push keys, with their annotations."""
        for part in batches(keys, LOOKUP):
            yield from answered_tasks(self.requests, project, by_filter(f"data.{PUSH_KEY}", "in_list", "List", part))
