"""The review batch: what annotators are asked, how much of it, and what happens while Label Studio is out of reach."""

import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from desk import Desk, Row, desk_at
from loopback import serving
from support import current, offline, row, write_dataset
from terminal import Terminal

from flows.context import Context
from flows.curate import NotSent, curate
from flows.engines.engine import Inline
from flows.local.studio_server import LocalStudio
from pipeline.config.workspace import HOW_TO_CONNECT
from pipeline.reporting.check import check_dataset
from schemas.annotation import Verdict
from schemas.fate import Fate, LabelSource, ReasonCode, Routed
from schemas.identity import stable_hash

UNLABELED: list[Row] = [
    row(1, "Where is my parcel?", None),
    row(2, "Why was I charged twice?", None),
    row(3, "How do I send back shoes?", None),
    row(4, "Do you deliver on Sundays?", "delivery"),
]
EVERYTHING = "review: {budget: 100, audit: 0.0}\n"


@pytest.fixture
def desk(label_studio: LocalStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(label_studio, tmp_path, UNLABELED, EVERYTHING) as desk:
        yield desk


def change_first(desk: Desk, question: str) -> None:
    """Another text in the row with the id 1."""
    desk.rows(row(1, question, None), *UNLABELED[1:])


# --- Label Studio out of reach --------------------------------------------------------------------
@contextmanager
def no_server() -> Iterator[str]:
    yield ""


@contextmanager
def closed_port() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def other_server() -> Iterator[str]:
    with serving(lambda method, path, body: (200, {"content-type": "text/html"}, b"<h1>Welcome</h1>")) as server:
        yield server.url


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        (
            no_server,
            "Label Studio is not configured; set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY (`goldleaf label-studio` ",
        ),
        (
            closed_port,
            "Label Studio does not answer at {url} (*); start one with `goldleaf label-studio`",
        ),
    ],
)
def test_without_a_server_curate_commits_and_says_how_many_wait_and_what_to_do(
    desk: Desk, tmp_path: Path, place: Callable[[], AbstractContextManager[str]], problem: str
) -> None:
    with place() as url:
        terminal = Terminal(tmp_path, url, "token")
        shown = terminal.goldleaf("curate", "dataset.yaml", "--engine", "inline").stdout
        again = terminal.json("curate", "dataset.yaml")
    start, _, end = problem.format(url=url).partition("*")
    assert "3 questions are waiting for annotators: " in shown
    assert start in shown and end in shown
    assert (again["added"], again["review"]["waiting"], again["review"]["sent"]) == (0, 3, 0)
    assert start in again["review"]["problem"]
    status = terminal.json("status")
    assert (status["review"], status["accepted"], status["waiting"], status["unsent"]) == (3, 1, 3, 3)
    what_to_set = "" if url else f"{HOW_TO_CONNECT}, then "
    assert status["next_step"] == f"{what_to_set}goldleaf curate {tmp_path}/dataset.yaml to send 3 questions"
    sends_what_waits_once(desk)


COMMITTED = "everything is decided and committed, and 3 questions are waiting for the next curate"


def test_a_wrong_token_ends_in_one_line_and_everything_is_committed(desk: Desk, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, desk.settings.label_studio_url, "0" * 40)
    result, line = terminal.not_sent("curate", "dataset.yaml")
    assert line == (
        f"cannot log in: {desk.settings.label_studio_url} refuses the token; "
        f"set LABEL_STUDIO_API_KEY (see Account & Settings); {COMMITTED}"
    )
    assert (result["added"], result["funnel"]["review"], result["review"]["unsent"]) == (4, 3, 3)
    shown = terminal.goldleaf("curate", "dataset.yaml", exit_code=1).stdout
    assert "read 4 rows: 0 new or edited, 4 known" in shown and ": Label Studio refuses, see below" in shown
    assert terminal.json("status")["unsent"] == 3
    sends_what_waits_once(desk)


def test_a_refusal_keeps_its_result_on_its_way_between_processes(desk: Desk) -> None:
    error = NotSent("refused", desk.curate())
    there = pickle.loads(pickle.dumps(error))
    assert (str(there), there.curated) == ("refused", error.curated)


