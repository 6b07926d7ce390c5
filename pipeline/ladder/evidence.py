"""What a verdict rests on: the arms' scores, the rows, the label noise, and what more rows would bring."""

import math
from dataclasses import dataclass

from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.ladder.learning_curve import CurvePoint
from pipeline.ladder.results import ArmResult, Ladder
from pipeline.ladder.retrained import SeedScore
from schemas.arms_section import Family, Limits


@dataclass(frozen=True)
class Evidence:
    """Everything that the verdict looks at."""

    ladder: Ladder
    limits: Limits
    train_rows: int
    test_rows: int
    """Questions of the test split, asked or not."""
    leaked: int = 0
    """Of these, how many are among the training rows, too."""
    noise: Estimate | None = None
    """The share of rows whose answer is wrong, as audited; None if nobody has looked."""
    forecast: CurvePoint | None = None
    """What the adapter would score on more rows, by its learning curve."""
    seeds: tuple[SeedScore, ...] = ()
    """Of the adapter."""

    @property
    def unit(self) -> Unit:
        """Of the scores."""
        return self.ladder.adapter.score.unit

    @property
    def margin(self) -> float:
        """A smaller gain is none."""
        return self.limits.margin

    def points(self, change: float) -> str:
        """A difference in words."""
        return f"{self.unit.shown_change(abs(change))} {self.unit.of_changes}"

    @property
    def ceiling(self) -> float | None:
        """The score above which no model can be seen: a right answer counts as wrong where the test row is.

        Of rewritten texts nobody knows: a good one is never the test row's to the letter.
        """
        counts = self.unit is Unit.SHARE and all(part.chrf is None for part in self.ladder.adapter.evaluation.parts)
        return 1 - self.noise.value if self.noise is not None and counts else None

    def is_at_ceiling(self, arm: ArmResult) -> bool:
        """Whether what an arm gets wrong may all be the test rows' errors, or is less than what matters."""
        if self.unit is not Unit.SHARE:
            return False
        top = 1.0 if self.ceiling is None else self.ceiling
        return arm.score.value >= top - self.margin

    def may_reach_target(self, arm: ArmResult) -> bool:
        """Whether the best score that an arm may have, by its interval, is the one that is needed."""
        if self.limits.target is None:
            return True
        score = arm.score
        best = max((score.value, score.low, score.high), key=self.unit.gain) if score.is_bounded else score.value
        return self.unit.gain(best - self.limits.target) >= 0

    def gain(self, before: ArmResult, after: ArmResult) -> Estimate:
        """By how much the second arm is better, on the questions that both answered; negative if it is worse."""
        compared = self.ladder.pair(before.name, after.name).comparison
        return (compared if self.unit is Unit.SHARE else compared.reversed()).difference

    def is_better(self, after: ArmResult, before: ArmResult) -> bool:
        """Whether an arm is better than another for sure, and by enough to matter."""
        gain = self.gain(before, after)
        if not (gain.is_bounded and gain.low > 0 and gain.value >= self.margin):
            return False
        tried = self.seeds if after.family is Family.TUNED else ()
        return all(self.unit.gain(one.score.value - before.score.value) > 0 for one in tried)

    def is_enough(self, cheap: ArmResult, dear: ArmResult) -> bool:
        """Whether the dearer arm is for sure not better by as much as matters, or cannot be seen to be."""
        gain = self.gain(cheap, dear)
        return (gain.is_bounded and gain.high < self.margin) or (gain.value <= 0 and self.is_at_ceiling(cheap))

    def questions_needed(self, gain: Estimate, asked: int) -> int | None:
        """With how many questions an interval around the same gain would decide; None if there is no interval.

        Args:
            gain: of an arm that is neither better nor not better for sure.
            asked: the questions that it was measured on.
        """
        if not gain.is_bounded:
            return None
        # To be better, it has to lie above nothing; for the cheaper arm to be enough, below what matters.
        if gain.value >= self.margin:
            reach, room = gain.value - gain.low, gain.value
        else:
            reach, room = gain.high - gain.value, self.margin - gain.value
        return max(asked + 1, math.ceil(asked * (reach / room) ** 2))
