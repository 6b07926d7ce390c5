"""Fine-tunes on a published version, compares the adapter with all other arms, and judges whether it was worth it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.adapters import (
    CARD,
    FinetuneRecord,
    Lineage,
    adapter_key,
    find_adapter,
    read_record,
    save_adapter,
)
from pipeline.finetuning.base_model import LoadedModel, load_adapter, load_base
from pipeline.finetuning.evaluate import EvalQuestion, questions
from pipeline.finetuning.exam import Exam, askable, longest_answer
from pipeline.finetuning.examples import Example, read_examples
from pipeline.finetuning.train import TrainReport, expected_steps, train
from pipeline.finetuning.training_rows import check_examples, training_rows
from pipeline.ladder.adapter_card import adapter_card
from pipeline.ladder.arm import Arm
from pipeline.ladder.assessment import PREDICTIONS, VERDICT, Assessment, predictions
from pipeline.ladder.classical import Linear, Majority, Nearest
from pipeline.ladder.climb import Climb
from pipeline.ladder.endpoints import Access, Endpoint
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.forgetting import Forgetting, general_knowledge
from pipeline.ladder.language_models import Adapter, Candidate, FewShot, ZeroShot
from pipeline.ladder.results import ArmResult, Stated
from pipeline.ladder.retrieval import Memory
from pipeline.ladder.verdict import judge
from pipeline.releases.published_rows import published_inputs
from pipeline.releases.versions import read_manifest
from pipeline.steps import Progress
from pipeline.text.normalize import inputs_key
from schemas.arms_section import Arm as ArmSection
from schemas.arms_section import ArmName, EndpointArm, Family, Limits, LocalArm, StatedArm
from schemas.dataset import Finetune
from schemas.identity import stable_hash
from schemas.options import Form
from schemas.task import Task

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Experiment:
    """What to fine-tune and to compare, and where the result goes."""

    version: Path
    """Folder of a published version."""
    config: Finetune
    arms: tuple[ArmSection, ...]
    limits: Limits
    run: str
    goldleaf: str
    work: Path
    """An empty folder for unfinished work."""
    models: Path
    access: Access
    """To endpoints."""
    noise: Estimate | None = None
    """The share of rows whose answer is wrong, as audited."""

    @property
    def training_key(self) -> str:
        """Equal keys, equal adapters."""
        return adapter_key(read_manifest(self.version).digest, self.config)

    @property
    def key(self) -> str:
        """Equal keys, equal adapters and comparisons."""
        arms = [arm.model_dump(mode="json") for arm in self.arms]
        settings = [self.config.model_dump(mode="json"), arms, self.limits.model_dump(mode="json")]
        prices = self.access.prices.model_dump(mode="json")
        noise = self.noise and self.noise.model_dump(mode="json")
        return stable_hash(self.training_key, json.dumps([settings, prices, noise], sort_keys=True))


def finetune_version(experiment: Experiment, task: type[Task], progress: Progress, *, again: bool = False) -> Path:
    """Train an adapter unless there is one, let all arms answer the test questions, and return the adapter's folder.

    Args:
        experiment: what to do.
        task: of the dataset.
        progress: shows what is done.
        again: train even if there is an adapter of this training.

    Raises:
        TrainingError: the version has no train or test split, or the model or its rows cannot be used.
    """
    config = experiment.config
    examples = read_examples(experiment.version, TRAIN)
    check_examples(examples, config)
    rows = questions(task, read_examples(experiment.version, TEST))
    with progress.step(f"loading {config.base_model}"):
        base = load_base(config.base_model)
    asked = askable(rows, task, config, base)
    exam = Exam(task, config.max_new_tokens or longest_answer(examples, task, base))
    climb = Climb(task, asked, config.slow_rows, experiment.access.prices, progress.step)
    found = None if again else find_adapter(experiment.models, experiment.training_key)
    builder = _Arms(experiment, task, examples, base, exam)
    for section in experiment.arms:
        if (arm := builder.untrained(section)) is not None:
            climb.take(arm)
    before = general_knowledge(base, "what the base model knows beside the task", progress.step)
    if (said := _before_training(climb.done)) and found is None:
        progress.say(said)
    folder, report = _trained(experiment, found, examples, base, progress)
    tuned = Candidate(load_adapter(folder, base), exam, config)
    for section in experiment.arms:
        if (arm := builder.tuned(section, tuned)) is not None:
            climb.take(arm)
    after = general_knowledge(tuned.model, "what the adapter still knows", progress.step)
    forgetting = Forgetting(before=before, after=after)
    return _saved(experiment, task, climb, rows, folder, report, exam, forgetting)


def _before_training(done: Sequence[ArmResult]) -> str:
    """What the arms that need no training have reached, before an hour is spent on it; empty if there are none."""
    if not done:
        return ""
    best = max(done, key=lambda arm: arm.score.unit.gain(arm.score.value))
    return f"without training: {best.title} scores {best.score}; the adapter has to be better than that"


def _trained(
    experiment: Experiment, found: Path | None, examples: list[Example], base: LoadedModel, progress: Progress
) -> tuple[Path, TrainReport]:
    """The adapter's folder and what its training did; a known adapter is not trained again."""
    if found is not None:
        return found, read_record(found).train
    config, output = experiment.config, experiment.work / "adapter"
    learned = training_rows(examples, config, base)
    with progress.step("training", expected_steps(learned, config)) as advance:
        return output, train(learned, config, output, lambda step: advance(1), base)


