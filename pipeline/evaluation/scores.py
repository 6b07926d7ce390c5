"""Scores answers against the gold ones: by exact match, by label, and by field and value."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pipeline.evaluation.estimates import Estimate, Unit, design_effect, influences, wilson
from pipeline.evaluation.value_pairs import matched_pairs
from schemas.field import JsonValue
from schemas.message import Message

CONFUSIONS = 10
"""How many of the most frequent confusions are kept."""


class Part(BaseModel, frozen=True):
    """The scores of one label or one field."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Gold answers with this label, or gold values of this field."""
    chrf: float | None = None
    """Mean similarity of a field's texts; None if it is no text that is written anew."""


class PartMetric(StrEnum):
    """Which score of a part to show."""

    RECALL = "recall"
    F1 = "F1"
    CHRF = "chrF"
    """Of fields that are no texts, F1."""

    @property
    def heading(self) -> str:
        """The metric as a table's heading begins with it."""
        return "Recall" if self is PartMetric.RECALL else self.value

    def of(self, part: Part) -> float:
        """The score."""
        match self:
            case PartMetric.CHRF:
                return part.f1 if part.chrf is None else part.chrf
            case PartMetric.RECALL:
                return part.recall
            case PartMetric.F1:
                return part.f1


class Measure(BaseModel, frozen=True):
    """Something else than the metric that is said of a model's answers."""

    name: str
    value: Estimate


class Confusion(BaseModel, frozen=True):
    """How often one label was predicted instead of another."""

    gold: str
    answered: str
    count: int


class Credit(BaseModel, frozen=True):
    """What one answer earns, and what a perfect one would have: a metric is the ratio of the sums of both."""

    earned: float
    possible: float
    """0 only where nothing is asked for and nothing was answered."""

    @property
    def worth(self) -> float:
        """From 0 to 1, higher is better."""
        return self.earned / self.possible if self.possible else 1.0


class Outcome(BaseModel, frozen=True):
    """One answer compared with the gold one."""

    id: str
    answer: str
    golds: tuple[str, ...]
    """The texts of the gold answers."""
    right_answers: tuple[dict[str, JsonValue], ...] = ()
    """The gold answers."""
    prompt: tuple[Message, ...] = ()
    """What was asked."""
    tools: tuple[Mapping[str, Any], ...] | None = None
    """Definitions of the tools that the answer may call."""
    steps: tuple["Outcome", ...] = ()
    """What the model called before, each time asked with the gold calls and results up to there."""
    gold: dict[str, JsonValue]
    """The gold answer nearest to the given one."""
    read: dict[str, JsonValue] | None
    """The answer's targets; None if it is unreadable."""
    credit: Credit
    """By the metric of the task's kind."""
    loss: Credit | None = None
    """The negative log-likelihood of the gold answer, of its number of tokens; for kinds that are judged by it."""
    group: str = ""
    """Of the question; empty if it is in none."""
    is_cut: bool = False
    """Whether the model had not ended it at its longest length."""

    @property
    def right(self) -> bool:
        """Whether the answer earns all there is to earn."""
        return self.credit.worth == 1


# --- one answer -------------------------------------------------------------------------------
def exact_credit(answer: Mapping[str, JsonValue] | None, gold: Mapping[str, JsonValue]) -> Credit:
    """1 of 1 for the gold answer, 0 of 1 for any other or an unreadable one (None)."""
    return Credit(earned=float(answer == gold), possible=1.0)


def pair_credit(answer: Mapping[str, JsonValue] | None, gold: Mapping[str, JsonValue]) -> Credit:
    """Twice the pairs of field and value that are in both, of those in either; summed up it is the micro F1.

    An unreadable answer (None) earns nothing, even where the gold one is empty.
    """
    given, expected = matched_pairs(answer or {}, gold)
    either = given.total() + expected.total()
    return Credit(earned=2.0 * (given & expected).total(), possible=float(max(either, answer is None)))


# --- the whole --------------------------------------------------------------------------------
ACCURACY = "accuracy"
"""The metric that is the share of correct answers."""


