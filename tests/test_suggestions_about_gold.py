"""A suggesting model is judged by gold items: asked first, never shown them, and no annotator sees what it said."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from desk import Desk, Row, rename
from fake_studio import FakeStudio
from loopback import Reply
from model_server import ModelServer, completion, last_user_text
from report_toys import section
from support import row, write_rows
from team import ANA, BEN
from terminal import Terminal
from test_suggestions import TEXTS, by_words, labeled, opened, shop

from pipeline.reporting.score_of_suggestions import SuggestionScore
from pipeline.reporting.status import read_status
from pipeline.reporting.write_report import write_report
from pipeline.state.tables import Table

TOPICS = list(TEXTS)
KNOWN: list[Row] = [row(n, f"Gold item {n}: " + TEXTS[TOPICS[n % 3]].format(n, n), TOPICS[n % 3]) for n in range(10)]
OPEN: list[Row] = [row(100 + n, TEXTS[TOPICS[n % 3]].format(n * 7 + 50, n * 31 + 400), None) for n in range(6)]
WRONG = ("Gold item 3:", "Gold item 7:")


def mostly_right(request: dict[str, Any], number: int) -> Reply:
    """A model that is wrong about two gold items."""
    if last_user_text(request).startswith(WRONG):
        return completion(json.dumps({"topic": "returns"}))
    return by_words(request, number)


@contextmanager
def with_gold(
    folder: Path, rows: list[Row], suggest: str = "", more: str = "review: {budget: 50, audit: 0.0}\n"
) -> Iterator[tuple[Terminal, ModelServer]]:
    """A dataset with a gold source of ten rows."""
    with shop(folder, rows, mostly_right, suggest, more) as (terminal, server):
        file = folder / "dataset.yaml"
        source = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{source}", 1))
        write_rows(folder, KNOWN, "known.jsonl")
        yield terminal, server


def score(folder: Path) -> SuggestionScore:
    found = read_status(opened(folder)).suggestions
    assert found is not None
    return found


def test_gold_items_are_asked_first_and_counted_in_the_accuracy_with_its_interval(tmp_path: Path) -> None:
    with with_gold(tmp_path, OPEN, ", rows: unlabeled") as (terminal, server):
        terminal.json("curate")
        asked = [last_user_text(request) for request in server.asked]
    assert len(asked) == 16 and all(text.startswith("Gold item") for text in asked[:10])
    found = score(tmp_path)
    assert (found.blind, found.gold, found.right) == (10, 10, 8)
    assert found.lines[1] == "right in 8 of 10 known answers, 10 of gold items: 80.0% (49.0% to 94.3%)"
    page = section(write_report(opened(tmp_path), to=tmp_path / "page.html").read_text(), "suggestions")
    assert "Right in 8 of 10 known answers, 10 of gold items. right 80.0% 49.0% to 94.3%" in page


def test_gold_items_are_a_fifth_of_the_limit_at_most(tmp_path: Path) -> None:
    with with_gold(tmp_path, OPEN, ", limit: 10") as (terminal, server):
        terminal.json("curate")
        asked = [last_user_text(request) for request in server.asked]
    assert sum(text.startswith("Gold item") for text in asked) == 2
    assert len(asked) == 8, "the others are the unlabeled rows"


def test_gold_items_are_never_examples_for_the_model(tmp_path: Path) -> None:
    """Beside them, nobody has answered anything."""
    with with_gold(tmp_path, [*labeled(6), *OPEN], ", examples: 3") as (terminal, server):
        terminal.json("curate")
        terminal.json("curate")
        told = [message for request in server.asked for message in request["messages"]]
    assert {message["role"] for message in told} == {"system", "user"}


def test_annotators_see_nothing_of_the_model_in_gold_items(tmp_path: Path, studio: FakeStudio) -> None:
    team = f"review: {{budget: 50, audit: 0.0, annotators: [{ANA}, {BEN}], gold: 0.5}}\n"
    with with_gold(tmp_path, OPEN, more=team):
        rename(tmp_path, tmp_path.name)
        desk = Desk(tmp_path, studio.url, studio.token)
        with desk.api, desk.client:
            desk.curate()
            sent = desk.context.store.scan(Table.PUSHES).filter(pl.col("seat").str.starts_with("gold")).collect()
            tasks = {task["id"]: task for task in desk.tasks()}
            hidden = [tasks[task_id] for task_id in sent["task_id"]]
            shown = [task for task_id, task in tasks.items() if task_id not in set(sent["task_id"])]
            desk.submit(hidden[0]["id"], desk.result("billing"), hidden[0]["data"]["assigned"])
            desk.collect()
    assert hidden and not any(task.get("predictions") or task["data"]["candidates"] for task in hidden)
    assert shown and all(task.get("predictions") for task in shown)
    found = score(tmp_path)
    assert (found.blind, found.gold, found.acceptance) == (10, 10, []), "an answer to a copy is about the annotator"
