"""Fine-tunes on a published version, compares the adapter with all other arms, and judges whether it was worth it."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.finetuning.adapters import read_record
from pipeline.finetuning.base_model import adapted
from pipeline.finetuning.checkpoints import CHECKPOINTS
from pipeline.finetuning.evaluate import Evaluation
from pipeline.finetuning.examples import Examples
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.train import TrainReport
from pipeline.finetuning.training_rows import LeftOut
from pipeline.kinds.registry import kind_of
from pipeline.ladder.assessment import find_assessed
from pipeline.ladder.climb import Climb
from pipeline.ladder.conclude import Extras, Page, conclude, evidence_of
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.forgetting import Forgetting, General, general_knowledge
from pipeline.ladder.judgement import Verdict
from pipeline.ladder.kept_answers import UNFINISHED
from pipeline.ladder.kept_measures import KeptMeasures
from pipeline.ladder.language_models import Candidate
from pipeline.ladder.learning_curve import Curve, Learned, curve_of
from pipeline.ladder.plan import Plan
from pipeline.ladder.preparation import ask_untrained, best_untrained, prepare
from pipeline.ladder.results import ArmResult
from pipeline.ladder.retrained import Recipe
from pipeline.ladder.retrained_scores import SeedScore
from pipeline.ladder.trained_once import forget_training, trained_once
from pipeline.ladder.verdict import judge
from pipeline.steps import Progress
from schemas.arms_section import ArmName, Family

_SHORT = 120
"""Seconds of a training that is repeated with other seeds of itself."""
_SEEDS = 3
_ABANDONED = 30 * 24 * 3600
"""Seconds after which nobody goes on with a killed run."""


def finetune_version(plan: Plan, progress: Progress, page: Page, *, again: bool = False) -> Path:
    """Train an adapter unless there is one, let all arms answer the test questions, and return the adapter's folder.

    What a killed run has done is not done again.

    Args:
        plan: what to do.
        progress: shows what is done.
        page: renders the verdict.
        again: train even if there is an adapter of this training.

    Raises:
        TrainingError: the version has no train or test split, or the model or its rows cannot be used.
    """
    config = plan.config
    ready = prepare(plan, progress, again=again)
    base, exam, asked, climb, builder = ready.base, ready.exam, ready.questions, ready.climb, ready.builder
    measured, examples, found = ready.measured, ready.examples, ready.adapter
    ask_untrained(plan, ready, progress)
    before = _known_beside(plan, base, "what the base model knows beside the task", progress, measured)
    if found is None and (said := _before_training(climb.done, kind_of(plan.task).metric)):
        progress.say(said)
    recipe = Recipe(plan, base, exam, asked, ready.kept, progress)
    fewer = recipe.curve(examples) if plan.curve else []
    if found is None:
        folder, report = trained_once(plan, config, examples, base, progress, plan.training_key)
    else:
        folder, report = found, read_record(found).train
    with adapted(folder, base) as model:
        tuned = Candidate(model, exam, config)
        for section in plan.arms:
            if (arm := builder.tuned(section, tuned)) is not None:
                climb.take(arm)
        after = _known_beside(plan, model, "what the adapter still knows", progress, measured, plan.training_key)
    if not again and climb.lacking and (same := find_assessed(plan.models, plan.key, climb.lacking)):
        # An endpoint that is still down makes no second copy of the adapter.
        return same
    learned = builder.linear_learned(asked.unshortened, measured)
    extras = _extras(plan, climb, learned, recipe, (report, fewer), Forgetting(before=before, after=after))
    evidence = evidence_of(plan, climb, ready.rows, report, extras)
    extras = replace(extras, seeds=_seeds(recipe, examples, report, evidence))
    ready.kept.hand_on()
    final = conclude(plan, climb, replace(evidence, seeds=extras.seeds), folder, report, exam, extras, page)
    forget_unfinished(plan, is_complete=not climb.lacking)
    return final


def _extras(
    plan: Plan,
    climb: Climb,
    others: tuple[Learned, ...],
    recipe: Recipe,
    learned: tuple[TrainReport, list[tuple[int, Evaluation]]],
    forgetting: Forgetting,
) -> Extras:
    """What is known beside the arms, but for other seeds: curves, and what the raw rows would have given.

    ``others`` are arms that learned from fewer rows, too. ``learned`` is what the adapter's training did, and its
    scores after fewer rows.
    """
    report, fewer = learned
    judged = climb.done_by(ArmName.ADAPTER.value)
    curves = [curve_of(one) for one in others]
    if fewer:
        undrawn = report.left_out.get(LeftOut.NOT_DRAWN, 0)
        curves.append(_adapter_curve(climb, others, recipe, [*fewer, (report.rows, judged)], undrawn))
    return Extras(
        forgetting=forgetting,
        curves=tuple(curves),
        ablation=None if plan.raw is None else recipe.ablation(plan.raw, judged),
    )


def _adapter_curve(
    climb: Climb,
    others: Sequence[Learned],
    recipe: Recipe,
    points: Sequence[tuple[int, Evaluation]],
    undrawn: int,
) -> Curve:
    """Its curve beside all that it has to beat, by their own curves if they have one, on the questions of slow arms."""
    ids = {one.id for one in recipe.sample.asked}
    of_sample = [(rows, found.of(ids)) for rows, found in points]
    rows, adapter = of_sample[-1]
    known = {one.arm for one in others}
    rivals = [
        Learned.of(arm.name, arm.title, [(rows, arm.evaluation.of(ids))])
        for arm in climb.done
        if arm.name not in known and arm.family is not Family.TUNED and arm.evaluation.metric == adapter.metric
    ]
    return curve_of(Learned.of(ArmName.ADAPTER.value, "the adapter", of_sample), [*others, *rivals], undrawn)


def _seeds(recipe: Recipe, examples: Examples, report: TrainReport, evidence: Evidence) -> tuple[SeedScore, ...]:
    """The scores with as many seeds as are wanted, or a few if that takes minutes and the verdict may be chance."""
    count = recipe.config.seeds
    if count is None and report.seconds <= _SHORT and judge(evidence).verdict is Verdict.TUNE:
        count = _SEEDS
        recipe.progress.say(f"the adapter seems worth it: {count} seeds tell whether that is chance (finetune.seeds)")
    return recipe.seeds(examples, evidence.ladder.adapter.evaluation, count or 1)


def _known_beside(
    plan: Plan, model: LoadedModel, label: str, progress: Progress, measured: KeptMeasures, *learned: str
) -> General:
    """What a model knows beside the task; ``learned`` is the key of the training of its adapter."""
    depends_on = (model.revision, model.model.device.type, str(plan.config.quantize), *learned)
    return measured.once("general", depends_on, General, lambda: general_knowledge(model, label, progress.step))


def forget_unfinished(plan: Plan, *, is_complete: bool = True) -> None:
    """Remove what runs of a plan have kept for the next one, as its result is stored, and what others have given up.

    Args:
        plan: what was done.
        is_complete: whether no arm is to be asked again; else the answers of the others are still needed.
    """
    forget_training(plan, plan.training_key)
    if is_complete:
        shutil.rmtree(plan.models / UNFINISHED / plan.key, ignore_errors=True)
    for left in (UNFINISHED, CHECKPOINTS):
        for folder in (plan.models / left).glob("*"):
            newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
            if time.time() - newest > _ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)


def _before_training(arms: Sequence[ArmResult], metric: str) -> str:
    """What the arms that need no training have reached, before an hour is spent on it; empty if there are none."""
    best = best_untrained(arms, metric)
    if best is None:
        return ""
    return f"without training: {best.title} scores {best.score}; the adapter has to be better than that"
