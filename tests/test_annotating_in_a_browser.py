"""What an annotator does, in a real Chromium: by keyboard, on the forms that Goldleaf makes."""

import datetime
import itertools
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, Response, expect
from pydantic import Field, create_model

from flows.local.studio_server import LocalStudio
from pipeline.review.form import labeling_config
from pipeline.review.label_studio import LabelStudio
from pipeline.review.labeling_tasks import LabelingAnswer, LabelingQuestion, labeling_task, read_result
from schemas.annotation import Verdict
from schemas.task import Input, Target, Task
from schemas.tasks.contract_clause import ContractClause

expect.set_options(timeout=20_000)

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


class Desk:
    """An annotator before the browser: opens the task of a new project, presses keys, submits."""

    def __init__(self, page: Page, client: LabelStudio) -> None:
        self.page, self.client, self.keys = page, client, page.keyboard
        self.task: type[Task] = ContractClause
        self.project = 0

    def open(self, task: type[Task], text: str, proposal: dict[str, Any] | None = None) -> None:
        """Ask one question, and wait until its form is there and filled."""
        self.task, marker = task, f"goldleaf:browser-{next(NUMBERS)}"
        self.project = self.client.ensure_project(marker, marker, labeling_config(task), task.task_instruction())
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
            expect(self.page.locator(".goldleaf-field input:checked")).to_have_count(len(proposal))

    def field(self, name: str) -> Any:
        """The text field of a target."""
        return self.page.locator(f'.goldleaf-field [name="{name}"], .goldleaf-field [name^="{name}:"]').first

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.keys.press(key)

    def chosen(self) -> list[str]:
        """The names of what is chosen."""
        script = "chosen => chosen.map(input => input.name)"
        names: list[str] = self.page.locator(".goldleaf-form input:checked").evaluate_all(script)
        return names

    def sizes(self) -> Iterator[None]:
        """Try each size of the window, and end with the first."""
        for size in (*SIZES, WIDE):
            self.page.set_viewport_size(size)
            yield

    def in_sight(self) -> str:
        """The name of the chosen one, where it can be seen in full."""
        script = """chosen => {
            const {left, right, top, bottom} = chosen.closest("label").getBoundingClientRect();
            const seen = [top + 1, bottom - 1].map(y => document.elementFromPoint(left + 1, y)?.closest("label"));
            return seen.every(label => label?.contains(chosen)) ? chosen.name : "";
        }"""
        return str(self.page.locator(".goldleaf-many input:checked").evaluate(script))

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


@pytest.fixture(scope="module")
def page(browser: Browser, label_studio: LocalStudio) -> Iterator[Page]:
    """A browser window of a user who has logged in."""
    context = browser.new_context(viewport=WIDE, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{label_studio.url}/user/login")
    page.fill("#email", label_studio.username)
    page.fill("#password", label_studio.password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{label_studio.url}/")
    yield page
    context.close()


@pytest.fixture
def desk(page: Page, label_studio: LocalStudio) -> Iterator[Desk]:
    with LabelStudio(label_studio.url, label_studio.token) as client:
        yield Desk(page, client)


# --- classification -------------------------------------------------------------------------------
def test_a_digit_and_ctrl_enter_label_a_clause(desk: Desk) -> None:
    desk.open(ContractClause, "This agreement renews itself.", {"kind": "term"})
    desk.press("3")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets={"kind": "renewal"})


def test_stray_typing_relabels_nothing(desk: Desk) -> None:
    desk.open(ContractClause, "This agreement renews itself.", {"kind": "term"})
    desk.keys.type("qwertzuiopasdfghjklyxcvbnm QWERTZUIOPASDGHJKLYXCVBNM")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets={"kind": "term"})


def test_the_filter_finds_one_of_many_kinds(desk: Desk) -> None:
    desk.open(ContractClause, "The supplier keeps insured.")
    desk.filter("insur")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets={"kind": "insurance"})


