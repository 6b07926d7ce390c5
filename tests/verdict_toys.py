"""Verdicts as toys: their answers are authored, everything else is computed from them as a fine-tuning does."""

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from authored_arms import ARMS, CLAUSES, KINDS, Clause, Talk, ToyArm, compared, paired, question, result

from pipeline.evaluation.estimates import Estimate, Unit, wilson
from pipeline.evaluation.scores import Credit
from pipeline.finetuning.adapters import FinetuneRecord, Lineage
from pipeline.finetuning.evaluate import EvalQuestion, evaluate
from pipeline.finetuning.train import TrainReport
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.forgetting import Forgetting, General
from pipeline.ladder.learning_curve import Curve, CurvePoint, Learned, adapter_curve, curve_of
from pipeline.ladder.results import ArmResult, Ladder, Skipped, Stated
from pipeline.ladder.retrained_scores import Ablation, SeedScore
from pipeline.ladder.verdict import judge
from schemas.arms_section import Family, Limits
from schemas.dataset import Finetune
from schemas.message import Message, Speaker
from schemas.task import Input, Target, Task

DIGEST = "sha256:" + "3f" * 32


@dataclass(frozen=True)
class Toy:
    """A verdict, its record and the task."""

    record: FinetuneRecord
    found: Assessment
    task: type[Task]


def toy(
    arms: Sequence[ToyArm] = ARMS,
    *,
    count: int = 300,
    kinds: Sequence[str] = KINDS,
    task: type[Task] = Clause,
    text: str | None = None,
    **more: Any,
) -> Toy:
    """A verdict on clauses.

    Args:
        arms: how good each is.
        count: of the test questions.
        kinds: the labels that occur.
        task: has these labels.
        text: of every question.
        more: further parts of the assessment.
    """
    chance = random.Random(5)
    golds = [kinds[min(int(chance.expovariate(2.2) * len(kinds)), len(kinds) - 1)] for _ in range(count)]
    asked = [question(n, gold, text or CLAUSES[n % len(CLAUSES)]) for n, gold in enumerate(golds)]
    hard = [chance.random() for _ in golds]
    return toy_of([result(arm, asked, golds, hard, kinds, task) for arm in arms], task, **more)


def toy_of(results: Sequence[ArmResult], task: type[Task], **more: Any) -> Toy:
    """A verdict on arms that have answered."""
    asked = max(arm.evaluation.questions for arm in results)
    lists = {name: more.pop(name, ()) for name in ("skipped", "stated")}
    ladder = Ladder(arms=tuple(results), pairs=tuple(paired(results)), **lists)
    limits, noise = more.pop("limits", Limits()), more.pop("noise", None)
    rows, curves, leaked = more.pop("train_rows", 413), more.pop("curves", ()), more.pop("leaked", 0)
    evidence = Evidence(
        ladder, limits, rows, asked, leaked, noise, curve=adapter_curve(curves), seeds=more.get("seeds", ())
    )
    found = Assessment(
        key="k",
        run="20261129-0405-finetune",
        version="contract-clauses@1.2.0",
        digest=DIGEST,
        base_model="smollm2-135m-instruct",
        judgement=judge(evidence),
        ladder=ladder,
        limits=limits,
        train_rows=rows,
        test_rows=asked,
        leaked=leaked,
        noise=noise,
        curves=curves,
        **more,
    )
    return Toy(record_of(rows), found, task)


def record_of(rows: int, **config: Any) -> FinetuneRecord:
    """The record of an adapter trained on so many rows."""
    return FinetuneRecord(
        key="k",
        run="20261129-0405-finetune",
        created_at=datetime(2026, 11, 29, 4, 5, tzinfo=UTC),
        goldleaf="0.1.0",
        lineage=Lineage(
            dataset="contract-clauses",
            version="1.2.0",
            digest=DIGEST,
            task="task.py:Clause",
            task_digest="0123456789abcdef",
            licenses={},
        ),
        config=Finetune(**config),
        train=TrainReport(
            base_model="smollm2-135m-instruct",
            base_revision="sha256:cd",
            device="cpu",
            rows=rows,
            left_out={},
            tokens=30_000,
            answer_tokens=1600,
            steps=104,
            losses=tuple(3.5 * 0.97**step + 0.02 for step in range(104)),
            first_loss=3.5,
            last_loss=0.08,
            trainable_parameters=4_884_480,
            parameters=134_515_008,
            seconds=173.0,
            cpu_seconds=300.0,
            peak_bytes=10**9,
        ),
        max_new_tokens=9,
    )


