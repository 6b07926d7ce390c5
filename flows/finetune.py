"""Finetune: turn a published version into a LoRA adapter, and judge it beside what else could be done."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from flows.context import Context
from flows.engines.engine import Engine
from flows.settings import prepare_training
from pipeline.config.price_file import Prices, read_prices
from pipeline.errors import ConfigError
from pipeline.finetuning.adapters import CARD, read_record
from pipeline.finetuning.examples import Example
from pipeline.finetuning.lora_config import require_lora
from pipeline.finetuning.model_places import cached_revision, digest_of_files, placed
from pipeline.ladder.assessment import Assessment, find_assessed, read_assessment
from pipeline.ladder.baselines import Baselines, ask_baselines
from pipeline.ladder.endpoints import Access
from pipeline.ladder.experiment import finetune_version, forget_unfinished
from pipeline.ladder.plan import TEST, TRAIN, Plan, code_of
from pipeline.ladder.uncurated_rows import raw_examples
from pipeline.releases.split_audit import SplitAudit, split_audit
from pipeline.releases.versions import find_version, is_of_task, read_manifest, verify
from pipeline.reporting.overview import open_answers, open_seats
from pipeline.reporting.tuned_arm import tuned_arm
from pipeline.reporting.verdict_page import verdict_page
from pipeline.reporting.write_report import write_report
from pipeline.state.runs import Run
from schemas.arms_section import EndpointArm, Family
from schemas.dataset import Finetune
from schemas.options import Fix
from schemas.run_summary import FinetuneSummary, Verb


class Finetuned(BaseModel, frozen=True):
    """An adapter, new or found, and what is known of it."""

    dataset: str
    version: str
    path: str
    reused: bool
    """The same rows, settings and arms were trained and compared before."""
    train_rows: int
    left_out: dict[str, int]
    """Rows of the train split that were not trained on, by reason."""
    seconds: float
    """Of training."""
    assessment: Assessment
    """All arms and the verdict; without the single answers."""


def finetune(
    context: Context,
    engine: Engine,
    *,
    version: str = "latest",
    again: bool = False,
    slow_rows: int | None = None,
    seeds: int | None = None,
    curve: bool = False,
    ablate: bool = False,
    fix: Sequence[Fix] | None = None,
    retry_invalid: bool = False,
) -> Finetuned:
    """Train an adapter on a published version and compare it with all arms, unless exactly that was done before.

    Args:
        context: the dataset.
        engine: runs the steps.
        version: ``X.Y.Z`` or ``latest``.
        again: train and compare even if that was done before.
        slow_rows: how many questions slow arms are asked, instead of ``finetune.slow_rows``.
        seeds: with how many seeds to train, instead of ``finetune.seeds``.
        curve: train on a tenth, a quarter and half of the rows, too, to see what more of them would bring.
        ablate: train on the raw rows, too, to see what curation did.
        fix: what preflight does about rows instead of stopping, instead of ``finetune.fix``.
        retry_invalid: ask endpoints anew what they never answered validly.

    Raises:
        ConfigError: the home holds the dataset of another file, or the version is of another task, or a file is wrong.
        ReleaseError, Damaged: there is no such version, or its bytes have changed.
        TrainingError: the model or the rows cannot be used.
    """
    store, config = context.store, context.dataset.config
    context.require_owner()
    prepare_training()
    require_lora(context.dataset)
    access = replace(_access(context), retry_invalid=retry_invalid)
    folder = find_version(store.releases, f"{config.name}@{version}", context.dataset.path)
    settings = _settings(context, slow_rows=slow_rows, seeds=seeds, fix=tuple(map(Fix, fix or ())))
    with store.lock(Verb.FINETUNE):
        _require_usable(context, engine, folder)
        run = context.new_run(Verb.FINETUNE)
        with store.scratch(run.id) as work:
            raw = _raw(context) if ablate else None
            plan = replace(_plan(context, folder, settings, access, run, work), curve=curve, raw=raw)
            if found := None if again else _judged_before(plan):
                # A run may have been killed after storing its adapter.
                forget_unfinished(plan)
            path = found or engine.run(finetune_version, plan, engine.progress, verdict_page, again=again)
        result = _result(path, config.name, reused=found is not None)
        # A run that was killed after storing its adapter still owes its commit.
        is_new = path.name not in _committed(context)
        summary = _summary(result)
        if is_new:
            store.commit(run, inputs={}, funnel=None, summary=summary)
    if is_new:
        write_report(context)
        engine.emit("dataset.finetuned", context.event(version=result.version, run=run.id, score=summary.tuned))
        engine.artifact(f"goldleaf-{config.name}-finetune", lambda: (path / CARD).read_text(encoding="utf-8"))
    return result


def ask_untrained_arms(
    context: Context,
    engine: Engine,
    *,
    version: str = "latest",
    slow_rows: int | None = None,
    fix: Sequence[Fix] | None = None,
) -> Baselines:
    """Let the arms that need no training answer a version's test questions; nothing is committed.

    Args:
        context: the dataset.
        engine: runs the steps.
        version: ``X.Y.Z`` or ``latest``.
        slow_rows: how many questions slow arms are asked, instead of ``finetune.slow_rows``.
        fix: what preflight does about rows instead of stopping, instead of ``finetune.fix``.

    Raises:
        ConfigError: the home holds the dataset of another file, or the version is of another task, or a file is wrong.
        ReleaseError, Damaged: there is no such version, or its bytes have changed.
        TrainingError: the model or the rows cannot be used.
    """
    store = context.store
    context.require_owner()
    access = _access(context)
    folder = find_version(store.releases, f"{context.dataset.config.name}@{version}", context.dataset.path)
    settings = _settings(context, slow_rows=slow_rows, fix=tuple(map(Fix, fix or ())))
    with store.baselines_lock():
        _require_usable(context, engine, folder)
        run = context.new_run(Verb.FINETUNE)
        with store.scratch(run.id) as work:
            prepare_training()
            return engine.run(ask_baselines, _plan(context, folder, settings, access, run, work), engine.progress)


def _judged_before(plan: Plan) -> Path | None:
    """The adapter that exactly this plan has led to.

    None if the cache has another revision of the base model now, or there is something to ask anew.
    """
    found, revision = find_assessed(plan.models, plan.key), cached_revision(plan.config.base_model)
    if found is None or (plan.access.retry_invalid and _has_invalid(plan, found)):
        return None
    return found if revision in ("", read_record(found).train.base_revision) else None


def _has_invalid(plan: Plan, found: Path) -> bool:
    """Whether an endpoint has given answers in the wrong format."""
    asked = {arm.name for arm in plan.endpoints}
    return any(arm.evaluation.unreadable for arm in read_assessment(found).ladder.arms if arm.name in asked)


def _require_usable(context: Context, engine: Engine, version: Path) -> None:
    """Refuse bytes that were not published, and to judge rows by another task than they were published with.

    Raises:
        Damaged: the bytes have changed.
        ConfigError: the task's fields, choices or types have. Its texts may.
    """
    engine.run(verify, version).require_sound()
    manifest, dataset = read_manifest(version), context.dataset
    if not is_of_task(manifest, dataset.task):
        raise ConfigError(
            f"{dataset.config.task} has other fields, choices or types than when {manifest.name}@{manifest.version} "
            f"was published, so that its rows cannot be judged by it; undo that, or run goldleaf curate {dataset.path} "
            "and goldleaf release for a version of it as it is now"
        )


def _settings(context: Context, **given: object) -> Finetune:
    """Those of the dataset.yaml, and what is given instead."""
    settings = context.dataset.config.finetune
    update = {"base_model": placed(settings.base_model, context.dataset.folder)}
    return settings.model_copy(update=update | {name: value for name, value in given.items() if value})


def _plan(context: Context, version: Path, settings: Finetune, access: Access, run: Run, work: Path) -> Plan:
    """What to train and to compare, without what only somebody who asks for it gets."""
    audit = _audit(context, version)
    return Plan(
        version=version,
        task=context.dataset.task,
        code=code_of(context.dataset.task),
        config=settings,
        arms=context.dataset.config.arms,
        limits=context.dataset.config.verdict,
        run=run.id,
        goldleaf=run.goldleaf,
        work=work,
        models=context.store.models,
        access=access,
        noise=audit.noise,
        audited=audit.audited,
        unaudited=audit.unaudited,
        base=digest_of_files(settings.base_model),
    )


def _summary(result: Finetuned) -> FinetuneSummary:
    """What later rounds are compared with."""
    found = result.assessment
    arm, rival = tuned_arm(found), found.ladder.best([Family.CLASSICAL, Family.PROMPT])
    return FinetuneSummary(
        version=result.version,
        path=result.path,
        tuned=arm.score.value,
        tuned_title=arm.title,
        verdict=found.judgement.verdict.value,
        train_rows=result.train_rows,
        train_split=result.train_rows + sum(result.left_out.values()),
        unit=arm.score.unit.value,
        low=arm.score.low if arm.score.is_bounded else None,
        high=arm.score.high if arm.score.is_bounded else None,
        rival=None if rival is None else rival.score.value,
        rival_title="" if rival is None else rival.title,
        noise=None if found.noise is None else found.noise.value,
    )


def _access(context: Context) -> Access:
    """The keys and prices of the endpoints that are compared.

    Raises:
        ConfigError: the price file cannot be used.
    """
    config, names = context.dataset.config, set[str]()
    for arm in config.arms:
        names |= {arm.api_key_env} if isinstance(arm, EndpointArm) else set()
    limits = config.verdict
    return Access(
        keys={name: context.settings.secret(name) for name in names},
        ledger=context.store.arm_calls,
        prices=read_prices(context.dataset.folder / limits.prices) if limits.prices else Prices(),
        encoding=config.measure.encoding,
    )


def _raw(context: Context) -> list[Example]:
    return raw_examples(context.store.snapshot().at_last_commit(), context.dataset.task, TRAIN)


def _audit(context: Context, version: Path) -> SplitAudit:
    """How many of the version's test rows are wrong, as far as it was audited."""
    snapshot = context.store.snapshot().at_last_commit()
    # As everywhere: a drawn row that was skipped widens the interval.
    left = open_answers(snapshot, context.dataset, open_seats(snapshot, context.dataset))
    return split_audit(snapshot, version, TEST, context.dataset.task, left)


def _committed(context: Context) -> set[str]:
    """The folders of the adapters whose run is committed."""
    return {Path(run.summary.path).name for run in context.store.snapshot().committed_runs(FinetuneSummary)}


def _result(path: Path, dataset: str, *, reused: bool) -> Finetuned:
    record = read_record(path)
    return Finetuned(
        dataset=dataset,
        version=record.lineage.version,
        path=str(path),
        reused=reused,
        train_rows=record.train.rows,
        left_out={reason.value: count for reason, count in record.train.left_out.items()},
        seconds=record.train.seconds,
        assessment=read_assessment(path),
    )
