"""Carry labeling tasks to a Label Studio server, and what people submitted back.

The only module that knows the server and its SDK. Every task carries a push key in its data, and before
anything is sent, the server is asked which keys it has: so a push may break off anywhere and be repeated.
"""

import contextlib
import html
import json
import logging
import re
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Self, cast

import httpx

from pipeline.errors import LabelStudioError, Unreachable
from pipeline.exchange import OpenTask, Pull, PulledAnnotation, PulledTask, PushReport
from pipeline.labeling import PREDICTION_VERSION
from pipeline.labeling_form import PUSH_KEY, RECORD_ID

if TYPE_CHECKING:
    from label_studio_sdk.core.api_error import ApiError

__all__ = ["LabelStudio", "OpenTask", "Pull", "PulledAnnotation", "PulledTask", "PushReport"]

BATCH = 500
"""Tasks a request; larger ones are slower and are lost as a whole."""
LOOKUP = 150
"""Push keys a query: they stand in the URL, and many a proxy takes no more than 8 kB of that."""
PAGE = 500
ATTEMPTS = 3
MAX_REFUSED = 50
"""More refused tasks than this are not the tasks' fault."""
OVERLAP = timedelta(minutes=5)
"""How far a pull looks back beyond its watermark, for transactions that ended out of order."""

_CLOCK_TOLERANCE = timedelta(seconds=2)
"""The ``Date`` of an answer has whole seconds."""
_PAUSE = 0.2
_TIMEOUT = 600.0
_REFUSALS = (400, 413, 422)
_NOT_FOUND = 404
_TITLE_LENGTHS = (3, 50)
_SETTINGS: dict[str, Any] = {
    # The form shows the instruction; a dialog with it before the first task would swallow the hotkeys.
    "show_instruction": False,
    "show_skip_button": True,
    "show_collab_predictions": True,
    "enable_empty_annotation": True,  # where all targets are optional, nothing is an answer
    "sampling": "Sequential sampling",
    "model_version": PREDICTION_VERSION,
}
# The list filters the nested annotations too; without it a page takes six times as long.
_ANSWERED = "id,data,annotations,result,completed_by,was_cancelled,lead_time,created_at,updated_at"


class _State(Enum):
    """How a question stands on the server."""

    GONE = "gone"
    """Its task was deleted; the id may be another's by now."""
    IDLE = "idle"
    WORKED_ON = "worked_on"
    """There are annotations or drafts."""


