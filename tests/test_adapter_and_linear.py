"""The adapter and a linear model decide together: by the product of their likelihoods."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
from small_models import save_small_model

from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.closed_answers import likeliest
from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.exam import Exam, Questions, askable
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.ladder import linear_fields
from pipeline.ladder.adapter_and_linear import AdapterAndLinear
from pipeline.ladder.arm import CannotAnswer
from pipeline.ladder.language_models import Candidate
from pipeline.ladder.linear_fields import OneChoice
from pipeline.ladder.retrieval import Memory
from schemas.dataset import Finetune, Form
from schemas.task import Input, Target, Task

TOPICS = {"billing": "invoice charged card", "delivery": "courier parcel street", "returns": "refund broken label"}
FILLERS = ("please", "today", "again", "my", "hello", "about", "since", "monday")


class Question(Task):
    """Name the topic."""

    text: Input[str]
    topic: Target[Literal["billing", "delivery", "returns", "weather"] | None] = None


class Free(Task):
    """Say something."""

    text: Input[str]
    said: Target[str]


def rows(count: int, task: type[Task] = Question, start: int = 0) -> list[Example]:
    found = []
    for number in range(start, start + count):
        topic = list(TOPICS)[number % 3]
        words = [*TOPICS[topic].split()[number % 2 :], FILLERS[number % 8], FILLERS[number // 8 % 8], f"no{number}"]
        inputs, targets = {"text": " ".join(words)}, {list(task.model_fields)[1]: topic}
        *prompt, answer = task.task_messages(inputs, targets)
        found.append(Example(f"r{number}", tuple(prompt), (answer,), inputs | targets))
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("model")
    save_small_model(folder)
    return load_base(str(folder))


def asked(model: LoadedModel, examples: Sequence[Example], task: type[Task] = Question) -> Questions:
    return askable(questions(task, examples), task, Finetune(), model)


def arm_of(model: LoadedModel, learned: list[Example], task: type[Task] = Question, **config: Form) -> AdapterAndLinear:
    arm = AdapterAndLinear(Candidate(model, Exam(task, 4), Finetune(**config)), task, Memory(task, learned), seed=17)
    arm.learn()
    return arm


def test_the_answer_is_the_likeliest_by_both_together(model: LoadedModel) -> None:
    learned, few = rows(300), asked(model, rows(24, start=300))
    arm = arm_of(model, learned)
    answers = arm.answer(few, lambda units: None)
    choices = Exam(Question, 4).choices
    assert choices is not None and len(choices) == 5
    by_model = np.empty((len(few.asked), len(choices)))
    for place in range(len(choices)):
        # With so much beside it, it is the likeliest.
        lifted = np.zeros_like(by_model)
        lifted[:, place] = 1000
        found = likeliest(model, [one.prompt for one in few.asked], choices, beside=lifted)
        by_model[:, place] = [one.log_likelihood - 1000 for one in found]
    memory = Memory(Question, learned)
    linear = OneChoice(memory.features, [row.fields["topic"] for row in learned], answers.settings["C"], 17)
    margins = answers.settings["scale of margins"] * linear.margins(memory.seen(few.asked))
    likely = margins - np.logaddexp.reduce(margins, axis=1, keepdims=True)
    both = by_model.copy()
    for place, choice in enumerate(choices):
        known = choice in linear.values
        both[:, place] += likely[:, linear.values.index(choice)] if known else likely.min(axis=1)
    assert list(answers.texts) == [choices[place] for place in both.argmax(axis=1)]
    assert list(answers.texts) != [choices[place] for place in by_model.argmax(axis=1)], "the linear model has a say"


def test_what_the_linear_model_has_learned_decides_beside_a_model_that_knows_nothing(model: LoadedModel) -> None:
    few = asked(model, rows(60, start=300))
    found = arm_of(model, rows(300)).answer(few, lambda units: None)
    assert found.scored(Question, few).score.value > 0.9


def test_margins_are_scaled_more_where_they_can_be_trusted(model: LoadedModel) -> None:
    few = asked(model, rows(3, start=300))
    clear = rows(300)
    topics = np.random.default_rng(1).permutation([row.fields["topic"] for row in clear])
    chance = [
        Example(row.id, row.prompt, row.completion, row.fields | {"topic": str(topic)})
        for row, topic in zip(clear, topics, strict=True)
    ]
    trusted, doubted = (
        arm_of(model, learned).answer(few, lambda units: None).settings["scale of margins"]
        for learned in (clear, chance)
    )
    assert doubted < trusted


@pytest.mark.parametrize("learned", [rows(1), rows(3), rows(40)], ids=["one row", "one of each", "few"])
def test_few_rows_are_enough_to_answer(model: LoadedModel, learned: list[Example]) -> None:
    few = asked(model, rows(6, start=300))
    answers = arm_of(model, learned).answer(few, lambda units: None)
    assert len(answers.texts) == 6 and answers.settings["scale of margins"] == 4.0


def test_of_very_many_rows_a_sample_is_learned(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    fit = OneChoice.__init__

    def counting(self: OneChoice, seen: Any, given: Sequence[Any], strength: float, seed: int) -> None:
        sizes.append(len(given))
        fit(self, seen, given, strength, seed)

    monkeypatch.setattr(OneChoice, "__init__", counting)
    monkeypatch.setattr(linear_fields, "_MOST_ROWS", 120)
    arm_of(model, rows(300))
    assert sizes == [96, 96, 96, 120]


def test_progress_is_that_of_the_adapter(model: LoadedModel) -> None:
    few, done = asked(model, rows(6, start=300)), []
    arm_of(model, rows(40)).answer(few, done.append)
    assert sum(done) == few.work


@pytest.mark.parametrize(
    ("task", "form"), [(Free, Form.HELD), (Question, Form.FREE)], ids=["free text", "answers that are not held"]
)
def test_where_answers_are_no_list_of_choices_it_says_so(model: LoadedModel, task: type[Task], form: Form) -> None:
    with pytest.raises(CannotAnswer, match="not one choice of a list"):
        arm_of(model, rows(40, task), task, form=form)