def curve(arm: str, title: str, sizes: Sequence[int], skills: Sequence[float], count: int = 300) -> Curve:
    """A learning curve through authored scores."""
    chance = random.Random(9)
    hard = [chance.random() for _ in range(count)]
    points = []
    for size, skill in zip(sizes, skills, strict=True):
        asked = [question(n, "term", "A clause.") for n in range(count)]
        points.append((size, evaluate(Clause, asked, ["term" if one < skill else "renewal" for one in hard])))
    return curve_of(Learned.of(arm, title, points))


FORGETTING = Forgetting(
    before=General(nats=tuple(120.0 + n for n in range(12)), tokens=(40,) * 12, right=(True,) * 19 + (False,) * 5),
    after=General(nats=tuple(127.0 + 1.2 * n for n in range(12)), tokens=(40,) * 12, right=(True,) * 17 + (False,) * 7),
)


@functools.cache
def classical_wins() -> Toy:
    """The demo's case: a linear model is enough; nothing has a price."""
    curves = (curve("linear", "a linear model on TF-IDF", (41, 103, 206, 413), (0.62, 0.83, 0.91, 0.95)),)
    skipped = (Skipped(name="gpt", title="gpt-5-mini, prompted", why="no answer from http://localhost:1/v1"),)
    noise = Estimate(value=0.035, low=0.012, high=0.09)
    return toy(count=117, noise=noise, curves=curves, skipped=skipped, forgetting=FORGETTING)


@functools.cache
def with_curves() -> Toy:
    """An ordinary one, with the curves of both."""
    sizes = (41, 103, 206, 413)
    curves = (
        curve("linear", "a linear model on TF-IDF", sizes, (0.62, 0.83, 0.91, 0.95), 60),
        curve("adapter", "the adapter", sizes, (0.5, 0.75, 0.88, 0.93), 60),
    )
    return toy(count=60, curves=curves)


@functools.cache
def tuning_wins() -> Toy:
    """Everything there is: costs, limits, curves, ablation, a frontier model, a stated score."""
    arms = [
        ToyArm("majority", "the most frequent answer", Family.CLASSICAL, 0.09, 2e-6, 0.0001),
        ToyArm("linear", "a linear model on TF-IDF", Family.CLASSICAL, 0.84, 0.0011, 0.0006, fits=4.1),
        ToyArm("nearest", "the nearest training row", Family.CLASSICAL, 0.72, 0.002, 0.0009, fits=0.3),
        ToyArm("zero_shot", "the base model, prompted", Family.PROMPT, 0.22, 0.31, 0.09, 500, (121, 4)),
        ToyArm(
            "few_shot",
            "the base model, prompted with 5 retrieved examples",
            Family.PROMPT,
            0.8,
            0.94,
            0.26,
            500,
            (540, 4),
        ),
        ToyArm("frontier", "gpt-5, prompted with 5 retrieved examples", Family.PROMPT, 0.93, 1.4, 6.4, 500, (548, 5)),
        ToyArm("adapter", "the adapter", Family.TUNED, 0.935, 0.33, 0.095, None, (121, 4)),
        ToyArm("adapter_free", "the adapter, writing freely", Family.TUNED, 0.925, 0.35, 0.1, None, (121, 4), 0.006),
    ]
    made = toy(arms, count=1540)
    curves = (
        curve("linear", "a linear model on TF-IDF", (300, 750, 1500, 3000), (0.6, 0.72, 0.79, 0.84)),
        curve("adapter", "the adapter", (300, 750, 1500, 3000), (0.66, 0.81, 0.89, 0.935)),
    )
    adapter = made.found.ladder.adapter.evaluation
    raw = toy([ToyArm("adapter", "the adapter", Family.TUNED, 0.87, 0.3)], count=1540).found.ladder.adapter.evaluation
    return toy_of(
        made.found.ladder.arms,
        Clause,
        train_rows=3000,
        curves=curves,
        currency="USD",
        noise=Estimate(value=0.021, low=0.011, high=0.041),
        limits=Limits(target=0.9, max_cost=2.0, prices="prices.yaml"),
        stated=(Stated(name="paper", score=0.941, source="Casanueva and others 2020, table 3, all 10,003 rows"),),
        forgetting=FORGETTING,
        ablation=Ablation(rows=3480, raw=raw, curated=adapter, comparison=compared(raw, adapter)),
        leaked=2,
        seeds=tuple(SeedScore(seed=17 + n, score=wilson(share, 1000)) for n, share in enumerate((937, 931, 940))),
    )


