"""Which of the tuned arms pages speak of: an adapter may answer held to the form, with a linear model, or freely."""

from pipeline.ladder.assessment import Assessment
from pipeline.ladder.results import ArmResult
from schemas.arms_section import Family


def tuned_arm(found: Assessment) -> ArmResult:
    """The recommended arm if it is a tuned one, else the best of those that were asked all that the adapter was."""
    ladder = found.ladder
    chosen, adapter = ladder.arm(found.judgement.arm), ladder.adapter
    if chosen is not None and chosen.family is Family.TUNED:
        return chosen
    tuned = [
        arm
        for arm in ladder.comparable
        if arm.family is Family.TUNED and arm.evaluation.questions == adapter.evaluation.questions
    ]
    # Of equal ones the adapter by itself.
    return max(tuned, key=lambda arm: (arm.score.unit.gain(arm.score.value), arm is adapter))
