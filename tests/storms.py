"""Two homes push to a real Label Studio over a bad connection and pull from it, taking over from each other, while one
annotator works and kill -9 ends either side; once it is calm, nothing is lost or doubled.
"""

import json
import os
import shutil
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx
from desk import Desk, rename
from forked import process
from loopback import CUT, LOST, MUTE, Reply, serving
from storm_actors import BROKEN, act
from support import row, write_dataset, write_rows
from team import ANA, BEN, CLEO

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from flows.settings import Settings
from pipeline.review.queue import asked_now, marker
from pipeline.review.seat_questions import proposing
from pipeline.state.tables import Table

TOPICS = ("billing", "delivery", "returns")
_JSON = {"content-type": "application/json"}
_FAULTS = ("reset", "500", "500 after", "lost", "mute", "mute after", "cut", "slow", "late")
Row = dict[str, Any]


class BadConnection:
    """A proxy on loopback on which a share of the requests fails, before or after the server has done them."""

    def __init__(self, studio: LocalStudio, random: Random) -> None:
        self.random, self.share = random, 0.0
        self.late: list[threading.Thread] = []
        header = {"Authorization": f"Token {studio.token}", "Content-Type": "application/json"}
        self.upstream = httpx.Client(base_url=studio.url, headers=header, timeout=60)

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        # A push is one import among dozens of requests, and the one that can double everything.
        share = 4 * self.share if method == "POST" and path.split("?")[0].endswith("/import") else self.share
        fault = self.random.choice(_FAULTS) if self.random.random() < share else ""
        match fault:
            case "reset":
                return LOST, {}, b""
            case "500":
                return 500, _JSON, b'{"detail": "out of order"}'
            case "mute":
                return MUTE, {}, b""
            case "late":
                thread = threading.Thread(target=self._later, args=(method, path, body))
                self.late.append(thread)
                thread.start()
                return LOST, {}, b""
            case "slow":
                time.sleep(0.5)
            case _:
                pass
        try:
            answer = self.upstream.request(method, path, content=body)
        except httpx.HTTPError:
            return LOST, {}, b""
        content = {"content-type": answer.headers.get("content-type", "")}
        reply = answer.status_code, content, answer.content
        after = {"500 after": (500, _JSON, b"{}"), "lost": (LOST, {}, b""), "mute after": (MUTE, {}, b"")}
        return after.get(fault, (CUT, content, answer.content) if fault == "cut" else reply)

    def _later(self, method: str, path: str, body: bytes) -> None:
        time.sleep(1.0)
        with suppress(httpx.HTTPError):
            self.upstream.request(method, path, content=body)

    def calm(self) -> None:
        """No more faults, and what was late has arrived."""
        self.share = 0.0
        for thread in self.late:
            thread.join()
        self.late.clear()


class Annotator:
    """Who answers, edits, skips, drafts and deletes, directly on the server, as one or several people, and knows what
    was confirmed.
    """

    def __init__(self, desk: Desk, random: Random, names: Sequence[str]) -> None:
        self.desk, self.random = desk, random
        self.people = [desk.client.ensure_user(name, "", "") for name in names]
        self.stopped = threading.Event()
        self.answers: dict[int, int] = {}
        """The task of each confirmed annotation that nobody has deleted, as far as we know."""
        self.confirmed = 0

    def work(self, project: int) -> None:
        """Do one thing after the other until stopped."""
        while not self.stopped.wait(0.05):
            with suppress(httpx.HTTPError, ValueError):
                self._act(project)

    def _act(self, project: int) -> None:
        api, desk = self.desk.api, self.desk
        page = api.get(f"/api/tasks?project={project}&fields=task_only&include=id&page_size=200").raise_for_status()
        tasks = [task["id"] for task in page.json()["tasks"]]
        mine = [number for number, task in self.answers.items() if task in tasks]
        what = self.random.choices(["answer", "skip", "edit", "delete", "draft", "bulk"], [10, 2, 4, 2, 1, 1])[0]
        if what in ("answer", "skip") and tasks:
            task = self.random.choice(tasks)
            body: Row = {"result": desk.result(self.random.choice(TOPICS)), "was_cancelled": what == "skip"}
            body["completed_by"] = self.random.choice(self.people)
            made = api.post(f"/api/tasks/{task}/annotations/", json=body).raise_for_status()
            self.answers[made.json()["id"]] = task
            self.confirmed += 1
        elif what == "edit" and mine:
            desk.edit(self.random.choice(mine), self.random.choice(TOPICS))
        elif what == "delete" and mine:
            number = self.random.choice(mine)
            del self.answers[number]  # an unconfirmed deletion may have been done
            desk.delete(f"annotations/{number}")
        elif what == "draft" and tasks:
            api.post(f"/api/tasks/{self.random.choice(tasks)}/drafts", json={"result": desk.result("billing")})
        elif what == "bulk" and mine:
            source = self.random.choice(mine)
            self._bulk(project, source, self.random.sample(tasks, 2) if len(tasks) > 1 else tasks)

    def _bulk(self, project: int, source: int, tasks: list[int]) -> None:
        action = self.random.choice(["propagate_annotations", "delete_tasks_annotations", "remove_duplicates"])
        if action == "delete_tasks_annotations":
            self.answers = {number: task for number, task in self.answers.items() if task not in tasks}
        chosen = {"all": True, "excluded": []} if action == "remove_duplicates" else {"all": False, "included": tasks}
        body = {"selectedItems": chosen, "source_annotation_id": source}
        self.desk.api.post(f"/api/dm/actions/?id={action}&project={project}", json=body)


