"""Scores a model's answers against the gold ones, with intervals, and compares two models.

Pure arithmetic on texts: no model is loaded here. A *question* is one distinct input; where the data
rightly holds several answers to it, any of them counts, and the question counts once.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.errors import TrainingError
from pipeline.finetuning.examples import Example
from schemas.field import JsonValue
from schemas.message import Message
from schemas.task import Metric, Role, Task

CONFUSIONS = 10
"""How many of the most common confusions are kept."""

_Z = 1.959964
"""Standard normal quantile of a two-sided 95% interval."""
_RESAMPLES = 1000
_SEED = 17

Pairs = Counter[tuple[str, JsonValue]]


class Question(BaseModel):
    """One distinct input with every answer that is right."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Of the first row that asks it."""
    prompt: tuple[Message, ...]
    golds: tuple[dict[str, JsonValue], ...]
    """Canonical targets, at least one."""


class Estimate(BaseModel):
    """A value with its 95% interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


class Part(BaseModel):
    """The scores of one class (classification) or one field (extraction)."""

    model_config = ConfigDict(frozen=True)

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Gold answers of this class, or gold values of this field."""


class Confusion(BaseModel):
    """How often one class was taken for another."""

    model_config = ConfigDict(frozen=True)

    gold: str
    answered: str
    count: int


class Outcome(BaseModel):
    """What one answer was worth."""

    model_config = ConfigDict(frozen=True)

    id: str
    answer: str
    golds: tuple[str, ...]
    """The texts of the right answers."""
    gold: dict[str, JsonValue]
    """The right answer that is nearest to the given one."""
    read: dict[str, JsonValue] | None
    """The answer's targets; None where it cannot be read."""
    hits: int
    """Values that are in both."""
    answered: int
    """Values in the answer."""
    expected: int
    """Values in the gold."""

    @property
    def right(self) -> bool:
        """Whether all targets are as in the gold."""
        return self.read == self.gold

    @property
    def f1(self) -> float:
        """Of this answer's values."""
        return _f1(self.hits, self.answered, self.expected)


class Evaluation(BaseModel):
    """How well one model answers."""

    model_config = ConfigDict(frozen=True)

    metric: Metric
    questions: int
    score: Estimate
    """Accuracy (Wilson interval), or micro-averaged F1 over (field, value) pairs (bootstrap)."""
    exact: Estimate
    """Share of the answers with all targets right; equals ``score`` for accuracy (Wilson)."""
    macro_f1: float
    """Unweighted mean over the ``parts`` that occur in an answer or in the gold."""
    parts: tuple[Part, ...]
    confusions: tuple[Confusion, ...]
    """Classification only; the most common ones."""
    unreadable: int
    """Answers that are no valid answer of the task; they count as wrong."""
    unreadable_ids: tuple[str, ...]
    outcomes: tuple[Outcome, ...] = ()
    """One a question, in order."""


class Comparison(BaseModel):
    """How one model does against another on the same questions."""

    model_config = ConfigDict(frozen=True)

    difference: Estimate
    """Score after minus score before (paired bootstrap)."""
    better: int
    worse: int
    same: int
    """Questions whose answer gained, lost or kept its worth."""

    def __str__(self) -> str:
        change, low, high = (
            100 * value for value in (self.difference.value, self.difference.low, self.difference.high)
        )
        return f"{change:+.1f} points ({low:+.1f} to {high:+.1f}); {self.better} better, {self.worse} worse"

    @property
    def verdict(self) -> str:
        """What the comparison says, in a sentence for people."""
        change = self.difference
        if change.low <= 0 <= change.high:
            return "On these test rows the tuned model cannot be told from the untuned one."
        return (
            f"Tuning made it {'better' if change.value > 0 else 'worse'} by {100 * abs(change.value):.1f} points (95% "
            f"interval {100 * change.low:+.1f} to {100 * change.high:+.1f}); {self.better} rows got better, "
            f"{self.worse} worse."
        )


