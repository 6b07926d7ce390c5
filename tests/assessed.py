"""Adapters that were never trained, and arms whose answers are authored: what is known of them, and where it lies."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.estimates import Estimate, Unit, wilson
from pipeline.evaluation.scores import Credit
from pipeline.finetuning.adapters import CARD, WEIGHTS, FinetuneRecord, Lineage, adapter_key, save_adapter
from pipeline.finetuning.evaluate import EvalQuestion, Evaluation, evaluate
from pipeline.finetuning.model_sources import BUNDLED
from pipeline.finetuning.train import LeftOut, TrainReport
from pipeline.ladder.adapter_card import adapter_card
from pipeline.ladder.assessment import PREDICTIONS, VERDICT, Assessment, predictions
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.judgement import Judgement
from pipeline.ladder.learning_curve import Curve, CurvePoint, Learned, LearnedPoint
from pipeline.ladder.results import ArmResult, Ladder, all_pairs
from pipeline.ladder.verdict import judge
from schemas.arms_section import ArmName, Family, Limits
from schemas.dataset import Finetune
from schemas.message import Message, Speaker
from schemas.task import Conversation, Input, Target, Task

DIGEST = f"sha256:{'ab' * 32}"
TITLES = {
    "majority": "the most frequent answer",
    "linear": "a linear model on TF-IDF",
    "nearest": "the nearest training row",
    "zero_shot": "the base model, prompted",
    "few_shot": "the base model, prompted with 5 retrieved examples",
    "adapter": "the adapter",
    "adapter_linear": "the adapter with a linear model",
    "adapter_free": "the adapter, writing freely",
}


class Fruit(Task):
    """Name the fruit."""

    text: Input[str]
    kind: Target[Literal["apple", "pear"]]


class Bowl(Task):
    """Name the fruits."""

    text: Input[str]
    kinds: Target[set[Literal["apple", "pear"]]]


class Help(Task):
    """Help."""

    messages: Conversation


# --- adapters -----------------------------------------------------------------------------------
def trained_at(base: str = BUNDLED) -> TrainReport:
    """What the training of 40 rows did."""
    return TrainReport(
        base_model=base,
        base_revision="sha256:cd",
        device="cpu",
        rows=40,
        left_out={LeftOut.TOO_LONG: 2},
        tokens=800,
        answer_tokens=120,
        steps=10,
        losses=(3.0, 0.5),
        first_loss=3.0,
        last_loss=0.5,
        trainable_parameters=4884480,
        parameters=134515008,
        seconds=12.3,
        cpu_seconds=20.0,
        peak_bytes=10**9,
    )


def a_record(run: str = "r1", *, config: Finetune | None = None, hours: int = 0, base: str = BUNDLED) -> FinetuneRecord:
    """The record of an adapter that was trained some hours after the first."""
    config = config or Finetune()
    return FinetuneRecord(
        key=adapter_key(DIGEST, config),
        run=run,
        created_at=datetime(2026, 5, 4, tzinfo=UTC) + timedelta(hours=hours),
        goldleaf="0.1.0",
        lineage=Lineage(
            dataset="fruits",
            version="1.2.0",
            digest=DIGEST,
            task="fruits.py:Fruit",
            task_digest="0123456789abcdef",
            licenses={"market": "CC-BY-4.0"},
        ),
        config=config,
        train=trained_at(base),
        max_new_tokens=4,
    )


def weights_in(folder: Path) -> Path:
    """The folder, with what a training leaves."""
    folder.mkdir(exist_ok=True)
    (folder / WEIGHTS).write_bytes(b"weights")
    return folder


# --- arms ---------------------------------------------------------------------------------------
def arm_of(name: str, evaluation: Evaluation, **figures: Any) -> ArmResult:
    """An arm whose answers are judged already; those of endpoints have names of their own."""
    family = ArmName(name).family if name in list(ArmName) else Family.PROMPT
    figures = {"learning_seconds": 0.0, "seconds": 1.0, "title": TITLES.get(name, name), **figures}
    return ArmResult(name=name, family=family, evaluation=evaluation, **figures)


def question(name: str, *golds: str) -> EvalQuestion:
    """A question about a fruit."""
    return EvalQuestion(
        id=name,
        prompt=(Message(role=Speaker.USER, content=name),),
        golds=tuple({"kind": gold} for gold in golds),
    )


def answered(name: str, right: Iterable[bool], *, first: int = 0, **figures: Any) -> ArmResult:
    """An arm that is right or wrong about questions, numbered from the first on."""
    texts = ["apple" if one else "pear" for one in right]
    asked = [question(f"q{first + number}", "apple") for number in range(len(texts))]
    return arm_of(name, evaluate(Fruit, asked, texts), **figures)


def learned_by(rows: Sequence[int], right: Sequence[NDArray[np.bool_]]) -> Learned:
    """An arm that is right about these questions after so many rows; no answer is compared, which takes its time."""
    names = tuple(f"q{number}" for number in range(len(right[0])))
    points = tuple(
        LearnedPoint(rows=many, score=wilson(int(one.sum()), len(one)), credits=tuple((float(x), 1.0) for x in one))
        for many, one in zip(rows, right, strict=True)
    )
    return Learned(arm="adapter", title="the adapter", unit=Unit.SHARE, ids=names, groups=names, points=points)


def share_right(name: str, right: int, asked: int, **figures: Any) -> ArmResult:
    """An arm that is right about the first so many questions."""
    return answered(name, [number < right for number in range(asked)], **figures)


def lost(name: str, losses: Sequence[tuple[float, float]], **figures: Any) -> ArmResult:
    """An arm that loses so many nats of so many tokens on each gold answer of a chat."""
    gold = {"messages": [Message(role=Speaker.ASSISTANT, content="Hello.").as_json()]}
    asked = [EvalQuestion(id=f"q{number}", prompt=(), golds=(gold,)) for number in range(len(losses))]
    credits = [Credit(earned=nats, possible=tokens) for nats, tokens in losses]
    return arm_of(name, evaluate(Help, asked, ["Hi."] * len(losses), credits), **figures)


def ladder_of(*arms: ArmResult, **more: Any) -> Ladder:
    """All of them, compared."""
    return Ladder(arms=arms, pairs=tuple(all_pairs(arms)), **more)


# --- what is known of an adapter ----------------------------------------------------------------
def evidence_of(*arms: ArmResult, **more: Any) -> Evidence:
    """Enough rows to decide, unless it is said otherwise; ``limits`` are given as in a dataset.yaml."""
    limits = Limits(**more.pop("limits", {}))
    asked = max(arm.evaluation.questions for arm in arms)
    return Evidence(ladder_of(*arms), limits, **{"train_rows": 5000, "test_rows": asked, **more})


def rising(then: float, **leads: tuple[float, float]) -> Curve:
    """The adapter's curve: its score with 10,000 rows, and by how much it then leads each arm, with the lower bound."""
    score = Estimate(value=then, low=then - 0.03, high=min(1.0, then + 0.03))
    ahead = {name: Estimate(value=value, low=low, high=2 * value - low) for name, (value, low) in leads.items()}
    expected = (CurvePoint(rows=10_000, score=score),)
    return Curve(arm="adapter", title="the adapter", measured=(), expected=expected, leads=ahead)


