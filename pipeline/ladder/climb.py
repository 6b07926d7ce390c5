"""Lets the arms answer, one after another, and measures what that takes."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from pipeline.config.price_file import CALLS, Prices
from pipeline.finetuning.evaluate import Evaluation
from pipeline.finetuning.exam import Answers, Questions
from pipeline.ladder.arm import Advance, Arm, CannotAnswer, CannotAnswerNow
from pipeline.ladder.kept_answers import KeptAnswers, Times
from pipeline.ladder.results import ArmResult, Ladder, Skipped, Stated, all_pairs
from schemas.arms_section import Family
from schemas.task import Task

Show = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Shows a stage while it runs: its name and number of units, then how many more are done."""

_ALONE = 5
"""Questions that are asked one by one, for the latency."""


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
            title, answers, times = known or self._asked(arm, questions)
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
            alone = _latency(arm, questions) if answers.latency is None else answers.latency
        took = answered - learned if answers.seconds is None else answers.seconds
        times = Times(learning=learned - began, answering=took, alone=alone)
        self.kept.keep(arm.name, arm.title, questions, answers, times)
        return arm.title, answers, times

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
            tokens_in=answers.tokens_in / count,
            tokens_out=answers.tokens_out / count,
            cost=cost,
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


def _latency(arm: Arm, questions: Questions) -> float | None:
    """The median seconds of a question that is asked alone: of its answer, and not of what it is judged by."""
    taken = []
    for question in questions.asked[:_ALONE]:
        alone = Questions([question], [], [], {})
        began = time.perf_counter()
        arm.answer(alone, lambda units: None)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) if taken else None
