"""What differs between kinds of task has one home, and every task is of one kind."""

import ast
import datetime
import itertools
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import kinds_named
import pytest
from known_cases import known_case
from markupsafe import escape
from scored import score_labels
from support import write_rows
from terminal import Terminal

from pipeline.curation.known import NO_DOUBT, Doubt, Past
from pipeline.finetuning.evaluate import EvalQuestion, compare_models, evaluate, questions
from pipeline.finetuning.examples import Example
from pipeline.kinds.interface import Kept, Kind, LabeledText, LabelScore, LabelScores, Learned
from pipeline.kinds.registry import KIND_NAMES, KINDS, kind_named, kind_of
from pipeline.kinds.starter_files import starter_names
from pipeline.review.answers_told import what_changed
from schemas.annotation import Verdict
from schemas.dataset import OnConflict
from schemas.fate import LABEL_ERROR_CODES, Reason, ReasonCode
from schemas.field import FreeText, same_targets
from schemas.message import Message, Speaker
from schemas.task import Input, Target, Task

ROOT = Path(__file__).parents[1]


def task_with(**targets: Any) -> type[Task]:
    """A task with these targets and one text."""
    annotations = {"text": Input[str], **{name: Target[annotation] for name, annotation in targets.items()}}  # type: ignore[valid-type]
    return type("Odd", (Task,), {"__doc__": "Say it.", "__annotations__": annotations, "__module__": __name__})


def said(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


CALLS = said("") | {"tool_calls": [{"type": "function", "function": {"name": "find", "arguments": '{"city": "Rome"}'}}]}


# --- one home -------------------------------------------------------------------------------------
def test_no_place_outside_of_the_room_names_a_kind() -> None:
    assert list(kinds_named.named()) == []


@pytest.mark.parametrize(
    "line",
    [
        "if kind.name == 'classification': pass",
        "from pipeline.kinds.extraction import Extraction",
        "x = Rewriting()",
        "def is_extraction(): pass",
        "f(rewriting=1)",
        "if kind.name == 'chat': pass",
        "from pipeline.kinds.chat import Chat",
    ],
)
def test_a_place_that_names_a_kind_is_found(tmp_path: Path, line: str) -> None:
    """Otherwise the test above would say nothing."""
    file = tmp_path / "planted.py"
    file.write_text(f'"""A classification."""\n{line}\n', encoding="utf-8")
    ast.parse(file.read_text(encoding="utf-8"))
    assert {number for number, _ in kinds_named.in_code(file)} == {2}


def test_every_kind_has_its_own_name_and_a_folder_of_starter_files() -> None:
    assert len(set(KIND_NAMES)) == len(KINDS)
    assert starter_names() == sorted(KIND_NAMES)


# --- which kind -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        ({"label": Literal["a", "b"]}, "classification"),
        ({"label": Literal["a", "b"] | None}, "classification"),
        ({"wording": str}, "rewriting"),
        ({"wording": str | None}, "rewriting"),
        ({"person": str, "place": str}, "extraction"),
        ({"label": Literal["a", "b"], "place": str}, "extraction"),
        ({"amount": float}, "extraction"),
        ({"is_spam": bool}, "extraction"),
        ({"names": list[str]}, "extraction"),
        ({"labels": set[Literal["a", "b"]]}, "multi-label"),
        ({"labels": list[Literal["a", "b"]]}, "multi-label"),
        ({"labels": set[Literal["a", "b"]], "place": str}, "extraction"),
        ({"wording": FreeText[str], "tone": Literal["a", "b"]}, "rewriting"),
        ({"wording": FreeText[str | None], "title": FreeText[str]}, "rewriting"),
        ({"turns": list[Message]}, "chat"),
        ({"at": datetime.datetime, "price": Decimal}, "extraction"),
    ],
)
def test_the_kind_follows_from_the_targets(targets: dict[str, Any], kind: str) -> None:
    assert kind_of(task_with(**targets)).name == kind


def test_a_task_may_name_its_kind_itself(tmp_path: Path) -> None:
    """A company's name that is read out of a text is one free text, and yet no rewriting."""

    class Company(Task):
        """Name the company."""

        text: Input[str]
        company: Target[str]

        @classmethod
        def task_kind(cls) -> str:
            return "extraction"

    kind = kind_of(Company)
    row = LabeledText("Founded as Acme Ltd.", {}, {"company": "Bolt Inc."}, "")
    assert kind.name == "extraction"
    assert [reason.field for reason in kind.learn_labels(Company, [row], 0).scores.rows[0].reasons] == ["company"]


