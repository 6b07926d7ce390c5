"""What the adapter cannot read for its ``max_length`` is not kept from the arms that it is compared with."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_models import save_small_model
from support import offline, row, write_dataset

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.finetune import Finetuned, finetune
from flows.release import release
from pipeline.finetuning.evaluate import EvalQuestion, questions
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.examples import Example
from pipeline.ladder.arm import Advance, Arm
from pipeline.ladder.classical import Linear, Nearest
from pipeline.ladder.language_models import Adapter, ZeroShot
from pipeline.ladder.retrieval import Memory
from schemas.message import Message, Speaker
from schemas.task import Input, Target, Task

TOPICS = ("billing", "returns")
ROWS = 60
SETTINGS = """\
review: {{budget: 0, audit: 0.0}}
split: {{fractions: {{train: 0.6, validation: 0.1, test: 0.3}}}}
finetune:
  {{base_model: {model}, slow_rows: 5, batch_size: 4, epochs: 1, max_length: 160, max_new_tokens: 4, fix: [shorten]}}
arms: [linear, nearest, zero_shot, adapter, adapter_linear]
"""


class Issue(Task):
    """Name the topic."""

    question: Input[str]
    topic: Target[str]


class Bench:
    """A fine-tuning whose topic stands at the end of every row, behind what the adapter reads."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        save_small_model(folder / "model")
        chance = random.Random(1)
        words = [f"{chance.choice('bdfgklm')}{chance.choice('aeiou')}{chance.choice('nrstp')}{n}" for n in range(400)]
        topics = [TOPICS[number % 2] for number in range(ROWS)]
        rows = [
            row(number, " ".join([*chance.sample(words, 60), *[topic] * 20]), topic)
            for number, topic in enumerate(topics)
        ]
        write_dataset(folder, rows, SETTINGS.format(model=folder / "model"))
        context = Context.load(folder / "dataset.yaml", offline(folder / "home"))
        curate(context, Inline())
        release(context, Inline())
        self.asked: dict[str, list[str]] = {}
        for arm in (Linear, Nearest, ZeroShot, Adapter):
            self._note(patch, arm)
        seen = Memory.seen
        self.seen: list[str] = []

        def noted(memory: Memory, questions: Sequence[EvalQuestion], **how: bool) -> Any:
            self.seen += [one.inputs["question"] for one in questions]
            return seen(memory, questions, **how)

        patch.setattr(Memory, "seen", noted)
        self.found: Finetuned = finetune(context, Inline())

    def _note(self, patch: pytest.MonkeyPatch, arm: type[Arm]) -> None:
        answer = arm.answer

        def noted(self_: Arm, questions: Questions, advance: Advance) -> Answers:
            self.asked.setdefault(arm.__name__, []).extend(one.prompt[-1].content for one in questions.asked)
            return answer(self_, questions, advance)

        patch.setattr(arm, "answer", noted)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    with pytest.MonkeyPatch.context() as patch:
        return Bench(tmp_path_factory.mktemp("long"), patch)


def test_the_adapter_is_asked_the_shortened_rows(bench: Bench) -> None:
    asked = bench.asked["Adapter"]
    assert len(asked) >= 10 and not any(topic in one for one in asked for topic in TOPICS)


@pytest.mark.parametrize("arm", ["Linear", "Nearest", "ZeroShot"])
def test_arms_without_training_are_asked_whole_ones(bench: Bench, arm: str) -> None:
    assert len(bench.asked[arm]) >= 5 and all(one.endswith(TOPICS) for one in bench.asked[arm])


def test_a_linear_model_learns_and_sees_whole_rows_beside_the_adapter_too(bench: Bench) -> None:
    linear = bench.found.assessment.ladder.arm("linear")
    assert linear is not None and linear.score.value > 0.9
    # By the linear arm, its curve, the nearest rows, and beside the adapter.
    tests = len(set(bench.asked["Adapter"]))
    assert len(bench.seen) > 4 * tests and all(one.endswith(TOPICS) for one in bench.seen)


def test_equal_inputs_that_are_cut_to_unequal_ones_are_one_question_with_all_its_answers() -> None:
    """A longer answer leaves less room for the input."""
    topics = ("billing", "a refund for what was returned")
    rows = [
        Example(str(n), (said("long words"),), (said(topic),), {"question": "long words", "topic": topic})
        for n, topic in enumerate(topics)
    ]
    read = [replace(row, prompt=(said(text),)) for row, text in zip(rows, ("long wor", "lo"), strict=True)]
    [question] = questions(Issue, rows, read)
    assert [gold["topic"] for gold in question.golds] == list(topics)
    assert (question.prompt, question.examples) == (read[0].prompt, tuple(read))
    assert len(questions(Issue, read)) == 2


def said(text: str) -> Message:
    return Message(role=Speaker.USER, content=text)
