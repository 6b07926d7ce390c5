"""Collect against a real Label Studio: what people say decides, what they take back no longer does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, Row, desk_at
from playwright.sync_api import Browser, Page, Response, expect
from support import current, offline, row, state, write_dataset, write_rows
from terminal import Terminal

from flows.collect import Collected, collect
from flows.context import Context
from flows.engine import Inline
from flows.studio import LocalStudio
from pipeline.errors import ConfigError, Unreachable
from pipeline.explain import explain
from pipeline.label_studio import LabelStudio
from pipeline.review import marker, open_questions
from schemas.annotation import Verdict
from schemas.fate import Fate, LabelSource, ReasonCode, Routed
from schemas.record import Decision

PARCEL, CHARGED, LAMP = "Where is my parcel?", "Why was I charged twice?", "May I have my money back for the lamp?"
ROWS: list[Row] = [
    row(1, PARCEL, None),
    row(2, CHARGED, None),
    row(3, LAMP, "returns"),
    row(4, LAMP, "billing"),
    row(5, LAMP, "billing"),
    row(6, "Do you deliver on Sundays?", "delivery"),
]
"""Two open questions, a conflict with a copy on one side, and a row that is only audited."""
EVERYTHING = "review: {budget: 100, audit: 1.0}\n"


@pytest.fixture
def desk(label_studio: LocalStudio, tmp_path: Path) -> Iterator[Desk]:
    """The rows, curated and sent."""
    with desk_at(label_studio, tmp_path, ROWS, EVERYTHING) as desk:
        desk.curate()
        yield desk


def human(decision: Decision) -> tuple[Fate, object, str]:
    """Fate, answer and reason of a decision that must be a person's."""
    assert decision.label_source is LabelSource.HUMAN
    assert [reason.code for reason in decision.reasons] == [ReasonCode.REVIEWED]
    return decision.fate, (decision.targets or {})["topic"], decision.reasons[0].detail


def counts(result: Collected) -> dict[str, int]:
    return result.model_dump(include={"annotations", "decided", "waiting", "invalid"})


def is_asked(desk: Desk, key: int) -> bool:
    """Whether a row's question is still open."""
    questions = open_questions(desk.context.store.snapshot().at_last_commit())
    return desk.id(key) in {question.record_id for question in questions}


def unchanged(desk: Desk, before: dict[str, Decision]) -> bool:
    """Whether every decision says what it said, whichever run says it now; tokens once counted stay known."""
    meaning = [
        {key: decision.model_copy(update={"run": "", "tokens": None}) for key, decision in decisions.items()}
        for decisions in (before, current(desk.context))
    ]
    return meaning[0] == meaning[1]


# --- before anything can be collected -------------------------------------------------------------
def test_without_label_studio_collect_says_what_to_set(tmp_path: Path) -> None:
    write_dataset(tmp_path, ROWS)
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    with pytest.raises(ConfigError, match=r"^no Label Studio is named; set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY$"):
        collect(context, Inline())


def test_collect_before_curate_says_what_to_run(label_studio: LocalStudio, tmp_path: Path) -> None:
    with (
        desk_at(label_studio, tmp_path, ROWS) as desk,
        pytest.raises(ConfigError, match=r" was never curated; run `goldleaf curate .*/dataset\.yaml` first$"),
    ):
        desk.collect()


def test_where_nothing_was_sent_there_is_nothing_to_collect(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, [row(1, PARCEL, "delivery")], "review: {audit: 0.0}\n") as desk:
        Terminal(tmp_path).goldleaf("curate", "dataset.yaml")
        assert counts(desk.collect()) == {"annotations": 0, "decided": 0, "waiting": 0, "invalid": 0}


def test_a_server_that_does_not_answer_commits_nothing(desk: Desk) -> None:
    before = state(desk.context.store)
    desk.settings = desk.settings.model_copy(update={"label_studio_url": "http://127.0.0.1:9"})
    with pytest.raises(Unreachable, match=r"Label Studio does not answer at http://127\.0\.0\.1:9"):
        desk.collect()
    assert state(desk.context.store) == before


