"""What kinds of task say of answers and labels, one by one."""

from typing import Any, Literal

import pytest
import rewritten

from pipeline.evaluation.text_similarity import chrf
from pipeline.finetuning.evaluate import evaluate, questions
from pipeline.finetuning.examples import Example
from pipeline.kinds.interface import LabeledText, LabelScore
from pipeline.kinds.registry import kind_of
from schemas.fate import Reason, ReasonCode
from schemas.field import FreeText
from schemas.message import Message, Speaker
from schemas.task import Conversation, Input, Target, Task


class Topics(Task):
    """Name all topics."""

    text: Input[str]
    topics: Target[set[Literal["a", "b"]]]


class Twice(Task):
    """Say it plainly, twice."""

    text: Input[str]
    plain: Target[FreeText[str]]
    plainer: Target[FreeText[str]]


class Talk(Task):
    """Help."""

    messages: Conversation


def test_rows_without_any_label_are_a_part_of_the_set_that_is_divided_as_the_labels_are() -> None:
    kind = kind_of(Topics)
    assert kind.strata(Topics, {"topics": []}) == ("",)
    assert kind.strata(Topics, {"topics": ["a", "b"]}) == ("a", "b")


def test_of_two_free_texts_the_worse_one_decides_and_both_say_why() -> None:
    pairs = rewritten.plainer(200)
    copied, cut = pairs[0][0], pairs[0][1][:9]

    def scores(plain: str, plainer: str) -> tuple[float | None, list[str]]:
        rows = [
            LabeledText(original, {"text": original}, {"plain": one, "plainer": two}, str(n))
            for n, (original, answer) in enumerate(pairs)
            for one, two in [(plain, plainer) if n == 0 else (answer, answer)]
        ]
        found = kind_of(Twice).learn_labels(Twice, rows, 17).scores.rows[0]
        return found.score, [f"{reason.field} {reason.code.value}" for reason in found.reasons]

    fine = pairs[0][1]
    (one, _), (other, _), (sound, nothing) = scores(copied, fine), scores(fine, cut), scores(fine, fine)
    assert one is not None and other is not None and sound is not None
    assert one != other and sound < min(one, other) and nothing == []
    score, reasons = scores(copied, cut)
    assert score == max(one, other)
    assert {reason.split()[0] for reason in reasons} == {"plain", "plainer"}


def test_nothing_is_like_a_text_and_no_text_is_like_nothing() -> None:
    assert chrf("", "") == 1
    assert chrf("a text", "") == chrf("", "a text") == 0


class Optional(Task):
    """Say it plainly, if it can be said."""

    text: Input[str]
    plain: Target[FreeText[str | None]]
    plainer: Target[FreeText[str | None]]


def test_a_text_that_is_not_there_is_not_doubted() -> None:
    rows = [
        LabeledText(original, {"text": original}, {"plain": answer if n else None, "plainer": None}, str(n))
        for n, (original, answer) in enumerate(rewritten.plainer(60))
    ]
    assert not any(row.reasons for row in kind_of(Optional).learn_labels(Optional, rows, 17).scores.rows)


class Notice(Task):
    """Say it plainly, and name the town."""

    text: Input[str]
    plain: Target[FreeText[str]]
    town: Target[str]


class Towns(Task):
    """Name the town and the street."""

    text: Input[str]
    town: Target[str]
    street: Target[str | None] = None


@pytest.mark.parametrize("task", [Notice, Towns])
def test_a_value_that_does_not_occur_is_doubted_unless_that_is_turned_off(task: type[Task]) -> None:
    text = "The office in Ghent is closed today."
    answer = {field.name: None for field in task.task_targets()} | {"town": "Porto"}
    row = LabeledText(text, {"text": text}, answer | ({"plain": "Closed today."} if task is Notice else {}), "g")
    kind = kind_of(task)
    assert [one.field for one in kind.learn_labels(task, [row], 17).scores.rows[0].reasons] == ["town"]
    assert kind.learn_labels(task, [row], 17, ["ungrounded"]).scores.rows[0].reasons == ()


# --- chat -------------------------------------------------------------------------------------------
USER = {"role": "user", "content": "Where do I find the garden chairs?"}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "find", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "content": "hall 4"}
SAID = {"role": "assistant", "content": "In hall four, next to the plants."}
REFUSAL = {"role": "assistant", "content": "I'm sorry, but I can't help with that."}