def test_after_the_filter_the_hotkeys_work_again(desk: Desk) -> None:
    desk.open(ContractClause, "The supplier keeps insured.")
    desk.filter("insur")
    desk.press("3")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets={"kind": "renewal"})


def test_a_choice_that_the_filter_leaves_is_taken_by_keyboard(desk: Desk) -> None:
    desk.open(ContractClause, "The supplier keeps insured.", {"kind": "insurance"})
    desk.search("term")
    desk.tab_to("termination_for_convenience")
    desk.press("Space")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets={"kind": "termination_for_convenience"})


def test_choosing_what_is_chosen_takes_it_back_and_submit_warns(desk: Desk) -> None:
    desk.open(ContractClause, "Some clause.", {"kind": "term"})
    desk.press("2")
    assert desk.chosen() == []
    desk.press("2")
    assert desk.chosen() == ["term"]
    desk.filter("term")
    assert desk.chosen() == []
    desk.press("Control+Enter")
    expect(desk.page.get_by_text("Fill in: Kind. Or choose unusable or unsure.")).to_be_visible()


def test_an_empty_form_is_not_submitted_and_says_what_is_missing(desk: Desk) -> None:
    desk.open(ContractClause, "Some clause.")
    desk.press("Control+Enter")
    expect(desk.page.get_by_text("Fill in: Kind. Or choose unusable or unsure.")).to_be_visible()
    assert desk.client.pull(desk.project, None).tasks[0].annotations == []


def test_skipping_is_not_a_label_though_the_form_was_filled(desk: Desk) -> None:
    desk.open(ContractClause, "Some clause.", {"kind": "term"})
    assert desk.submit("Control+Space") == LabelingAnswer(verdict=Verdict.SKIPPED)


def test_an_answer_is_deleted_behind_the_dots_of_its_tab(desk: Desk) -> None:
    desk.open(ContractClause, "Some clause.", {"kind": "term"})
    desk.submit()
    desk.page.goto(f"{desk.client.url}/projects/{desk.project}/data")
    desk.page.locator(".lsf-table").get_by_text("Some clause.").click()
    tab = desk.page.locator(".lsf-annotation-button_submitted")
    tab.hover()
    tab.locator(".lsf-annotation-button__trigger").click()
    desk.page.get_by_text("Delete Annotation").click()
    with desk.page.expect_response(lambda response: response.request.method == "DELETE"):
        desk.page.get_by_role("button", name="Delete").click()
    assert desk.client.pull(desk.project, None).tasks[0].annotations == []


# --- unusable and unsure --------------------------------------------------------------------------
@pytest.mark.parametrize(("key", "verdict"), [("Alt+x", Verdict.UNUSABLE), ("Alt+u", Verdict.UNSURE)])
def test_unusable_and_unsure_need_no_other_field(desk: Desk, key: str, verdict: Verdict) -> None:
    desk.open(Order, "Lorem ipsum")
    desk.press(key)
    expect(desk.page.get_by_text("Nothing else is needed.")).to_be_visible()
    assert desk.submit() == LabelingAnswer(verdict=verdict)


def test_unusable_can_be_taken_back(desk: Desk) -> None:
    desk.open(ContractClause, "Some clause.", {"kind": "term"})
    desk.press("Alt+x", "Alt+x")
    expect(desk.page.locator(".goldleaf-fields")).to_be_visible()
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets={"kind": "term"})


# --- extraction -----------------------------------------------------------------------------------
def test_a_right_proposal_is_accepted_with_one_key_and_unchanged(desk: Desk) -> None:
    desk.open(Order, "We order rope.", ORDER)
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=ORDER)