def questions(task: type[Task], rows: Iterable[Example]) -> list[Question]:
    """Merge rows with the same inputs into one question each, in order of appearance."""
    merged: dict[str, Question] = {}
    for row in rows:
        inputs = {name: row.fields[name] for name in task.task_names(Role.INPUT)}
        key = json.dumps(inputs, sort_keys=True, default=str)
        gold = task.task_canonical(row.fields)
        known = merged.get(key)
        if known is None:
            merged[key] = Question(id=row.id, prompt=tuple(row.prompt), golds=(gold,))
        elif gold not in known.golds:
            merged[key] = known.model_copy(update={"golds": (*known.golds, gold)})
    return list(merged.values())


def evaluate(task: type[Task], asked: Sequence[Question], answers: Sequence[str]) -> Evaluation:
    """Score one answer for each question.

    Raises:
        TrainingError: there are no questions.
    """
    if not asked:
        raise TrainingError("There are no rows to evaluate on: the split is empty; give it a share in split.fractions")
    outcomes = tuple(_outcome(task, question, text) for question, text in zip(asked, answers, strict=True))
    metric = task.task_metric()
    exact = wilson(sum(outcome.right for outcome in outcomes), len(outcomes))
    classes = metric is Metric.ACCURACY
    parts = _class_scores(task, outcomes) if classes else _field_scores(task, outcomes)
    unreadable = tuple(outcome.id for outcome in outcomes if outcome.read is None)
    return Evaluation(
        metric=metric,
        questions=len(outcomes),
        score=exact if classes else _bootstrap(_ratios(metric, outcomes)),
        exact=exact,
        macro_f1=_macro_f1(parts),
        parts=parts,
        confusions=_confusions(task, outcomes) if classes else (),
        unreadable=len(unreadable),
        unreadable_ids=unreadable,
        outcomes=outcomes,
    )


def compare(before: Evaluation, after: Evaluation) -> Comparison:
    """Compare two evaluations of the same questions, pair by pair.

    Raises:
        TrainingError: the questions are not the same.
    """
    ids = [[outcome.id for outcome in side.outcomes] for side in (before, after)]
    if ids[0] != ids[1] or not ids[0]:
        raise TrainingError(
            f"Evaluations of {len(ids[0])} and {len(ids[1])} questions cannot be compared; evaluate both on the same"
        )
    changes = [_sign(b.f1 - a.f1) for a, b in zip(before.outcomes, after.outcomes, strict=True)]
    return Comparison(
        difference=_bootstrap(_ratios(after.metric, after.outcomes), minus=_ratios(before.metric, before.outcomes)),
        better=changes.count(1),
        worse=changes.count(-1),
        same=changes.count(0),
    )


# --- one answer -------------------------------------------------------------------------------
def _outcome(task: type[Task], question: Question, text: str) -> Outcome:
    read = task.task_read_answer(text)
    given = _pairs(read or {})
    gold = max(
        question.golds, key=lambda gold: _f1((given & _pairs(gold)).total(), given.total(), _pairs(gold).total())
    )
    expected = _pairs(gold)
    return Outcome(
        id=question.id,
        answer=text,
        golds=tuple(task.task_answer(right) for right in question.golds),
        gold=gold,
        read=read,
        hits=(given & expected).total(),
        answered=given.total(),
        expected=expected.total(),
    )


def _pairs(targets: Mapping[str, JsonValue]) -> Pairs:
    """Every value with its field; a list gives one pair an element, an absent value none."""
    pairs: Pairs = Counter()
    for name, value in targets.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        pairs.update((name, one) for one in values)
    return pairs


