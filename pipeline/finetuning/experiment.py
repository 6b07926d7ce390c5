"""Fine-tunes on a published version and evaluates the adapter: train, answer the test questions twice, compare."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.finetuning.adapters import FinetuneRecord, Lineage, adapter_key, save_adapter
from pipeline.finetuning.base_model import load_adapter, load_base
from pipeline.finetuning.evaluate import compare_models, questions, score_of_copying
from pipeline.finetuning.exam import Exam, Show, askable, longest_answer
from pipeline.finetuning.examples import SplitExamples, has_split, read_examples
from pipeline.finetuning.train import expected_steps, train
from pipeline.finetuning.training_rows import check_examples, training_rows
from pipeline.releases.versions import read_manifest
from schemas.dataset import Finetune
from schemas.task import Task

TRAIN, VALIDATION, TEST = "train", "validation", "test"


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
    examples = SplitExamples(training.version, TRAIN)
    check_examples(examples, config)
    rows = questions(task, read_examples(training.version, TEST))
    with show(f"loading {config.base_model}", None):
        base = load_base(config.base_model, quantize=config.quantize)
        learned = training_rows(examples, config, base, training.work)
    asked = askable(rows, task, config, base)
    longest = config.max_new_tokens or longest_answer(examples, task, base)
    exam = Exam(task, config, asked, longest, show)
    untuned = exam.take(base, "asking the untuned model")
    output = training.work / "adapter"
    with show("training", expected_steps(learned, config)) as advance:
        report = train(
            learned,
            config,
            output,
            lambda step: advance(step.more, str(step)),
            base,
            validation=SplitExamples(training.version, VALIDATION) if has_split(training.version, VALIDATION) else None,
            checkpoints=training.models / ".training" / training.key,
        )
    tuned = exam.take(load_adapter(output, base), "asking the tuned model")
    record = FinetuneRecord(
        key=training.key,
        run=training.run,
        created_at=datetime.now(UTC),
        goldleaf=training.goldleaf,
        lineage=Lineage.of(read_manifest(training.version)),
        config=config,
        train=report,
        test_left_out=asked.left_out,
        max_new_tokens=longest,
        held_to_form=exam.grammar is not None,
        copied=score_of_copying(task, asked.asked),
        untuned=untuned,
        tuned=tuned,
        comparison=compare_models(untuned, tuned),
    )
    return save_adapter(output, training.models, record)