def test_a_form_is_filled_by_keyboard_alone(desk: Desk) -> None:
    desk.open(Order, "We order rope.")
    for name, text in (("article", "Rope"), ("price", "-0.05"), ("pieces", "7"), ("due-date", "02292024")):
        desk.tab_to(name)
        desk.keys.type(text)
    desk.tab_to("remarks")
    desk.keys.type("by ship")
    desk.press("Enter")
    desk.keys.type("soon")
    desk.tab_to("BUTTON")
    desk.press("Shift+2", "Shift+3")
    targets = {
        "article": "Rope",
        "price": -0.05,
        "currency": "USD",
        "pieces": 7,
        "due": "2024-02-29",
        "urgent": True,
        "remarks": ["by ship", "soon"],
    }
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=targets)


def test_a_proposal_is_corrected_and_what_is_optional_can_be_emptied(desk: Desk) -> None:
    desk.open(Order, "We order rope.", ORDER)
    for name in ("article", "pieces"):
        desk.tab_to(name)
        desk.press("Control+a", "Backspace")
        desk.keys.type("Rope" if name == "article" else "")
    desk.tab_to("due-date")
    desk.press("Delete", "Tab", "Delete", "Tab", "Delete")
    desk.tab_to("remarks")
    desk.tab_to("remarks")
    desk.press("Control+a", "Backspace")
    desk.tab_to("BUTTON")
    desk.press("Shift+4", "Shift+1")
    targets = {
        "article": "Rope",
        "price": -0.05,
        "currency": "EUR",
        "pieces": None,
        "due": None,
        "urgent": None,
        "remarks": ["<b>soon</b>"],
    }
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=targets)


def test_tab_goes_from_field_to_field_and_past_the_choices(desk: Desk) -> None:
    desk.open(Order, "We order rope.", ORDER)
    desk.field("price").click()
    passed = ["price"]
    while "BUTTON" not in passed:
        desk.press("Tab")
        passed.append(desk.focused())
    assert list(dict.fromkeys(passed)) == ["price", "pieces", "due-date", "remarks", "BUTTON"]
    desk.press("Shift+1", "Alt+x", "Alt+x")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=ORDER | {"currency": "EUR"})


def test_a_click_on_a_choice_leaves_the_hotkeys_alive(desk: Desk) -> None:
    desk.open(Order, "We order rope.", ORDER)
    desk.field("price").click()
    desk.page.locator(".lsf-choice", has_text="EUR").click()
    assert desk.chosen() == ["EUR", "no"]
    desk.press("Shift+3")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=ORDER | {"currency": "EUR", "urgent": True})


def test_a_choice_for_which_no_hotkey_is_left_is_reached_with_tab(desk: Desk) -> None:
    desk.open(Shirt, "A wide one.", {"size": "S", "colour": "red", "cut": "slim"})
    desk.tab_to("wide")
    desk.press("Space", "Shift+1")
    targets = {"size": None, "colour": "red", "cut": "wide"}
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=targets)


def test_digits_typed_on_the_number_pad_stay_in_the_field(desk: Desk) -> None:
    desk.open(Order, "We order rope.", ORDER)
    desk.field("price").click()
    desk.press("Control+a")
    devtools = desk.page.context.new_cdp_session(desk.page)
    for digit in "12":
        key = {"key": digit, "code": f"Numpad{digit}", "windowsVirtualKeyCode": 96 + int(digit), "isKeypad": True}
        devtools.send("Input.dispatchKeyEvent", {"type": "keyDown", "text": digit, **key})
        devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})
    expect(desk.field("price")).to_have_value("12")
    desk.tab_to("BUTTON")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=ORDER | {"price": 12.0})


# --- what it looks like ---------------------------------------------------------------------------
def test_the_text_is_shown_as_it_is_with_the_reason_beside_it(desk: Desk) -> None:
    text = "<script>alert(1)</script> $why &amp;\n  indented <b>bold</b>"
    desk.open(Order, text)
    assert desk.page.locator(".goldleaf-text").inner_text().split("\n")[:2] == text.split("\n")
    expect(desk.page.locator(".goldleaf-why")).to_have_text("Why you see thisBecause <i>why</i>.")
    expect(desk.page.locator(".goldleaf-form")).to_contain_text("Extract what the message orders.")


