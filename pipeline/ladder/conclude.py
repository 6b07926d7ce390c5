"""The end of an experiment: the verdict, and the adapter stored with everything that is known of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.finetuning.adapters import CARD, FinetuneRecord, Lineage, save_adapter
from pipeline.finetuning.evaluate import EvalQuestion
from pipeline.finetuning.exam import Exam
from pipeline.finetuning.examples import Examples, SplitExamples
from pipeline.finetuning.train import TrainReport
from pipeline.finetuning.training_rows import LeftOut
from pipeline.ladder.adapter_card import adapter_card
from pipeline.ladder.assessment import PAGE, PREDICTIONS, VERDICT, Assessment, predictions
from pipeline.ladder.climb import Climb
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.failed_training import failed_training
from pipeline.ladder.forgetting import Forgetting
from pipeline.ladder.learning_curve import Curve, adapter_curve
from pipeline.ladder.plan import TEST, TRAIN, Plan
from pipeline.ladder.results import Stated
from pipeline.ladder.retrained_scores import Ablation, SeedScore
from pipeline.ladder.rows_in_review import rows_in_review
from pipeline.ladder.verdict import judge
from pipeline.releases.published_rows import published_inputs
from pipeline.releases.versions import read_manifest
from pipeline.text.normalize import inputs_key
from schemas.arms_section import StatedArm
from schemas.manifest import Manifest
from schemas.options import Form
from schemas.task import Task

Page = Callable[[type[Task], FinetuneRecord, Assessment], bytes]
"""Renders a verdict for readers; the assessment still has its single answers."""


@dataclass(frozen=True)
class Extras:
    """What is known beside the arms."""

    forgetting: Forgetting
    curves: tuple[Curve, ...]
    ablation: Ablation | None
    seeds: tuple[SeedScore, ...] = ()


def evidence_of(
    plan: Plan, climb: Climb, rows: Sequence[EvalQuestion], report: TrainReport, extras: Extras
) -> Evidence:
    """What the verdict rests on, once all arms have answered.

    Args:
        plan: what was done.
        climb: all arms have answered.
        rows: every question of the test split.
        report: of the training.
        extras: what is known beside the arms.
    """
    whole = [climb.questions.whole.get(one.id, one) for one in rows]
    return Evidence(
        climb.ladder([arm.name for arm in plan.arms], stated_scores(plan)),
        plan.limits,
        train_rows=report.rows,
        test_rows=len(rows),
        leaked=leaked_questions(climb.task, whole, SplitExamples(plan.version, TRAIN)),
        noise=plan.noise,
        audited=plan.audited,
        groups=len({one.group or one.id for one in climb.questions.asked}),
        curve=adapter_curve(extras.curves),
        seeds=extras.seeds,
        held_back=len(rows) - len(climb.questions.asked) - sum(climb.questions.left_out.values()),
        undrawn=report.left_out.get(LeftOut.NOT_DRAWN, 0),
        in_review=rows_in_review(read_manifest(plan.version), TEST),
        failed=failed_training(report, plan.config),
    )


def conclude(
    plan: Plan,
    climb: Climb,
    evidence: Evidence,
    trained: Path,
    report: TrainReport,
    exam: Exam,
    extras: Extras,
    page: Page,
) -> Path:
    """Judge what was measured, and store the adapter with it; returns its folder.

    Args:
        plan: what was done.
        climb: all arms have answered.
        evidence: what the verdict rests on.
        trained: the folder of the adapter, new or known.
        report: of its training.
        exam: how models were asked.
        extras: what is known beside the arms.
        page: renders the verdict.
    """
    manifest = read_manifest(plan.version)
    ladder = evidence.ladder
    record = _record(plan, manifest, report, exam)
    assessment = Assessment(
        key=plan.key,
        run=plan.run,
        version=record.lineage.reference,
        digest=manifest.digest,
        base_model=plan.config.base_model,
        judgement=judge(evidence),
        ladder=ladder,
        limits=plan.limits,
        currency=climb.prices.currency if any(arm.cost is not None for arm in ladder.arms) else "",
        train_rows=evidence.train_rows,
        undrawn=evidence.undrawn,
        in_review=evidence.in_review,
        test_rows=evidence.test_rows,
        held_back=evidence.held_back,
        leaked=evidence.leaked,
        test_left_out=climb.questions.left_out,
        noise=plan.noise,
        audited=evidence.audited,
        unaudited=plan.unaudited,
        groups=evidence.groups,
        forgetting=extras.forgetting,
        curves=extras.curves,
        seeds=extras.seeds,
        ablation=extras.ablation,
        failed=evidence.failed,
    )
    beside = {
        CARD: adapter_card(climb.task, record, assessment).encode(),
        VERDICT: assessment.as_json(),
        PREDICTIONS: predictions(climb.questions.asked, ladder),
        PAGE: page(climb.task, record, assessment),
    }
    return save_adapter(trained, plan.models, record, beside)


def stated_scores(plan: Plan) -> list[Stated]:
    """The scores of the plan that were not measured here."""
    arms = (arm for arm in plan.arms if isinstance(arm, StatedArm))
    return [Stated(name=arm.name, score=arm.stated, source=arm.source) for arm in arms]


def _record(plan: Plan, manifest: Manifest, report: TrainReport, exam: Exam) -> FinetuneRecord:
    return FinetuneRecord(
        key=plan.training_key,
        run=plan.run,
        created_at=datetime.now(UTC),
        goldleaf=plan.goldleaf,
        lineage=Lineage.of(manifest),
        config=plan.config,
        train=report,
        max_new_tokens=exam.longest,
        held_to_form=plan.config.form is Form.HELD and exam.grammar is not None,
    )


def leaked_questions(task: type[Task], asked: Sequence[EvalQuestion], rows: Examples) -> int:
    """How many questions are among some rows, as inputs are compared for exact duplicates."""
    known = {inputs_key(task, published_inputs(task, row.fields)) for row in rows}
    return sum(inputs_key(task, one.inputs) in known for one in asked)