def judged(*turns: dict[str, Any]) -> LabelScore:
    parsed = Talk.task_parse({"messages": list(turns)})
    row = LabeledText("", parsed.inputs, parsed.targets, "g")
    return kind_of(Talk).learn_labels(Talk, [row], 17).scores.rows[0]


def test_a_chat_is_as_doubtful_as_the_weightiest_of_its_faults() -> None:
    refused, empty = judged(USER, REFUSAL), judged(USER, {"role": "assistant", "content": ""})
    assert [one.code for one in refused.reasons] == [ReasonCode.REFUSAL]
    assert [one.code for one in empty.reasons] == [ReasonCode.EMPTY_TURN]
    assert refused.score is not None and empty.score is not None and refused.score != empty.score
    both = judged(USER, {"role": "assistant", "content": ""}, USER, REFUSAL)
    assert both.score == max(refused.score, empty.score)
    assert {one.code for one in both.reasons} >= {ReasonCode.REFUSAL, ReasonCode.EMPTY_TURN}


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\u200b\ufeff ", ".", "…", "-", "N/A", "n/a", "n.a.", "?"])
def test_an_answer_that_says_nothing_is_doubted_however_it_is_written(text: str) -> None:
    assert ReasonCode.EMPTY_TURN in [one.code for one in judged(USER, {"role": "assistant", "content": text}).reasons]


@pytest.mark.parametrize("text", ["4", "No", "👍", "+", "na klar", "{}", "好", "a.", "None of them"])
def test_a_short_answer_is_not_nothing(text: str) -> None:
    said = [one.code for one in judged(USER, {"role": "assistant", "content": text}).reasons]
    assert ReasonCode.EMPTY_TURN not in said
    assert not Message(role=Speaker.USER, content=".").says_nothing, "of a user it may mean something"


def test_a_fault_names_the_turn_by_the_number_that_annotators_see() -> None:
    [reason] = judged(USER, SAID, USER, REFUSAL).reasons
    assert reason.detail.startswith("turn 4: ")


def test_a_chat_is_compared_by_what_is_said_in_the_end() -> None:
    asked = (Message(role=Speaker.USER, content="?"),)
    rows = [Example("1", asked, (), {"messages": [USER, CALL, RESULT, SAID]})]
    found = evaluate(Talk, questions(Talk, rows), [SAID["content"]])
    assert {measure.name: measure.value.value for measure in found.measures} == {
        "answers that no rule doubts": 1,
        "chrF": 1,
    }


# --- sets of labels ---------------------------------------------------------------------------------
def test_a_label_that_is_missing_and_one_that_does_not_belong_are_told_apart() -> None:
    texts = {"a": "apples and pears from our garden", "b": "trains to the north leave late"}
    sets: list[dict[str, Any]] = [{"topics": ["a"]}, {"topics": ["b"]}]
    rows = [
        LabeledText(f"{texts[label]}, letter {n}", {}, sets["ab".index(label)], f"{label}{n}")
        for n in range(60)
        for label in "ab"
    ]
    wrong = [
        LabeledText(f"{texts['a']}, note 1", {}, {"topics": []}, "x"),
        LabeledText(f"{texts['b']}, note 2", {}, {"topics": ["a", "b"]}, "y"),
    ]
    missing, extra = kind_of(Topics).learn_labels(Topics, [*rows, *wrong], 17).scores.rows[-2:]
    assert [one.detail for one in missing.reasons] == ["'a' seems to be missing"]
    assert [one.detail for one in extra.reasons] == ["'a' does not seem to belong"]
    assert (missing.suggestion, extra.suggestion) == ({"topics": ["a"]}, {"topics": ["b"]})


class Reply(Task):
    """Answer the question."""

    question: Input[str]
    reply: Target[list[Message]]


def test_an_answer_in_turns_to_a_question_in_text_is_judged_by_its_own_turns() -> None:
    def reasons(*turns: dict[str, Any]) -> list[Reason]:
        parsed = Reply.task_parse({"question": "Where do I find the chairs?", "reply": list(turns)})
        row = LabeledText("", parsed.inputs, parsed.targets, "g")
        return list(kind_of(Reply).learn_labels(Reply, [row], 17).scores.rows[0].reasons)

    assert reasons(SAID) == []
    [refusal] = reasons(REFUSAL)
    assert (refusal.code, refusal.detail[:8]) == (ReasonCode.REFUSAL, "turn 1: ")
