"""Which questions are sent to annotators first, what each of them says, and what is kept of the answers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from fake_studio import FakeStudio, fake_studio
from home_of_answers import NOON, Home, home_in

from pipeline.config.workspace import Connection
from pipeline.review.known_answers import Known
from pipeline.review.label_studio_models import PulledAnnotation, PulledTask
from pipeline.review.labeling_tasks import labeling_task
from pipeline.review.pulled_answers import Pulled, keep_annotations, pull_annotations
from pipeline.review.pushing import Pushed, push_questions
from pipeline.review.questions import filled_in, has_known_answers, question
from pipeline.review.queue import asked_now
from pipeline.state.decisions import question_key
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.field import FreeText
from schemas.run_summary import Verb
from schemas.task import Input, Target, Task
from schemas.tasks.contract_clause import ContractClause
from schemas.tasks.home_assistant import HomeAssistant
from schemas.tasks.plain_sentence import PlainSentence

LABEL_ERROR = Reason(code=ReasonCode.LABEL_ERROR, field="kind", detail="'term', not 'renewal'")
PERSONAL = Reason(code=ReasonCode.PERSONAL_DATA, field="clause", detail="an e-mail address")
SECRET = Reason(code=ReasonCode.SECRET, field="clause", detail="a key")
AUDIT = "Please answer."
SENSITIVE = "\nIf you answer, the row goes into the dataset unchanged; choose unusable to keep it out"


def asked(name: str, routed: Routed | None, score: float | None = None, fate: Fate = Fate.REVIEW) -> Decision:
    return Decision(
        run="", record_id=name, revision="v1", task_digest="t", fate=fate, reasons=[LABEL_ERROR], routed=routed,
        inputs={"clause": f"clause {name}"}, targets={"kind": "renewal"}, label_error_score=score,
    )  # fmt: skip


def order(folder: Path, *decisions: Decision) -> list[str]:
    home = home_in(folder)
    digest = {"task_digest": home.dataset.task.task_digest()}
    home.curated(*(one.model_copy(update=digest) for one in decisions))
    return [one.decision.record_id for one in asked_now(home.now, home.dataset)]


# --- their order ------------------------------------------------------------------------------------
def test_conflicts_come_first_and_then_the_likeliest_label_errors(tmp_path: Path) -> None:
    assert order(
        tmp_path,
        asked("a", Routed.UNCERTAIN, 0.2),
        asked("b", Routed.UNCERTAIN, 0.9),
        asked("c", Routed.CONFLICT, 0.1),
        asked("d", Routed.UNCERTAIN),
        asked("e", Routed.UNCERTAIN, 0.6),
        asked("f", Routed.UNCERTAIN, 0.0),
    ) == ["c", "b", "e", "d", "a", "f"], "nobody knows about the fourth, and the last is surely right"


def test_equally_urgent_questions_have_one_order(tmp_path: Path) -> None:
    decisions = [asked(name, Routed.UNCERTAIN, 0.5) for name in "cab"]
    assert order(tmp_path, *decisions) == ["a", "b", "c"]


def test_audits_are_spread_evenly_among_the_other_questions(tmp_path: Path) -> None:
    others = [asked(f"u{number}", Routed.UNCERTAIN, 1 - number / 100) for number in range(8)]
    audits = [asked(f"a{number}", Routed.AUDIT, fate=Fate.ACCEPTED) for number in range(4)]
    found = order(tmp_path, *audits, *others)
    assert [name for name in found if name in {one.record_id for one in others}] == [one.record_id for one in others]
    halves = found[:6], found[6:]
    assert [sum(name.startswith("a") for name in half) for half in halves] == [2, 2]
    assert [name for name in found if name.startswith("a")] != [one.record_id for one in audits], "in random order"


def test_answered_and_adjudicated_and_rejected_rows_are_asked_about_no_more(tmp_path: Path) -> None:
    answered = asked("a", Routed.UNCERTAIN, fate=Fate.ACCEPTED).model_copy(update={"label_source": LabelSource.HUMAN})
    gone = [asked("b", Routed.ADJUDICATE), asked("c", None), asked("d", Routed.UNCERTAIN, fate=Fate.REJECTED)]
    copied = asked("e", Routed.CONFLICT, fate=Fate.DUPLICATE)
    assert order(tmp_path, answered, *gone, copied, asked("f", Routed.AUDIT)) == ["f"]


# --- what they say ----------------------------------------------------------------------------------
def test_a_question_shows_the_row_s_own_answer_and_how_sure_the_model_is_of_it() -> None:
    decision = asked("a", Routed.UNCERTAIN, 0.75)
    shown = question(decision, ContractClause)
    assert (shown.record_id, shown.inputs, shown.proposal) == ("a", {"clause": "clause a"}, {"kind": "renewal"})
    assert (shown.push_key, shown.score) == (question_key(decision, ContractClause), 0.25)
    assert question(asked("a", Routed.UNCERTAIN), ContractClause).score is None
    assert question(asked("a", Routed.UNCERTAIN, 0.0), ContractClause).score == 1.0


def test_a_suggestion_is_proposed_only_where_the_row_has_no_answer() -> None:
    suggested = {"suggestion": {"kind": "term"}}
    own = asked("a", Routed.UNCERTAIN).model_copy(update=suggested)
    unlabeled = own.model_copy(update={"targets": None})
    assert question(own, ContractClause).proposal == {"kind": "renewal"}
    assert question(unlabeled, ContractClause).proposal == {"kind": "term"}


def test_a_question_tells_each_reason_in_a_line() -> None:
    two = asked("a", Routed.UNCERTAIN).model_copy(
        update={"reasons": [Reason(code=ReasonCode.UNLABELED), Reason(code=ReasonCode.CONFLICT, detail="'term'")]}
    )
    assert question(two, ContractClause).why == ("It has no answer yet\nThe same input has another answer: 'term'")


def test_an_audit_is_blind_unless_something_speaks_against_the_row() -> None:
    scored = {"label_error_score": 0.2, "suggestion": {"kind": "term"}}
    shown = {
        fate: question(asked("a", Routed.AUDIT, fate=fate).model_copy(update=scored), ContractClause)
        for fate in (Fate.ACCEPTED, Fate.REVIEW)
    }
    blind = shown[Fate.ACCEPTED]
    assert (blind.why, blind.proposal, blind.score, blind.candidates) == (AUDIT, None, None, ())
    assert "predictions" not in labeling_task(ContractClause, blind)
    assert shown[Fate.REVIEW].proposal is not None and shown[Fate.REVIEW].why == (
        "Models trained on the other rows doubt the label (kind): 'term', not 'renewal'"
    )


@pytest.mark.parametrize("task", [PlainSentence, HomeAssistant])
def test_an_audited_answer_that_many_could_write_is_shown_to_be_judged(task: type[Task]) -> None:
    shown = question(asked("a", Routed.AUDIT, fate=Fate.ACCEPTED), task)
    assert (shown.why, shown.proposal) == ("Please confirm or correct the answer.", {"kind": "renewal"})
    assert shown.score is None and not shown.candidates


class Explained(Task):
    """A choice, and why."""

    text: Input[str]
    why: Target[FreeText[str]]
    kind: Target[Literal["renewal", "term"]]


def test_of_an_audited_answer_only_what_many_could_write_is_shown() -> None:
    audit = asked("a", Routed.AUDIT, fate=Fate.ACCEPTED)
    shown = question(audit.model_copy(update={"targets": {"kind": "term", "why": "It ends."}}), Explained)
    assert (shown.why, shown.proposal) == (
        "Please confirm or correct the text, and answer the rest.",
        {"why": "It ends."},
    )
    assert filled_in(audit, Explained) is None, "whoever leaves the text has accepted no proposal"


@pytest.mark.parametrize(("task", "is_known"), [(PlainSentence, 0), (HomeAssistant, 0), (Explained, 1)])
def test_only_tasks_whose_right_answers_are_the_same_have_known_answers(task: type[Task], is_known: bool) -> None:
    assert has_known_answers(task) == is_known


@pytest.mark.parametrize("sensitive", [PERSONAL, SECRET])
def test_an_annotator_of_a_sensitive_row_is_told_that_an_answer_lets_it_in(sensitive: Reason) -> None:
    held = asked("a", Routed.UNCERTAIN)
    for reasons, warned in (([LABEL_ERROR, sensitive], True), ([LABEL_ERROR], False)):
        shown = question(held.model_copy(update={"reasons": reasons}), ContractClause)
        assert shown.why.endswith(SENSITIVE) == warned


# --- what is sent and taken back --------------------------------------------------------------------
@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """One for each test, since the datasets of all have the same project."""
    with fake_studio() as fake:
        yield fake


def push(home: Home, studio: FakeStudio, heard: list[int] | None = None) -> Pushed:
    run = home.store.new_run(Verb.COLLECT, "c", "0").id
    return push_questions(
        home.store, home.dataset, Connection(studio.url, studio.token), run, ([] if heard is None else heard).append
    )


def three(home: Home) -> list[Decision]:
    return [home.asked(name, inputs={"question": f"{name}?"}) for name in ("r1", "r2", "r3")]


def test_a_question_is_sent_once_and_noted_with_its_task(home: Home, studio: FakeStudio) -> None:
    asked = three(home)
    home.curated(*asked[:2])
    heard: list[int] = []
    first = push(home, studio, heard)
    assert (first.sent, first.withdrawn, first.refused) == (2, 0, [])
    assert first.url == f"{studio.url}/projects/{first.project}/data"
    assert heard == [0, 2], "none was known, two were sent"
    noted = home.store.scan(Table.PUSHES).sort("task_id").collect()
    sent = {number: task["data"] for number, task in studio.tasks.items()}
    assert dict(noted.select("task_id", "push_key").iter_rows()) == {k: one["push_key"] for k, one in sent.items()}
    assert dict(noted.select("task_id", "record_id").iter_rows()) == {k: one["record_id"] for k, one in sent.items()}
    assert noted.select("revision", "routed", "project").unique().rows() == [("v1", "uncertain", first.project)]
    home.curated(*asked)
    again = push(home, studio, heard)
    assert (again.sent, again.withdrawn, heard) == (1, 0, [0, 2, 2, 1])


def test_a_task_that_was_deleted_on_the_server_is_sent_again(home: Home, studio: FakeStudio) -> None:
    home.curated(*three(home))
    push(home, studio)
    [lost] = [number for number, task in studio.tasks.items() if task["data"]["record_id"] == "r2"]
    studio.delete_task(lost)
    again = push(home, studio)
    assert again.sent == 1


def test_an_unanswered_question_is_taken_back_once_it_is_none_and_an_answered_one_stays(
    home: Home, studio: FakeStudio
) -> None:
    asked = three(home)
    home.curated(*asked)
    push(home, studio)
    [answered] = [number for number, task in studio.tasks.items() if task["data"]["record_id"] == "r1"]
    studio.annotate(answered, {"result": home.result("returns")})
    home.said("1", "returns", asked[0], number=1)
    home.said("1", "returns", asked[1], number=2)
    home.takes_back(2)
    home.curated(*(one.model_copy(update={"routed": None, "fate": Fate.ACCEPTED}) for one in asked))
    again = push(home, studio)
    assert (again.sent, again.withdrawn) == (0, 2)
    assert [task["data"]["record_id"] for task in studio.tasks.values()] == ["r1"]


def test_a_question_that_no_task_can_hold_does_not_hold_up_the_others(home: Home, studio: FakeStudio) -> None:
    asked = three(home)
    odd = asked[0].model_copy(update={"targets": {"topic": "weather"}})
    home.curated(odd, asked[1])
    for sent in (1, 0):
        pushed = push(home, studio)
        assert pushed.sent == sent
        [refused] = pushed.refused
        assert refused.startswith("record r1: ") and "weather" in refused


def test_what_was_decided_under_other_answers_is_not_sent(home: Home, studio: FakeStudio) -> None:
    others = [home.asked(digest, task_digest=digest, inputs={"question": f"{digest}?"}) for digest in ("0", "z")]
    home.curated(home.asked("r1"), *others)
    assert push(home, studio).sent == 1
    assert [task["data"]["record_id"] for task in studio.tasks.values()] == ["r1"]


# --- what is pulled and kept ------------------------------------------------------------------------
SERVER = "http://studio"


def pulled_task(home: Home, about: Decision, task_id: int, *annotations: tuple[int, str | Verdict, int]) -> PulledTask:
    """A task with annotations: the number, the answer, and the minute of the last edit of each."""
    key = question_key(about, home.dataset.task)
    found = [
        PulledAnnotation.model_validate(
            {
                "id": number, "result": home.result(answer), "was_cancelled": answer is Verdict.SKIPPED,
                "completed_by": 5, "created_at": NOON, "updated_at": NOON + timedelta(minutes=minute), "lead_time": 2.5,
            }
        )
        for number, answer, minute in annotations
    ]  # fmt: skip
    return PulledTask(task_id=task_id, push_key=key, record_id=about.record_id, annotations=found)


def keep(home: Home, *tasks: PulledTask, there: dict[int, str] | None = None, server: str = SERVER) -> int:
    """Keep what a pull brought; ``there`` are tasks of the project that it did not bring."""
    all_there = {task.task_id: task.push_key for task in tasks} | (there or {})
    run = home.store.new_run(Verb.COLLECT, "c", "0").id
    return keep_annotations(home.store, home.dataset, Pulled(1, server, tasks, all_there), run)


def kept(home: Home) -> dict[tuple[str, int], tuple[str, str | None, bool]]:
    """Verdict, targets and whether it was deleted, by server and annotation."""
    found = home.now.latest_annotations().select("server", "annotation_id", "verdict", "targets", "deleted")
    return {(server, number): (*values,) for server, number, *values in found.collect().iter_rows()}


RETURNS, DELIVERY = (("labeled", f'{{"topic":"{topic}"}}', False) for topic in ("returns", "delivery"))


def test_what_a_pull_brings_is_kept_once_and_what_was_edited_since_again(home: Home) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    task = pulled_task(home, asked, 7, (1, "returns", 1), (2, Verdict.SKIPPED, 2), (3, Verdict.UNUSABLE, 3))
    assert (keep(home, task), keep(home, task)) == (3, 0)
    skipped, unusable = ("skipped", None, False), ("unusable", None, False)
    assert kept(home) == {(SERVER, 1): RETURNS, (SERVER, 2): skipped, (SERVER, 3): unusable}
    row = home.now.latest_annotations().filter(pl.col("annotation_id") == 1).collect().row(0, named=True)
    assert (row["task_id"], row["record_id"], row["annotator"], row["lead_time"]) == (7, "r1", "5", 2.5)
    assert (row["created_at"], row["updated_at"]) == (NOON, NOON + timedelta(minutes=1))
    assert keep(home, pulled_task(home, asked, 7, (1, "delivery", 4), (2, Verdict.SKIPPED, 2))) == 2
    assert kept(home) == {(SERVER, 1): DELIVERY, (SERVER, 2): skipped, (SERVER, 3): (*unusable[:2], True)}
    assert keep(home, pulled_task(home, asked, 7, (1, "delivery", 4), (2, Verdict.SKIPPED, 2))) == 0


def test_an_annotation_is_gone_with_its_task_and_stays_where_the_task_did_not_change(home: Home) -> None:
    asked = three(home)
    home.curated(*asked)
    tasks = [pulled_task(home, one, at, (at, "returns", at)) for at, one in enumerate(asked, start=1)]
    assert keep(home, *tasks) == 3
    still_there = {tasks[0].task_id: tasks[0].push_key}
    # The server gave the id of a deleted task to the next one.
    given_away = {tasks[1].task_id: "another question"}
    assert keep(home, there=still_there | given_away) == 2
    assert {number: gone for (_, number), (_, _, gone) in kept(home).items()} == {1: False, 2: True, 3: True}
    assert keep(home, there=still_there | given_away) == 0, "they are gone already"


def test_what_another_server_has_is_not_taken_for_deleted(home: Home) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    keep(home, pulled_task(home, asked, 7, (1, "returns", 1)))
    assert keep(home, pulled_task(home, asked, 8, (1, "delivery", 1)), server="http://other") == 1
    assert kept(home) == {(SERVER, 1): RETURNS, ("http://other", 1): DELIVERY}


def test_where_there_is_no_project_nothing_is_kept_nor_taken_for_deleted(home: Home) -> None:
    asked = home.asked("r1")
    home.curated(asked)
    keep(home, pulled_task(home, asked, 7, (1, "returns", 1)))
    assert keep_annotations(home.store, home.dataset, Pulled(), "run") == 0
    assert kept(home) == {(SERVER, 1): RETURNS}


def test_a_pull_brings_what_changed_since_the_mark_and_names_all_tasks(home: Home, studio: FakeStudio) -> None:
    asked = three(home)
    home.curated(*asked)
    connection = Connection(studio.url, studio.token)
    assert pull_annotations(home.dataset, connection, Known()) == Pulled()
    project = push(home, studio).project
    there = {number: task["data"]["push_key"] for number, task in studio.tasks.items()}
    # A mark in the future of the server, whose clock is the real one, would not count.
    changed, mark = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    for task in studio.tasks.values():
        task["updated_at"] = f"{changed:%Y-%m-%dT%H:%M:%S.%fZ}"
    heard: list[int] = []
    everything = pull_annotations(home.dataset, connection, Known(), heard.append)
    assert (everything.project, everything.there, len(everything.tasks), heard) == (project, there, 3, [3])
    assert everything.watermark == changed
    marks = {everything.server: mark.isoformat(), "http://other": NOON.isoformat()}
    nothing = pull_annotations(home.dataset, connection, Known(marks), heard.append)
    assert (nothing.tasks, nothing.there, nothing.watermark, heard) == ([], there, mark, [3, 0])
    elsewhere = pull_annotations(home.dataset, connection, Known({"http://other": mark.isoformat()}))
    assert (len(elsewhere.tasks), elsewhere.watermark) == (3, changed), "another server's mark is not this one's"
