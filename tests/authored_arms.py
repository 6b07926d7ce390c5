"""Arms whose answers are authored by how often each is right, and how they compare."""

import functools
import itertools
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.evaluation.paired import sign_test
from pipeline.finetuning.evaluate import Comparison, EvalQuestion, Evaluation, compare_models, evaluate
from pipeline.ladder.results import ArmResult, Pair
from schemas.arms_section import Family
from schemas.message import Message, Speaker
from schemas.task import Conversation, Input, Target, Task

KINDS = (
    *("governing_law", "term", "renewal", "confidentiality", "assignment", "payment_terms", "non_compete"),
    *("limitation_of_liability", "indemnification", "termination_for_convenience", "audit_rights", "warranty"),
    *("insurance", "exclusivity"),
)
CLAUSES = (
    "This Agreement shall be governed by the laws of the State of Delaware, without regard to conflict of laws rules.",
    "Either party may assign this Agreement to a successor to substantially all of its business, upon written notice.",
    "The initial term is three years from the Effective Date and renews for successive periods of one year each.",
    "Supplier shall keep complete records, and Customer may inspect them once a year during normal business hours.",
)


class Clause(Task):
    """Name the kind of this clause."""

    clause: Input[str]
    kind: Target[Literal[KINDS]]  # type: ignore[valid-type]


class Talk(Task):
    """Answer as an assistant."""

    messages: Conversation


@dataclass(frozen=True)
class ToyArm:
    """An arm of which only is said how often it is right, and what it takes."""

    name: str
    title: str
    family: Family
    skill: float
    seconds: float
    """Of a call."""
    cost: float | None = None
    questions: int | None = None
    """How many it was asked, if not all."""
    tokens: tuple[float, float] = (0, 0)
    unreadable: float = 0.0
    fits: float = 0.0


ARMS = (
    ToyArm("majority", "the most frequent answer", Family.CLASSICAL, 0.09, 2e-6),
    ToyArm("linear", "a linear model on TF-IDF", Family.CLASSICAL, 0.95, 0.0011, fits=0.9),
    ToyArm("nearest", "the nearest training row", Family.CLASSICAL, 0.92, 0.0008, fits=0.1),
    ToyArm("zero_shot", "the base model, prompted", Family.PROMPT, 0.2, 0.31, tokens=(121, 4)),
    ToyArm(
        "few_shot", "the base model, prompted with 5 retrieved examples", Family.PROMPT, 0.88, 0.94, tokens=(540, 4)
    ),
    ToyArm("adapter", "the adapter", Family.TUNED, 0.93, 0.33, tokens=(121, 4)),
    ToyArm("adapter_free", "the adapter, writing freely", Family.TUNED, 0.9, 0.35, tokens=(121, 4), unreadable=0.02),
)


def paired(arms: Sequence[ArmResult]) -> list[Pair]:
    """As ``all_pairs``, but without its bootstrap, which takes minutes for 30 arms."""
    found = []
    for one, other in itertools.combinations(arms, 2):
        before, after = one.evaluation, other.evaluation
        if before.metric != after.metric:
            continue
        shared = {outcome.id for outcome in before.outcomes} & {outcome.id for outcome in after.outcomes}
        made = compared(before.of(shared), after.of(shared))
        p_value = sign_test(made.better, made.worse)
        found.append(Pair(one=one.name, other=other.name, questions=len(shared), comparison=made, p_value=p_value))
    return found


def compared(before: Evaluation, after: Evaluation) -> Comparison:
    """Two evaluations of the same questions, with the interval of a mean."""
    if before.score.unit is Unit.NATS:
        return compare_models(before, after)
    gains = [two.credit.worth - one.credit.worth for one, two in zip(before.outcomes, after.outcomes, strict=True)]
    mean, reach = statistics.mean(gains), 1.96 * statistics.pstdev(gains) / math.sqrt(len(gains))
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return Comparison(
        difference=Estimate(value=mean, low=mean - reach, high=mean + reach),
        better=better,
        worse=worse,
        same=len(gains) - better - worse,
    )


def question(number: int, gold: str, text: str) -> EvalQuestion:
    prompt = (Message(role=Speaker.SYSTEM, content="Name the kind."), Message(role=Speaker.USER, content=text))
    return EvalQuestion(id=f"q{number}", prompt=prompt, golds=({"kind": gold},))


def result(
    arm: ToyArm,
    asked: Sequence[EvalQuestion],
    golds: Sequence[str],
    hard: Sequence[float],
    kinds: Sequence[str],
    task: type[Task],
) -> ArmResult:
    chance = random.Random(arm.name)
    answers = []
    for gold, difficulty in list(zip(golds, hard, strict=True))[: arm.questions]:
        # Arms find the same questions difficult, though not all of them.
        is_right = 0.6 * difficulty + 0.4 * chance.random() < _level(arm.skill)
        near = kinds[(kinds.index(gold) + chance.choice([1, 1, 1, 2])) % len(kinds)]
        answers.append("Sure! Here" if chance.random() < arm.unreadable else gold if is_right else near)
    return ArmResult(
        name=arm.name,
        title=arm.title,
        family=arm.family,
        evaluation=evaluate(task, asked[: arm.questions], answers),
        learning_seconds=arm.fits,
        seconds=arm.seconds * len(answers) / 4,
        latency=arm.seconds,
        tokens_in=arm.tokens[0],
        tokens_out=arm.tokens[1],
        cost=arm.cost,
    )


@functools.cache
def _level(skill: float) -> float:
    """The level below which 0.6 x + 0.4 y lies for that share of random x and y."""
    draws = sorted(0.6 * a + 0.4 * b for a, b in _pairs())
    return draws[min(int(skill * len(draws)), len(draws) - 1)]


def _pairs() -> list[tuple[float, float]]:
    chance = random.Random(1)
    return [(chance.random(), chance.random()) for _ in range(4000)]
