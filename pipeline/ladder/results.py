"""What is known after all arms have answered: their scores and costs, and how they compare pair by pair."""

import itertools
import math
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.evaluation.paired import sign_test
from pipeline.finetuning.evaluate import Comparison, Evaluation, compare_models
from pipeline.finetuning.machine_load import Load
from pipeline.text.wording import sentence, shown_measured
from schemas.arms_section import ArmName, Family

COPIED = "the input, copied unchanged"
"""What the most frequent answer is called where that is the input."""
_SHORTEST = 0.01
"""Milliseconds; a shorter call takes no time that matters."""
_ROUGH = 0.1
"""Of a time: the half of its interval from which on it is only about right."""


class _Result(BaseModel, frozen=True):
    """What is written beside an adapter."""


class _Titled(_Result):
    name: str
    title: str

    @property
    def heading(self) -> str:
        """Its title with a capital letter, unless it begins with a model's name."""
        return sentence(self.title) if self.title.startswith(("a ", "the ")) else self.title


class ArmResult(_Titled):
    """How well an arm answers, and what that takes."""

    family: Family
    evaluation: Evaluation
    learning_seconds: float
    """To fit it to the training rows; 0 if there is nothing to fit."""
    seconds: float
    """For all questions, asked together."""
    latency: float | None = None
    """Median seconds of a question that is asked alone; None if none was."""
    latency_low: float | None = None
    latency_high: float | None = None
    """The 95% interval of this median; None if it is of too few questions, or of calls elsewhere."""
    tokens_in: float = 0.0
    """Of a prompt, on average; 0 if it reads none."""
    tokens_out: float = 0.0
    cost: float | None = None
    """Of 1,000 calls, in the currency of the price file; None if there is no price."""
    load: Load | None = None
    """Of the machine while it answered; None if that is not known, or it answered elsewhere."""
    settings: dict[str, float] = {}
    """What it has chosen for itself."""

    @property
    def score(self) -> Estimate:
        """By the metric of the task's kind."""
        return self.evaluation.score

    @property
    def milliseconds(self) -> str:
        """Of a call, with the digits that the interval of its median leaves; ``~`` if the machine was busy, or that
        interval is wide; empty if no call was timed alone.
        """
        if self.latency is None:
            return ""
        value = 1000 * self.latency
        if value < _SHORTEST:
            return f"< {_SHORTEST}"
        is_busy = self.load is not None and self.load.is_busy
        if self.latency_low is None or self.latency_high is None:
            return ("~" if is_busy else "") + shown_measured(value)
        low, high = 1000 * self.latency_low, 1000 * self.latency_high
        is_rough = is_busy or high - low > 2 * _ROUGH * value
        return ("~" if is_rough else "") + shown_measured(value, low, high)

    @property
    def milliseconds_interval(self) -> str:
        """The 95% interval of the median of a call, in ms; empty if there is none."""
        if self.latency_low is None or self.latency_high is None or 1000 * self.latency_high < _SHORTEST:
            return ""
        low, high = (max(_SHORTEST, 1000 * one) for one in (self.latency_low, self.latency_high))
        return f"{shown_measured(low)} to {shown_measured(high)}"

    @property
    def per_second(self) -> float:
        """Questions answered in a second, asked together."""
        return self.evaluation.questions / self.seconds if self.seconds else float("inf")


class Skipped(_Titled):
    """An arm that did not answer."""

    why: str
    for_now: bool = False
    """Whether the same command asks it again."""


class Stated(_Result):
    """A score that was not measured here."""

    name: str
    score: float
    source: str


class Pair(_Result):
    """Two arms on the questions that both answered."""

    one: str
    other: str
    questions: int
    comparison: Comparison
    """Of the second with the first."""
    scores: tuple[float, float] | None = None
    """Of both on these questions; None if that was not written down."""
    p_value: float
    """Of McNemar's exact test: that so uneven a count of better and worse answers is chance."""

    def reversed(self) -> "Pair":
        """The first with the second."""
        turned = {"one": self.other, "other": self.one, "comparison": self.comparison.reversed()}
        return self.model_copy(update=turned | {"scores": self.scores and self.scores[::-1]})