def _saved(
    experiment: Experiment,
    task: type[Task],
    climb: Climb,
    rows: Sequence[EvalQuestion],
    trained: Path,
    report: TrainReport,
    exam: Exam,
    forgetting: Forgetting,
) -> Path:
    manifest = read_manifest(experiment.version)
    stated = [
        Stated(name=arm.name, score=arm.stated, source=arm.source)
        for arm in experiment.arms
        if isinstance(arm, StatedArm)
    ]
    ladder = climb.ladder([arm.name for arm in experiment.arms], stated)
    leaked = leaked_questions(task, rows, read_examples(experiment.version, TRAIN))
    evidence = Evidence(ladder, experiment.limits, report.rows, len(rows), leaked, experiment.noise)
    record = FinetuneRecord(
        key=experiment.training_key,
        run=experiment.run,
        created_at=datetime.now(UTC),
        goldleaf=experiment.goldleaf,
        lineage=Lineage.of(manifest),
        config=experiment.config,
        train=report,
        max_new_tokens=exam.longest,
        held_to_form=experiment.config.form is Form.HELD and exam.grammar is not None,
    )
    assessment = Assessment(
        key=experiment.key,
        run=experiment.run,
        version=record.lineage.reference,
        digest=manifest.digest,
        base_model=experiment.config.base_model,
        judgement=judge(evidence),
        ladder=ladder,
        limits=experiment.limits,
        currency=climb.prices.currency if any(arm.cost is not None for arm in ladder.arms) else "",
        train_rows=report.rows,
        test_rows=len(rows),
        test_left_out=climb.questions.left_out,
        leaked=leaked,
        noise=experiment.noise,
        forgetting=forgetting,
    )
    beside = {
        CARD: adapter_card(record, assessment).encode(),
        VERDICT: assessment.as_json(),
        PREDICTIONS: predictions(climb.questions.asked, ladder),
    }
    return save_adapter(trained, experiment.models, record, beside)


def leaked_questions(task: type[Task], asked: Sequence[EvalQuestion], rows: Sequence[Example]) -> int:
    """How many questions are among some rows, as inputs are compared for exact duplicates."""
    known = {inputs_key(task, published_inputs(task, row.fields)) for row in rows}
    return sum(inputs_key(task, one.inputs) in known for one in asked)


class _Arms:
    """Makes the arms that a dataset.yaml lists."""

    def __init__(
        self, experiment: Experiment, task: type[Task], examples: list[Example], base: LoadedModel, exam: Exam
    ) -> None:
        self._experiment, self._task, self._examples = experiment, task, examples
        self._base = Candidate(base, exam, experiment.config)
        self._known: Memory | None = None

    @property
    def _memory(self) -> Memory:
        self._known = self._known or Memory(self._task, self._examples)
        return self._known

    def untrained(self, section: ArmSection) -> Arm | None:
        """One that needs no adapter; None for those that do."""
        if isinstance(section, StatedArm):
            return None
        if isinstance(section, EndpointArm):
            return Endpoint(section, self._task, self._memory, self._experiment.access)
        match section.arm:
            case ArmName.MAJORITY:
                return Majority(self._task, self._examples)
            case ArmName.LINEAR:
                return Linear(self._task, self._memory, self._held_out(), self._experiment.config.seed)
            case ArmName.NEAREST:
                return Nearest(self._task, self._memory)
            case ArmName.ZERO_SHOT:
                return ZeroShot(self._base)
            case ArmName.FEW_SHOT:
                return FewShot(self._base, self._memory, section.examples)
            case ArmName.ADAPTER | ArmName.ADAPTER_FREE:
                return None

    def _held_out(self) -> list[EvalQuestion]:
        if VALIDATION not in read_manifest(self._experiment.version).splits:
            return []
        return questions(self._task, read_examples(self._experiment.version, VALIDATION))

    def tuned(self, section: ArmSection, candidate: Candidate) -> Arm | None:
        """One that asks the adapter; None for all others."""
        if not isinstance(section, LocalArm) or section.arm.family is not Family.TUNED:
            return None
        return Adapter(candidate, is_free=section.arm is ArmName.ADAPTER_FREE)
