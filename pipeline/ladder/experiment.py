"""Fine-tunes on a published version, compares the adapter with all other arms, and judges whether it was worth it."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.finetuning.adapters import find_adapter, read_record
from pipeline.finetuning.base_model import LoadedModel, adapted, load_base
from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.exam import Exam, askable, longest_answer
from pipeline.finetuning.examples import Example, read_examples
from pipeline.finetuning.train import TrainReport, expected_steps, train
from pipeline.finetuning.training_rows import check_examples, training_rows
from pipeline.kinds.registry import kind_of
from pipeline.ladder.arm_builder import ArmBuilder
from pipeline.ladder.climb import Climb
from pipeline.ladder.conclude import Extras, Page, conclude
from pipeline.ladder.forgetting import Forgetting, general_knowledge
from pipeline.ladder.kept_answers import UNFINISHED, KeptAnswers
from pipeline.ladder.language_models import Candidate
from pipeline.ladder.learning_curve import curve_of
from pipeline.ladder.plan import TEST, TRAIN, Plan
from pipeline.ladder.results import ArmResult
from pipeline.ladder.retrained import Recipe
from pipeline.steps import Progress
from schemas.arms_section import ArmName
from schemas.task import Task


def finetune_version(plan: Plan, task: type[Task], progress: Progress, page: Page, *, again: bool = False) -> Path:
    """Train an adapter unless there is one, let all arms answer the test questions, and return the adapter's folder.

    Args:
        plan: what to do.
        task: of the dataset.
        progress: shows what is done.
        page: renders the verdict.
        again: train even if there is an adapter of this training.

    Raises:
        TrainingError: the version has no train or test split, or the model or its rows cannot be used.
    """
    config = plan.config
    examples = read_examples(plan.version, TRAIN)
    check_examples(examples, config)
    rows = questions(task, read_examples(plan.version, TEST))
    with progress.step(f"loading {config.base_model}"):
        base = load_base(config.base_model)
    asked = askable(rows, task, config, base)
    exam = Exam(task, config.max_new_tokens or longest_answer(examples, task, base))
    kept = KeptAnswers(plan.models / UNFINISHED / plan.key)
    if again:
        kept.clear()
    climb = Climb(task, asked, config.slow_rows, plan.access.prices, progress.step, kept)
    found = None if again else find_adapter(plan.models, plan.training_key)
    builder = ArmBuilder(plan, task, examples, base, exam)
    for section in plan.arms:
        if (arm := builder.untrained(section)) is not None:
            climb.take(arm)
    before = general_knowledge(base, "what the base model knows beside the task", progress.step)
    if (said := _before_training(climb.done, kind_of(task).metric)) and found is None:
        progress.say(said)
    recipe = Recipe(config, base, exam, asked.some(slice(config.slow_rows)), plan.work, progress)
    fewer = recipe.curve(examples) if plan.curve else []
    folder, report = _trained(plan, found, examples, base, progress)
    with adapted(folder, base) as model:
        tuned = Candidate(model, exam, config)
        for section in plan.arms:
            if (arm := builder.tuned(section, tuned)) is not None:
                climb.take(arm)
        after = general_knowledge(model, "what the adapter still knows", progress.step)
    judged = climb.done_by(ArmName.ADAPTER.value)
    curves = [*builder.linear_curve(recipe.questions)]
    if fewer:
        whole = judged.of({one.id for one in recipe.questions.asked})
        curves.append(curve_of(ArmName.ADAPTER.value, "the adapter", [*fewer, (report.rows, whole)]))
    extras = Extras(
        forgetting=Forgetting(before=before, after=after),
        curves=tuple(curves),
        seeds=tuple(recipe.seeds(examples, judged)),
        ablation=None if plan.raw is None else recipe.ablation(plan.raw, judged),
    )
    final = conclude(plan, climb, rows, folder, report, exam, extras, page)
    kept.clear()
    return final


def _before_training(done: Sequence[ArmResult], metric: str) -> str:
    """What the arms that need no training have reached, before an hour is spent on it; empty if there are none."""
    judged = [arm for arm in done if arm.evaluation.metric == metric]
    if not judged:
        return ""
    best = max(judged, key=lambda arm: arm.score.unit.gain(arm.score.value))
    return f"without training: {best.title} scores {best.score}; the adapter has to be better than that"


def _trained(
    plan: Plan, found: Path | None, examples: list[Example], base: LoadedModel, progress: Progress
) -> tuple[Path, TrainReport]:
    """The adapter's folder and what its training did; a known adapter is not trained again."""
    if found is not None:
        return found, read_record(found).train
    config, output = plan.config, plan.work / "adapter"
    learned = training_rows(examples, config, base)
    with progress.step("training", expected_steps(learned, config)) as advance:
        return output, train(learned, config, output, lambda step: advance(1), base)
