"""What an annotator does, in a real Chromium: by keyboard, on the forms that Goldleaf makes."""

from collections.abc import Iterator

import pytest
from browser_desk import INTENTS, NARROW, ORDER, SHOWN, WIDE, Desk, Intent, Order, Shirt, Topics, Trip, log_in
from playwright.sync_api import Browser, Page, expect

from flows.local.studio_server import LocalStudio
from pipeline.review.label_studio import LabelStudio
from pipeline.review.labeling_tasks import LabelingAnswer
from schemas.annotation import Verdict
from schemas.tasks.contract_clause import ContractClause

expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def page(browser: Browser, label_studio: LocalStudio) -> Iterator[Page]:
    """A browser window of a user who has logged in."""
    context = browser.new_context(viewport=WIDE, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(20_000)
    log_in(page, label_studio)
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


def test_enter_in_an_empty_filter_changes_nothing(desk: Desk) -> None:
    desk.open(ContractClause, "The supplier keeps insured.", {"kind": "term"})
    box = desk.search("")
    desk.press("Enter", "Control+Enter", "Enter")
    expect(box).to_be_focused()
    assert desk.chosen() == ["term"]
    # Typed and deleted again, it gives the focus up, perhaps only after the next key.
    desk.keys.type("insur")
    desk.press(*["Backspace"] * 5, "Enter")
    expect(box).not_to_be_focused()
    assert desk.chosen() == ["term"]
    assert desk.client.pull(desk.project, None).tasks[0].annotations == []
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets={"kind": "term"})


def test_enter_in_an_empty_filter_adds_no_label_to_a_set(desk: Desk) -> None:
    desk.open(Topics, "Where is my card?", {"topics": ["card_late"]})
    box = desk.search("")
    desk.press("Enter", "Control+Enter")
    assert desk.chosen() == ["card_late"]
    desk.keys.type("card_fee")
    desk.press("Enter")
    expect(box).not_to_be_focused()
    assert desk.submit().targets == {"topics": ["card_late", "card_fee"]}


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
    desk.press("Shift+5", "Shift+6")
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
    desk.press("Shift+7", "Shift+4")
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
    desk.press("Shift+4", "Alt+x", "Alt+x")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=ORDER | {"currency": "EUR"})


def test_a_click_on_a_choice_leaves_the_hotkeys_alive(desk: Desk) -> None:
    desk.open(Order, "We order rope.", ORDER)
    desk.field("price").click()
    desk.page.locator(".lsf-choice", has_text="EUR").click()
    assert desk.chosen() == ["EUR", "no"]
    desk.press("Shift+6")
    assert desk.submit() == LabelingAnswer(verdict=Verdict.LABELED, targets=ORDER | {"currency": "EUR", "urgent": True})


def test_a_choice_for_which_no_hotkey_is_left_is_reached_with_tab(desk: Desk) -> None:
    desk.open(Shirt, "A wide one.", {"size": "S", "colour": "red", "cut": "slim"})
    desk.tab_to("wide")
    desk.press("Space", "Shift+4")
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
        shown = desk.page.locator(".goldleaf-all .lsf-choice label > span:last-child").evaluate_all(SHOWN)
        assert [one["name"] for one in shown] == INTENTS
        assert [one["name"] for one in shown if one["overflows"]] == []


def test_the_chosen_one_of_many_stays_in_sight(desk: Desk) -> None:
    desk.open(Intent, "Why?", {"intent": "country_support"})
    for _ in desk.sizes():
        desk.expect_in_sight("country_support")
    desk.press("1")
    for _ in desk.sizes():
        desk.page.locator(".goldleaf-review").scroll_into_view_if_needed()
        desk.expect_in_sight("card_late")


def test_two_chosen_labels_of_many_stay_in_sight(desk: Desk) -> None:
    desk.open(Topics, "Why?", {"topics": ["card_late", "country_support"]})
    desk.page.set_viewport_size({"width": 1280, "height": 500})
    desk.expect_in_sight("card_late", "country_support")
    desk.press("2", "3")
    desk.page.locator(".goldleaf-review").scroll_into_view_if_needed()
    desk.expect_in_sight("card_late", "card_fee", "card_failed", "country_support")
    desk.page.set_viewport_size(WIDE)


def test_beside_the_list_of_tasks_nothing_lies_over_anything(desk: Desk) -> None:
    desk.open(ContractClause, "This agreement renews itself. " * 60, {"kind": "term"})
    desk.page.set_viewport_size({"width": 1280, "height": 800})
    desk.page.goto(f"{desk.client.url}/projects/{desk.project}/data")
    desk.page.locator(".lsf-table").get_by_text("This agreement renews").first.click()
    form = desk.page.locator(".goldleaf-form")
    expect(form.locator("input:checked")).to_have_count(1)
    form.locator("label").last.scroll_into_view_if_needed()
    text, below = desk.page.locator(".goldleaf-text").bounding_box(), form.bounding_box()
    desk.page.set_viewport_size(WIDE)
    assert text and below and below["y"] >= text["y"] + text["height"]


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
