"""What answers of several fields earn beside texts, and how the report and the terminal name it."""

import datetime
from typing import Literal

import pytest

from pipeline.evaluation.scores import PartMetric
from pipeline.evaluation.text_similarity import chrf, rouge_l
from pipeline.finetuning.evaluate import EvalQuestion, evaluate
from pipeline.kinds.registry import kind_of
from schemas.field import FreeText, JsonValue
from schemas.task import Input, Target, Task


class Plain(Task):
    """Say it plainly."""

    text: Input[str]
    plain: Target[FreeText[str]]
    tone: Target[Literal["calm", "harsh"]]
    page: Target[int | None] = None


def asked(**gold: JsonValue) -> EvalQuestion:
    return EvalQuestion(id="q", prompt=(), golds=({"page": None} | gold,), inputs={"text": "The cat"})


def test_what_neither_answer_has_earns_nothing_and_costs_nothing() -> None:
    question = asked(plain="the cat", tone="calm")
    wrong = evaluate(Plain, [question], ['{"plain":"dog","tone":"harsh"}'])
    assert wrong.score.value == chrf("dog", "the cat") / 2 == 0
    assert evaluate(Plain, [question], ['{"plain":"the cat","tone":"calm"}']).score.value == 1
    assert evaluate(Plain, [question], ["no JSON"]).score.value == 0


def test_a_value_that_is_made_up_or_left_out_costs() -> None:
    right, made_up = '{"plain":"the cat","tone":"calm"}', '{"plain":"the cat","tone":"calm","page":3}'
    assert evaluate(Plain, [asked(plain="the cat", tone="calm")], [made_up]).score.value == pytest.approx(2 / 3)
    assert evaluate(Plain, [asked(plain="the cat", tone="calm", page=3)], [right]).score.value == pytest.approx(2 / 3)


def test_copying_earns_only_the_similarity_of_the_copy() -> None:
    question = asked(plain="the cat", tone="calm")
    copied = kind_of(Plain).copied(Plain, question.inputs)
    assert copied is not None
    found = evaluate(Plain, [question], [Plain.task_answer({**copied, "tone": "harsh"})])
    assert found.score.value == pytest.approx(chrf("The cat", "the cat") / 2)


def test_texts_are_shown_by_their_chrf_and_other_fields_by_their_f1() -> None:
    result = evaluate(Plain, [asked(plain="the cat", tone="calm")], ['{"plain":"the cats","tone":"calm"}'])
    metric = kind_of(Plain).part_metric
    shown = {part.name: metric.of(part) for part in result.parts}
    assert metric is PartMetric.CHRF
    assert shown == {"plain": pytest.approx(chrf("the cats", "the cat")), "tone": 1, "page": 1}


def test_exact_texts_and_rouge_are_said_beside_the_chrf() -> None:
    result = evaluate(Plain, [asked(plain="the cat", tone="calm")], ['{"plain":"the cats","tone":"calm"}'])
    assert {one.name: one.value.value for one in result.measures} == {"ROUGE-L": 0.5, "exact texts": 0}


class Dated(Task):
    """Say it plainly, and when it was."""

    text: Input[str]
    plain: Target[FreeText[str]]
    when: Target[datetime.time]
    pages: Target[list[int]]


def test_values_beside_texts_are_compared_as_everywhere() -> None:
    gold: dict[str, JsonValue] = {"plain": "a cat", "when": "10:00:00+00:00", "pages": [1, 2]}
    question = EvalQuestion(id="q", prompt=(), golds=(gold,), inputs={"text": "x"})
    same = '{"plain":"a cat","when":"11:00:00+01:00","pages":[2,1]}'
    assert evaluate(Dated, [question], [same]).score.value == 1
    assert evaluate(Dated, [question], [same.replace("11", "12")]).score.value == pytest.approx(2 / 3)


def test_rouge_is_that_of_the_best_reference() -> None:
    answer = "slowly sat on mat"
    golds = tuple({"plain": text} for text in ("sat home on mat the dog", "ran red mat house sat a slowly"))
    question = EvalQuestion(id="q", prompt=(), golds=golds, inputs={"text": "x"})
    [rouge, _] = evaluate(Short, [question], [answer]).measures
    assert rouge.value.value == max(rouge_l(answer, gold["plain"]) for gold in golds)


class Short(Task):
    """Shorten it."""

    text: Input[str]
    plain: Target[FreeText[str]]


class Noted(Task):
    """Note what is odd."""

    text: Input[str]
    odd: Target[bool]
    note: Target[FreeText[str] | None] = None


def test_models_of_which_one_writes_no_text_at_all_can_be_compared() -> None:
    gold: dict[str, JsonValue] = {"odd": True, "note": None}
    question = EvalQuestion(id="q", prompt=(), golds=(gold,), inputs={"text": "x"})
    silent, talking = (evaluate(Noted, [question], [one]) for one in ('{"odd":true}', '{"odd":true,"note":"blue"}'))
    assert [one.name for one in silent.measures] == [one.name for one in talking.measures]
    assert (silent.measures[0].value.value, talking.measures[0].value.value) == (1, 0)