def test_the_form_is_beside_the_text_if_there_is_room_else_below_it(desk: Desk) -> None:
    desk.open(ContractClause, "This agreement renews itself. " * 200)
    text, form = desk.page.locator(".goldleaf-text"), desk.page.locator(".goldleaf-form")
    boxes = []
    for size in (WIDE, NARROW):
        desk.page.set_viewport_size(size)
        boxes.append((text.bounding_box(), form.bounding_box()))
    desk.page.set_viewport_size(WIDE)
    (wide_text, wide_form), (narrow_text, narrow_form) = boxes
    assert wide_text and wide_form and narrow_text and narrow_form
    assert wide_form["x"] > wide_text["x"] + wide_text["width"]
    assert narrow_form["y"] >= narrow_text["y"] + narrow_text["height"]
    assert narrow_form["y"] < NARROW["height"], "a long text scrolls by itself and does not push the form away"


def test_long_choice_names_stay_in_their_column(desk: Desk) -> None:
    desk.open(Intent, "Why?", {"intent": "card_fee"})
    for _ in desk.sizes():
        shown = desk.page.locator(".goldleaf-many .lsf-choice label > span:last-child").evaluate_all(SHOWN)
        assert [one["name"] for one in shown] == INTENTS
        assert [one["name"] for one in shown if one["overflows"]] == []


def test_the_chosen_one_of_many_stays_in_sight(desk: Desk) -> None:
    desk.open(Intent, "Why?", {"intent": "country_support"})
    assert [desk.in_sight() for _ in desk.sizes()] == ["country_support"] * 4
    desk.press("1")
    for _ in desk.sizes():
        desk.page.locator(".goldleaf-review").scroll_into_view_if_needed()
        assert desk.in_sight() == "card_late"


def test_the_text_stays_in_sight_beside_a_form_that_is_longer_than_the_window(desk: Desk) -> None:
    desk.open(Intent, "Why was my card declined?", {"intent": "country_support"})
    text = desk.page.locator(".goldleaf-text")
    desk.page.set_viewport_size({"width": 1440, "height": 500})
    before = text.bounding_box()
    desk.page.locator(".goldleaf-review").scroll_into_view_if_needed()
    assert desk.page.locator(".goldleaf-form").bounding_box()["y"] < 0
    expect(text).to_be_in_viewport(ratio=1)
    assert before and text.bounding_box()["x"] == before["x"]
    desk.page.set_viewport_size(WIDE)


def test_each_field_of_many_choices_has_a_filter_key_of_its_own(desk: Desk) -> None:
    desk.open(Trip, "From Ulm to Bonn", None)
    desk.filter("bonn", "Shift+G")
    desk.filter("ulm")
    answer = desk.submit()
    assert answer.targets == {"start": "ulm", "goal": "bonn"}


def test_the_list_does_not_jump_when_another_is_chosen(desk: Desk) -> None:
    desk.open(Intent, "Why?", {"intent": "country_support"})
    choices = desk.page.locator(".goldleaf-many .lsf-choice")
    places = "choices => choices.slice(5, 20).map(choice => choice.getBoundingClientRect().toJSON())"
    before = choices.evaluate_all(places)
    choices.filter(has_text="card_fee").click()
    assert desk.chosen() == ["card_fee"]
    desk.press("3")
    assert desk.chosen() == ["card_failed"]
    assert choices.evaluate_all(places) == before


def test_labeling_needs_nothing_from_other_hosts(desk: Desk) -> None:
    requested: list[str] = []
    desk.page.on("request", lambda request: requested.append(request.url))
    desk.open(ContractClause, "Some clause.", {"kind": "term"})
    assert requested
    assert [url for url in requested if not url.startswith((desk.client.url, "data:", "blob:"))] == []