@functools.cache
def undecided() -> Toy:
    """Too few questions to tell the arms apart; labels audited."""
    arms = [
        ToyArm("majority", "the most frequent answer", Family.CLASSICAL, 0.09, 2e-6),
        ToyArm("linear", "a linear model on TF-IDF", Family.CLASSICAL, 0.86, 0.0011, fits=0.9),
        ToyArm("adapter", "the adapter", Family.TUNED, 0.88, 0.33),
    ]
    return toy(arms, count=60, limits=Limits(target=0.8))


@functools.cache
def chat() -> Toy:
    """A chat: the score is a loss, lower is better, and an endpoint has texts only."""
    chance = random.Random(3)
    asked = [
        EvalQuestion(
            id=f"q{n}",
            prompt=(Message(role=Speaker.USER, content=f"Which train leaves at {n}:15, and from where?"),),
            golds=({"messages": [{"role": "assistant", "content": f"The {n}:15 leaves from platform {n % 9}."}]},),
        )
        for n in range(60)
    ]

    def losses(level: float) -> list[Credit]:
        return [Credit(earned=chance.gauss(level, 0.2) * 24, possible=24) for _ in asked]

    texts = [f"The {n}:15 leaves from platform {n % 7}." for n in range(60)]
    found = {
        "zero_shot": evaluate(Talk, asked, ["I do not know."] * 60, losses(2.6)),
        "few_shot": evaluate(Talk, asked, texts, losses(1.9)),
        "adapter": evaluate(Talk, asked, texts, losses(1.1)),
        "gpt": evaluate(Talk, asked, texts),
    }
    titles = {arm.name: arm.title for arm in ARMS} | {"gpt": "gpt-5-mini, prompted"}
    results = [
        ArmResult(
            name=name,
            title=titles[name],
            family=Family.TUNED if name == "adapter" else Family.PROMPT,
            evaluation=one,
            learning_seconds=0,
            seconds=30,
            latency={"zero_shot": 0.5, "few_shot": 1.2, "adapter": 0.55, "gpt": 0.9}[name],
            tokens_in=80,
            tokens_out=12,
        )
        for name, one in found.items()
    ]
    measured = tuple(
        CurvePoint(rows=rows, score=Estimate(value=loss, low=loss - 0.1, high=loss + 0.1, unit=Unit.NATS))
        for rows, loss in ((40, 1.9), (100, 1.55), (200, 1.3), (400, 1.1))
    )
    ahead = (CurvePoint(rows=800, score=Estimate(value=0.93, low=0.85, high=1.0, unit=Unit.NATS)),)
    curves = (Curve(arm="adapter", title="the adapter", measured=measured, expected=ahead),)
    return toy_of(results, Talk, curves=curves, forgetting=FORGETTING)


@functools.cache
def alone() -> Toy:
    """An adapter that is compared with nothing."""
    return toy([ToyArm("adapter", "the adapter", Family.TUNED, 0.8, 0.3)], count=40)


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}</svg>\x00\ud800\u202e`<b>`"
MANY = tuple(f"a_label_with_a_rather_long_name_of_number_{n:03}" for n in range(200))


class Many(Task):
    """Name one of very many kinds."""

    clause: Input[str]
    kind: Target[Literal[MANY]]  # type: ignore[valid-type]


@functools.cache
def crowded() -> Toy:
    """30 arms whose names mean harm, 200 labels."""
    arms = [
        ToyArm(
            "adapter" if n == 0 else f"endpoint-of-our-own.with.a.long.name-{n}",
            "the adapter"
            if n == 0
            else f"{HOSTILE} number {n} of the endpoints that somebody listed, all of them alike",
            Family.TUNED if n == 0 else Family.PROMPT if n % 3 else Family.CLASSICAL,
            0.75 + 0.006 * (n % 5),
            0.2 + 0.01 * (n % 7),
            0.1 + 0.02 * (n % 6),
        )
        for n in range(30)
    ]
    stated = (Stated(name="paper", score=0.97, source=HOSTILE),)
    skipped = (Skipped(name="gone", title=HOSTILE, why=HOSTILE),)
    return toy(arms, kinds=MANY, task=Many, text=HOSTILE * 3, stated=stated, skipped=skipped, currency="EUR")


TOYS = {
    "classical": classical_wins,
    "tuning": tuning_wins,
    "undecided": undecided,
    "chat": chat,
    "alone": alone,
    "crowded": crowded,
}
