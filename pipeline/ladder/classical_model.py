"""The linear arm as a model of its own: what to use where the verdict is that it is enough."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import TrainingError
from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.exam import Questions
from pipeline.finetuning.examples import read_examples
from pipeline.ladder.arm import CannotAnswer
from pipeline.ladder.classical import Linear, held_out_questions
from pipeline.ladder.plan import TRAIN
from pipeline.ladder.retrieval import Memory
from schemas.dataset import Finetune
from schemas.field import JsonValue
from schemas.task import Task


class ClassicalModel:
    """Linear models for fields with choices, a tagger for values that stand in the text, the nearest row for others."""

    def __init__(self, task: type[Task], arm: Linear) -> None:
        self._task, self._arm = task, arm

    @classmethod
    def fit(cls, version: Path, task: type[Task], seed: int = Finetune().seed) -> "ClassicalModel":
        """Learn from all rows of a version's train split, of which a fine-tuning may have drawn some (``max_rows``).

        Raises:
            ReleaseError: the folder is no published version.
            TrainingError: it has no split to train on, or its task has no field that such models can answer.
        """
        memory = Memory(task, read_examples(version, TRAIN))
        arm = Linear(task, memory, held_out_questions(version, task), seed)
        try:
            arm.learn()
        except CannotAnswer as error:
            raise TrainingError(f"no linear model can answer {task.__name__}: {error}") from error
        return cls(task, arm)

    def answers(self, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, JsonValue] | None]:
        """The targets for some inputs of the task, in their order; None where the task's own checks refuse them."""
        asked = [
            EvalQuestion(id=str(number), prompt=tuple(self._task.task_messages(one, None)), golds=(), inputs=dict(one))
            for number, one in enumerate(inputs)
        ]
        found = self._arm.answer(Questions(asked, [], [], {}), lambda units: None)
        return [self._task.task_read_answer(text) for text in found.texts]