def verdict_on(*arms: ArmResult, **more: Any) -> Judgement:
    """The verdict on some arms; ``more`` is of the evidence."""
    return judge(evidence_of(*arms, **more))


def spread(name: str, right: float, asked: int = 1000, seed: int = 0, **figures: Any) -> ArmResult:
    """An arm that is right about a share of the questions, drawn with a seed of its own."""
    chosen = np.random.default_rng(seed).permutation(asked) < round(right * asked)
    return answered(name, chosen.tolist(), **figures)


LINEAR, ADAPTER = share_right("linear", 800, 1000), share_right("adapter", 900, 1000)


def assessed(*arms: ArmResult, **more: Any) -> Assessment:
    """The arms and the verdict on them; ``more`` is of the evidence or of the assessment."""
    shared = {"train_rows": 5000, "leaked": 0, "noise": None}
    of_evidence = {name: more.pop(name, usual) for name, usual in shared.items()}
    evidence = evidence_of(*arms, limits=more.pop("limits", {}), **of_evidence)
    values = {
        "key": "k1",
        "run": "r1",
        "version": "fruits@1.2.0",
        "digest": DIGEST,
        "base_model": BUNDLED,
        "judgement": judge(evidence),
        "ladder": evidence.ladder,
        "limits": evidence.limits,
        "test_rows": evidence.test_rows,
        **of_evidence,
        **more,
    }
    return Assessment(**values)


def save_assessed(
    trained: Path, models: Path, record: FinetuneRecord, found: Assessment, task: type[Task] = Fruit
) -> Path:
    """Store an adapter with all that a fine-tuning puts beside it."""
    ids = dict.fromkeys(one.id for arm in found.ladder.arms for one in arm.evaluation.outcomes)
    asked = [EvalQuestion(id=name, prompt=(), golds=({},)) for name in ids]
    beside = {
        CARD: adapter_card(task, record, found).encode(),
        VERDICT: found.as_json(),
        PREDICTIONS: predictions(asked, found.ladder),
    }
    return save_adapter(trained, models, record, beside)
