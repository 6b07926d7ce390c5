"""A dataset whose questions go to the shared Label Studio, and an annotator who answers them there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from fake_studio import FakeStudio
from pydantic import SecretStr
from support import current, write_dataset, write_rows

from flows.collect import Collected, collect
from flows.context import Context
from flows.curate import Curated, curate
from flows.engines.engine import Inline
from flows.local.annotating_client import AnnotatingClient
from flows.local.studio_server import LocalStudio
from flows.settings import Settings
from pipeline.review.labeling_tasks import prediction_result, verdict_result
from pipeline.review.queue import marker
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.identity import stable_hash

Row = dict[str, object]


def rename(folder: Path, name: str) -> None:
    """Give the dataset of a folder a name, and with it a project, of its own on the shared server."""
    file = folder / "dataset.yaml"
    safe = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    file.write_text(file.read_text().replace("name: questions", f"name: {safe}", 1))


class Desk:
    """One dataset, curated and collected in this process, and its project on a server."""

    def __init__(self, folder: Path, url: str, token: str) -> None:
        self.folder = folder
        self.settings = Settings(
            goldleaf_home=str(folder / "home"),
            label_studio_url=url,
            label_studio_api_key=SecretStr(token),
            prefect_api_url="",
        )
        header = {"Authorization": f"Token {token}"}
        self.api = httpx.Client(base_url=url, headers=header, timeout=60)
        self.client = AnnotatingClient(url, token)
        self._people: dict[str, int] = {}
        self._decided: tuple[frozenset[tuple[Path, int]], dict[str, Decision]] = frozenset(), {}

    # --- the dataset --------------------------------------------------------------------------
    @property
    def context(self) -> Context:
        """The dataset as its files say now."""
        return Context.load(self.folder / "dataset.yaml", self.settings)

    def rows(self, *rows: Row) -> None:
        """Replace the data file."""
        write_rows(self.folder, list(rows))

    def curate(self) -> Curated:
        return curate(self.context, Inline())

    def collect(self) -> Collected:
        return collect(self.context, Inline())

    def id(self, key: int) -> str:
        """The record of a row's id."""
        return stable_hash("examples", f"int:{key}")

    def decision(self, key: int) -> Decision:
        """The decision that counts for a row's id; all are read anew once anything was written to a table."""
        written = frozenset(
            (path, path.stat().st_mtime_ns) for path in self.folder.glob("home/*/tables/*/_delta_log/*")
        )
        if self._decided[0] != written:
            self._decided = written, current(self.context)
        return self._decided[1][self.id(key)]

    # --- the server ---------------------------------------------------------------------------
    @property
    def project(self) -> int:
        project = self.client.find_project(marker(self.context.dataset))
        assert project is not None
        return project

    def tasks(self) -> list[dict[str, Any]]:
        """What annotators are shown, in their order."""
        answer = self.api.get(f"/api/tasks?project={self.project}&fields=all&page_size=500").raise_for_status()
        return list(answer.json()["tasks"])

    def asked(self) -> list[str]:
        """The records with a task, one entry a task."""
        return sorted(task["data"]["record_id"] for task in self.tasks())

    def task(self, key: int) -> int:
        """The task that asks the last sent question about a row."""
        pushes = self.context.store.scan(Table.PUSHES).filter(pl.col("record_id") == self.id(key)).collect()
        return int(pushes.sort("pushed_at")["task_id"][-1])

    # --- the annotator------------------------------------------------------------------------
    def label(self, key: int, topic: str, user: str = "first@example.com") -> int:
        """Answer with a topic, valid or not; returns the annotation."""
        return self.submit(self.task(key), self.result(topic), user)

    def say(self, key: int, verdict: Verdict) -> int:
        """Mark as unusable or unsure."""
        return self.submit(self.task(key), verdict_result(self.context.dataset.task, verdict))

    def skip(self, key: int, topic: str) -> int:
        """Skip a task whose form was filled."""
        return self.submit(self.task(key), self.result(topic), skipped=True)

    def edit(self, annotation: int, answer: str | list[dict[str, Any]]) -> None:
        """Change an annotation: to a topic, or to what the form would send."""
        body = {"result": self.result(answer) if isinstance(answer, str) else answer}
        self.api.patch(f"/api/annotations/{annotation}/", json=body).raise_for_status()

    def delete(self, what: str) -> None:
        """Delete ``annotations/ID``, ``tasks/ID`` or ``projects/ID``."""
        self.api.delete(f"/api/{what}/").raise_for_status()

    def result(self, topic: str) -> list[dict[str, Any]]:
        """An answer as the form would send it, except that it may be none of the choices."""
        regions = prediction_result(self.context.dataset.task, {"topic": "billing"})
        return [region | {"value": {"choices": [topic]}} for region in regions]

    def submit(
        self, task: int, result: list[dict[str, Any]], user: str = "first@example.com", skipped: bool = False
    ) -> int:
        if user not in self._people:
            self._people[user] = self.client.ensure_user(user, "", "")
        body = {"result": result, "was_cancelled": skipped, "completed_by": self._people[user]}
        answer = self.api.post(f"/api/tasks/{task}/annotations/", json=body).raise_for_status()
        return int(answer.json()["id"])


@contextmanager
def desk_at(studio: LocalStudio | FakeStudio, folder: Path, rows: list[Row], more: str = "") -> Iterator[Desk]:
    """A dataset of questions in a folder, with a project of its own on the server."""
    write_dataset(folder, rows, more)
    rename(folder, folder.name)
    desk = Desk(folder, studio.url, studio.token)
    with desk.api, desk.client:
        yield desk
