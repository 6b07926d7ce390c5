"""Eight datasets whose right verdict is known, because they are made so: texts, labels, and how good each model is.

The classical arms really learn. Language models are stood in for by arms that are right as often as the case says, so
that a case takes a second; no real ones are trained on these datasets.
"""

import random
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.config.price_file import Prices
from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.examples import Example
from pipeline.ladder.arm import Advance, Arm
from pipeline.ladder.classical import Linear, Majority, Nearest
from pipeline.ladder.climb import Climb
from pipeline.ladder.conclude import leaked_questions
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.judgement import Verdict
from pipeline.ladder.kept_answers import KeptAnswers
from pipeline.ladder.retrieval import Memory
from schemas.arms_section import ArmName, Family, Limits
from schemas.task import Input, Target, Task

TOPICS = ("billing", "delivery", "returns", "hours")
Topic = Literal["billing", "delivery", "returns", "hours"]
WORDS = {
    "billing": ["invoice", "charged", "payment", "refund amount", "credit card"],
    "delivery": ["parcel", "courier", "shipment", "tracking number", "doorstep"],
    "returns": ["send it back", "return label", "exchange", "wrong size", "unopened box"],
    "hours": ["open on Sunday", "closing time", "holidays", "opening hours", "lunch break"],
}
OPENINGS = ("Hello,", "Hi there,", "Good morning,", "A question:", "Dear team,", "Please help:")
MIDDLES = ("I would like to know about the", "can you tell me more on the", "what about my", "it concerns the")
ENDINGS = ("since last week.", "as soon as you can.", "because I am leaving soon.", "thank you.", "for my sister.")


class Note(Task):
    """Say what a customer's note is about."""

    text: Input[str]
    topic: Target[Topic]


@dataclass(frozen=True)
class Row:
    """A text and its label."""

    text: str
    topic: str


@dataclass(frozen=True)
class Case:
    """A dataset, how good language models are at it, and what must follow."""

    name: str
    train: Sequence[Row]
    test: Sequence[Row]
    adapter: float
    """The share of test labels that the adapter gives."""
    verdict: Verdict
    rule: str
    prompted: float = 0.3
    frontier: float | None = None
    """The same of a model at an endpoint; None if none is asked."""
    noise: Estimate | None = None
    limits: Limits = field(default_factory=Limits)
    prices: Prices = field(default_factory=Prices)
    beside: Sequence[str] = ()
    """What a reason must name."""


# --- texts ------------------------------------------------------------------------------------
def keyword_rows(count: int, seed: int) -> list[Row]:
    """Notes of which one word tells the topic, no two alike."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        topic = TOPICS[number % len(TOPICS)]
        parts = (chance.choice(OPENINGS), chance.choice(MIDDLES), chance.choice(WORDS[topic]), chance.choice(ENDINGS))
        rows.append(Row(f"{' '.join(parts)} (note {seed}-{number})", topic))
    return rows


def order_rows(count: int, seed: int) -> list[Row]:
    """Notes of which no single word or pair of words tells the topic: it depends on two that stand far apart."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        place, season = chance.choice(("harbor", "mountain")), chance.choice(("winter", "summer"))
        topic = "delivery" if (place == "harbor") == (season == "winter") else "returns"
        text = (
            f"{chance.choice(OPENINGS)} we met at the {place} and talked for {chance.randint(2, 90)} minutes about "
            f"{chance.choice(ENDINGS)[:-1]} when the {season} began. (note {seed}-{number})"
        )
        rows.append(Row(text, topic))
    return rows


def with_wrong_labels(rows: Sequence[Row], share: float, seed: int) -> list[Row]:
    """The same rows, so many of them with another label."""
    chance = random.Random(seed)
    wrong = set(chance.sample(range(len(rows)), round(share * len(rows))))
    return [
        Row(row.text, chance.choice([topic for topic in TOPICS if topic != row.topic])) if place in wrong else row
        for place, row in enumerate(rows)
    ]


def of_chance(rows: Sequence[Row], seed: int) -> list[Row]:
    """The same texts, each with any label."""
    chance = random.Random(seed)
    return [Row(row.text, chance.choice(TOPICS)) for row in rows]


def audited(share: float, rows: int = 200) -> Estimate:
    """What an audit of so many rows says."""
    half = 1.96 * (share * (1 - share) / rows) ** 0.5
    return Estimate(value=share, low=max(0.0, share - half), high=share + half)