def accuracy(outcomes: Sequence[Outcome]) -> Estimate:
    """The share of correct answers, with its Wilson interval: of as many answers as are independent of each other."""
    right = np.array([(outcome.right, 1.0) for outcome in outcomes], dtype=np.float64)
    effect = design_effect(influences(right), groups(outcomes))
    return wilson(float(right[:, 0].sum()), len(outcomes), effect)


def groups(outcomes: Sequence[Outcome]) -> list[str]:
    """The group of each question; one that is in none is a group by itself."""
    return [outcome.group or outcome.id for outcome in outcomes]


def judged_in(outcomes: Sequence[Outcome]) -> Unit:
    """What the metric of some outcomes is measured in."""
    return Unit.NATS if outcomes and outcomes[0].loss else Unit.SHARE


def ratios(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """What every answer earned, of what it could have; or its loss, of its tokens. Shape (n, 2)."""
    credits = (outcome.loss or outcome.credit for outcome in outcomes)
    return np.array([(credit.earned, credit.possible) for credit in credits])


# --- labels and fields ------------------------------------------------------------------------
def scores_by_label(field: str, outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
    """Precision, recall and F1 of every label that was expected or predicted."""
    hits = Counter(label_text(outcome.gold[field]) for outcome in outcomes if outcome.right)
    expected = Counter(label_text(outcome.gold[field]) for outcome in outcomes)
    answered = Counter(label_text(outcome.read[field]) for outcome in outcomes if outcome.read is not None)
    return tuple(
        _part(label, hits[label], answered[label], expected[label])
        for label in sorted(expected.keys() | answered.keys())
    )


def scores_by_member(field: str, outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
    """Precision, recall and F1 of every label that some set of labels has, expected or predicted."""
    hits: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for outcome in outcomes:
        given, gold = _members(outcome.read, field), _members(outcome.gold, field)
        for counter, labels in ((hits, given & gold), (answered, given), (expected, gold)):
            counter.update(labels)
    return tuple(
        _part(label, hits[label], answered[label], expected[label])
        for label in sorted(expected.keys() | answered.keys())
    )


def _members(targets: Mapping[str, JsonValue] | None, field: str) -> set[str]:
    value = (targets or {}).get(field)
    return set(map(label_text, value)) if isinstance(value, list) else set()


def scores_by_field(names: Sequence[str], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
    """Precision, recall and F1 over the values of each field; those within objects are named with dots."""
    hits: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for outcome in outcomes:
        given, gold = matched_pairs(outcome.read or {}, outcome.gold)
        for counter, pairs in ((hits, given & gold), (answered, given), (expected, gold)):
            counter.update(name for name, _ in pairs.elements())
    return tuple(_part(name, hits[name], answered[name], expected[name]) for name in names)


def _part(name: str, hits: int, answered: int, expected: int) -> Part:
    return Part(
        name=name,
        precision=_share(hits, answered, empty=not expected),
        recall=_share(hits, expected, empty=not answered),
        f1=f1(hits, answered, expected),
        support=expected,
    )


def macro_f1(parts: Sequence[Part]) -> float:
    """Mean over the parts that occur: a field that is never expected or predicted would count as perfect."""
    found = [part.f1 for part in parts if part.support or part.f1 < 1]
    return sum(found) / len(found) if found else 1.0


def label_confusions(field: str, outcomes: Sequence[Outcome]) -> tuple[Confusion, ...]:
    """The most frequent confusions."""
    wrong = Counter(
        (label_text(outcome.gold[field]), label_text(outcome.read[field]))
        for outcome in outcomes
        if outcome.read is not None and not outcome.right
    )
    common = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:CONFUSIONS]
    return tuple(Confusion(gold=gold, answered=answered, count=count) for (gold, answered), count in common)


# --- numbers ----------------------------------------------------------------------------------
def _share(part: int, whole: int, *, empty: bool) -> float:
    """``part / whole``; if ``whole`` is 0: 1 if nothing was the right amount (``empty``), else 0."""
    return part / whole if whole else float(empty)


def f1(hits: int, answered: int, expected: int) -> float:
    """Harmonic mean of precision and recall; 1 if nothing was expected and nothing answered."""
    return _share(2 * hits, answered + expected, empty=True)


def label_text(value: JsonValue) -> str:
    """A label; ``""`` for an absent optional one."""
    return "" if value is None else str(value)