class Storm:
    """One dataset in two homes, as on two machines."""

    def __init__(self, folder: Path, studio: LocalStudio, seed: int, kills_server: bool) -> None:
        self.folder, self.studio, self.random, self.kills_server = folder, studio, Random(seed), kills_server
        self.rows: dict[int, Row] = {}
        # In every other storm a team, whose questions have two seats or three; in every fourth all three are asked.
        self.names = (ANA, BEN, CLEO) if seed % 2 else (ANA,)
        team = (
            f", annotators: [{', '.join(self.names)}], overlap: 0.5, overlap_annotators: {2 + seed // 2 % 2}"
            if seed % 2
            else ""
        )
        write_dataset(folder, [], f"review: {{budget: 1000, audit: 0.0{team}}}\n")
        file = folder / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id", "key: id, mode: snapshot"))
        rename(folder, f"storm-{seed}-{time.time_ns()}")
        self.change(12)
        self.homes = [folder / "one", folder / "two"]
        self.log = folder / "log"
        self.proposed = 0
        """Open tasks that must begin with an answer, and do."""

    def change(self, more: int) -> None:
        """Some rows come, one changes, one goes."""
        for _ in range(more):
            self.rows[len(self.rows) + 1] = self._row(len(self.rows) + 1)
        if len(self.rows) > more:
            changed, gone = self.random.sample(sorted(self.rows), 2)
            self.rows[changed] = self._row(changed)
            self.rows[gone] = self._row(gone) | {"question": ""}
        write_rows(self.folder, list(self.rows.values()))

    def _row(self, key: int) -> Row:
        """Annotators are asked the label of every other one, and whether to publish the address in the others."""
        about = f"What of number {self.random.randrange(10**9)}, of {self.random.randrange(10**9)}?"
        is_known = key % 2 == 0
        return row(key, f"{about} I am {key}@shop.example." if is_known else about, "delivery" if is_known else None)

    # --- the storm --------------------------------------------------------------------------------
    def rage(self, rounds: int) -> None:
        """Both homes push and pull while everything goes wrong; then it is calm, and everything must be right."""
        self._inline(self.homes[0])
        shutil.copytree(self.homes[0], self.homes[1])
        way = BadConnection(self.studio, self.random)
        desk = Desk(self.folder, self.studio.url, self.studio.token)
        annotator = Annotator(desk, Random(self.random.random()), self.names)
        with way.upstream, desk.api, desk.client, serving(way) as server:
            way.share = 0.15
            for number in range(rounds):
                with self._annotating(annotator, number):
                    verbs = [("curate", self.homes[0]), ("take over", self.homes[1])]
                    self.random.shuffle(self.homes)
                    verbs += [("collect", self.random.choice(self.homes))]
                    self._at_once(verbs, server.url)
                self.change(3)
            way.calm()
            for home in self.homes:
                self._calmly("collect", home)
            # The first one waits if the second one was killed while it sent: only that one's own machine may go on. And
            # a home that reads a row after its answers hears them in the curate after that.
            for home in (*self.homes, *self.homes):
                self._calmly("take over", home)
            self.check(annotator)

    @contextmanager
    def _annotating(self, annotator: Annotator, number: int) -> Iterator[None]:
        project = self._project()
        if project is None:
            yield
            return
        annotator.stopped.clear()
        thread = threading.Thread(target=annotator.work, args=(project,))
        thread.start()
        yield
        annotator.stopped.set()
        thread.join()

    def _at_once(self, verbs: list[tuple[str, Path]], url: str) -> None:
        running = [self._start(verb, home, url, hasty=True) for verb, home in verbs]
        for one in self.random.sample(running, 1):
            one.join(self.random.uniform(0.0, 2.0))
            one.kill()
        if self.kills_server and self.random.random() < 0.5:
            self._kill_server()
        for one in running:
            one.join(120)
            assert one.exitcode not in (None, BROKEN, 1), self.log.read_text()

    def _kill_server(self) -> None:
        pid = json.loads((self.studio.data / "running.json").read_text())["pid"]
        os.killpg(pid, signal.SIGKILL)
        self.studio.stop()
        self.studio.start()

    def _calmly(self, verb: str, home: Path) -> None:
        running = self._start(verb, home, self.studio.url, hasty=False)
        running.join(120)
        assert running.exitcode == 0, self.log.read_text()

    def _start(self, verb: str, home: Path, url: str, hasty: bool) -> Any:
        arguments = (verb, self.folder / "dataset.yaml", home, url, self.studio.token, self.log, hasty)
        running = process(act, *arguments)
        running.start()
        return running

    def _inline(self, home: Path) -> None:
        curate(self._context(home), Inline(), push=False)

    def _context(self, home: Path) -> Context:
        settings = Settings(goldleaf_home=str(home), label_studio_url="", prefect_api_url="")
        return Context.load(self.folder / "dataset.yaml", settings)

    def _project(self) -> int | None:
        with Desk(self.folder, self.studio.url, self.studio.token).client as client:
            return client.find_project(marker(self._context(self.homes[0]).dataset))

    # --- what must be true afterwards -------------------------------------------------------------
    def check(self, annotator: Annotator) -> None:
        """Compare the server's own rows with those of both homes."""
        project = self._project()
        assert project is not None
        assert self._twins(annotator.desk.api, project) == []
        tasks, answers = self._on_server(annotator.desk.api, project)
        log = self.log.read_text()
        assert not [number for number in annotator.answers if number not in answers], f"answers were lost\n{log}"
        copies = defaultdict(list)
        for task in tasks.values():
            copies[task["data"]["push_key"]].append(bool(task["annotations"] or task["drafts"]))
        for key, worked_on in copies.items():
            assert worked_on.count(False) <= (not any(worked_on)), f"{key} is asked twice\n{log}"
        for home in self.homes:
            context = self._context(home)
            asked = asked_now(context.store.snapshot().at_last_commit(), context.dataset)
            waiting = {one.key(context.dataset.task): one for one in asked}
            assert waiting.keys() <= copies.keys(), f"{home.name}: not asked\n{log}"
            # Nothing else says for which seat an answer is, and status would count it as not sent.
            noted = set(context.store.scan(Table.PUSHES).select("push_key").collect().to_series())
            assert waiting.keys() <= noted, f"{home.name}: asked, but not noted\n{log}"
            idle = {key for key, worked_on in copies.items() if not any(worked_on)}
            assert idle <= waiting.keys(), f"{home.name}: asked, but closed\n{log}"
            proposed = {task["data"]["push_key"] for task in proposing(waiting, context.dataset)}
            bare = {task["data"]["push_key"] for task in tasks.values() if not task["predictions"]}
            self.proposed += len(idle & proposed)
            assert not idle & proposed & bare, f"{home.name}: asked without what was proposed\n{log}"
            assert self._kept(context) == answers, f"{home.name}\n{log}"

    def _twins(self, api: httpx.Client, project: int) -> list[int]:
        """Other projects of the dataset that have tasks."""
        line = marker(self._context(self.homes[0]).dataset)
        found = api.get("/api/projects?page_size=1000&include=id,description,task_number").raise_for_status().json()
        ours = [one for one in found["results"] if line in (one["description"] or "").splitlines()]
        return [one["id"] for one in ours if one["id"] != project and one.get("task_number")]

    def _on_server(self, api: httpx.Client, project: int) -> tuple[dict[int, Row], dict[int, Row]]:
        page = api.get(f"/api/tasks?project={project}&fields=all&page_size=1000").raise_for_status().json()
        assert page["total"] == len(page["tasks"])
        tasks = {task["id"]: task for task in page["tasks"]}
        answers = {
            answer["id"]: {
                "task": task["id"], "result": answer["result"], "at": answer["updated_at"].rstrip("Z"),
                "key": task["data"]["push_key"], "skipped": answer["was_cancelled"],
            }
            for task in tasks.values()
            for answer in task["annotations"]
        }  # fmt: skip
        return tasks, answers

    def _kept(self, context: Context) -> dict[int, Row]:
        """The latest row of each annotation that is not deleted; no row is there twice."""
        rows = context.store.scan(Table.ANNOTATIONS).sort("run", maintain_order=True).collect()
        same = Counter(rows.select("annotation_id", "task_id", "updated_at", "deleted", "result", "run").rows())
        assert [one for one, times in same.items() if times > 1] == []
        last = {one["annotation_id"]: one for one in rows.iter_rows(named=True)}
        return {
            number: {
                "task": one["task_id"], "result": json.loads(one["result"]), "key": one["push_key"],
                "at": one["updated_at"].strftime("%Y-%m-%dT%H:%M:%S.%f"), "skipped": one["verdict"] == "skipped",
            }
            for number, one in last.items()
            if not one["deleted"]
        }  # fmt: skip