CASES = [
    Case(
        "noise only",
        of_chance(keyword_rows(800, 1), 11),
        of_chance(keyword_rows(240, 2), 12),
        adapter=0.25,
        verdict=Verdict.FIX_LABELS,
        rule="nothing_learned",
        beside=("No arm is measurably better than always giving the most frequent answer",),
    ),
    Case(
        "40 rows",
        keyword_rows(32, 3),
        keyword_rows(8, 4),
        adapter=0.75,
        verdict=Verdict.MORE_DATA,
        rule="too_few_rows",
        beside=("32 training rows", "8 test questions"),
    ),
    Case(
        "a keyword task",
        keyword_rows(800, 5),
        keyword_rows(240, 6),
        adapter=1.0,
        prompted=0.9,
        verdict=Verdict.CLASSICAL,
        rule="compared",
        beside=("A linear model on TF-IDF scores 100.0%", "there is nothing left to gain"),
    ),
    Case(
        "a leaked test",
        [*order_rows(800, 7), *order_rows(240, 8)[:120]],
        order_rows(240, 8),
        adapter=0.97,
        verdict=Verdict.UNDECIDED,
        rule="leaked_test",
        beside=("120 of 240 test questions are among the training rows",),
    ),
    Case(
        "wrong labels",
        with_wrong_labels(keyword_rows(800, 9), 0.2, 13),
        with_wrong_labels(keyword_rows(240, 10), 0.2, 14),
        adapter=0.79,
        noise=audited(0.2),
        verdict=Verdict.FIX_LABELS,
        rule="wrong_labels",
        beside=("20.0%", "No model can be seen above 80.0%"),
    ),
    Case(
        "enough data",
        order_rows(3000, 15),
        order_rows(600, 16),
        adapter=0.96,
        prompted=0.55,
        noise=audited(0.01),
        verdict=Verdict.TUNE,
        rule="compared",
        beside=("The adapter scores 96.0%",),
    ),
    Case(
        "the ceiling is reached",
        with_wrong_labels(keyword_rows(2000, 17), 0.04, 18),
        with_wrong_labels(keyword_rows(600, 19), 0.04, 20),
        adapter=0.96,
        prompted=0.8,
        noise=audited(0.04),
        verdict=Verdict.CLASSICAL,
        rule="compared",
        beside=("has reached what can be seen on this test split", "no model can be seen above 96.0%"),
    ),
    Case(
        "a frontier model is far above",
        order_rows(1000, 21),
        order_rows(500, 22),
        adapter=0.78,
        frontier=0.97,
        verdict=Verdict.PROMPT,
        rule="compared",
        beside=("frontier, prompted scores 97.0%",),
    ),
]


# --- arms -------------------------------------------------------------------------------------
class StandIn(Arm):
    """Is right about a share of the questions, always the same ones."""

    def __init__(self, name: str, title: str, family: Family, right: float) -> None:
        self.name, self.title, self.family, self._right = name, title, family, right

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        asked = questions.asked
        lucky = set(random.Random(self.name).sample(range(len(asked)), round(self._right * len(asked))))
        texts = []
        for place, question in enumerate(asked):
            gold = str(question.golds[0]["topic"])
            other = TOPICS[(TOPICS.index(gold) + 1 + place % 3) % len(TOPICS)]
            texts.append(gold if place in lucky else other)
        return Answers(texts)


def examples_of(rows: Sequence[Row], name: str) -> list[Example]:
    """Rows as a published version has them."""
    found = []
    for number, row in enumerate(rows):
        *prompt, said = Note.task_messages({"text": row.text}, {"topic": row.topic})
        fields = {"text": row.text, "topic": row.topic}
        found.append(Example(f"{name}{number}", tuple(prompt), (said,), fields))
    return found


def evidence_of(case: Case, folder: Path) -> Evidence:
    """What all arms say of a case."""
    train = examples_of(case.train, "r")
    asked = questions(Note, examples_of(case.test, "q"))
    memory = Memory(Note, train)
    climb = Climb(
        Note,
        Questions(asked, [], [], {}),
        500,
        case.prices,
        lambda label, total: nullcontext(lambda units: None),
        KeptAnswers(folder),
    )
    arms: list[Arm] = [
        Majority(Note, train),
        Linear(Note, memory, (), 17),
        Nearest(Note, memory),
        StandIn(ArmName.ZERO_SHOT.value, "the base model, prompted", Family.PROMPT, case.prompted),
    ]
    if case.frontier is not None:
        arms.append(StandIn("frontier", "frontier, prompted", Family.PROMPT, case.frontier))
    arms.append(StandIn(ArmName.ADAPTER.value, "the adapter", Family.TUNED, case.adapter))
    for arm in arms:
        climb.take(arm)
    return Evidence(
        ladder=climb.ladder([arm.name for arm in arms]),
        limits=case.limits,
        train_rows=len(train),
        test_rows=len(asked),
        leaked=leaked_questions(Note, asked, train),
        noise=case.noise,
    )
