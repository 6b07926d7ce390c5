"""A Label Studio in memory, behind real HTTP on loopback, for tests that live through too many days for a real one.

It answers the requests that we send, and does what the real one was seen to do: like SQLite it gives the id of a
deleted newest row to the next one, an edit of an annotation moves its task's time, and a batch is taken whole or not
at all.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loopback import Reply, serving

from pipeline.review.label_studio_requests import TESTED

TOKEN = "0123456789abcdef0123456789abcdef01234567"
Row = dict[str, Any]


@dataclass
class FakeStudio:
    """Projects, tasks, annotations and users of one server."""

    url: str = ""
    token: str = TOKEN
    projects: dict[int, Row] = field(default_factory=dict)
    tasks: dict[int, Row] = field(default_factory=dict)
    annotations: dict[int, Row] = field(default_factory=dict)
    views: dict[int, Row] = field(default_factory=dict)
    labels: dict[int, Row] = field(default_factory=dict)
    users: dict[int, Row] = field(default_factory=lambda: {1: {"id": 1, "email": "admin@example.com"}})
    imported: Counter[str] = field(default_factory=Counter)
    """How often each push key was sent."""
    deleted: Counter[str] = field(default_factory=Counter)
    """How many tasks with each push key were deleted."""
    opened: set[int] = field(default_factory=set)
    """The tasks that are open before somebody."""
    drops_predictions: bool = False
    """As on SQLite while somebody else writes: tasks are taken, their predictions are not."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def tick(self) -> str:
        """The server's time; every change has one of its own."""
        self.now = max(self.now + timedelta(milliseconds=1), datetime.now(UTC))
        return self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    # --- HTTP -------------------------------------------------------------------------------------
    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        address = urlsplit(path)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        parts = [part for part in address.path.split("/") if part][1:]
        status, answer = self._answer(method, parts, query, json.loads(body) if body else None)
        return status, {"content-type": "application/json"}, b"" if answer is None else json.dumps(answer).encode()

    def _answer(self, method: str, parts: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        match method, parts:
            case "GET", ["current-user", "whoami"]:
                return 200, self.users[1]
            case "GET", ["version"]:
                return 200, {"release": TESTED}
            case "GET", ["invite"]:
                return 200, {"invite_url": "/user/signup/?token=welcome"}
            case "GET", ["users"]:
                return 200, list(self.users.values())
            case "POST", ["users"]:
                return 201, self._add(self.users, body)
            case "GET", ["projects"]:
                return 200, {"count": len(self.projects), "results": list(self.projects.values())}
            case "POST", ["projects"]:
                return 201, self._add(self.projects, body | {"created_at": self.tick()})
            case "PATCH", ["projects", number] if used := self._used_names(int(number), body):
                return 400, {"label_config": [f"Created annotations are incompatible with it: {', '.join(used)}"]}
            case "PATCH", ["projects", number]:
                self.projects[int(number)] |= body
                return 200, self.projects[int(number)]
            case "POST", ["projects", number, "import"]:
                return 201, self._import(int(number), body)
            case "POST", ["projects", _, "import", "predictions"]:
                return 201, self._predict(body)
            case "POST", ["dm", "actions"] if query["id"] == "predictions_to_annotations":
                return 200, {"detail": f"Created {self._confirm(int(query['project']))} annotations"}
            case "POST", ["dm", "actions"]:
                return 200, {"processed_items": self._delete_idle(int(query["project"]), body)}
            case "POST", ["labels"]:
                return 201, [self._label(body[0])]
            case "GET", ["tasks"]:
                return 200, self._page(query)
            case "GET", ["dm", "views"]:
                mine = [view for view in self.views.values() if view["project"] == int(query["project"])]
                return 200, sorted(mine, key=lambda view: view.get("order", 0))
            case "POST", ["dm", "views", "order"]:
                for place, number in enumerate(body["ids"]):
                    self.views[number]["order"] = place
                return 200, None
            case "POST", ["dm", "views"]:
                return 201, self._add(self.views, body)
            case "PATCH", ["dm", "views", number]:
                self.views[int(number)] |= body
                return 200, self.views[int(number)]
            case "DELETE", ["dm", "views", number]:
                del self.views[int(number)]
                return 204, None
            case "POST", ["tasks", number, "annotations"] if int(number) in self.tasks:
                return 201, self.annotate(int(number), body)
        return self._one(method, parts, body)

    def _one(self, method: str, parts: list[str], body: Any) -> tuple[int, Any]:
        kind, number = parts[0], int(parts[1])
        rows: dict[int, Row] = getattr(self, kind, {})
        if number not in rows:
            return 404, {"detail": "Not found."}
        match method, kind:
            case "GET", "tasks":
                return 200, self._full(rows[number])
            case "GET", _:
                return 200, rows[number]
            case "PATCH", "tasks":
                self.tasks[number] |= {"data": body["data"], "updated_at": self.tick()}
                return 200, self.tasks[number]
            case "DELETE", "tasks":
                self.delete_task(number)
                return 204, None
            case "PATCH", "labels":
                rows[number] |= body | {"updated_at": self.tick()}
                return 200, rows[number]
            case "DELETE", "labels":
                del rows[number]
                return 204, None
            case "DELETE", "projects":
                for task in [key for key, row in self.tasks.items() if row["project"] == number]:
                    self.delete_task(task)
                del rows[number]
                return 204, None
            case "PATCH", "annotations":
                rows[number] |= body | {"updated_at": self.tick()}
                self.tasks[rows[number]["task"]]["updated_at"] = self.tick()
                return 200, rows[number]
            case "DELETE", "annotations":
                self.tasks[rows.pop(number)["task"]]["updated_at"] = self.tick()
                return 204, None
        return 405, {"detail": f"{method} is not allowed"}

    # --- what the server does ---------------------------------------------------------------------
    def _add(self, rows: dict[int, Row], row: Row) -> Row:
        number = max(rows, default=0) + 1
        rows[number] = row | {"id": number}
        return rows[number]

    def _used_names(self, project: int, body: Row) -> list[str]:
        """The controls and objects of annotations in a project that a new form for it does not have; labels may go."""
        mine = [row for row in self.annotations.values() if self.tasks[row["task"]]["project"] == project]
        used = {region[key] for row in mine for region in row["result"] for key in ("from_name", "to_name")}
        form = body.get("label_config")
        return sorted(one for one in used if f'name="{one}"' not in form) if form else []

    def _label(self, new: Row) -> Row:
        """The label with a title, of which there is one."""
        known = next((row for row in self.labels.values() if row["title"] == new["title"]), None)
        return known or self._add(self.labels, new | {"updated_at": self.tick()})

    def _import(self, project: int, tasks: list[Row]) -> Row:
        made = []
        for task in tasks:
            self.imported[task["data"].get("push_key", "")] += 1
            times = {"created_at": self.tick(), "updated_at": self.tick()}
            made.append(self._add(self.tasks, {"predictions": []} | task | times | {"project": project})["id"])
        if self.drops_predictions:
            self.tasks |= {number: self.tasks[number] | {"predictions": []} for number in made}
        kept = sum(len(self.tasks[number]["predictions"]) for number in made)
        return {"task_count": len(tasks), "prediction_count": kept, "task_ids": made}

    def _predict(self, predictions: list[Row]) -> Row:
        for one in predictions:
            self.tasks[one["task"]]["predictions"].append(one)
        return {"created": len(predictions)}

    def _delete_idle(self, project: int, body: Row) -> int:
        """The action of that name; there are no drafts here."""
        worked_on = {row["task"] for row in self.annotations.values()} | self.opened
        keys = next(item["value"] for item in body["filters"]["items"] if item["operator"] == "in_list")
        chosen = [
            number
            for number in body["selectedItems"]["included"]
            if (task := self.tasks.get(number)) and task["project"] == project and number not in worked_on
            if task["data"].get("push_key") in keys
        ]
        for number in chosen:
            self.delete_task(number)
        return len(chosen)

    def _confirm(self, project: int) -> int:
        """The action *Create Annotations From Predictions*: whatever is proposed is an answer of who has pressed it."""
        mine = [(task["id"], one) for task in self.tasks.values() if task["project"] == project
                for one in task["predictions"]]  # fmt: skip
        for number, one in mine:
            self.annotate(number, {"result": one["result"], "parent_prediction": 1})
        return len(mine)

    def annotate(self, task: int, body: Row) -> Row:
        defaults = {"was_cancelled": False, "completed_by": 1, "lead_time": None, "parent_prediction": None}
        times = {"created_at": self.tick(), "updated_at": self.tick()}
        self.tasks[task]["updated_at"] = self.tick()
        return self._add(self.annotations, defaults | body | times | {"task": task})

    def _full(self, task: Row) -> Row:
        answers = [row for row in self.annotations.values() if row["task"] == task["id"]]
        return task | {"annotations": answers, "drafts": []}

    def _counted(self, task: Row) -> Row:
        answers = [one for one in self.annotations.values() if one["task"] == task["id"] and not one["was_cancelled"]]
        given = [number for number, one in self.annotations.items() if one["task"] == task["id"]]
        open_before = {"draft_exists": False, "annotations_ids": given, "locks": task["id"] in self.opened}
        return task | open_before | {"total_annotations": len(answers), "total_predictions": len(task["predictions"])}

    def _page(self, query: dict[str, str]) -> Row:
        filters = json.loads(query["query"])["filters"]["items"] if "query" in query else []
        chosen = [
            task
            for number, task in sorted(self.tasks.items())
            if task["project"] == int(query["project"]) and all(_passes(self._counted(task), item) for item in filters)
        ]
        page = chosen[: int(query.get("page_size", 100))]
        shown = [self._full(task) for task in page] if query.get("fields") == "all" else page
        there = {task["id"] for task in chosen}
        answers = sum(row["task"] in there and not row["was_cancelled"] for row in self.annotations.values())
        return {"total": len(chosen), "total_annotations": answers, "tasks": shown}

    def delete_task(self, number: int) -> None:
        """Delete a task with all that was said about it."""
        self.deleted[self.tasks.pop(number)["data"].get("push_key", "")] += 1
        self.annotations = {key: row for key, row in self.annotations.items() if row["task"] != number}


def _passes(task: Row, item: Row) -> bool:
    name, value = item["filter"].removeprefix("filter:tasks:"), item["value"]
    found = task["data"].get(name.removeprefix("data.")) if name.startswith("data.") else task[name]
    match item["operator"]:
        case "greater":
            return bool(found > value)
        case "greater_or_equal":
            return bool(found >= value)
        case "less_or_equal":
            return bool(found <= value)
        case "equal":
            return bool(found == value)
        case "not_contains":
            return found is not None and value not in found
        case "empty":
            return (not found) == value
        case "in_list":
            return found in value
    raise AssertionError(f"no such operator: {item['operator']}")


@contextmanager
def fake_studio(
    around: Callable[[FakeStudio], Callable[[str, str, bytes], Reply]] = lambda fake: fake,
) -> Iterator[FakeStudio]:
    """A running one; ``around`` may put something between it and those who ask."""
    fake = FakeStudio()
    with serving(around(fake)) as server:
        fake.url = server.url
        yield fake


def refusing(text: bytes) -> Callable[[FakeStudio], Callable[[str, str, bytes], Reply]]:
    """For ``fake_studio``: a server that refuses each import with a task that contains a text."""

    def around(fake: FakeStudio) -> Callable[[str, str, bytes], Reply]:
        def answer(method: str, path: str, body: bytes) -> Reply:
            refuses = method == "POST" and "/import" in path and text in body
            return (400, {}, b"{}") if refuses else fake(method, path, body)

        return answer

    return around
