"""What a verdict rests on: the arms' scores, the rows, the label noise, and what more rows would bring."""

import math
from dataclasses import dataclass

from pipeline.evaluation.estimates import FEWEST_QUESTIONS, Estimate, Unit, Z
from pipeline.evaluation.scores import ACCURACY
from pipeline.ladder.failed_training import FailedTraining
from pipeline.ladder.learning_curve import Curve, CurvePoint
from pipeline.ladder.results import ArmResult, Ladder
from pipeline.ladder.retrained_scores import SeedScore
from pipeline.ladder.rows_in_review import RowsInReview
from schemas.arms_section import ArmName, Family, Limits

_USUAL = 0.841621
"""Standard errors that a measured gain lies below the true one in at most a fifth of all tests."""


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
    """The share of test rows whose answer is wrong, as audited; None if nobody has looked."""
    audited: int = 0
    """The rows that this rests on; 0 if that was not written down."""
    groups: int | None = None
    """That the questions which the adapter was asked belong to; None if that was not written down."""
    curve: Curve | None = None
    """What the adapter would score on more rows; None if that is not known."""
    seeds: tuple[SeedScore, ...] = ()
    """Of the adapter."""
    held_back: int = 0
    """Test questions that could be asked, and are not for ``finetune.eval_rows``."""
    in_review: RowsInReview | None = None
    """The rows that might be test questions, too, had annotators answered them; None if there are none."""
    undrawn: int = 0
    """Rows of the train split that were not trained on for ``finetune.max_rows``."""
    failed: FailedTraining | None = None
    """Why the adapter says nothing; None if its losses do not say so."""
    barred: frozenset[str] = frozenset()
    """Arms that are taken to be too slow: they may be, or may not."""

    @property
    def unit(self) -> Unit:
        """Of the scores."""
        return self.ladder.adapter.score.unit

    @property
    def margin(self) -> float:
        """A smaller gain is none."""
        return self.limits.margin

    @property
    def every_row(self) -> int:
        """The training rows that the adapter could have learned, drawn or not."""
        return self.train_rows + self.undrawn

    def points(self, change: float) -> str:
        """A difference in words."""
        return f"{self.unit.shown_change(abs(change))} {self.unit.of_changes}"

    @property
    def is_right_or_wrong(self) -> bool:
        """Whether the score is a share of right answers."""
        return self.ladder.adapter.evaluation.metric == ACCURACY

    @property
    def paired_test(self) -> str:
        """What the test of better and worse answers is called: of right and wrong ones it is McNemar's."""
        return "McNemar" if self.is_right_or_wrong else "sign test"

    @property
    def rivals(self) -> list[ArmResult]:
        """The arms that the adapter has to beat. Without the training rows a base model mostly fails by the labels."""
        weak = {ArmName.MAJORITY.value, ArmName.ZERO_SHOT.value} if self._has_right_answers else set()
        return [arm for arm in self.ladder.comparable if arm.family is not Family.TUNED and arm.name not in weak]

    @property
    def _has_right_answers(self) -> bool:
        """Whether there are right answers: of rewritten texts and chats there are only good ones."""
        return self.unit is Unit.SHARE and all(part.chrf is None for part in self.ladder.adapter.evaluation.parts)

    @property
    def wrong_rows(self) -> Estimate | None:
        """The share of test rows whose answer is wrong, as far as it says something about the answers of the arms.

        Of rewritten texts and of chats it does not: a good one is never the test row's to the letter. Nor does an audit
        that an arm refutes, since it is right about more test rows than the audit takes to be right.
        """
        return self.noise if self._has_right_answers and not self.is_noise_refuted else None

    @property
    def is_noise_refuted(self) -> bool:
        """Whether an arm is right more often, for sure, than the audit's wrong answers would let it be seen."""
        top = math.inf if self.noise is None else 1 - self.noise.value
        return any(arm.evaluation.exact.low > top for arm in self.ladder.comparable)

    @property
    def ceiling(self) -> float | None:
        """The score above which no model can be seen: a right answer counts as wrong where the test row is.

        Only of scores that are shares of right answers: a row with one wrong value of ten costs a tenth of an F1. If an
        arm is seen above what the audit says, by chance, it is the highest that can be seen.
        """
        if self.wrong_rows is None or not self.is_right_or_wrong:
            return None
        return max(1 - self.wrong_rows.value, *(arm.score.value for arm in self.ladder.comparable))

    @property
    def is_ceiling_audited(self) -> bool:
        """Whether the ceiling is what the audit says, and no arm is above that."""
        return self.wrong_rows is not None and self.ceiling == 1 - self.wrong_rows.value

    def is_too_slow(self, arm: ArmResult) -> bool:
        """Whether an arm takes for sure longer than a call may."""
        most, fastest = self.limits.max_seconds, arm.latency if arm.latency_low is None else arm.latency_low
        return most is not None and fastest is not None and fastest > most

    def may_be_too_slow(self, arm: ArmResult) -> bool:
        """Whether the time that a call may take is within the interval of what an arm takes."""
        most = self.limits.max_seconds
        return (
            most is not None and arm.latency_high is not None and arm.latency_high > most and not self.is_too_slow(arm)
        )

    def is_too_dear(self, arm: ArmResult) -> bool:
        """Whether a call of an arm costs more than it may; what has no price does not."""
        most = self.limits.max_cost
        return most is not None and arm.cost is not None and arm.cost > most

    def is_allowed(self, arm: ArmResult) -> bool:
        """Whether an arm is within what a call may cost and take."""
        return not (self.is_too_dear(arm) or self.is_too_slow(arm) or arm.name in self.barred)

    def is_at_ceiling(self, arm: ArmResult) -> bool:
        """Whether what an arm gets wrong may all be the test rows' errors, or is less than what matters.

        Few questions that are all answered rightly do not say so.
        """
        if self.unit is not Unit.SHARE or arm.evaluation.questions < FEWEST_QUESTIONS:
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

    def is_below_target(self, arm: ArmResult) -> bool:
        """Whether an arm scores less than is needed, even if its interval holds that."""
        return self.limits.target is not None and self.unit.gain(arm.score.value - self.limits.target) < 0

    def gain(self, before: ArmResult, after: ArmResult) -> Estimate:
        """By how much the second arm is better, on the questions that both answered; negative if it is worse."""
        return self.ladder.gain(before, after)

    def is_better(self, after: ArmResult, before: ArmResult) -> bool:
        """Whether an arm is better than another for sure, by enough to matter, and with every seed."""
        gain = self.gain(before, after)
        return gain.is_sure and gain.value >= self.margin and not self.unlucky_seeds(after, before)

    def unlucky_seeds(self, after: ArmResult, before: ArmResult) -> list[SeedScore]:
        """The seeds with which the adapter scores as much less as a tuned arm is better than another, or even less.

        The seeds were asked all questions, and the other arm perhaps a sample, so that their scores are not compared.
        """
        ahead, usual = self.gain(before, after).value, self.ladder.adapter.score.value
        tried = self.seeds if after.family is Family.TUNED else ()
        return [one for one in tried if ahead + self.unit.gain(one.score.value - usual) <= 0]

    @property
    def forecast(self) -> CurvePoint | None:
        """What the adapter would score on more rows, by its learning curve; None if that says nothing."""
        return self.curve.expected[0] if self.curve and self.curve.expected else None

    def lead(self, arm: ArmResult) -> Estimate | None:
        """By how much the adapter would be better than an arm if both had as many rows as are looked ahead.

        None if that is not known.

        On the questions of its curve, which may be a sample. Nothing is seen above the ceiling, however many rows there
        are.
        """
        found = None if self.curve is None else self.curve.leads.get(arm.name)
        if found is None or self.forecast is None or self.ceiling is None:
            return found
        most = found.value + self.ceiling - self.forecast.score.value
        return found.model_copy(update={name: min(getattr(found, name), most) for name in ("value", "low", "high")})

    def is_enough(self, cheap: ArmResult, dear: ArmResult) -> bool:
        """Whether the dearer arm is for sure not better by as much as matters, or cannot be seen to be."""
        gain = self.gain(cheap, dear)
        return (gain.is_bounded and gain.high < self.margin) or (gain.value <= 0 and self.is_at_ceiling(cheap))

    def questions_needed(self, gain: Estimate, asked: int) -> int | None:
        """With how many questions the same gain would decide, four times in five; None if there is no interval.

        With as many as let the interval just end at the border, other questions of this kind would decide only half of
        the time. Rounded up to two digits, since the gain itself is not known better.

        Args:
            gain: of an arm that is neither better nor not better for sure.
            asked: the questions that it was measured on.
        """
        if not gain.is_bounded:
            return None
        if gain.value >= self.margin:
            # To be better, the interval has to lie above nothing, and the gain not below what matters.
            error, above = (gain.value - gain.low) / Z, max(gain.value - self.margin, 1e-9)
            errors = max((Z + _USUAL) / gain.value, _USUAL / above)
        else:
            # For the cheaper arm to be enough, the interval has to lie below what matters.
            error, errors = (gain.high - gain.value) / Z, (Z + _USUAL) / (self.margin - gain.value)
        needed = max(1.1 * asked + 1, asked * (error * errors) ** 2)
        digits = int(10 ** max(0, math.floor(math.log10(needed)) - 1))
        return math.ceil(needed / digits) * digits