# --- classes and fields -----------------------------------------------------------------------
def _class_scores(task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
    name = task.task_targets()[0].name
    hits = Counter(str(outcome.gold[name]) for outcome in outcomes if outcome.right)
    expected = Counter(str(outcome.gold[name]) for outcome in outcomes)
    answered = Counter(str(outcome.read[name]) for outcome in outcomes if outcome.read is not None)
    return tuple(
        _part(label, hits[label], answered[label], expected[label])
        for label in sorted(expected.keys() | answered.keys())
    )


def _field_scores(task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Part, ...]:
    hits: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for outcome in outcomes:
        given, gold = _pairs(outcome.read or {}), _pairs(outcome.gold)
        for counter, pairs in ((hits, given & gold), (answered, given), (expected, gold)):
            counter.update(name for name, _ in pairs.elements())
    names = [field.name for field in task.task_targets()]
    return tuple(_part(name, hits[name], answered[name], expected[name]) for name in names)


def _part(name: str, hits: int, answered: int, expected: int) -> Part:
    return Part(
        name=name,
        precision=_share(hits, answered, empty=not expected),
        recall=_share(hits, expected, empty=not answered),
        f1=_f1(hits, answered, expected),
        support=expected,
    )


def _macro_f1(parts: Sequence[Part]) -> float:
    """Over the parts that occur: a field that is never expected nor answered would count as perfect."""
    found = [part.f1 for part in parts if part.support or part.f1 < 1]
    return sum(found) / len(found) if found else 1.0


def _confusions(task: type[Task], outcomes: Sequence[Outcome]) -> tuple[Confusion, ...]:
    name = task.task_targets()[0].name
    wrong = Counter(
        (str(outcome.gold[name]), str(outcome.read[name]))
        for outcome in outcomes
        if outcome.read is not None and not outcome.right
    )
    common = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:CONFUSIONS]
    return tuple(Confusion(gold=gold, answered=answered, count=count) for (gold, answered), count in common)


# --- numbers ----------------------------------------------------------------------------------
def _share(part: int, whole: int, *, empty: bool) -> float:
    """``part / whole``; of nothing it is 1 if nothing was the right amount (``empty``), else 0."""
    return part / whole if whole else float(empty)


def _f1(hits: int, answered: int, expected: int) -> float:
    """Harmonic mean of precision and recall; 1 where nothing was expected and nothing answered."""
    return _share(2 * hits, answered + expected, empty=True)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def wilson(successes: int, trials: int) -> Estimate:
    """A share with its Wilson score interval, which holds near 0 and 1 as well."""
    share = successes / trials
    scale = 1 + _Z**2 / trials
    center = (share + _Z**2 / (2 * trials)) / scale
    half = _Z / scale * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    # At 0 and 1 the ends meet the share, but for rounding.
    return Estimate(value=share, low=min(share, max(0.0, center - half)), high=max(share, min(1.0, center + half)))


def _ratios(metric: Metric, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """Numerator and denominator of each question; the score is the ratio of their sums. Shape (n, 2)."""
    if metric is Metric.ACCURACY:
        rows = [(float(outcome.right), 1.0) for outcome in outcomes]
    else:
        rows = [(2.0 * outcome.hits, float(outcome.answered + outcome.expected)) for outcome in outcomes]
    return np.array(rows)


def _bootstrap(ratios: NDArray[np.float64], minus: NDArray[np.float64] | None = None) -> Estimate:
    """A ratio of sums, or the difference of two, with its percentile interval over resampled questions.

    Where all questions are alike, every sample gives the same value, which is no certainty: then the interval
    reaches as far as that of a share of which all trials succeeded.
    """
    chance = np.random.default_rng(_SEED)

    def value(chosen: NDArray[np.int64]) -> float:
        score = _ratio(ratios[chosen])
        return score if minus is None else score - _ratio(minus[chosen])

    count = len(ratios)
    samples = [value(chance.integers(0, count, count)) for _ in range(_RESAMPLES)]
    whole = value(np.arange(count))
    low, high = map(float, np.percentile(samples, [2.5, 97.5]))
    if min(samples) == max(samples):
        reach, least = 1 - wilson(count, count).low, 0.0 if minus is None else -1.0
        low, high = max(least, whole - reach), min(1.0, whole + reach)
    return Estimate(value=whole, low=low, high=high)


def _ratio(rows: NDArray[np.float64]) -> float:
    numerator, denominator = rows.sum(axis=0)
    return float(numerator / denominator) if denominator else 1.0