def test_a_server_that_is_not_label_studio_ends_in_one_line_and_everything_is_committed(
    desk: Desk, tmp_path: Path
) -> None:
    with other_server() as url:
        terminal = Terminal(tmp_path, url, "token")
        result, line = terminal.not_sent("curate", "dataset.yaml")
    problem = "Invalid JSON: expected value at line 1 column 1"
    url = f"{url} answers, but not like Label Studio ({problem})"
    assert line == f"cannot log in: {url}; check LABEL_STUDIO_URL; {COMMITTED}"
    assert result["review"]["problem"] == line
    assert terminal.json("status")["unsent"] == 3
    sends_what_waits_once(desk)


def sends_what_waits_once(desk: Desk) -> None:
    """With the right settings the next curate sends exactly what waits, and one more sends nothing."""
    first, second = desk.curate(), desk.curate()
    assert (first.added, first.decided) == (0, 0)
    assert (first.review.waiting, first.review.sent, first.review.problem) == (3, 3, "")
    assert (second.review.waiting, second.review.sent) == (3, 0)
    assert desk.asked() == sorted(desk.id(key) for key in (1, 2, 3))


def test_without_push_nothing_is_sent_until_curate_runs_with_it(desk: Desk, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, desk.settings.label_studio_url, desk.settings.label_studio_api_key.get_secret_value())
    shown = terminal.goldleaf("curate", "dataset.yaml", "--no-push").stdout
    assert "3 questions are waiting for annotators; run curate without --no-push to send them" in shown
    shown = terminal.goldleaf("curate", "dataset.yaml").stdout
    assert f"3 questions are waiting for annotators; 3 new at {desk.client.url}/projects/{desk.project}/data" in shown
    assert terminal.json("status")["unsent"] == 0


def test_status_says_where_to_label_without_asking_the_server(desk: Desk, tmp_path: Path) -> None:
    desk.curate()
    file = f"then goldleaf collect {tmp_path}/dataset.yaml"
    away = Terminal(tmp_path, "http://name:word@127.0.0.1:9/", "token")
    page = f"http://127.0.0.1:9/projects/{desk.project}/data"
    assert away.json("status")["next_step"] == f"label in Label Studio at {page}, {file}"
    assert f"\nnext: label in Label Studio at {page}, {file}\n" in away.goldleaf("status").stdout
    assert Terminal(tmp_path).json("status")["next_step"] == f"{HOW_TO_CONNECT}, label in Label Studio, {file}"
    page_file = Path(Terminal(tmp_path).json("report")["path"])
    command = f"<code>goldleaf collect {tmp_path}/dataset.yaml</code>"
    assert f", label in Label Studio, then {command}</li>" in page_file.read_text().replace("\n", "")


# --- what is sent ---------------------------------------------------------------------------------
def test_annotators_read_why_they_are_asked(label_studio: LocalStudio, tmp_path: Path) -> None:
    rows = [
        row(1, "Where is my parcel?", None),
        row(2, "Please write to jane.doe@example.org about it.", "delivery"),
        row(3, "May I have my money back?", "returns"),
        row(4, "May I have my money back?", "billing"),
        row(5, "Do you deliver on Sundays?", "delivery"),
    ]
    with desk_at(label_studio, tmp_path, rows, "review: {budget: 100, audit: 1.0}\n") as desk:
        desk.curate()
        why = {task["data"]["record_id"]: task["data"]["why"] for task in desk.tasks()}
        conflict = "The same input has another answer: 'returns'"
        assert why == {
            desk.id(1): "It has no answer yet",
            desk.id(2): why[desk.id(2)],
            desk.id(4): conflict,
            desk.id(5): "Please answer.",
        }
        assert why[desk.id(2)].startswith("The text seems to contain personal data (question): e-mail address ")


