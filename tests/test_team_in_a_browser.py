"""A team before real browsers: two annotators with accounts of their own, a disagreement, a third who decides, gold.

With PICTURES=folder in the environment, what they see is photographed there.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from desk import Desk, Row, desk_at
from playwright.sync_api import Browser, Page, expect
from support import row, write_rows
from team import go_on, review, seats, there, whose

from flows.local.studio_server import LocalStudio
from pipeline.reporting.annotators import read_annotators
from pipeline.reporting.status import read_status
from pipeline.state.tables import Table
from schemas.fate import Fate, LabelSource

expect.set_options(timeout=20_000)
WIDE = {"width": 1280, "height": 800}
ANA, BEN, CLEO = (f"{name}@team.example.com" for name in ("ana", "ben", "cleo"))
PASSWORD = "a-long-one-4711"
ROWS: list[Row] = [
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", "billing"),
    row(3, "How do I send back shoes?", None),
    row(4, "Can somebody bring it on Sundays?", None),
    row(5, "Who pays for the way back?", None),
]
KNOWN: list[Row] = [row(101, "Which day will my sofa come?", "delivery"), row(102, "May I return the lamp?", "returns")]
KEYS = {"billing": "1", "delivery": "2", "returns": "3"}


@dataclass
class Seated:
    """An annotator before a browser, logged in."""

    name: str
    page: Page

    def picture(self, what: str) -> None:
        """Photograph what is shown, if pictures are wanted."""
        if folder := os.environ.get("PICTURES"):
            self.page.screenshot(path=Path(folder) / f"team-{self.name.partition('@')[0]}-{what}.png")

    def open_tab(self, address: str) -> None:
        """The own tasks in the Data Manager."""
        self.page.goto(address)
        expect(self.page.get_by_text(self.name, exact=True).first).to_be_visible()

    def work(self, answer: Callable[[str], str], what: str = "form") -> list[str]:
        """Answer the own tasks one after the other, as displayed; returns their texts."""
        self.page.locator("button[aria-label='Toggle open']").last.click()
        self.page.get_by_text("Label Tasks As Displayed").click()
        done: list[str] = []
        while text := self._next(done):
            done.append(text)
            if len(done) == 1:
                self.picture(what)
            self.page.keyboard.press(answer(text))
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
        return "" if none.count() else shown.inner_text().strip()


@contextmanager
def annotators(browser: Browser, studio: LocalStudio, desk: Desk, *names: str) -> Iterator[list[Seated]]:
    """People who follow the link of an invitation, and so make accounts of their own."""
    link = desk.api.get("/api/invite").raise_for_status().json()["invite_url"]
    contexts = [browser.new_context(viewport=WIDE, locale="en-US") for _ in names]
    found = []
    for name, context in zip(names, contexts, strict=True):
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(f"{studio.url}{link}")
        page.fill("#email", name)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/user/signup" not in url)
        found.append(Seated(name, page))
    yield found
    for context in contexts:
        context.close()


def truth(text: str) -> str:
    """The key of the right answer to each of the questions."""
    topic = "delivery" if re.search("parcel|bring|sofa", text) else "billing" if "charged" in text else "returns"
    return KEYS[topic]


def test_a_team_answers_disagrees_and_a_third_decides(
    browser: Browser, label_studio: LocalStudio, tmp_path: Path
) -> None:
    keys = (f"annotators: [{ANA}, {BEN}, {CLEO}]", "overlap: 1.0", "gold: 0.2")
    with desk_at(label_studio, tmp_path, ROWS, review(*keys)) as desk:
        file = tmp_path / "dataset.yaml"
        source = "  - {name: known, path: known.jsonl, key: id, license: MIT, gold: true}\n"
        file.write_text(file.read_text().replace("sources:\n", f"sources:\n{source}", 1))
        write_rows(tmp_path, KNOWN, "known.jsonl")
        assert desk.curate().review.strangers == [ANA, BEN, CLEO]
        with annotators(browser, label_studio, desk, ANA, BEN, CLEO) as team:
            review_batch = desk.curate().review
            assert review_batch.strangers == []
            by_name = {one.name: one for one in team}
            panel = whose(desk, 5)
            third = ({ANA, BEN, CLEO} - set(panel.values())).pop()
            dealt = {one.name: [task for task in desk.tasks() if task["data"]["assigned"] == one.name] for one in team}
            for one in team:
                one.open_tab(review_batch.tabs[one.name])
                one.picture("tab")
                is_wrong = one.name == panel["second"]
                done = one.work(lambda text, wrong=is_wrong: "1" if wrong and "way back" in text else truth(text))
                assert sorted(done) == sorted(task["data"]["question"] for task in dealt[one.name])
            go_on(desk)
            assert desk.decision(5).fate is Fate.REVIEW
            assert [desk.decision(key).targets for key in (1, 3, 4)] == [
                {"topic": topic} for topic in ("delivery", "returns", "delivery")
            ]
            adjudicator = by_name[third]
            adjudicator.open_tab(desk.curate().review.tabs[third])
            adjudicator.picture("adjudication-tab")
            offered = [one["value"] for one in there(desk, 5)["adjudicator"]["candidates"]]
            key = f"Shift+{1 + ['returns' in one for one in offered].index(True)}"
            assert adjudicator.work(lambda text: key, "adjudication") == ["Who pays for the way back?"]
            go_on(desk)
            decided = desk.decision(5)
            assert (decided.fate, decided.label_source) == (Fate.ACCEPTED, LabelSource.HUMAN)
            assert decided.targets == {"topic": "returns"}
        lines = {line.annotator: line for line in read_annotators(desk.context, datetime.now(UTC)).annotators}
        assert {name: line.gold.of for name, line in lines.items()} == golds(desk)
        assert all(line.gold.estimate is None or line.gold.estimate.value == 1.0 for line in lines.values())
        assert all(line.seconds for line in lines.values())
        assert seats(desk, 5).keys() >= {"first", "second", "adjudicator"}
        assert read_status(desk.context).waiting == 0


def golds(desk: Desk) -> dict[str, int]:
    """How many gold items were sent to each."""
    sent = desk.context.store.scan(Table.PUSHES).filter(pl.col("seat").str.starts_with("gold")).collect()
    return {name: sent.filter(annotator=name).height for name in (ANA, BEN, CLEO)}
