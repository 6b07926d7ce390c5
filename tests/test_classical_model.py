"""The classical model of a published version: what somebody uses who is told that it is enough."""

import subprocess
import sys
from pathlib import Path

import pytest
from assessed import Fruit, a_record, assessed, share_right
from samples_read import SAMPLES
from support import offline

from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import TrainingError
from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.exam import Questions
from pipeline.finetuning.examples import read_examples
from pipeline.ladder.adapter_card import adapter_card
from pipeline.ladder.classical import Linear
from pipeline.ladder.classical_model import ClassicalModel
from pipeline.ladder.linear_fields import NO_WORDS
from pipeline.ladder.retrieval import Memory
from schemas.field import JsonValue
from schemas.task import Task
from schemas.tasks.invoice import Invoice


def published(sample: str, home: Path) -> tuple[Path, type[Task]]:
    """A version of a sample, and its task."""
    context = Context.load(SAMPLES / sample / "dataset.yaml", offline(home))
    curate(context, Inline())
    return Path(release(context, Inline()).path), context.dataset.task


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version of the sample for extraction."""
    return published("invoices", tmp_path_factory.mktemp("home"))[0]


def test_it_answers_what_the_arm_of_the_ladder_answers(version: Path) -> None:
    asked = questions(Invoice, read_examples(version, "test"))
    held_out = questions(Invoice, read_examples(version, "validation"))
    arm = Linear(Invoice, Memory(Invoice, read_examples(version, "train")), held_out, 17)
    arm.learn()
    expected = [
        Invoice.task_read_answer(text) for text in arm.answer(Questions(asked, [], [], {}), lambda _: None).texts
    ]
    found = ClassicalModel.fit(version, Invoice).answers([one.inputs for one in asked])
    assert found == expected
    assert sum(answer in one.golds for answer, one in zip(found, asked, strict=True)) > 0.3 * len(asked)


def test_the_card_of_texts_without_words_leaves_the_fit_to_goldleaf() -> None:
    linear = assessed(share_right("linear", 19, 20), share_right("adapter", 15, 20))
    arm = linear.ladder.arms[0].model_copy(update={"settings": {NO_WORDS: 1.0}})
    ladder = linear.ladder.model_copy(update={"arms": (arm, *linear.ladder.arms[1:])})
    card = adapter_card(Fruit, a_record(), linear.model_copy(update={"ladder": ladder}))
    assert "## The classical model" in card
    assert "TfidfVectorizer" not in card
    assert "TfidfVectorizer" in adapter_card(Fruit, a_record(), linear)


def test_the_lines_of_the_card_run(version: Path) -> None:
    found = assessed(share_right("linear", 19, 20), share_right("adapter", 15, 20))
    card = adapter_card(Invoice, a_record(), found)
    code = card.split("## The classical model")[1].split("```python\n")[1].split("```")[0]
    names = f"VERSION = {str(version)!r}\n"
    folder = SAMPLES / "invoices"
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", names + code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[{'") and "vendor" in done.stdout


def test_a_task_that_no_linear_model_can_answer_is_refused_in_one_line(tmp_path: Path) -> None:
    rewritten, task = published("plain", tmp_path)
    said = f"no linear model can answer {task.__name__}: no field of the task has choices to choose from"
    with pytest.raises(TrainingError, match=said):
        ClassicalModel.fit(rewritten, task)


def test_an_answer_that_the_task_refuses_is_none(version: Path) -> None:
    class Refusing(Invoice):
        """Extract the details of the invoice."""

        @classmethod
        def task_read_answer(cls, text: str) -> dict[str, JsonValue] | None:
            return None

    assert ClassicalModel.fit(version, Refusing).answers([{"message": "Invoice 7 of Acme: 12.00 EUR"}]) == [None]