def test_annotators_see_the_row_s_own_answer_as_the_proposal(label_studio: LocalStudio, tmp_path: Path) -> None:
    rows = [row(1, "Please write to jane.doe@example.org about it.", "delivery")]
    with desk_at(label_studio, tmp_path, rows, EVERYTHING) as desk:
        desk.curate()
        [task] = desk.tasks()
        assert task["predictions"][0]["result"][0]["value"] == {"choices": ["delivery"]}
        assert task["data"]["question"] == rows[0]["question"]


def test_audited_records_keep_their_fate_and_use_no_budget(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, UNLABELED, "review: {budget: 0, audit: 1.0}\n") as desk:
        result = desk.curate()
        audited = desk.decision(4)
        assert (audited.fate, audited.routed, audited.label_source) == (
            Fate.ACCEPTED,
            Routed.AUDIT,
            LabelSource.SOURCE,
        )
        assert (result.budget, result.budget_used, result.beyond_budget) == (0, 0, 3)
        assert desk.asked() == [desk.id(4)]


def test_a_question_whose_task_was_deleted_is_asked_again(desk: Desk) -> None:
    desk.curate()
    desk.delete(f"tasks/{desk.task(2)}")
    assert desk.curate().review.sent == 1
    assert desk.asked() == sorted(desk.id(key) for key in (1, 2, 3))


def test_a_project_that_was_deleted_is_recreated_with_all_open_questions(desk: Desk) -> None:
    desk.curate()
    desk.label(1, "delivery")
    desk.collect()
    desk.delete(f"projects/{desk.project}")
    assert desk.curate().review.sent == 2
    assert desk.asked() == sorted([desk.id(2), desk.id(3)])
    assert desk.collect().decided == 0
    assert desk.decision(1).label_source is LabelSource.HUMAN, "answers outlive the server"


def test_the_question_about_a_row_that_changed_is_taken_back(desk: Desk) -> None:
    desk.curate()
    outdated = desk.task(1)
    change_first(desk, "Where is my parcel now?")
    assert desk.curate().review.withdrawn == 1
    assert desk.asked() == sorted(desk.id(key) for key in (1, 2, 3))
    assert outdated not in [task["id"] for task in desk.tasks()]


def test_a_question_that_an_annotator_works_on_is_never_taken_back(desk: Desk) -> None:
    desk.curate()
    begun = desk.task(1)
    desk.api.post(f"/api/tasks/{begun}/drafts", json={"result": desk.result("billing")}).raise_for_status()
    change_first(desk, "Where is my parcel now?")
    assert desk.curate().review.withdrawn == 0
    assert begun in [task["id"] for task in desk.tasks()]


def test_a_row_that_is_changed_back_has_its_question_back(desk: Desk) -> None:
    desk.curate()
    before = desk.asked()
    texts = (desk.folder / "data.jsonl").read_text()
    change_first(desk, "Where is my parcel now?")
    desk.curate()
    (desk.folder / "data.jsonl").write_text(texts)
    result = desk.curate()
    assert (result.review.sent, result.review.withdrawn) == (1, 1)
    assert desk.asked() == before


def test_other_fields_make_a_project_of_their_own(desk: Desk) -> None:
    desk.curate()
    old = desk.project
    task = desk.folder / "task.py"
    task.write_text(task.read_text() + "    mood: Target[str | None] = None\n")
    status = Terminal(desk.folder).json("curate", "dataset.yaml")
    assert status["review"]["waiting"] == Terminal(desk.folder).json("status")["unsent"] == 3
    assert desk.curate().review.sent == 3
    assert desk.project != old


