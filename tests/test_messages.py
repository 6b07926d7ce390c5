"""What the commands and the card say is so, names numbers, and says what helps."""

import re
from pathlib import Path
from typing import Any

import pytest
from home_of_answers import ASKED, home_in
from known_cases import known_case
from odd import ORDER, QUESTION, Odd
from scored import score_labels
from support import row, write_dataset
from terminal import Terminal

from flows.engines.engine import Inline
from flows.release import release
from pipeline.config.workspace import HOW_TO_CONNECT
from pipeline.curation.case import Judged
from pipeline.releases.draft import draft_release
from pipeline.reporting.overview import Rejection
from schemas.dataset import OnConflict
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.row_problems import nearest_choices
from schemas.task import Task
from schemas.tasks.contract_clause import ClauseKind, ContractClause

TWO_KINDS = [
    row(n, f"{text} {n} times", topic)
    for n, (text, topic) in enumerate([("the fee was wrong", "billing"), ("the parcel did not come", "delivery")] * 20)
]


# --- the card -------------------------------------------------------------------------------------
def test_the_card_counts_the_uncertain_rows_that_it_holds(tmp_path: Path) -> None:
    wrong = row(99, "the parcel did not come at all", "billing")
    odd = Odd(tmp_path, QUESTION, [*TWO_KINDS, wrong], "duplicates: {threshold: 1.0}\n")
    odd.curate()
    assert odd.codes(99)[0] is ReasonCode.UNREVIEWED
    card = Path(release(odd.context, Inline()).path, "README.md").read_text()
    assert "- 1 uncertain answer was accepted, beyond the review budget (`review.unreviewed: accept`).\n" in card


def test_the_card_counts_no_uncertain_row_that_annotators_are_asked_about_at_random(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    doubted = {"fate": Fate.ACCEPTED, "reasons": [Reason(code=ReasonCode.UNREVIEWED), ASKED]}
    home.curated(*(home.asked(name, routed=route, **doubted) for name, route in (("a", None), ("b", Routed.AUDIT))))
    draft = draft_release(home.now, home.dataset, lambda ids: {})
    assert (draft.funnel.accepted, draft.unreviewed) == (2, 1)


def test_the_card_speaks_of_no_uncertain_rows_if_there_are_none(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, TWO_KINDS, "duplicates: {threshold: 1.0}\n")
    odd.curate()
    assert "uncertain" not in Path(release(odd.context, Inline()).path, "README.md").read_text()


def test_the_card_counts_rows_in_review_as_held_not_as_questions_that_wait(tmp_path: Path) -> None:
    rows = [row(1, "Why?", "billing"), row(2, "Where?", "billing"), row(3, "Where?", "returns")]
    write_dataset(tmp_path, rows, "review: {budget: 0, audit: 0.5}\n")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    card = Path(terminal.json("release")["path"], "README.md").read_text()
    assert "\n| held for review | 2 |\n" in card and "waiting for annotators" not in card
    assert "1 question is waiting for annotators" in terminal.goldleaf("status").stdout, "that is the audit"


# --- questions ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("rows", "audits"), [(1, "1 of them a random audit"), (2, "2 of them random audits")])
def test_the_audits_among_the_questions_are_counted(tmp_path: Path, rows: int, audits: str) -> None:
    asked = [row(key, f"Why {key}?", "billing") for key in range(rows)]
    write_dataset(tmp_path, [*asked, row(9, "Where?", None)], "review: {budget: 9, audit: 1.0}\n")
    terminal = Terminal(tmp_path)
    [line] = [line for line in terminal.goldleaf("curate").stdout.splitlines() if "waiting" in line]
    waiting = f"{rows + 1} questions are waiting for annotators"
    assert line == f"{waiting}, {audits}: Label Studio is not configured; {HOW_TO_CONNECT}"
    assert terminal.goldleaf("status").stdout.count(f"\n{waiting}, {rows + 1} not sent yet\n") == 1


# --- rejections -----------------------------------------------------------------------------------
def rejection(**values: Any) -> Rejection:
    usual = {"code": "unusable", "field": "", "count": 2, "file": "a.jsonl", "line": 58, "detail": ""}
    return Rejection.model_validate(usual | {"same_detail": False} | values)


def test_an_example_without_a_detail_ends_with_its_place() -> None:
    assert str(rejection()) == "an annotator marked it unusable, as in a.jsonl:58"
    assert str(rejection(detail="twice")) == "an annotator marked it unusable, as in a.jsonl:58: twice"


NOTED = QUESTION.replace("    topic:", "    note: Input[str]\n    topic:")
LET_IN = "if rows may lack it, make it optional: add `| None` to the type of 'note', and `= None`"


def noted(lacking: int, others: int) -> list[dict[str, object]]:
    rows = [row(number, f"Why {number}?", "billing") for number in range(lacking + others)]
    return [one | ({} if number < lacking else {"note": "x"}) for number, one in enumerate(rows)]


@pytest.mark.parametrize("verb", ["curate", "check"])
def test_rows_rejected_for_an_empty_field_come_with_what_lets_them_in(tmp_path: Path, verb: str) -> None:
    Odd(tmp_path, NOTED, [*noted(2, 1), row(3, "Why?", "nonsense")], "duplicates: {threshold: 1.0}\n")
    lines = Terminal(tmp_path).goldleaf(verb).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if "is missing or empty (note)" in line)
    assert lines[at + 1] == f"    {LET_IN}"
    assert sum("| None" in line for line in lines) == 1


