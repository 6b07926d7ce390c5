"""Fine-tunes on a published version and evaluates the adapter: train, answer the test questions twice, compare."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import TrainingError, Unrendered
from pipeline.evaluation.scores import Credit
from pipeline.finetuning.adapters import FinetuneRecord, Lineage, adapter_key, save_adapter
from pipeline.finetuning.answer_form import grammar_of
from pipeline.finetuning.base_model import LoadedModel, load_adapter, load_base
from pipeline.finetuning.evaluate import (
    EvalQuestion,
    Evaluation,
    compare_models,
    evaluate,
    questions,
    score_of_copying,
)
from pipeline.finetuning.examples import draw, read_examples
from pipeline.finetuning.losses import answer_losses
from pipeline.finetuning.predict import answer_tokens, predict
from pipeline.finetuning.train import expected_steps, train
from pipeline.finetuning.training_rows import as_tokens, check_examples
from pipeline.kinds.registry import kind_of
from pipeline.releases.versions import read_manifest
from schemas.dataset import Finetune, Form
from schemas.task import Task

Show = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Shows a stage while it runs: its name and number of units, then how many more are done."""

TRAIN, TEST = "train", "test"
_MOST = 0.9
"""Share of the answers of a chat that are not longer than a model's may be."""


@dataclass(frozen=True)
class Training:
    """What to fine-tune, and where the result goes."""

    version: Path
    """Folder of a published version."""
    config: Finetune
    run: str
    goldleaf: str
    work: Path
    """An empty folder for unfinished work."""
    models: Path

    @property
    def key(self) -> str:
        """Equal keys, equal training."""
        return adapter_key(read_manifest(self.version).digest, self.config)


def finetune_version(training: Training, task: type[Task], show: Show) -> Path:
    """Train and evaluate an adapter, and return its folder.

    Raises:
        TrainingError: the version has no train or test split, or the model or its rows cannot be used.
    """
    config = training.config
    examples = read_examples(training.version, TRAIN)
    check_examples(examples, config)
    asked = draw(
        questions(task, read_examples(training.version, TEST)),
        config.eval_rows,
        config.seed,
        stratum=lambda question: "\n".join(kind_of(task).strata(task, question.golds[0])),
    )
    with show(f"loading {config.base_model}", None):
        base = load_base(config.base_model)
        steps = expected_steps(examples, config, base)
    asked, unrendered = renderable(asked, config, base)
    longest = config.max_new_tokens or answer_tokens(base, _usual([example.answer for example in examples], task))
    exam = _Exam(task, config, asked, longest, show)
    untuned = exam.take(base, "asking the untuned model")
    output = training.work / "adapter"
    with show("training", steps) as advance:
        report = train(examples, config, output, lambda step: advance(1), base)
    tuned = exam.take(load_adapter(output, base), "asking the tuned model")
    record = FinetuneRecord(
        key=training.key,
        run=training.run,
        created_at=datetime.now(UTC),
        goldleaf=training.goldleaf,
        lineage=Lineage.of(read_manifest(training.version)),
        config=config,
        train=report,
        test_rows_unrendered=unrendered,
        max_new_tokens=longest,
        held_to_form=exam.grammar is not None,
        copied=score_of_copying(task, asked),
        untuned=untuned,
        tuned=tuned,
        comparison=compare_models(untuned, tuned),
    )
    return save_adapter(output, training.models, record)


def renderable(asked: list[EvalQuestion], config: Finetune, base: LoadedModel) -> tuple[list[EvalQuestion], int]:
    """The questions that the chat template can render with and without their answer, and how many it cannot.

    Raises:
        TrainingError: it can render none.
    """
    rendered, refused = [], ""
    for question in asked:
        example = question.examples[0]
        try:
            base.text(question.prompt, example.tools, answer_follows=True)
            as_tokens(example, base, config.turns)
            rendered.append(question)
        except Unrendered as error:
            refused = refused or f"row {question.id}: {error}"
    if refused and not rendered:
        raise TrainingError(
            f"No test row can be asked: {refused}; set another finetune.base_model, or correct the rows"
        )
    return rendered, len(asked) - len(rendered)


def _usual(answers: list[str], task: type[Task]) -> list[str]:
    """The answers whose length models may reach: all, or where texts are not what models are judged by, most.

    One long turn among thousands would let an untuned model write on for minutes in every answer.
    """
    if not kind_of(task).judged_by_loss:
        return answers
    return sorted(answers, key=len)[: math.ceil(_MOST * len(answers))]


@dataclass(frozen=True)
class _Exam:
    """The test questions, and how models answer them."""

    task: type[Task]
    config: Finetune
    asked: list[EvalQuestion]
    longest: int
    """Tokens of an answer."""
    show: Show

    @property
    def grammar(self) -> str | None:
        """What the answers are held to."""
        return grammar_of(self.task) if self.config.form is Form.HELD else None

    def take(self, model: LoadedModel, label: str) -> Evaluation:
        """Let a model answer all questions, and judge the answers."""
        prompts = [question.prompt for question in self.asked]
        tools = [question.examples[0].tools for question in self.asked]
        with self.show(label, len(self.asked)) as advance:
            done = 0

            def progressed(answered: int, _: int) -> None:
                nonlocal done
                advance(answered - done)
                done = answered

            answers = predict(
                model, prompts, tools, max_new_tokens=self.longest, grammar=self.grammar, on_progress=progressed
            )
        return evaluate(self.task, self.asked, answers, self._losses(model, label))

    def _losses(self, model: LoadedModel, label: str) -> list[Credit] | None:
        if not kind_of(self.task).judged_by_loss:
            return None
        examples = [question.examples[0] for question in self.asked]
        with self.show(f"{label}: its loss on the gold answers", len(examples)) as advance:
            return answer_losses(model, examples, self.config, advance)