def test_answers_to_other_fields_count_no_more_and_curate_says_how_many(desk: Desk) -> None:
    desk.curate()
    desk.label(1, "delivery")
    desk.say(2, Verdict.UNUSABLE)
    desk.collect()
    assert "asked again" not in desk.curate().note
    assert "annotators' answers" not in {found.what for found in check_dataset(desk.context)}
    task = desk.folder / "task.py"
    task.write_text(task.read_text() + "    mood: Target[str | None] = None\n")
    said = (
        "of annotators' answers about 2 rows 2 are asked again within the budget (the task asks for something else: 2)"
    )
    [finding] = [found for found in check_dataset(desk.context) if found.what == "annotators' answers"]
    assert finding.detail.startswith(said) and finding.warning, "before anything is asked again"
    assert said in desk.curate().note
    assert "asked again" not in desk.curate().note, "it is said once"
    task.write_text(task.read_text().replace("mood", "tone"))
    assert "annotators' answers" not in {found.what for found in check_dataset(desk.context)}
    assert "asked again" not in desk.curate().note, "they did not count before this change either"
    assert desk.decision(1).fate is desk.decision(2).fate is Fate.REVIEW


# --- the budget -----------------------------------------------------------------------------------
def unlabeled(first: int, last: int) -> list[Row]:
    words = ["lamp", "chair", "table", "sofa", "carpet", "mirror", "shelf", "clock", "vase", "candle", "pillow", "desk"]
    return [row(n, f"{words[n % 12]} {words[n // 12]} {n}?", None) for n in range(first, last)]


@pytest.mark.parametrize(("budget", "larger"), [("4", "7"), ("0.2", "0.35")], ids=["whole number", "share"])
def test_the_budget_covers_all_runs_together_and_raising_it_sends_more(
    label_studio: LocalStudio, tmp_path: Path, budget: str, larger: str
) -> None:
    with desk_at(label_studio, tmp_path, unlabeled(0, 20), f"review: {{budget: {budget}, audit: 0.0}}\n") as desk:
        first = desk.curate()
        assert (first.budget, first.budget_used, first.beyond_budget, first.review.sent) == (4, 4, 16, 4)
        desk.label(next(key for key in range(20) if desk.decision(key).routed), "billing")
        assert desk.collect().decided == 1
        assert desk.curate().review.sent == 0, "what was answered still counts"
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace(f"budget: {budget}", f"budget: {larger}"))
        second = desk.curate()
        assert (second.budget, second.budget_used, second.beyond_budget, second.review.sent) == (7, 7, 13, 3)
        assert len(desk.asked()) == 7


def test_a_share_grows_with_the_records(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, unlabeled(0, 10), "review: {budget: 0.2, audit: 0.0}\n") as desk:
        assert desk.curate().review.sent == 2
        desk.rows(*unlabeled(0, 30))
        assert desk.curate().review.sent == 4
        assert len(set(desk.asked())) == 6


def test_a_lower_budget_takes_no_question_back(label_studio: LocalStudio, tmp_path: Path) -> None:
    with desk_at(label_studio, tmp_path, unlabeled(0, 10), "review: {budget: 5, audit: 0.0}\n") as desk:
        desk.curate()
        file = desk.folder / "dataset.yaml"
        file.write_text(file.read_text().replace("budget: 5", "budget: 1"))
        result = desk.curate()
        assert (result.budget, result.budget_used, result.review.waiting, result.review.sent) == (1, 5, 5, 0)


@pytest.mark.parametrize(("wish", "fate"), [("accept", Fate.ACCEPTED), ("hold", Fate.REVIEW)])
def test_an_uncertain_label_beyond_the_budget_is_accepted_or_held_as_the_file_says(
    tmp_path: Path, wish: str, fate: Fate
) -> None:
    topics = ("billing", "delivery", "returns")
    rows = [row(n, f"A {topics[n % 3]} matter, number {n} of {n * 7}", topics[n % 3]) for n in range(30)]
    rows[4]["topic"] = "returns"
    write_dataset(tmp_path, rows, f"review: {{budget: 0, audit: 0.0, unreviewed: {wish}}}\n")
    context = Context.load(tmp_path / "dataset.yaml", offline(tmp_path / "home"))
    result = curate(context, Inline())
    suspected = current(context)[stable_hash("examples", "int:4")]
    assert (result.beyond_budget, suspected.fate, suspected.routed) == (1, fate, None)
    codes = [reason.code for reason in suspected.reasons]
    assert codes == [ReasonCode.UNREVIEWED] * (wish == "accept") + [ReasonCode.LABEL_ERROR]