class LabelStudio:
    """Connections to one server, as one user; they close with ``close()``, a ``with``, or the object.

    Raises:
        LabelStudioError: the URL or the token cannot be one.
    """

    def __init__(self, url: str, api_key: str) -> None:
        # The SDK takes a second to import: too long for commands that only might need it.
        from label_studio_sdk.base_client import LabelStudioBase

        if not re.match(r"https?://[^/\s]", url):
            raise LabelStudioError(f"'{url}' is no address of a server; set LABEL_STUDIO_URL to http(s)://host:port")
        key = api_key.strip()
        if not (key and key.isascii() and key.isprintable()):
            raise LabelStudioError(
                "there is no access token for Label Studio; set LABEL_STUDIO_API_KEY (it stands in Account & Settings)"
            )
        logging.getLogger("label_studio_sdk").setLevel(logging.CRITICAL)
        self.url = url.rstrip("/")
        self._clock: datetime | None = None
        hooks = {"response": [self._note_clock]}
        self._http = httpx.Client(timeout=_TIMEOUT, follow_redirects=False, event_hooks=hooks)
        self.close = weakref.finalize(self, self._http.close)
        with self._explained("cannot log in"):
            # The SDK would repeat a POST whose answer was lost, and so import twice.
            self._sdk = LabelStudioBase(base_url=self.url, api_key=key, httpx_client=self._http, max_retries=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> str:
        """Ask the server who we are, and return the user's e-mail address.

        Raises:
            Unreachable: nobody answers.
            LabelStudioError: the server is no Label Studio, or refuses the token.
        """
        email = None
        with self._explained("cannot log in"), contextlib.suppress(TypeError):  # a list is no user
            email = getattr(self._sdk.users.whoami(), "email", None)
        if not isinstance(email, str):
            raise LabelStudioError(f"cannot log in: {self.url} is no Label Studio; check LABEL_STUDIO_URL")
        return email

    def _note_clock(self, response: httpx.Response) -> None:
        """Remember what time it is for the server."""
        with contextlib.suppress(KeyError, ValueError):
            self._clock = parsedate_to_datetime(response.headers["date"])

    # --- projects -----------------------------------------------------------------------------
    def ensure_project(self, title: str, marker: str, config: str, instruction: str) -> int:
        """The id of the project with a marker as a line of its description; it is created if there is none.

        Form and instruction are brought up to date; title and settings stay as people changed them.
        """
        shown = html.escape(instruction, quote=False).replace("\n", "<br>")  # the dialog takes it for HTML
        known = self._find(marker)
        with self._explained("cannot open the project"):
            if known is None:
                return self._create_project(title, marker, config, shown)
            if known.label_config != config or known.expert_instruction != shown:
                self._sdk.projects.update(id=known.id, label_config=config, expert_instruction=shown)
        return int(known.id)

    def find_project(self, marker: str) -> int | None:
        """The id of the project with a marker as a line of its description, the oldest of several."""
        project = self._find(marker)
        return None if project is None else int(project.id)

    def identity(self, project: int) -> str:
        """What tells this project from all others of all servers, also after the address has changed."""
        with self._explained("cannot open the project"):
            found = self._sdk.projects.get(id=project)
        return f"{project}@{found.created_at.isoformat() if found.created_at else self.url}"

    def _find(self, marker: str) -> Any | None:
        number, found = 1, []
        while True:
            with self._explained("cannot list the projects"):
                page = self._sdk.projects.list(
                    include="id,description,label_config,expert_instruction", page=number, page_size=PAGE
                )
            found += [project for project in page.items or [] if marker in (project.description or "").splitlines()]
            if len(page.items or []) < PAGE:
                return min(found, key=lambda project: int(project.id or 0), default=None)
            number += 1

    def _create_project(self, title: str, marker: str, config: str, instruction: str) -> int:
        shortest, longest = _TITLE_LENGTHS
        try:
            created = self._sdk.projects.create(
                title=title[:longest].ljust(shortest, "."),
                description=f"Made by Goldleaf, which knows it by this line:\n{marker}",
                label_config=config,
                expert_instruction=instruction,
                **_SETTINGS,
            )
        except httpx.TransportError:
            # Only the answer may have been lost.
            if (known := self.find_project(marker)) is None:
                raise
            return known
        return int(created.id or 0)

    # --- push ---------------------------------------------------------------------------------
    def push(
        self, project: int, tasks: Sequence[dict[str, Any]], on_batch: Callable[[dict[str, int]], None]
    ) -> PushReport:
        """Send the tasks that the server does not have yet, exactly once in effect.

        Args:
            project: id of the project.
            tasks: as ``labeling_task`` makes them.
            on_batch: called with the task ids by push key after each batch, to note them; a key may
                come again with another id.

        Raises:
            Unreachable: the server went away; what was noted stays true, and another push goes on from there.
            LabelStudioError: the server refuses us, or more than ``MAX_REFUSED`` tasks.
        """
        report, lost_answers = PushReport(), False
        by_key = {task["data"][PUSH_KEY]: task for task in tasks}
        for keys in _batches(list(by_key), BATCH):
            there = self._look_up(project, keys)
            report.already_there += len(there)
            report.task_ids |= there
            lost_answers |= self._send(project, {key: by_key[key] for key in keys if key not in there}, report)
            on_batch({key: report.task_ids[key] for key in keys if key in report.task_ids})
        if lost_answers:
            # The request behind a lost answer may have ended after its repetition, and then both count.
            left = self.reconcile(self.asked(project))
            kept = {key: task for task, key in sorted(left.items(), reverse=True) if key in by_key}
            report.task_ids |= kept
            on_batch(kept)
        return report

    def _send(self, project: int, tasks: dict[str, dict[str, Any]], report: PushReport) -> bool:
        """Import tasks until the server has them or refuses them one by one; whether an answer was lost."""
        lost, fault = False, None
        for attempt in range(ATTEMPTS):
            if not tasks:
                return lost
            time.sleep(_PAUSE * attempt)
            fault = self._import(project, list(tasks.values()))
            if getattr(fault, "status_code", None) in _REFUSALS:
                break
            lost |= fault is not None
            there = self._look_up(project, list(tasks))
            report.pushed += len(there)
            report.task_ids |= there
            tasks = {key: task for key, task in tasks.items() if key not in there}
        if tasks and isinstance(fault, httpx.TransportError):
            with self._explained("cannot push tasks"):
                raise fault
        if len(tasks) == 1:
            self._refuse(next(iter(tasks)), fault, report)
        elif tasks:
            for keys in _batches(list(tasks), -(-len(tasks) // 2)):
                lost |= self._send(project, {key: tasks[key] for key in keys}, report)
        return lost

    def _import(self, project: int, tasks: list[dict[str, Any]]) -> Exception | None:
        """Send tasks once. An error that may be the tasks' fault, or leaves them in doubt, is returned."""
        from label_studio_sdk.core.api_error import ApiError

        with self._explained("cannot push tasks"):
            try:
                self._sdk.projects.import_tasks(id=project, request=cast(Any, tasks))
            except httpx.TransportError as error:
                return error
            except ApiError as error:
                if error.status_code in _REFUSALS or (error.status_code or 0) >= 500:
                    return error
                raise
        return None

    def _refuse(self, key: str, fault: Exception | None, report: PushReport) -> None:
        reason = "the server took it, but does not have it" if fault is None else _detail(fault)
        report.refused.append((key, reason))
        if len(report.refused) > MAX_REFUSED:
            raise LabelStudioError(
                f"Label Studio refuses more than {MAX_REFUSED} tasks, the last one with: {reason}; see the server's log"
            )

    def _look_up(self, project: int, keys: Sequence[str]) -> dict[str, int]:
        """The task ids of those push keys that the server has; the lowest of each."""
        found: dict[str, int] = {}
        for part in _batches(keys, LOOKUP):
            for task in self._tasks(project, "id,data", _filter(f"data.{PUSH_KEY}", "in_list", "List", part)):
                found.setdefault(task.data[PUSH_KEY], task.id)
        return found

    def asked(self, project: int) -> dict[int, str]:
        """The push keys of all tasks of a project by their ids; empty where a task is somebody else's.

        What was noted or pulled before and is not here was deleted. Only the two together name a task:
        on SQLite, the server gives the id of a deleted newest task to the next one.
        """
        return {task.id: _key(task) for task in self._tasks(project, "id,data")}

    def reconcile(self, asked: dict[int, str]) -> dict[int, str]:
        """Delete tasks that ask a question a second time, and return those that are left.

        A task with annotations or drafts is never deleted; among the others the lowest id stays.

        Args:
            asked: push keys by task id, as ``asked`` tells them.
        """
        same: dict[str, list[int]] = {}
        for task, key in sorted(asked.items()):
            same.setdefault(key, []).append(task)
        surplus: dict[int, str] = {}
        with self._explained("cannot remove duplicate tasks"):
            for key, ids in same.items():
                if key and len(ids) > 1:
                    states = {task: self._state(task, key) for task in ids}
                    idle = [task for task in ids if states[task] is _State.IDLE]
                    surplus |= dict.fromkeys(idle if _State.WORKED_ON in states.values() else idle[1:], key)
        self.withdraw(surplus)
        return {task: key for task, key in asked.items() if task not in surplus}

    def withdraw(self, tasks: dict[int, str]) -> int:
        """Delete those tasks that carry their push key and have neither annotations nor drafts; count them."""
        withdrawn = 0
        with self._explained("cannot take tasks back"):
            for task, key in tasks.items():
                if self._state(task, key) is _State.IDLE:
                    self._sdk.tasks.delete(id=str(task))
                    withdrawn += 1
        return withdrawn

    def _state(self, task: int, key: str) -> _State:
        from label_studio_sdk.core.api_error import ApiError

        try:
            full = self._sdk.tasks.get(id=str(task))
        except ApiError as error:
            if error.status_code == _NOT_FOUND:
                return _State.GONE
            raise
        if _key(full) != key:
            return _State.GONE
        return _State.WORKED_ON if full.annotations or full.drafts else _State.IDLE

    # --- pull ---------------------------------------------------------------------------------
    def pull(self, project: int, since: datetime | None) -> Pull:
        """Everything that changed since a watermark, and a little from before it; all without one.

        All, too, where the watermark lies in the server's future.

        Tasks without a push key are somebody else's and are left out. Deleted tasks are not seen here,
        see ``asked``.
        """
        changed = []
        now = self._clock
        if since and now and since > now + _CLOCK_TOLERANCE:
            # The server's clock was ahead when the mark was set, or was set back: what is new looks old.
            since = None
        if since is not None:
            # The server fails without microseconds and without the Z.
            start = (since.astimezone(UTC) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            changed.append(_filter("updated_at", "greater_or_equal", "Datetime", start))
        tasks, watermark = [], since
        for task in self._tasks(project, _ANSWERED, *changed, fields="all"):
            annotations = [PulledAnnotation.model_validate(item) for item in task.annotations or []]
            times = [task.updated_at, *(annotation.updated_at for annotation in annotations)]
            watermark = max([*times, watermark] if watermark else times)
            if key := task.data.get(PUSH_KEY):
                record_id = task.data.get(RECORD_ID, "")
                tasks.append(PulledTask(task_id=task.id, push_key=key, record_id=record_id, annotations=annotations))
        # A single time in the future would hide all that comes until then.
        return Pull(tasks=tasks, watermark=min(watermark, now) if watermark and now else watermark)

    # --- answers by program -------------------------------------------------------------------
    def ensure_user(self, email: str, first_name: str, last_name: str) -> int:
        """The id of a user; created if there is none (without a password: for answers by program)."""
        with self._explained(f"cannot open the user {email}"):
            known = [user for user in self._sdk.users.list() if user.email == email]
            user = (
                known[0]
                if known
                else self._sdk.users.create(email=email, username=email, first_name=first_name, last_name=last_name)
            )
        return int(user.id)

    def unanswered(self, project: int) -> list[OpenTask]:
        """The tasks that have no annotation, with what is proposed for them."""
        return [
            OpenTask(
                task_id=task.id,
                push_key=task.data.get(PUSH_KEY, ""),
                record_id=task.data.get(RECORD_ID, ""),
                proposal=task.predictions[0].result or [] if task.predictions else [],
            )
            for task in self._tasks(project, "id,data,annotations,predictions,result", fields="all")
            if not task.annotations
        ]

    def annotate(self, task_id: int, result: list[dict[str, Any]], user: int, skipped: bool = False) -> None:
        """Submit an answer, or a skip, in a user's name."""
        with self._explained(f"cannot annotate task {task_id}"):
            self._sdk.annotations.create(
                id=task_id, result=result, completed_by=user, was_cancelled=skipped, ground_truth=False
            )

    # --- requests -----------------------------------------------------------------------------
    def _tasks(self, project: int, include: str, *filters: dict[str, Any], fields: Any = "task_only") -> Iterator[Any]:
        """All tasks that pass the filters, in the order of their ids.

        Each page starts behind the last id, so that tasks that come or go meanwhile shift none.
        """
        last = 0
        while True:
            chosen = {"conjunction": "and", "items": [_filter("id", "greater", "Number", last), *filters]}
            query = json.dumps({"filters": chosen, "ordering": ["tasks:id"]}, separators=(",", ":"))
            with self._explained("cannot list tasks"):
                page = self._sdk.tasks.list(
                    project=project, fields=fields, include=include, query=query, page=1, page_size=PAGE
                )
            tasks: list[Any] = page.items or []
            yield from tasks
            if len(tasks) < PAGE:
                return
            last = tasks[-1].id

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn the SDK's errors into ours."""
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except ApiError as error:
            raise LabelStudioError(f"{what}: {self._explain(error)}") from error
        except httpx.InvalidURL as error:
            raise LabelStudioError(f"{what}: '{self.url}' is no address ({error}); set LABEL_STUDIO_URL") from error
        except httpx.TransportError as error:
            raise Unreachable(
                f"{what}: Label Studio does not answer at {self.url} ({_line(error)}); "
                "start one with `goldleaf label-studio`, or set LABEL_STUDIO_URL"
            ) from error

    def _explain(self, error: "ApiError") -> str:
        match error.status_code:
            case 401 | 403:
                return f"{self.url} refuses the token; set LABEL_STUDIO_API_KEY (it stands in Account & Settings)"
            case 404:
                return f"{self.url} has no such page; it is no Label Studio, or the project was deleted"
            case int(status) if 300 <= status < 400:
                target = (error.headers or {}).get("location", "elsewhere")
                return f"{self.url} sends us to {target}; set LABEL_STUDIO_URL to where that ends"
            case 200 | None:
                return f"{self.url} answers, but not like a Label Studio; check LABEL_STUDIO_URL"
            case status:
                return f"Label Studio answers {status}: {_detail(error)}"


def _filter(name: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}


def _key(task: Any) -> str:
    """The push key of a task; empty where it is somebody else's."""
    return str((task.data or {}).get(PUSH_KEY) or "")


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))


def _detail(error: Exception) -> str:
    """What the server says went wrong."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        problems = body.get("validation_errors") or body.get("detail") or body
        return _line(problems if isinstance(problems, str) else json.dumps(problems, ensure_ascii=False))
    return _line(body or error)


def _line(text: object) -> str:
    line = (str(text).strip() or type(text).__name__).splitlines()[0]
    return line if len(line) <= 300 else f"{line[:297]}..."
