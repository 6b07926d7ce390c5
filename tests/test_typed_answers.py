"""The whole way of an answer: asked by curate, typed in a real Chromium, collected, and shown by explain."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser_desk import log_in
from playwright.sync_api import Browser, Page, Response, expect
from support import offline, write_rows
from terminal import Terminal

from flows.context import Context
from flows.local.studio_server import LocalStudio
from pipeline.review.label_studio import LabelStudio
from pipeline.review.queue import marker


class Annotator:
    """An annotator at Label Studio, with both hands on the keyboard."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.keys = page, url, page.keyboard

    def open(self, project: int, text: str) -> None:
        self.page.goto(f"{self.url}/projects/{project}/data?labeling=1")
        expect(self.page.locator("button[name=submit]")).to_be_enabled()
        expect(self.page.locator(".goldleaf-text")).to_contain_text(text)

    def fill(self, name: str, text: str) -> None:
        """Press Tab until a field has the focus, then type."""
        for _ in range(80):
            self.keys.press("Tab")
            if str(self.page.evaluate("document.activeElement.name || ''")).split(":")[0] == name:
                self.keys.type(text)
                return
        raise AssertionError(f"Tab does not reach {name}")

    def leave_the_field(self) -> None:
        """Press Tab until a button has the focus, so that digits are hotkeys again."""
        while self.page.evaluate("document.activeElement.tagName") != "BUTTON":
            self.keys.press("Tab")

    def submit(self) -> None:
        def is_saved(response: Response) -> bool:
            return "/annotations" in response.url and response.request.method == "POST"

        with self.page.expect_response(is_saved) as saved:
            self.keys.press("Control+Enter")
        assert saved.value.ok


@pytest.fixture
def annotator(browser: Browser, label_studio: LocalStudio) -> Iterator[Annotator]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(20_000)
    annotator = Annotator(page, label_studio.url)
    log_in(annotator.page, label_studio)
    yield annotator
    context.close()


def one_question(folder: Path, task: str, source: dict[str, Any], name: str) -> None:
    """A dataset with a single row that has no answer."""
    folder.mkdir()
    (folder / "dataset.yaml").write_text(
        f"name: {name}\ntask: {task}\nsources: [{{name: examples, path: data.jsonl, key: id}}]\n"
        "review: {budget: 1, audit: 0.0}\n",
        encoding="utf-8",
    )
    write_rows(folder, [{"id": "only", **source}])


CLAUSE = "The supplier keeps the goods insured until they are delivered."
INVOICE = "Please pay USD 1,250.50 to Miller & Sons for invoice A-17."


def test_what_an_annotator_types_becomes_a_human_decision_that_explain_tells(
    annotator: Annotator, label_studio: LocalStudio, tmp_path: Path
) -> None:
    tasks = "schemas.tasks.contract_clause:ContractClause", "schemas.tasks.invoice:Invoice"
    one_question(tmp_path / "clauses", tasks[0], {"clause": CLAUSE}, "typed-clauses")
    one_question(tmp_path / "invoices", tasks[1], {"text": INVOICE}, "typed-invoices")
    with in_browser(tmp_path / "clauses", label_studio, annotator, CLAUSE) as terminal:
        annotator.keys.press("3")
        annotator.submit()
    assert typed(terminal) == {"kind": "renewal"}
    with in_browser(tmp_path / "invoices", label_studio, annotator, INVOICE) as terminal:
        annotator.fill("vendor", "Müller & Söhne")
        annotator.fill("invoice_number", "A-17")
        annotator.fill("total", "1250.50")
        annotator.fill("due_date-date", "03312026")
        annotator.leave_the_field()
        annotator.keys.press("Shift+5")
        annotator.submit()
    assert typed(terminal) == {
        "vendor": "Müller & Söhne",
        "invoice_number": "A-17",
        "total": 1250.5,
        "currency": "USD",
        "due_date": "2026-03-31",
        "purchase_order": None,
    }


@contextmanager
def in_browser(folder: Path, studio: LocalStudio, annotator: Annotator, text: str) -> Iterator[Terminal]:
    """Curate, open the question for the annotator, and collect when it is answered."""
    terminal = Terminal(folder, studio.url, studio.token)
    assert terminal.json("curate", "dataset.yaml")["review"]["sent"] == 1
    with LabelStudio(studio.url, studio.token) as client:
        project = client.find_project(marker(Context.load(folder / "dataset.yaml", offline(folder)).dataset))
    assert project is not None
    annotator.open(project, text)
    yield terminal
    assert terminal.json("collect", "dataset.yaml")["decided"] == 1


def typed(terminal: Terminal) -> dict[str, object]:
    """The answer that ``explain`` shows, which must be the same as JSON and as text."""
    story = terminal.json("explain", "data.jsonl:1", "dataset.yaml")
    decision = story["decisions"][-1]
    assert (decision["fate"], decision["label_source"]) == ("accepted", "human")
    assert story["said"][-1]["verdict"] == "labeled"
    shown = terminal.goldleaf("explain", "data.jsonl:1", "dataset.yaml").stdout
    assert f"answer (human): {decision['answer']}" in shown
    assert story["said"][-1]["answer"] == decision["answer"]
    targets: dict[str, object] = decision["targets"]
    assert story["said"][-1]["targets"] == targets
    return targets
