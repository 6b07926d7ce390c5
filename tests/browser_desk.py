"""An annotator before a real browser, and the tasks whose forms are tried there."""

import datetime
import itertools
from collections.abc import Iterator
from typing import Any, Literal

from playwright.sync_api import Locator, Page, Response, expect
from pydantic import Field, create_model

from flows.local.studio_server import LocalStudio
from pipeline.review.form import labeling_config
from pipeline.review.label_studio import LabelStudio
from pipeline.review.labeling_tasks import LabelingAnswer, LabelingQuestion, labeling_task, read_result
from schemas.task import Input, Target, Task
from schemas.tasks.contract_clause import ContractClause

NUMBERS = itertools.count()
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 800, "height": 1000}
SIZES = (WIDE, {"width": 1280, "height": 800}, NARROW)


class Order(Task):
    """Extract what the message orders."""

    message: Input[str]
    article: Target[str]
    price: Target[float]
    currency: Target[Literal["EUR", "USD"]]
    pieces: Target[int | None] = None
    due: Target[datetime.date | None] = None
    urgent: Target[bool | None] = None
    remarks: Target[list[str]] = Field(default_factory=list)


ORDER = {
    "article": "Rope,\n12 mm",
    "price": -0.05,
    "currency": "USD",
    "pieces": 1234567890123456789,
    "due": "2024-02-29",
    "urgent": False,
    "remarks": ["by ship", "<b>soon</b>"],
}


INTENTS = [
    *(
        f"{what}_{how}"
        for what in ("card", "transfer", "refund", "top_up")
        for how in ("late", "fee", "failed", "limit")
    ),
    *(f"balance_not_updated_after_{what}_or_cash_deposit_{day}" for what in ("cheque", "card") for day in range(20)),
    "W" * 60,
    "refund_<b>not</b>_showing_&amp;_up",
    "country_support",
]

Town = Literal["aalen", "bonn", "celle", "dahn", "emden", "fulda", "gera", "hof", "jena", "kiel", "lahr", "ulm"]


class Trip(Task):
    """Name both ends of the trip."""

    text: Input[str]
    start: Target[Town]
    goal: Target[Town]


Intent = create_model(
    "Intent", __base__=Task, __doc__="What is asked?", text=(Input[str], ...), intent=(Target[Literal[*INTENTS]], ...)
)
Topics = create_model(
    "Topics", __base__=Task, __doc__="Which?", text=(Input[str], ...), topics=(Target[set[Literal[*INTENTS]]], ...)
)

# The name of each choice, without its hotkey, and whether it leaves its column or the form.
SHOWN = """labels => labels.map(label => {
    const text = document.createRange();
    text.selectNodeContents(label);
    const [inner, column] = [text, label.closest(".lsf-choice")].map(part => part.getBoundingClientRect());
    const form = label.closest(".goldleaf-form").getBoundingClientRect();
    const name = label.textContent.replace(label.querySelector("sup").textContent, "");
    return {name, overflows: inner.right > Math.min(column.right, form.right) + 1};
})"""


class Shirt(Task):
    """Choose; there are more choices than hotkeys."""

    text: Input[str]
    size: Target[Literal["S", "M", "L", "XL"] | None] = None
    colour: Target[Literal["red", "blue", "green", "white"]]
    cut: Target[Literal["slim", "regular", "wide"]]