# --- free texts -----------------------------------------------------------------------------------
def test_a_free_text_is_not_flagged_for_words_of_its_own(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.goldleaf("init", "plain", "--kind", "rewriting")
    file = tmp_path / "plain" / "dataset.yaml"
    rows = [{"sentence": f"Kindly effect payment number {n} forthwith.", "plain": f"Pay bill {n} now."} for n in (7, 8)]
    write_rows(tmp_path / "plain", rows)
    terminal.goldleaf("curate", str(file))
    status = terminal.json("status", str(file))
    assert (status["accepted"], status["review"], status["duplicate"]) == (2, 0, 0)


def test_check_says_how_a_task_is_scored_and_what_is_not_done_for_its_kind(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    for kind in KINDS:
        terminal.goldleaf("init", kind.name, "--kind", kind.name)
        found = {one["what"]: one for one in terminal.json("check", str(tmp_path / kind.name / "dataset.yaml"))}
        [task] = [one["detail"] for what, one in found.items() if what.startswith("task ")]
        assert task.startswith(f"{kind.name}, scored by {kind.metric_title}; targets: ")
        assert (f"kind {kind.name}" in found) == bool(kind.limits)


# --- what holds for every kind --------------------------------------------------------------------
EXAMPLES: dict[str, tuple[type[Task], list[dict[str, Any]]]] = {
    "classification": (task_with(label=Literal["a", "b"] | None), [{"label": "a"}, {"label": "b"}, {"label": None}]),
    "rewriting": (task_with(wording=str | None), [{"wording": "Pay."}, {"wording": "Go."}, {"wording": None}]),
    "extraction": (
        task_with(name=str | None, tags=list[str]),
        [{"name": "Ann", "tags": ["x", "y"]}, {"name": None, "tags": ["x"]}, {"name": None, "tags": []}],
    ),
    "multi-label": (
        task_with(labels=set[Literal["a", "b"]]),
        [{"labels": ["a"]}, {"labels": ["a", "b"]}, {"labels": []}],
    ),
    "chat": (
        task_with(turns=list[Message]),
        [{"turns": [said("Hello.")]}, {"turns": [said("No.")]}, {"turns": [CALLS]}],
    ),
}


def test_every_kind_has_examples_here() -> None:
    assert EXAMPLES.keys() == set(KIND_NAMES)
    assert all(kind_of(task).name == name for name, (task, _) in EXAMPLES.items())


@pytest.mark.parametrize("name", KIND_NAMES)
def test_the_gold_answer_earns_everything_another_one_less_and_an_unreadable_one_nothing(name: str) -> None:
    kind, (task, answers) = kind_named(name), EXAMPLES[name]
    for gold in answers:
        assert kind.credit(task, gold, gold).worth == 1
        nothing = kind.credit(task, None, gold)
        assert nothing.earned == 0 and nothing.possible >= 1
        for other in answers:
            assert 0 <= kind.credit(task, other, gold).worth <= 1
            assert (kind.credit(task, other, gold).worth == 1) == (other == gold)


@pytest.mark.parametrize("name", KIND_NAMES)
def test_a_model_that_answers_like_the_gold_scores_1_and_one_that_stammers_0(name: str) -> None:
    task, answers = EXAMPLES[name]
    prompt = (Message(role=Speaker.USER, content="?"),)
    rows = [Example(str(n), prompt, (), {"text": f"t{n}", **answer}) for n, answer in enumerate(answers)]
    asked = questions(task, rows)
    perfect = evaluate(task, asked, [task.task_answer(answer) for answer in answers])
    assert (perfect.score.value, perfect.exact.value, perfect.unreadable) == (1, 1, 0)
    # A free text is always readable.
    stammered = evaluate(task, asked, ["{" * 50] * len(answers))
    # Between texts, even brackets have something in common.
    assert stammered.score.value < 0.01 and stammered.exact.value == 0
    comparison = compare_models(stammered, perfect)
    assert (comparison.better, comparison.worse) == (len(answers), 0)
    assert comparison.difference.value > 0.99


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_labels_that_are_scored_again_say_the_same_and_only_what_runs_remember(kind: Kind) -> None:
    task, answers = EXAMPLES[kind.name]
    rows = [
        LabeledText(f"Ann wrote of x, number {n}", {"text": f"Ann wrote of x, number {n}"}, answers[n % 3], str(n))
        for n in range(60)
    ]
    found = kind.learn_labels(task, rows, 17).scores
    assert len(found.rows) == len(rows)
    assert found == kind.learn_labels(task, rows, 17).scores
    assert {reason.code for row in found.rows for reason in row.reasons} <= LABEL_ERROR_CODES


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_labels_are_all_that_an_answer_can_be_stratified_by(kind: Kind) -> None:
    """A release names those that no row has."""
    task, answers = EXAMPLES[kind.name]
    found = {label for answer in answers for label in kind.strata(task, answer) if label}
    assert found == set(kind.labels(task))


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_a_new_dataset_goes_the_whole_way_and_its_card_and_report_say_what_is_not_done(
    tmp_path: Path, kind: Kind
) -> None:
    terminal = Terminal(tmp_path)
    terminal.goldleaf("init", "new", "--kind", kind.name)
    file = tmp_path / "new" / "dataset.yaml"
    first = terminal.json("curate", str(file), "--no-push")
    again = terminal.json("curate", str(file), "--no-push")
    assert (first["decided"] > 0, again["decided"]) == (True, 0)
    release = terminal.json("release", str(file))
    card = (Path(release["path"]) / "README.md").read_text(encoding="utf-8")
    assert (f"- {kind.limits[:1].upper()}{kind.limits[1:]}." in card) == bool(kind.limits)
    report = (Path(release["path"]) / "report.html").read_text(encoding="utf-8")
    assert ("does not do yet for" in report) == bool(kind.limits)
    assert escape(kind.limits) in report


@pytest.mark.parametrize("name", KIND_NAMES)
@pytest.mark.parametrize("page", ["README.md", "docs/data-teams.md", "docs/ml-engineers.md"])
def test_the_guides_know_every_kind(page: str, name: str) -> None:
    assert name in (ROOT / page).read_text(encoding="utf-8").lower()


def test_a_kind_that_cannot_work_with_the_targets_is_refused_before_anything_runs(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.goldleaf("init", "new", "--kind", "extraction")
    task = tmp_path / "new" / "task.py"
    code = task.read_text(encoding="utf-8").rstrip()
    task.write_text(
        f'{code}\n\n    @classmethod\n    def task_kind(cls) -> str:\n        return "classification"\n',
        encoding="utf-8",
    )
    error = terminal.error("check", str(tmp_path / "new" / "dataset.yaml"))
    assert "names 'classification', which does not work with its targets" in error
    assert "name rewriting, extraction, or remove task_kind" in error


# --- answers and inputs ---------------------------------------------------------------------------
def test_a_list_in_another_order_is_the_same_answer() -> None:
    task, _ = EXAMPLES["extraction"]
    kind = kind_of(task)
    assert kind.credit(task, {"name": "Ann", "tags": ["y", "x"]}, {"name": "Ann", "tags": ["x", "y"]}).worth == 1
    assert kind.credit(task, {"name": "Ann", "tags": ["y"]}, {"name": "Ann", "tags": ["x", "y"]}).worth == 0.8
    assert same_targets({"tags": ["y", "x"]}, {"tags": ["x", "y"]})
    assert not same_targets({"tags": ["x", "x"]}, {"tags": ["x"]})
    assert what_changed({"tags": ["y", "x"]}, {"tags": ["x", "y"]}) == "confirmed"


def test_the_nearest_of_several_right_answers_counts_by_the_kinds_own_measure() -> None:
    task, _ = EXAMPLES["extraction"]
    prompt = (Message(role=Speaker.USER, content="?"),)
    golds = ({"name": "Ann", "tags": []}, {"name": "Bob", "tags": ["x", "y"]})
    asked = [EvalQuestion(id="q", prompt=prompt, golds=golds)]
    result = evaluate(task, asked, ['{"tags":["x","y"]}'])
    assert result.outcomes[0].gold == golds[1]
    assert result.score.value == pytest.approx(0.8)


def test_the_order_of_the_right_answers_decides_nothing() -> None:
    task, _ = EXAMPLES["extraction"]
    prompt = (Message(role=Speaker.USER, content="?"),)
    golds = ({"name": "Ann", "tags": []}, {"name": "Bob", "tags": ["x", "y"]}, {"name": "Eve", "tags": []})
    found = []
    for order in itertools.permutations(golds):
        outcome = evaluate(task, [EvalQuestion(id="q", prompt=prompt, golds=order)], ['{"name":"Zoe"}']).outcomes[0]
        found.append((outcome.gold, outcome.credit))
    assert found == [(golds[0], found[0][1])] * 6


def test_an_unreadable_answer_became_worse_even_where_nothing_was_to_be_found() -> None:
    task, _ = EXAMPLES["extraction"]
    prompt = (Message(role=Speaker.USER, content="?"),)
    asked = [EvalQuestion(id="q", prompt=prompt, golds=({"name": None, "tags": []},))]
    right, broken = evaluate(task, asked, ["{}"]), evaluate(task, asked, ["{{"])
    assert (right.score.value, broken.score.value) == (1, 0)
    assert (compare_models(right, broken).worse, compare_models(right, broken).difference.value) == (1, -1)


class Talk(Task):
    """Say who calls."""

    turns: Input[list[Message]]
    caller: Target[str]
    age: Target[int]


def test_what_a_chat_says_counts_as_said_where_labels_are_scored() -> None:
    """The messages are objects in a list, and yet their words are the input's."""
    turns = [{"role": "Bob", "content": "This is Ann Lee."}, {"role": "user", "content": "I am 42."}]
    cases = [
        known_case("r1", inputs={"turns": turns}, targets={"caller": "Ann Lee", "age": 42}),
        known_case("r2", inputs={"turns": turns}, targets={"caller": "Bob", "age": 7}),
    ]
    scored = score_labels(cases, Talk, OnConflict.REVIEW).cases
    assert [[reason.field for reason in case.doubt.reasons] for case in scored] == [[], ["caller", "age"]]


@pytest.mark.parametrize("learns", [False, True])
def test_what_speaks_against_a_label_is_neither_forgotten_nor_doubled(
    monkeypatch: pytest.MonkeyPatch, learns: bool
) -> None:
    task, _ = EXAMPLES["extraction"]
    against = Reason(code=ReasonCode.UNGROUNDED, field="name")

    class Odd(type(kind_of(task))):  # type: ignore[misc]
        learns_labels = learns

        def learn_labels(self, task: type[Task], rows: Sequence[LabeledText], *more: Any) -> Learned:
            return Learned(self.judge_labels(task, rows), {})

        def judge_labels(self, task: type[Task], rows: Sequence[LabeledText], *more: Any) -> LabelScores:
            return LabelScores([LabelScore(0.7, None, (against,)) for _ in rows])

    monkeypatch.setattr("pipeline.curation.score_labels.kind_of", lambda task: Odd())
    corrected = Reason(code=ReasonCode.CORRECTED)
    values = {"inputs": {"text": "?"}, "targets": {"name": "Ann", "tags": []}, "corrected_elsewhere": corrected}
    pasts = [Past(), Past(doubt=Doubt(0.7, None, (against,))), Past(scored=True, doubt=Doubt(0.7, None, (against,)))]
    kept: list[Kept | None] = [None, {}]
    for past, known in itertools.product(pasts, kept):
        [case] = score_labels([known_case("r1", **values, past=past)], task, OnConflict.REVIEW, kept=known).cases
        assert case.doubt.score == 0.7
        assert case.doubt.reasons == (corrected, against)


def test_what_an_annotator_settled_is_not_judged_row_by_row() -> None:
    turns = [{"role": "user", "content": "This is Ann Lee."}]
    values = {"inputs": {"turns": turns}, "targets": {"caller": "Bob", "age": 7}}
    cases = [known_case("r1", **values, human=Verdict.LABELED), known_case("r2", **values)]
    settled, judged = score_labels(cases, Talk, OnConflict.REVIEW).cases
    assert settled.doubt == NO_DOUBT
    assert judged.doubt.score is not None and judged.doubt.reasons
