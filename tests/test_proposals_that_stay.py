"""A server that loses proposals gets them again, once: while people label, one on SQLite takes tasks without them."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from studio_clauses import clauses, new_project, nothing
from support import row
from terminal import Terminal

from flows.local.annotating_client import AnnotatingClient
from flows.local.studio_server import LocalStudio
from schemas.tasks.contract_clause import ContractClause

ROWS = [
    row(
        key,
        f"What of the parcel with number {key // 2 * 7919}, sent in week {key // 2}?",
        ("delivery", "billing")[key % 2],
    )
    for key in range(6)
]
"""Each question twice, with different answers: annotators are asked about one of the two."""
EVERYTHING = "review: {budget: 100, audit: 0.0}\n"
HELD = 10.0
"""Seconds. The server waits for a lock for five, then for three before it imports again."""


class BesideAWriter(httpx.HTTPTransport):
    """The network; from the first import on, somebody else writes to the server's database for a while."""

    def __init__(self, studio: LocalStudio) -> None:
        super().__init__()
        self.database = sqlite3.connect(
            studio.data / "label_studio.sqlite3", isolation_level=None, check_same_thread=False
        )
        self.counted: list[int] = []
        """The proposals that each import has kept, as the server says."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/import"):
            return super().handle_request(request)
        if not self.counted:
            self.database.execute("BEGIN IMMEDIATE")
            threading.Timer(HELD, self.database.rollback).start()
        response = super().handle_request(request)
        self.counted.append(json.loads(response.read())["prediction_count"])
        return response


def on_tasks(api: httpx.Client, project: int) -> list[int]:
    """How many proposals each task has."""
    answer = api.get(f"/api/tasks?project={project}&fields=all&page_size=100").raise_for_status()
    return [len(task["predictions"]) for task in answer.json()["tasks"]]


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    """Three questions that begin with an answer, on a server that loses it."""
    studio.drops_predictions = True
    with desk_at(studio, tmp_path, ROWS, EVERYTHING) as desk:
        yield desk
    studio.drops_predictions = False


def test_proposals_that_are_lost_while_somebody_writes_are_sent_again_once(label_studio: LocalStudio) -> None:
    transport = BesideAWriter(label_studio)
    with AnnotatingClient(label_studio.url, label_studio.token, transport=transport) as client:
        project = new_project(client, ContractClause, "busy")
        report = client.push(project, clauses("a", "b", "c"), nothing)
        assert transport.counted == [0], "the server has taken the tasks and lost their proposals"
        assert (report.pushed, len(report.task_ids), report.refused) == (3, 3, [])
        header = {"Authorization": f"Token {label_studio.token}"}
        with httpx.Client(base_url=label_studio.url, headers=header) as api:
            assert on_tasks(api, project) == [1, 1, 1]
            client.push(project, clauses("a", "b", "c"), nothing)
            assert on_tasks(api, project) == [1, 1, 1], "none is doubled"


def test_a_curate_leaves_no_question_without_its_proposal(desk: Desk) -> None:
    assert desk.curate().review.sent == 3
    assert on_tasks(desk.api, desk.project) == [1, 1, 1]


def test_reconcile_counts_lost_proposals_and_fills_them_in_again(desk: Desk, studio: FakeStudio) -> None:
    desk.curate()
    lost = desk.tasks()[:2]
    for task in lost:
        studio.tasks[task["id"]]["predictions"] = []
    terminal = Terminal(desk.folder, studio.url, studio.token)
    found = terminal.json("reconcile", "--dry-run")["before"]
    assert found["unproposed"] == sorted(f"record {task['data']['record_id']}" for task in lost)
    shown = terminal.goldleaf("reconcile").stdout
    assert "2 open questions whose proposal is gone: filled in again (" in shown and "now both agree" in shown
    assert on_tasks(desk.api, desk.project) == [1, 1, 1]
    assert "the server and this home agree" in terminal.goldleaf("reconcile").stdout


def test_questions_that_are_asked_blind_have_lost_nothing(studio: FakeStudio, tmp_path: Path) -> None:
    blind = [row(key, f"What of the parcel with number {key * 7919}, sent in week {key}?", None) for key in range(6)]
    with desk_at(studio, tmp_path, blind, EVERYTHING) as desk:
        desk.curate()
        found = Terminal(desk.folder, studio.url, studio.token).json("reconcile")["before"]
        assert (found["unproposed"], on_tasks(desk.api, desk.project)) == ([], [0] * 6)