class Ladder(_Result):
    """All arms."""

    arms: tuple[ArmResult, ...]
    skipped: tuple[Skipped, ...] = ()
    stated: tuple[Stated, ...] = ()
    pairs: tuple[Pair, ...] = ()

    def arm(self, name: str) -> ArmResult | None:
        """An arm by its name; None if it did not answer."""
        return next((arm for arm in self.arms if arm.name == name), None)

    @property
    def adapter(self) -> ArmResult:
        """The adapter, which always answers where one was trained."""
        found = self.arm(ArmName.ADAPTER.value)
        assert found is not None
        return found

    @property
    def lacking(self) -> set[tuple[str, str]]:
        """The arms that are to be asked again, with the reason of each."""
        return {(one.name, one.why) for one in self.skipped if one.for_now}

    @property
    def is_complete(self) -> bool:
        """Whether no arm is to be asked again."""
        return not self.lacking

    @property
    def comparable(self) -> list[ArmResult]:
        """Those that are judged by the same metric as the adapter: of a chat an endpoint has texts, but no losses."""
        metric = self.adapter.evaluation.metric
        return [arm for arm in self.arms if arm.evaluation.metric == metric]

    def pair(self, one: str, other: str) -> Pair:
        """How the second arm compares with the first."""
        for pair in self.pairs:
            if (pair.one, pair.other) == (one, other):
                return pair
            if (pair.one, pair.other) == (other, one):
                return pair.reversed()
        raise KeyError(f"{one} and {other} were not compared")

    def best(self, families: Sequence[Family]) -> ArmResult | None:
        """The best arm of some families."""
        return self.best_of([arm for arm in self.comparable if arm.family in families])

    def best_of(self, arms: Sequence[ArmResult]) -> ArmResult | None:
        """The best of some arms; of equal ones the first.

        Two are compared on the questions that both answered: those that a slow one was asked may be the easier ones.
        On so few it has to be better for sure.
        """
        best: ArmResult | None = None
        for arm in sorted(arms, key=lambda arm: -arm.evaluation.questions):
            if best is None or self._is_above(arm, best):
                best = arm
        return best

    def _is_above(self, arm: ArmResult, best: ArmResult) -> bool:
        gain = self.gain(best, arm)
        return gain.value > 0 and (arm.evaluation.questions == best.evaluation.questions or gain.is_sure)

    def gain(self, before: ArmResult, after: ArmResult) -> Estimate:
        """By how much the second arm is better, on the questions that both answered; negative if it is worse."""
        compared = self.pair(before.name, after.name).comparison
        return (compared if before.score.unit is Unit.SHARE else compared.reversed()).difference


def all_pairs(arms: Sequence[ArmResult]) -> Iterator[Pair]:
    """Compare every two arms; their outcomes must still be there."""
    for one, other in itertools.combinations(arms, 2):
        first, second = one.evaluation, other.evaluation
        if first.metric != second.metric:
            continue
        shared = {outcome.id for outcome in first.outcomes} & {outcome.id for outcome in second.outcomes}
        before, after = (first.of(shared), second.of(shared)) if shared else (first, second)
        compared = compare_models(before, after) if shared else _apart(first, second)
        yield Pair(
            one=one.name,
            other=other.name,
            questions=len(shared),
            scores=(before.score.value, after.score.value) if shared else None,
            comparison=compared,
            p_value=sign_test(compared.better, compared.worse),
        )


def _apart(first: Evaluation, second: Evaluation) -> Comparison:
    """Two arms that no question was asked of both: nothing says how much of the difference is chance."""
    change = second.score.value - first.score.value
    difference = Estimate(value=change, low=-math.inf, high=math.inf, unit=first.score.unit)
    return Comparison(difference=difference, better=0, worse=0, same=0)
