"""In a doubt or conflict, the answers to choose between come first, and one key accepts one of them."""

from typing import Any, Literal

import pytest
from pydantic import create_model
from task_toys import INVOICE, task_with

from pipeline.review.form import labeling_config
from pipeline.review.labeling_tasks import LabelingAnswer, LabelingQuestion, labeling_task, read_result
from pipeline.review.offered_answers import CANDIDATE, Candidate, as_choices, read_candidate
from schemas.annotation import Verdict
from schemas.task import Conversation, Target, Task
from schemas.tasks.invoice import Invoice

TOPIC = task_with(Target[Literal["a", "b", "c"]])
TOPICS = task_with(Target[set[Literal["a", "b", "c"]]])


def candidate(whose: str, **targets: Any) -> Candidate:
    return Candidate(whose=whose, targets=targets)


def chosen(task: type[Task], alias: str, inputs: dict[str, Any] | None = None) -> LabelingAnswer:
    region = {"from_name": CANDIDATE, "type": "choices", "value": {"choices": [alias]}}
    return read_result(task, [region], was_cancelled=False, inputs=inputs)


def test_each_candidate_says_whose_it_is_and_has_a_key() -> None:
    asked = [candidate("as in the data", answer="a"), candidate("as the model says", answer="b")]
    assert [(one["value"], one["hotkey"]) for one in as_choices(TOPIC, asked)] == [
        ("as in the data: a", "shift+1"),
        ("as the model says: b", "shift+2"),
    ]


def test_equal_answers_are_one_candidate_and_a_single_one_is_none() -> None:
    same = [candidate("as in the data", answer=["a", "b"]), candidate("in x.jsonl:7", answer=["b", "a"])]
    assert as_choices(TOPICS, same) == []
    assert [one["value"] for one in as_choices(TOPICS, [*same, candidate("as the model says", answer=[])])] == [
        "as in the data: a, b",
        "as the model says: none of these",
    ]


def test_five_are_offered_and_the_first_three_have_a_key() -> None:
    task = task_with(Target[Literal["a", "b", "c", "d", "e", "f"]])
    offered = as_choices(task, [candidate(f"in {answer}:1", answer=answer) for answer in "abcdef"])
    assert [(one["value"], one["hotkey"]) for one in offered] == [
        ("in a:1: a", "shift+1"),
        ("in b:1: b", "shift+2"),
        ("in c:1: c", "shift+3"),
        ("in d:1: d", "f19"),
        ("in e:1: e", "f19"),
    ]


def test_a_long_answer_is_shown_cut_and_accepted_whole() -> None:
    task, long = task_with(Target[str]), "word " * 500 + "end"
    [first, _] = as_choices(task, [candidate("x", answer=long), candidate("y", answer="short")])
    assert len(first["value"]) < 700 and first["value"].endswith(" …")
    assert chosen(task, first["alias"]) == LabelingAnswer(verdict=Verdict.LABELED, targets={"answer": long})


def test_of_several_fields_only_those_are_shown_that_differ() -> None:
    one = Invoice.task_canonical(INVOICE)
    other = one | {"vendor": "Acme Ltd", "due_date": "2026-05-03"}
    shown = as_choices(
        Invoice, [Candidate(whose="as in the data", targets=one), Candidate(whose="in a:1", targets=other)]
    )
    assert [choice["value"] for choice in shown] == [
        "as in the data: vendor: Acme; due_date: nothing",
        "in a:1: vendor: Acme Ltd; due_date: 2026-05-03",
    ]


def test_the_chosen_one_is_the_answer_whatever_else_is_filled_in() -> None:
    [first, second] = as_choices(TOPIC, [candidate("x", answer="a"), candidate("y", answer="b")])
    assert chosen(TOPIC, second["alias"]) == LabelingAnswer(verdict=Verdict.LABELED, targets={"answer": "b"})
    both = [
        {"from_name": CANDIDATE, "type": "choices", "value": {"choices": [first["alias"]]}},
        {"from_name": "answer", "type": "choices", "value": {"choices": ["c"]}},
    ]
    assert read_result(TOPIC, both, was_cancelled=False).targets == {"answer": "a"}


@pytest.mark.parametrize("alias", ["no JSON", "[]", '{"answer": "d"}', "{}"])
def test_what_is_no_answer_of_the_task_must_be_corrected(alias: str) -> None:
    answer = chosen(TOPIC, alias)
    assert answer.verdict is Verdict.INVALID
    assert answer.error.endswith("Correct the annotation in Label Studio and update it.")


def test_the_task_carries_them_and_the_form_shows_them_before_the_fields() -> None:
    asked = (candidate("as in the data", answer="a"), candidate("as the model says", answer="b"))
    question = LabelingQuestion(push_key="k", record_id="r", inputs={"text": "t"}, why="…", candidates=asked)
    assert [one["hotkey"] for one in labeling_task(TOPIC, question)["data"]["candidates"]] == ["shift+1", "shift+2"]
    config = labeling_config(TOPIC)
    assert config.index(f'name="{CANDIDATE}"') < config.index('name="answer"')
    assert 'hotkey="shift+1"' not in config


# --- candidates that differ look different --------------------------------------------------------
LONG = "The tenant pays. " * 60
HELPER = create_model("Helper", __base__=Task, __doc__="Help.", messages=(Conversation, ...))


def turns(function: str, said: str = "Done.") -> list[dict[str, Any]]:
    call = {"type": "function", "function": {"name": function, "arguments": "{}"}}
    called = {"role": "assistant", "content": "", "tool_calls": [call]}
    return [called, {"role": "tool", "content": "ok"}, {"role": "assistant", "content": said}]


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        (task_with(Target[set[Literal["a", "b", "a, b"]]]), [["a", "b"], ["a, b"]]),
        (task_with(Target[list[str]]), [["x", "y"], ["x, y"], ['x", "y']]),
        (task_with(Target[str]), [f"{LONG}Today.", f"{LONG}Tomorrow.", "Never."]),
        (task_with(Target[str]), [LONG, f"{LONG}Tomorrow."]),
        (task_with(Target[str | None]), ["nothing", None]),
    ],
)
def test_two_answers_never_look_alike(task: type[Task], answers: list[Any]) -> None:
    shown = [one["value"] for one in as_choices(task, [candidate("it", answer=answer) for answer in answers])]
    assert len(set(shown)) == len(answers)
    assert max(map(len, shown)) < 620


def test_chats_that_end_alike_are_told_apart_by_their_earlier_turns() -> None:
    search, delete = (candidate("it", messages=turns(name)) for name in ("search", "delete_all"))
    first, second = (one["value"] for one in as_choices(HELPER, [search, delete]))
    assert "search" in first and "delete_all" in second
    assert [one["value"] for one in as_choices(HELPER, [search, candidate("it", messages=turns("search", "No."))])] == [
        "it: Done.",
        "it: No.",
    ]


def test_a_difference_that_comes_late_is_shown_with_what_is_before_it() -> None:
    answers = [candidate("it", answer=f"{LONG}{end}") for end in ("Today.", "Tomorrow.")]
    today, tomorrow = (one["value"] for one in as_choices(task_with(Target[str]), answers))
    assert today.startswith("it: … ") and today.endswith("The tenant pays. Today.")
    assert tomorrow.endswith("The tenant pays. Tomorrow.")


def test_a_choice_that_nests_too_deeply_is_none_of_ours() -> None:
    with pytest.raises(ValueError, match="cannot be read; fill in the form instead"):
        read_candidate('{"a":' * 100_000)