@pytest.mark.parametrize("verb", ["curate", "check"])
def test_no_one_is_advised_to_let_in_rows_without_their_only_input_or_a_stray_one(tmp_path: Path, verb: str) -> None:
    Odd(tmp_path / "only", QUESTION, [row(1, "", "billing"), row(2, "", "billing"), row(3, "Why?", "billing")])
    Odd(tmp_path / "stray", NOTED, noted(1, 199), "duplicates: {threshold: 1.0}\n")
    for folder in ("only", "stray"):
        shown = Terminal(tmp_path / folder).goldleaf(verb).stdout
        assert "missing or empty" in shown and "| None" not in shown


def test_a_field_that_no_row_of_the_source_has_is_not_called_optional(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": number, "text": "Why?", "topic": "billing"} for number in range(3)]
    write_dataset(tmp_path, rows)
    terminal = Terminal(tmp_path)
    for shown in (terminal.goldleaf("curate").stdout, terminal.goldleaf("status").stdout):
        assert "| None" not in shown
        assert "no row of its source has this field: map 'question' to the right one with `fields:`" in shown


# --- choices --------------------------------------------------------------------------------------
def problem(task: type[Task], **values: Any) -> str:
    [reason] = task.task_parse(values).problems
    return reason.detail


def test_of_many_choices_the_nearest_are_named() -> None:
    count = len(ClauseKind)
    said = problem(ContractClause, clause="x", kind="Insurence")
    assert said.startswith(f"Input should be one of {count} choices, such as 'insurance'")
    assert said.endswith(", got 'Insurence'") and len(said) < 160


@pytest.mark.parametrize("value", ["zzzz", "y" * 5_000, 7, ["insurance"], {"a": 1}])
def test_where_no_choice_is_near_the_first_are_named(value: Any) -> None:
    first = ", ".join(repr(kind.value) for kind in list(ClauseKind)[:3])
    assert problem(ContractClause, clause="x", kind=value).startswith(
        f"Input should be one of {len(ClauseKind)} choices, such as {first}, got "
    )


def test_few_choices_are_all_named(tmp_path: Path) -> None:
    task = Odd(tmp_path, QUESTION, []).context.dataset.task
    assert problem(task, question="x", topic="bill") == (
        "Input should be 'billing', 'delivery' or 'returns', got 'bill'"
    )


def test_a_wrong_label_that_comes_again_is_compared_once() -> None:
    before = nearest_choices.cache_info().misses
    for _ in range(100):
        problem(ContractClause, clause="x", kind="a label that nobody knows")
    assert nearest_choices.cache_info().misses - before <= 1


# --- the budget -----------------------------------------------------------------------------------
def test_what_is_beyond_the_budget_is_called_what_it_is(tmp_path: Path) -> None:
    rows = [
        row(1, "Why?", None),
        row(2, "Where is it?", None),
        row(3, "May I?", "billing"),
        row(4, "May I?", "returns"),
    ]
    write_dataset(tmp_path, rows, "review: {budget: 0, audit: 0.0}\n")
    terminal = Terminal(tmp_path)
    assert terminal.json("curate")["beyond_by_reason"] == {"unlabeled": 2, "conflict": 1}
    said = (
        "3 more rows are beyond the review budget: 2 unlabeled, 1 conflict (0 of 0 used; set review.budget to 3 to ask "
        "about all of them); until then 3 left out"
    )
    assert said in terminal.goldleaf("curate").stdout.splitlines()
    assert said in terminal.goldleaf("status").stdout.splitlines()
    status = terminal.json("status")
    assert (status["beyond_budget"], status["budget_used"], status["budget"]) == (3, 0, 0)


def test_the_report_tells_what_was_chosen_from_what_was_sent_and_that_audits_wait(tmp_path: Path) -> None:
    write_dataset(tmp_path, TWO_KINDS[:3], "review: {budget: 9, audit: 1.0}\nduplicates: {threshold: 1.0}\n")
    terminal = Terminal(tmp_path)
    terminal.goldleaf("curate")
    page = Path(terminal.json("report")["path"]).read_text()
    assert "3 records chosen for annotators, 0 sent to them, 0 settled, 3 not settled yet. 3 questions" in page
    assert "No audit question has been answered yet; 3 wait for annotators" in page
    assert "above 0" not in page


def test_it_is_said_whether_a_row_with_several_reasons_counts_once_or_under_each(tmp_path: Path) -> None:
    asked = "Why was pat@example.com charged twice for it?"
    write_dataset(tmp_path, [row(1, asked, "billing"), row(2, asked, "returns")])
    terminal = Terminal(tmp_path)
    curated = terminal.goldleaf("curate").stdout
    for shown in (curated, terminal.goldleaf("status").stdout):
        assert "\nin review, by first reason: 2 conflict\n" in shown
    page = Path(terminal.json("report")["path"]).read_text()
    assert (
        "A record with several reasons counts under each; <code>goldleaf status</code> counts it under its first"
        in page
    )
    for code in ("personal_data", "conflict"):
        assert re.search(rf">{code}</span></th><td class=\"number\">2<", page)


def test_status_speaks_of_no_budget_before_the_first_curate(tmp_path: Path) -> None:
    write_dataset(tmp_path, TWO_KINDS)
    assert "budget" not in Terminal(tmp_path).goldleaf("status").stdout


def test_an_uncertain_row_accepted_beyond_the_budget_is_called_so(tmp_path: Path) -> None:
    wrong = row(99, "the parcel did not come at all", "billing")
    odd = Odd(tmp_path, QUESTION, [*TWO_KINDS, wrong], "duplicates: {threshold: 1.0}\n")
    assert odd.curate().beyond_by_reason == {ReasonCode.LABEL_ERROR: 1}


# --- check ----------------------------------------------------------------------------------------
def length(folder: Path, choices: list[str], more: str = "") -> list[str]:
    task = QUESTION.replace('"billing", "delivery", "returns"', ", ".join(map(repr, choices))) + more
    Odd(folder, task, [row(1, "Where is my parcel?", choices[0])])
    found = Terminal(folder).json("check")
    return [item["detail"] for item in found if item["what"] == "length of the prompts"]


def test_check_says_what_a_long_list_of_choices_costs_and_how_to_leave_it_out(tmp_path: Path) -> None:
    choices = [f"choice_{number}" for number in range(151)]
    [said] = length(tmp_path / "long", choices)
    assert said.startswith("the answer format, with 151 choices, takes ")
    assert said.endswith("to leave it out, let task_answer_form in Question return an empty string")
    without = '\n    @classmethod\n    def task_answer_form(cls):\n        return ""\n'
    assert length(tmp_path / "without", choices, without) == []
    assert length(tmp_path / "short", choices[:5]) == []


def test_an_answer_format_of_nested_fields_has_no_choices_to_count(tmp_path: Path) -> None:
    nested = "".join(f"    part_{number}: str\n" for number in range(60))
    task = f"from pydantic import BaseModel\n\nclass Order(BaseModel):\n{nested}\n" + ORDER.replace(
        "article: Target[str]", "article: Target[Order]"
    )
    order = {f"part_{number}": "a bag" for number in range(60)}
    Odd(tmp_path, task, [{"id": 1, "question": "A bag, please.", "article": order}])
    [found] = [item for item in Terminal(tmp_path).json("check") if item["what"] == "length of the prompts"]
    assert found["detail"].startswith("the answer format takes ")


# --- any_of ---------------------------------------------------------------------------------------
def case(name: str, text: str, topic: str) -> Judged:
    return known_case(name, text_key=text, inputs={"question": text}, targets={"topic": topic})


@pytest.mark.parametrize("other", ["the parcel - did not come, at all!", "the parcel did not come at all"])
def test_under_any_of_a_label_of_the_same_words_is_not_flagged(tmp_path: Path, other: str) -> None:
    task = Odd(tmp_path, QUESTION, []).context.dataset.task
    text = "the parcel did not come at all"
    rows = [*TWO_KINDS, row(98, text, "billing"), row(99, other, "delivery")]
    cases = [case(f"r{n}", str(item["question"]), str(item["topic"])) for n, item in enumerate(rows)]
    scored = score_labels(cases, task, OnConflict.ANY_OF).cases
    assert [one.doubt.reasons for one in scored[-2:]] == [(), ()]
    alone = score_labels(cases[:-1], task, OnConflict.ANY_OF).cases[-1]
    assert [reason.code for reason in alone.doubt.reasons] == [ReasonCode.LABEL_ERROR], "nothing else has its words"
