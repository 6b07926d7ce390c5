"""A team before real browsers: accounts by invitation, a disagreement, a third who decides, gold, an audit, a repair.

With PICTURES=folder in the environment, what they see is photographed there.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from desk import Desk, Row, desk_at
from playwright.sync_api import Browser, Page, expect
from support import row, write_rows
from team import go_on, review, there, whose
from terminal import Terminal

from flows.local.studio_server import LocalStudio
from pipeline.state.tables import Table
from schemas.fate import Fate, LabelSource, Routed

expect.set_options(timeout=20_000)
WIDE = {"width": 1280, "height": 800}
ANA, BEN, CLEO = NAMES = tuple(f"{name}@team.example.com" for name in ("ana", "ben", "cleo"))
PASSWORD = "a-long-one-4711"
OPEN, AUDITED, DISPUTED, BROKEN = 1, 2, 3, 4
ROWS: list[Row] = [
    row(OPEN, "Where is my parcel?", None),
    row(AUDITED, "Why was I charged twice?", "billing"),
    row(DISPUTED, "Who pays for the way back?", None),
    row(BROKEN, "May I return it next year?", "retruns"),
]
GOLD: Row = row(101, "Which day will my sofa come?", "delivery")
KEYS = {"billing": "1", "delivery": "2", "returns": "3"}


@dataclass
class Seated:
    """An annotator before a browser, logged in."""

    name: str
    page: Page
    forms: dict[str, str] = field(default_factory=dict)
    """What the forms said and had filled in, by the text of the task."""

    def picture(self, what: str) -> None:
        """Photograph what is shown, if pictures are wanted."""
        if folder := os.environ.get("PICTURES"):
            self.page.screenshot(path=Path(folder) / f"team-{self.name.partition('@')[0]}-{what}.png")

    def open_tab(self, address: str, tasks: int) -> None:
        """The own tasks in the Data Manager."""
        self.page.goto(address)
        expect(self.page.get_by_text(self.name, exact=True).first).to_be_visible()
        expect(self.page.get_by_text(re.compile(f"Tasks: {tasks} /"))).to_be_visible()

    def work(self, answer: Callable[[str], str]) -> list[str]:
        """Answer the own tasks one after the other, as displayed; returns their texts. No key: leave what is there."""
        self.page.locator("button[aria-label='Toggle open']").last.click()
        self.page.get_by_text("Label Tasks As Displayed").click()
        done: list[str] = []
        while text := self._next(done):
            done.append(text)
            form = self.page.locator(".goldleaf-form")
            chosen = form.locator("input:checked").evaluate_all("all => all.map(one => one.name)")
            self.forms[text] = f"{form.inner_text()} {chosen}"
            self.picture(re.sub(r"\W+", "-", text.lower()).strip("-"))
            if key := answer(text):
                self.page.keyboard.press(key)
            # What is submitted faster than anybody can read confirms nothing.
            self.page.wait_for_timeout(300)
            with self.page.expect_response(lambda got: "/annotations" in got.url and got.request.method == "POST"):
                self.page.keyboard.press("Control+Enter")
        self.picture("done")
        return done

    def _next(self, done: list[str]) -> str:
        """The text of the next task; empty if there is none."""
        shown, none = (
            self.page.locator(".goldleaf-text"),
            self.page.get_by_text(re.compile("No more tasks|all done", re.I)),
        )
        last = done[-1] if done else "\0"
        expect(shown.filter(has_not_text=last).or_(none).first).to_be_visible()
        if none.count():
            return ""
        text = shown.inner_text().strip()
        if text == BROKEN_TEXT:
            expect(self.page.locator(".goldleaf-field input:checked")).to_have_count(1)
        return text


BROKEN_TEXT = str(ROWS[BROKEN - 1]["question"])
DISPUTED_TEXT = str(ROWS[DISPUTED - 1]["question"])


def truth(text: str) -> str:
    """The key of the right answer to each of the questions; what is filled in of the broken one is right."""
    if text == BROKEN_TEXT:
        return ""
    topic = "delivery" if re.search("parcel|sofa", text) else "billing" if "charged" in text else "returns"
    return KEYS[topic]


@dataclass
class Team:
    """A dataset of a lead, and three people whom the lead has invited."""

    desk: Desk
    terminal: Terminal
    members: dict[str, Seated]

    def tabs(self) -> dict[str, str]:
        """The addresses that the lead sends to each."""
        return {tab["title"]: tab["url"] for tab in self.terminal.json("invite")["tabs"]}

    def dealt(self, name: str) -> list[str]:
        """The texts of the open tasks that are for somebody."""
        tasks = [task for task in self.desk.tasks() if task["data"]["assigned"] == name and not task["annotations"]]
        return sorted(task["data"]["question"] for task in tasks)


@contextmanager
def invited(browser: Browser, desk: Desk, terminal: Terminal) -> Iterator[Team]:
    """People who follow the link that ``goldleaf invite`` prints, and so make accounts of their own."""
    link = terminal.json("invite")["invite"]
    with ExitStack() as stack:
        members = {}
        for name in NAMES:
            context = stack.enter_context(browser.new_context(viewport=WIDE, locale="en-US"))
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.goto(link)
            page.fill("#email", name)
            page.fill("#password", PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url(lambda url: "/user/signup" not in url)
            members[name] = Seated(name, page)
        yield Team(desk, terminal, members)


@pytest.fixture
def team(browser: Browser, label_studio: LocalStudio, tmp_path: Path) -> Iterator[Team]:
    keys = (f"annotators: [{', '.join(NAMES)}]", "overlap: 1.0", "gold: 0.2", "audit: 1.0")
    with desk_at(label_studio, tmp_path, ROWS, review(*keys)) as desk:
        file = tmp_path / "dataset.yaml"
        source = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{source}", 1))
        write_rows(tmp_path, [GOLD], "known.jsonl")
        terminal = Terminal(tmp_path, label_studio.url, label_studio.token)
        assert "no account" in terminal.goldleaf("curate").stdout
        with invited(browser, desk, terminal) as team:
            assert "no account" not in terminal.goldleaf("curate").stdout
            yield team


def test_a_team_answers_disagrees_repairs_and_a_third_decides(team: Team) -> None:
    desk, members = team.desk, team.members
    assert {one["email"] for one in team.terminal.json("invite")["accounts"]} >= set(NAMES)
    assert desk.decision(BROKEN).routed is Routed.REPAIR
    panel = whose(desk, DISPUTED)
    [third] = set(NAMES) - set(panel.values())
    _answer_all(team, wrong=panel["second"])
    _look_alike(members)
    go_on(desk)
    assert desk.decision(DISPUTED).fate is Fate.REVIEW
    decided = {key: (desk.decision(key).fate, desk.decision(key).targets) for key in (OPEN, AUDITED, BROKEN)}
    assert decided == {
        OPEN: (Fate.ACCEPTED, {"topic": "delivery"}),
        AUDITED: (Fate.ACCEPTED, {"topic": "billing"}),
        BROKEN: (Fate.ACCEPTED, {"topic": "returns"}),
    }
    assert desk.decision(BROKEN).label_source is LabelSource.HUMAN
    _adjudicate(team, third, others=set(panel.values()))
    assert "1 annotation changed, 1 record decided by annotators" in team.terminal.goldleaf("collect").stdout
    decision = desk.decision(DISPUTED)
    assert (decision.fate, decision.label_source) == (Fate.ACCEPTED, LabelSource.HUMAN)
    assert decision.targets == {"topic": "returns"}
    _told(team)


def _answer_all(team: Team, wrong: str) -> None:
    """Everybody answers everything in the own tab; one of them the disputed question wrongly."""
    tabs = team.tabs()
    for name, one in team.members.items():
        dealt = team.dealt(name)
        one.open_tab(tabs[name], len(dealt))
        one.picture("tab")
        done = one.work(lambda text, name=name: "1" if name == wrong and text == DISPUTED_TEXT else truth(text))
        assert sorted(done) == dealt


def _look_alike(members: dict[str, Seated]) -> None:
    """A gold item, an audit and a plain question look the same, and a repair shows what is left of its answer."""
    forms = {text: {one.forms[text] for one in members.values() if text in one.forms} for text in _texts(ROWS, GOLD)}
    [plain] = forms[str(GOLD["question"])]
    assert plain.endswith("[]")
    assert forms[str(ROWS[AUDITED - 1]["question"])] == forms[DISPUTED_TEXT] == {plain}
    [repair] = forms[BROKEN_TEXT]
    assert "please give a valid one" in repair and "retruns" in repair and "'returns'" in repair.rpartition(" ")[2]


def _texts(rows: list[Row], *more: Row) -> list[str]:
    return [str(one["question"]) for one in [*rows, *more]]


def _adjudicate(team: Team, third: str, others: set[str]) -> None:
    """The third finds the two answers without names, and nobody else finds anything."""
    tabs, members = team.tabs(), team.members
    for name in others:
        members[name].open_tab(tabs[name], 0)
    members[min(others)].picture("nothing-left")
    members[third].open_tab(tabs[third], 1)
    members[third].picture("adjudication-tab")
    offered = [one["value"] for one in there(team.desk, DISPUTED)["adjudicator"]["candidates"]]
    key = f"Shift+{1 + ['returns' in one for one in offered].index(True)}"
    assert members[third].work(lambda text: key) == [DISPUTED_TEXT]
    assert not any(name.partition("@")[0] in members[third].forms[DISPUTED_TEXT].lower() for name in others)


def _told(team: Team) -> None:
    """Status and annotators say what happened."""
    status = team.terminal.json("status")
    assert (status["accepted"], status["rejected"], status["review"], status["waiting"]) == (5, 0, 0, 0)
    assert "on 4 rows" in team.terminal.goldleaf("annotators").stdout
    lines: dict[str, Any] = {one["annotator"]: one for one in team.terminal.json("annotators")["annotators"]}
    sent = team.desk.context.store.scan(Table.PUSHES).filter(pl.col("seat").str.starts_with("gold")).collect()
    for name in NAMES:
        assert lines[name]["gold"]["of"] == sent.filter(annotator=name).height == 1
        assert lines[name]["gold"]["estimate"]["value"] == 1.0 and lines[name]["seconds"]
        assert lines[name]["answers"] == len(team.members[name].forms)
