"""What comes before a training: rows that passed preflight, the test questions, and the arms that need no training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.finetuning.adapters import find_adapter
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.evaluate import EvalQuestion, questions
from pipeline.finetuning.exam import Exam, Questions, askable, whole_questions
from pipeline.finetuning.examples import ChosenExamples, Example, Examples, SplitExamples, drawn_places
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.preflight import Preflight, preflight
from pipeline.finetuning.training_rows import check_examples
from pipeline.ladder.arm_builder import ArmBuilder
from pipeline.ladder.climb import Climb
from pipeline.ladder.kept_answers import ANSWERS, UNFINISHED, Earlier, KeptAnswers
from pipeline.ladder.kept_measures import KeptMeasures, kept_measures, kept_timing
from pipeline.ladder.plan import TEST, TRAIN, Plan
from pipeline.ladder.results import ArmResult, Ladder, all_pairs
from pipeline.steps import Progress
from schemas.identity import stable_hash

_MOST_KNOWN = 200_000
"""Rows are objects to arms without training, of several kB each, and are compared with every question."""


@dataclass(frozen=True)
class Prepared:
    """What the arms of a plan need."""

    base: LoadedModel
    adapter: Path | None
    """One of the same training; None if there is none, or a new one is wanted."""
    examples: Examples
    """To train on."""
    rows: Sequence[EvalQuestion]
    """Every question of the test split."""
    questions: Questions
    """Those that can be asked."""
    exam: Exam
    kept: KeptAnswers
    measured: KeptMeasures
    climb: Climb
    builder: ArmBuilder


def prepare(plan: Plan, progress: Progress, *, again: bool = False, timing: bool = True) -> Prepared:
    """Load the base model, look over the rows and make the questions.

    Args:
        plan: what to do.
        progress: shows what is done.
        again: ask and measure everything anew.
        timing: whether the time of a training that is still to come is of interest.

    Raises:
        TrainingError: the version has no train or test split, or the model or its rows cannot be used.
    """
    config, task = plan.config, plan.task
    train, test = (SplitExamples(plan.version, split) for split in (TRAIN, TEST))
    check_examples(train, config)
    with progress.step(f"loading {config.base_model}"):
        base = load_base(config.base_model, quantize=config.quantize)
    found = None if again else find_adapter(plan.models, plan.training_key, base.revision)
    measured = kept_measures(plan.models, plan.goldleaf, is_read=not again)
    checked = _checked(plan, base, progress, measured, timing=timing and found is None)
    examples = checked.fixes[TRAIN].applied(train, base)
    rows = questions(task, checked.fixes[TEST].kept(test), checked.fixes[TEST].applied(test, base))
    assert checked.longest_answer is not None
    exam = Exam(task, checked.longest_answer)
    whole = whole_questions(rows, checked.fixes[TEST].whole(test), task, base, exam.longest)
    asked = replace(askable(rows, task, config, base), whole=whole)
    kept = _kept(plan, base, again=again)
    climb = Climb(task, asked, config.slow_rows, plan.access.prices, progress.step, kept, plan.limits)
    known = _known(checked.fixes[TRAIN].kept(train), config.seed, progress)
    builder = ArmBuilder(plan, task, known, base, exam)
    return Prepared(base, found, examples, rows, asked, exam, kept, measured, climb, builder)


def ask_untrained(plan: Plan, ready: Prepared, progress: Progress) -> None:
    """Let the arms that need no training answer, those that take seconds first, and say what each scores."""
    for section in plan.arms:
        arm = ready.builder.untrained(section)
        if arm is not None and (result := ready.climb.take(arm)) is not None:
            progress.say(f"{result.title}: {result.score}")


def best_untrained(arms: Sequence[ArmResult], metric: str) -> ArmResult | None:
    """The best of some arms that are judged by a metric; None if there are none."""
    judged = [arm for arm in arms if arm.evaluation.metric == metric]
    return Ladder(arms=tuple(judged), pairs=tuple(all_pairs(judged))).best_of(judged)


def _kept(plan: Plan, base: LoadedModel, *, again: bool) -> KeptAnswers:
    def key(name: str) -> str:
        known = plan.answers_key(name)
        return known and stable_hash(known, base.revision, base.model.device.type)

    earlier = Earlier(plan.models / ANSWERS, key, is_read=not again)
    kept = KeptAnswers(plan.models / UNFINISHED / plan.key, earlier)
    if plan.access.retry_invalid:
        # The ledger has those that are valid.
        for arm in plan.endpoints:
            kept.forget(arm.name)
    return kept


def _checked(plan: Plan, base: LoadedModel, progress: Progress, measured: KeptMeasures, *, timing: bool) -> Preflight:
    """What preflight finds: errors stop, warnings are said, and how long the training will take."""
    keep = kept_timing(measured)
    checked = preflight(plan.version, plan.config, base, progress.step, timing=timing, keep=keep, task=plan.task)
    checked.require_sound()
    for finding in checked.warnings:
        progress.say(f"preflight: {finding} ({finding.next})")
    if checked.figures.timing:
        progress.say(f"preflight: {checked.figures.timing}")
    return checked


def _known(examples: Examples, seed: int, progress: Progress) -> list[Example]:
    """The rows that arms without training keep in memory: all, or of very many a sample, which is said."""
    if len(examples) <= _MOST_KNOWN:
        return list(examples)
    progress.say(
        f"arms without training learn from {_MOST_KNOWN:,} random ones of the {len(examples):,} training rows, and "
        "prompts take their examples from these"
    )
    return list(ChosenExamples(examples, drawn_places(examples, _MOST_KNOWN, seed)))