# --- answers --------------------------------------------------------------------------------------
def test_a_label_decides_and_the_reason_says_what_changed(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.label(6, "billing")
    assert counts(desk.collect()) == {"annotations": 2, "decided": 2, "waiting": 2, "invalid": 0}
    assert human(desk.decision(1)) == (Fate.ACCEPTED, "delivery", "answered")
    assert human(desk.decision(6)) == (Fate.ACCEPTED, "billing", "topic: 'delivery' became 'billing'")


def test_confirming_an_answer_makes_it_a_person_s(desk: Desk) -> None:
    desk.label(6, "delivery")
    desk.collect()
    assert human(desk.decision(6)) == (Fate.ACCEPTED, "delivery", "confirmed")
    assert desk.decision(6).routed is Routed.AUDIT


def test_a_second_collect_without_news_changes_nothing(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.label(3, "billing")
    desk.say(2, Verdict.UNSURE)
    desk.collect()
    before = state(desk.context.store)
    for _ in range(2):
        assert counts(desk.collect()) | {"waiting": 0} == {"annotations": 0, "decided": 0, "waiting": 0, "invalid": 0}
        assert desk.curate().decided == 0
    assert state(desk.context.store) == before


def test_an_edited_annotation_counts_as_it_is_now(desk: Desk) -> None:
    annotation = desk.label(1, "delivery")
    desk.collect()
    desk.edit(annotation, "billing")
    assert counts(desk.collect()) == {"annotations": 1, "decided": 1, "waiting": 3, "invalid": 0}
    assert human(desk.decision(1)) == (Fate.ACCEPTED, "billing", "answered")


def test_of_two_annotators_the_latest_one_decides(desk: Desk) -> None:
    first = desk.label(1, "delivery", user="first@example.com")
    desk.label(1, "billing", user="second@example.com")
    desk.collect()
    assert human(desk.decision(1))[1] == "billing"
    desk.edit(first, "returns")
    desk.collect()
    assert human(desk.decision(1))[1] == "returns"
    desk.delete(f"annotations/{first}")
    desk.collect()
    assert human(desk.decision(1))[1] == "billing", "what stands decides when the later one is taken back"


def test_a_skip_is_no_answer_though_the_form_was_filled(desk: Desk) -> None:
    before = current(desk.context)
    desk.skip(1, "delivery")
    assert counts(desk.collect()) == {"annotations": 1, "decided": 0, "waiting": 4, "invalid": 0}
    assert unchanged(desk, before)
    assert is_asked(desk, 1)


def test_a_skip_takes_nobody_s_answer_away(desk: Desk) -> None:
    desk.label(1, "delivery", user="first@example.com")
    desk.skip(1, "billing")
    desk.collect()
    assert human(desk.decision(1))[1] == "delivery"


def test_an_unusable_row_is_rejected_and_its_copies_with_it(desk: Desk) -> None:
    desk.say(3, Verdict.UNUSABLE)
    result = desk.collect()
    assert (result.decided, result.funnel.rejected) == (1, 3)
    assert {desk.decision(key).reasons[0].code for key in (3, 4, 5)} == {ReasonCode.REVIEWER}
    assert str(desk.decision(3).reasons[0]) == "a reviewer marked it unusable"
    assert "a person marked a row with the same input" in str(desk.decision(4).reasons[0])


def test_an_unsure_reviewer_leaves_the_row_to_adjudication(desk: Desk) -> None:
    desk.say(1, Verdict.UNSURE)
    result = desk.collect()
    decision = desk.decision(1)
    assert (decision.fate, decision.routed, result.waiting) == (Fate.REVIEW, Routed.ADJUDICATE, 3)
    assert [reason.code for reason in decision.reasons] == [ReasonCode.UNSURE]
    desk.label(1, "delivery", user="second@example.com")
    desk.collect()
    assert human(desk.decision(1))[:2] == (Fate.ACCEPTED, "delivery")


def test_an_invalid_answer_waits_for_its_correction_and_is_counted(desk: Desk) -> None:
    before = current(desk.context)
    annotation = desk.label(1, "nonsense")
    assert counts(desk.collect()) == {"annotations": 1, "decided": 0, "waiting": 4, "invalid": 1}
    assert unchanged(desk, before)
    [said] = explain(desk.context.store.snapshot(), desk.id(1), desk.context.store.releases).said
    assert said.verdict is Verdict.INVALID and "'nonsense'" in said.error and "update it" in said.error
    desk.edit(annotation, "delivery")
    assert counts(desk.collect()) == {"annotations": 1, "decided": 1, "waiting": 3, "invalid": 0}
    assert human(desk.decision(1))[1] == "delivery"


def test_an_invalid_answer_beside_a_valid_one_waits_for_nothing(desk: Desk) -> None:
    desk.label(1, "delivery", user="first@example.com")
    desk.label(1, "nonsense", user="second@example.com")
    assert desk.collect().invalid == 0
    assert human(desk.decision(1))[1] == "delivery"


# --- taken back -----------------------------------------------------------------------------------
@pytest.mark.parametrize("what", ["annotation", "task"])
def test_deleting_an_answer_restores_the_automatic_decision_and_opens_the_question(desk: Desk, what: str) -> None:
    before = current(desk.context)
    annotation = desk.label(1, "delivery")
    desk.collect()
    assert not is_asked(desk, 1)
    desk.delete(f"annotations/{annotation}" if what == "annotation" else f"tasks/{desk.task(1)}")
    assert counts(desk.collect()) == {"annotations": 1, "decided": 1, "waiting": 4, "invalid": 0}
    assert unchanged(desk, before)
    assert is_asked(desk, 1)
    assert desk.curate().review.sent == (what == "task"), "a question without a task is asked again"
    desk.label(1, "returns")
    desk.collect()
    assert human(desk.decision(1))[1] == "returns"


@pytest.mark.parametrize("verdict", [Verdict.UNUSABLE, Verdict.UNSURE])
def test_taking_back_unusable_or_unsure_restores_everything_that_followed(
    label_studio: LocalStudio, tmp_path: Path, verdict: Verdict
) -> None:
    long = "My order of three red and two blue garden chairs has still not arrived after a very long time"
    rows = [row(1, long, "delivery"), row(2, f"{long} here", "returns"), row(3, f"{long} Here", "returns")]
    with desk_at(label_studio, tmp_path, rows, EVERYTHING) as desk:
        desk.curate()
        before = current(desk.context)
        assert desk.decision(2).group == desk.id(1), "the group makes the next run repeat the reviewer's word"
        annotation = desk.say(2, verdict)
        desk.collect()
        assert desk.decision(2).fate is not Fate.ACCEPTED
        desk.delete(f"annotations/{annotation}")
        desk.collect()
        assert unchanged(desk, before)
        assert is_asked(desk, 2)


# --- conflicts ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("topic", "fates"),
    [
        ("returns", [Fate.ACCEPTED, Fate.REJECTED, Fate.REJECTED]),
        ("billing", [Fate.ACCEPTED, Fate.DUPLICATE, Fate.DUPLICATE]),
        ("delivery", [Fate.ACCEPTED, Fate.REJECTED, Fate.REJECTED]),
    ],
    ids=["its own answer", "the other answer", "a third answer"],
)
def test_an_answered_conflict_decides_about_all_its_rows_at_once(desk: Desk, topic: str, fates: list[Fate]) -> None:
    assert [desk.decision(key).fate for key in (3, 4, 5)] == [Fate.REVIEW, Fate.REVIEW, Fate.DUPLICATE]
    desk.label(3, topic)
    desk.collect()
    decisions = [desk.decision(key) for key in (3, 4, 5)]
    assert [decision.fate for decision in decisions] == fates
    assert human(decisions[0])[1] == topic
    for decision in decisions[1:]:
        if decision.fate is Fate.DUPLICATE:
            assert decision.duplicate_of == desk.id(3)
        else:
            assert str(decision.reasons[0]) == f"a person gave the same input another answer: record {desk.id(3)}"


def test_taking_the_answer_back_brings_the_conflict_back(desk: Desk) -> None:
    before = current(desk.context)
    annotation = desk.label(3, "billing")
    desk.collect()
    desk.delete(f"annotations/{annotation}")
    desk.collect()
    assert unchanged(desk, before)


# --- rows that change -----------------------------------------------------------------------------
def with_parcel(text: str) -> list[Row]:
    return [row(1, text, None), *ROWS[1:]]


def test_a_changed_row_is_asked_anew_and_the_old_answer_no_longer_counts(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    old = desk.task(1)
    desk.rows(*with_parcel("Where are both of my parcels?"))
    result = desk.curate()
    assert (result.funnel.superseded, result.review.sent) == (1, 1)
    assert desk.task(1) != old
    assert counts(desk.collect()) == {"annotations": 0, "decided": 0, "waiting": 4, "invalid": 0}
    assert desk.decision(1).fate is Fate.REVIEW
    desk.label(1, "returns")
    desk.collect()
    assert human(desk.decision(1))[1] == "returns"


@pytest.mark.parametrize("topic", ["delivery", "nonsense"])
def test_an_answer_that_comes_after_its_row_was_changed_does_not_count(desk: Desk, topic: str) -> None:
    old = desk.task(1)
    desk.rows(*with_parcel("Where are both of my parcels?"))
    desk.curate()
    desk.submit(old, desk.result(topic))
    assert counts(desk.collect()) == {"annotations": 1, "decided": 0, "waiting": 4, "invalid": 0}
    assert desk.decision(1).fate is Fate.REVIEW


def test_a_row_that_is_changed_back_has_its_answer_again(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    before = current(desk.context)
    desk.rows(*with_parcel("Where are both of my parcels?"))
    desk.curate()
    desk.label(1, "returns")
    desk.collect()
    desk.rows(*ROWS)
    assert desk.curate().review.sent == 0
    assert unchanged(desk, before)
    for _ in range(2):
        assert counts(desk.collect()) == {"annotations": 0, "decided": 0, "waiting": 3, "invalid": 0}
        assert unchanged(desk, before)


def test_the_same_answer_to_a_changed_set_of_choices_counts_anew(desk: Desk) -> None:
    desk.label(1, "delivery")
    desk.collect()
    task = desk.folder / "task.py"
    task.write_text(task.read_text().replace('"returns"]', '"returns", "other"]'))
    desk.curate()
    assert desk.decision(1).fate is Fate.REVIEW
    desk.label(1, "delivery")
    assert desk.collect().decided == 1
    assert human(desk.decision(1))[:2] == (Fate.ACCEPTED, "delivery")


def test_the_answer_about_a_withdrawn_row_is_kept_and_decides_nothing(
    label_studio: LocalStudio, tmp_path: Path
) -> None:
    with desk_at(label_studio, tmp_path, ROWS, EVERYTHING) as desk:
        file = tmp_path / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id,", "key: id, mode: snapshot,"))
        desk.curate()
        desk.label(1, "delivery")
        desk.rows(*ROWS[1:])
        desk.curate()
        result = desk.collect()
        assert (result.annotations, result.decided, result.funnel.withdrawn) == (1, 0, 1)
        story = explain(desk.context.store.snapshot().at_last_commit(), desk.id(1), desk.context.store.releases)
        assert [revision.withdrawn for revision in story.revisions] == [False, True]
        assert [said.targets for said in story.said] == [{"topic": "delivery"}]
        desk.rows(*ROWS)
        desk.curate()
        desk.collect()
        assert human(desk.decision(1))[1] == "delivery", "when the row is back, so is its answer"


# --- the whole way, in a browser ------------------------------------------------------------------
class Annotator:
    """A person before Label Studio, with both hands on the keyboard."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.keys = page, url, page.keyboard

    def log_in(self, username: str, password: str) -> None:
        self.page.goto(f"{self.url}/user/login")
        self.page.fill("#email", username)
        self.page.fill("#password", password)
        self.keys.press("Enter")
        self.page.wait_for_url(f"{self.url}/")

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
    annotator.log_in(label_studio.username, label_studio.password)
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
        annotator.keys.press("Shift+2")
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
    """The answer that ``explain`` tells, which must be the same for machines and for people."""
    story = terminal.json("explain", "data.jsonl:1", "dataset.yaml")
    decision = story["decisions"][-1]
    assert (decision["fate"], decision["label_source"]) == ("accepted", "human")
    assert story["said"][-1]["verdict"] == "labeled"
    shown = terminal.goldleaf("explain", "data.jsonl:1", "dataset.yaml").stdout
    assert f"answer (human): {decision['targets']}" in shown
    targets: dict[str, object] = decision["targets"]
    assert story["said"][-1]["targets"] == targets
    return targets