def log_in(page: Page, studio: LocalStudio) -> None:
    """Log in as the user whom the server was started for; where a page was asked for before, it opens then."""
    if not page.url.startswith(f"{studio.url}/user/login"):
        page.goto(f"{studio.url}/user/login")
    page.fill("#email", studio.username)
    page.fill("#password", studio.password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/user/login" not in url)


class Desk:
    """An annotator before the browser: opens the task of a new project, presses keys, submits."""

    def __init__(self, page: Page, client: LabelStudio) -> None:
        self.page, self.client, self.keys = page, client, page.keyboard
        self.task: type[Task] = ContractClause
        self.project = 0

    def open(self, task: type[Task], text: str, proposal: dict[str, Any] | None = None) -> None:
        """Ask one question, and wait until its form is there and filled."""
        self.task, marker = task, f"goldleaf:browser-{next(NUMBERS)}"
        self.project = self.client.open_project(marker, marker, labeling_config(task), task.task_instruction())
        question = LabelingQuestion(
            push_key="k",
            record_id="r",
            inputs={task.task_names("input")[0]: text},
            why="Because <i>why</i>.",
            proposal=proposal,
        )
        self.client.push(self.project, [labeling_task(task, question)], lambda task_ids: None)
        self.page.goto(f"{self.client.url}/projects/{self.project}/data?labeling=1")
        expect(self.page.locator("button[name=submit]")).to_be_enabled()
        expect(self.page.locator(".goldleaf-text")).to_contain_text(text.splitlines()[0])
        # A prediction is filled in a moment after the form is there.
        if proposal and "article" in proposal:
            expect(self.field("article")).to_have_value(proposal["article"])
        elif proposal:
            expect(self.page.locator(".goldleaf-field input:checked")).to_have_count(
                sum(len(value) if isinstance(value, list) else 1 for value in proposal.values())
            )

    def field(self, name: str) -> Any:
        """The text field of a target."""
        return self.page.locator(f'.goldleaf-field [name="{name}"], .goldleaf-field [name^="{name}:"]').first

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.keys.press(key)

    def chosen(self) -> list[str]:
        """The names of what is chosen, without what stands for nothing in a filter."""
        script = "chosen => chosen.map(input => input.name).filter(name => name !== '\\u2060')"
        names: list[str] = self.page.locator(".goldleaf-form input:checked").evaluate_all(script)
        return names

    def sizes(self) -> Iterator[None]:
        """Try each size of the window, and end with the first."""
        for size in (*SIZES, WIDE):
            self.page.set_viewport_size(size)
            yield

    def expect_in_sight(self, *names: str) -> None:
        """Wait until these chosen ones can be seen in full, and no others: a page settles a moment after a change."""
        script = """names => JSON.stringify(names) === JSON.stringify(
            [...document.querySelectorAll(".goldleaf-many input:checked")].filter(chosen => {
                const {left, right, top, bottom} = chosen.closest("label").getBoundingClientRect();
                const seen = [top + 1, bottom - 1].map(y => document.elementFromPoint(left + 1, y)?.closest("label"));
                return seen.every(label => label?.contains(chosen));
            }).map(chosen => chosen.name))"""
        self.page.wait_for_function(script, arg=list(names), timeout=10_000)

    def search(self, text: str, key: str = "Shift+F") -> Locator:
        """Leave only the choices with a text. The filter cannot be reached in its first 200 ms."""
        box = self.page.get_by_placeholder(f"Filter ({key}), Enter selects the first")
        expect(box).to_be_visible()
        self.press(key)
        self.keys.type(text)
        return box

    def filter(self, text: str, key: str = "Shift+F") -> None:
        """Take the first choice that a text leaves; then the filter gives the focus up, within a few frames."""
        box = self.search(text, key)
        self.press("Enter")
        expect(box).not_to_be_focused()

    def tab_to(self, name: str) -> None:
        """Press Tab until a field, or with "BUTTON" any button, has the focus."""
        for _ in range(80):
            self.press("Tab")
            if name == self.focused():
                return
        raise AssertionError(f"Tab does not reach {name}")

    def focused(self) -> str:
        """The field that has the focus, or "BUTTON" or "BODY"."""
        script = "/BUTTON|BODY/.exec(document.activeElement.tagName)?.[0] ?? document.activeElement.name"
        return str(self.page.evaluate(script)).split(":")[0]

    def submit(self, key: str = "Control+Enter") -> LabelingAnswer:
        """Press the key and read what the server has then."""

        def is_saved(response: Response) -> bool:
            return "/annotations" in response.url and response.request.method == "POST"

        with self.page.expect_response(is_saved) as saved:
            self.press(key)
        assert saved.value.ok
        [task] = self.client.pull(self.project, None).tasks
        [annotation] = task.annotations
        return read_result(self.task, annotation.result, annotation.was_cancelled)
