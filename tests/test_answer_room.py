"""Answers have room, what is cut is counted and said, and preflight names what has no room."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from model_families import SMOLLM, model_of
from small_models import save_small_model
from test_exam_limits import ROWS, Topic
from test_exam_limits import row as topic
from test_preflight import CONFIG, measured, row
from verdict_toys import tuning_wins

from pipeline.finetuning.answer_room import longest_answer
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.exam import Exam, Questions
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.predict import answer_tokens
from pipeline.ladder.kept_answers import KeptAnswers, Times
from pipeline.reporting.verdict_tables import number_columns
from schemas.dataset import Form
from schemas.task import Input, Target, Task


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("model")
    save_small_model(folder)
    return load_base(str(folder))


class Invoice(Task):
    """Read the invoice."""

    text: Input[str]
    supplier: Target[str]
    state: Target[Literal["paid", "a state of affairs that no row of the training split was ever in so far"]]


def invoice(supplier: str) -> Example:
    inputs, targets = {"text": "An invoice."}, {"supplier": supplier, "state": "paid"}
    *prompt, answer = Invoice.task_messages(inputs, targets)
    return Example(supplier, tuple(prompt), (answer,), inputs | targets)


def test_answers_longer_than_all_known_ones_and_choices_that_none_has_are_not_cut(small: LoadedModel) -> None:
    room = longest_answer([invoice("Acme")], Invoice, small)
    longer = {"supplier": "Acme Ltd.", "state": Invoice.task_targets()[1].choices[1]}
    assert answer_tokens(small, [Invoice.task_answer({"supplier": "Acme", "state": longer["state"]})]) <= room
    seen = [invoice("The Acme Trading Company of Upper and Lower Saxony, Incorporated")]
    known = answer_tokens(small, [seen[0].answer])
    assert longest_answer(seen, Invoice, small) >= 1.5 * known
    topics = [Topic.task_answer({"topic": one}) for one in ("billing", "delivery")]
    assert longest_answer([topic(0, "lamp")], Topic, small) == answer_tokens(small, topics), (
        "of choices, as long as any"
    )


def test_answers_that_were_cut_are_counted_for_every_arm_and_said(small: LoadedModel, tmp_path: Path) -> None:
    asked = Questions(questions(Topic, ROWS), [], [], {})
    answers = Exam(Topic, 3).take(small, asked, lambda units: None, Form.FREE)
    # It has learned nothing, and ends nothing.
    assert list(answers.cut) == list(range(len(ROWS)))
    kept = KeptAnswers(tmp_path)
    kept.keep("zero_shot", "the base model", asked, answers, Times(learning=0, answering=1, alone=None))
    again = kept.get("zero_shot", asked)
    assert again is not None and list(again[1].cut) == list(answers.cut), "a killed run does not forget them"
    judged = answers.scored(Topic, asked)
    assert (judged.cut, judged.of({"r1", "r2"}).cut) == (20, 2)
    assert not list(Exam(Topic, 3).take(small, asked, lambda units: None).cut), "the likeliest choice is never cut"
    found = tuning_wins().found
    base = found.ladder.arms[-1].model_copy(update={"evaluation": judged})
    cut = found.model_copy(update={"ladder": found.ladder.model_copy(update={"arms": (*found.ladder.arms[:-1], base)})})
    assert found.cut == "" and "cut" not in number_columns(found)
    assert f"judged as they stand: 20 of 20 answers of {base.title}." in cut.cut and cut.cut in cut.beside
    assert "cut" in number_columns(cut)


def test_answers_beyond_the_room_that_is_given_by_itself_are_named_and_the_advice_is_true() -> None:
    smollm = model_of(SMOLLM)
    judge, rows = measured([row(1), row(2, answer="a b c d e f g")], smollm, CONFIG)
    needed = answer_tokens(smollm, ["a b c d e f g"])
    assert int(rows.answer.max()) > needed, "the template writes on after the end"
    [found] = replace(judge, room=needed - 1).asked(rows, "test")
    assert (found.code, found.examples, found.next) == (
        "beyond_max_new_tokens",
        ("r2",),
        f"set finetune.max_new_tokens to {needed}",
    )
    assert replace(judge, room=needed).asked(rows, "test") == [], "what is advised is enough"
    assert replace(judge, room=4).asked(rows, "validation") == [], "nobody writes answers to these"
    set_to = replace(judge, config=CONFIG.model_copy(update={"max_new_tokens": 4}))
    for room, then in ((needed, ", or leave it out"), (needed - 1, "")):
        [found] = replace(set_to, room=room).asked(rows, "test")
        assert found.next == f"set finetune.max_new_tokens to {needed}{then}"
