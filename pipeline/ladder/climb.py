"""Lets the arms answer, one after another, and measures what that takes."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from pipeline.config.price_file import CALLS, Prices
from pipeline.finetuning.evaluate import Evaluation
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.machine_load import machine_load
from pipeline.ladder.arm import Advance, Arm, CannotAnswer, CannotAnswerNow
from pipeline.ladder.kept_answers import KeptAnswers, Times
from pipeline.ladder.results import ArmResult, Ladder, Skipped, Stated, all_pairs
from schemas.arms_section import Family, Limits
from schemas.task import Task

Show = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Shows a stage while it runs: its name and number of units, then how many more are done."""

_FEWEST_ALONE, _MOST_ALONE = 6, 20
"""Questions that are asked one by one, for the latency: of fewer than six a median has no 95% interval."""
_LONG = 5.0
"""Seconds after which no more than the fewest are asked."""


@dataclass
class Climb:
    """The arms so far."""

    task: type[Task]
    questions: Questions
    slow_rows: int
    """How many questions slow arms are asked."""
    prices: Prices
    show: Show
    kept: KeptAnswers
    limits: Limits = field(default_factory=Limits)
    done: list[ArmResult] = field(default_factory=list)
    """In the order in which they answered."""
    _skipped: list[Skipped] = field(default_factory=list)

    def take(self, arm: Arm) -> ArmResult | None:
        """Let an arm answer, unless a killed run has left its answers; None if it cannot."""
        questions = self.questions.some(slice(self.slow_rows)) if arm.is_slow else self.questions
        if arm.family is not Family.TUNED:
            questions = questions.unshortened
        known = self.kept.get(arm.name, questions)
        try:
            title, answers, times = self._timed(arm, questions, *known) if known else self._asked(arm, questions)
        except CannotAnswer as error:
            for_now = isinstance(error, CannotAnswerNow)
            self._skipped.append(Skipped(name=arm.name, title=arm.title, why=str(error), for_now=for_now))
            return None
        result = self._result(arm, title, questions, answers, times)
        self.done.append(result)
        return result

    def _asked(self, arm: Arm, questions: Questions) -> tuple[str, Answers, Times]:
        with self.show(arm.title, questions.work) as advance:
            began = time.perf_counter()
            arm.learn()
            learned = time.perf_counter()
            answers = arm.answer(questions, advance)
            answered = time.perf_counter()
            each = _alone(arm, questions) if answers.latency is None else ()
        took = answered - learned if answers.seconds is None else answers.seconds
        alone = statistics.median(each) if each else answers.latency
        # What is asked elsewhere does not wait for this machine.
        load = machine_load() if arm.is_here else None
        times = Times(learning=learned - began, answering=took, alone=alone, each=each, load=load)
        self.kept.keep(arm.name, arm.title, questions, answers, times)
        return arm.title, answers, times

    def _timed(
        self, arm: Arm, questions: Questions, title: str, answers: Answers, times: Times
    ) -> tuple[str, Answers, Times]:
        """Kept answers; if a call may then have taken too long or not, it is measured anew: the machine may have been
        busy."""
        most, known = self.limits.max_seconds, times.range
        if most is None or known is None or not known.low <= most < known.high:
            return title, answers, times
        with self.show(f"{title}, timed again", None):
            arm.learn()
            each = _alone(arm, questions)
        times = times.model_copy(update={"alone": statistics.median(each), "each": each, "load": machine_load()})
        self.kept.keep(arm.name, title, questions, answers, times)
        return title, answers, times

    def done_by(self, name: str) -> Evaluation:
        """How well an arm that has answered did, with its outcomes."""
        return next(arm.evaluation for arm in self.done if arm.name == name)

    @property
    def lacking(self) -> set[tuple[str, str]]:
        """As of the ladder: the arms that are to be asked again, with the reason of each."""
        return Ladder(arms=(), skipped=tuple(self._skipped)).lacking

    def _result(self, arm: Arm, title: str, questions: Questions, answers: Answers, times: Times) -> ArmResult:
        count = len(questions.asked)
        cost = None if answers.cost is None else answers.cost * CALLS / count
        if answers.cost is None and arm.is_here:
            cost = self.prices.of_seconds(times.answering / count)
        return ArmResult(
            name=arm.name,
            title=title,
            family=arm.family,
            evaluation=answers.scored(self.task, questions),
            learning_seconds=times.learning,
            seconds=times.answering,
            latency=times.alone,
            latency_low=None if times.range is None else times.range.low,
            latency_high=None if times.range is None else times.range.high,
            tokens_in=answers.tokens_in / count,
            tokens_out=answers.tokens_out / count,
            cost=cost,
            load=times.load,
            settings=dict(answers.settings),
        )

    def ladder(self, order: Sequence[str], stated: Sequence[Stated] = ()) -> Ladder:
        """All of them, compared pair by pair.

        Args:
            order: the names of the arms as they are shown.
            stated: scores that were not measured here.
        """
        arms = sorted(self.done, key=lambda arm: order.index(arm.name))
        skipped = sorted(self._skipped, key=lambda one: order.index(one.name))
        return Ladder(arms=tuple(arms), skipped=tuple(skipped), stated=tuple(stated), pairs=tuple(all_pairs(arms)))


def _alone(arm: Arm, questions: Questions) -> tuple[float, ...]:
    """The seconds of questions that are asked alone: of their answers, and not of what they are judged by."""
    taken: list[float] = []
    for question in questions.asked[:_MOST_ALONE]:
        if len(taken) >= _FEWEST_ALONE and sum(taken) > _LONG:
            break
        alone = Questions([question], [], [], {})
        began = time.perf_counter()
        arm.answer(alone, lambda units: None)
        taken.append(time.perf_counter() - began)
    return tuple(taken)
