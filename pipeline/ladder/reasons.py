"""What a verdict says: how two arms compare, what to do, and what would decide, each with its numbers."""

from pipeline.evaluation.estimates import Estimate
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.results import ArmResult
from pipeline.text.wording import counted, shown_amount
from schemas.arms_section import ArmName

_THOUSANDS = 1000
"""Training rows from which on fine-tuning usually pays."""
_TOO_MANY = 50
"""So many times as many test questions nobody labels."""


def how_they_compare(evidence: Evidence, before: ArmResult, after: ArmResult) -> str:
    """How two arms compare, the preferred one last."""
    gain = evidence.gain(before, after)
    pair = evidence.ladder.pair(before.name, after.name)
    low, high = (evidence.unit.shown_change(bound, "+") for bound in (gain.low, gain.high))
    interval = f"95% interval {low} to {high}" if gain.is_bounded else "too few questions for an interval"
    text = (
        f"{after.heading} scores {after.score}, {before.title} {before.score}: a difference of "
        f"{evidence.unit.shown_change(gain.value, '+')} {evidence.unit.of_changes} on "
        f"{counted(pair.questions, 'question')} ({interval}; McNemar p {_p(pair.p_value)})."
    )
    if before.cost is not None and after.cost:
        text += f" 1,000 calls cost {shown_amount(after.cost)} instead of {shown_amount(before.cost)}."
    return text


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def how_to_use(arm: ArmResult) -> str:
    """What to do with a classical arm that is enough."""
    if arm.name == ArmName.LINEAR.value:
        return "Use it: the adapter's card shows how to fit it in a few lines."
    return f"Use {arm.title}; it needs no model."


def circumstances(evidence: Evidence) -> list[str]:
    """What usually makes fine-tuning pay, and is not so here."""
    if evidence.train_rows >= _THOUSANDS:
        return []
    return [
        f"It has learned from {counted(evidence.train_rows, 'row')}; fine-tuning usually pays from thousands on, so "
        "`goldleaf finetune --curve --seeds 3` is worth its time."
    ]


def at_ceiling(evidence: Evidence, arm: ArmResult) -> str:
    """That nothing is left to gain above an arm, and why."""
    if evidence.ceiling is None:
        near = evidence.points(evidence.margin)
        return f"{arm.heading} is within {near} of a perfect score: there is nothing left to gain."
    return (
        f"{arm.heading} has reached what can be seen on this test split: {evidence.noise} of its answers are "
        f"wrong, so that no model can be seen above {evidence.ceiling:.1%}."
    )


def what_would_decide(evidence: Evidence, gain: Estimate, asked: int) -> str:
    """The test questions that would decide if the gain stays what it is, and how to get them."""
    needed = evidence.questions_needed(gain, asked)
    # The adapter is asked all that can be asked; more than these no slow arm gets.
    askable = min(evidence.ladder.adapter.evaluation.questions, evidence.test_rows)
    if asked < askable:
        most = min(needed or askable, askable)
        return f"`goldleaf finetune --slow-rows {most}` asks all arms about {most:,} questions instead of {asked:,}."
    if needed is not None and needed > _TOO_MANY * asked:
        return (
            f"About {needed:,} test questions would decide, instead of {asked:,}: the gain is about as large as the "
            "one that matters. Take the cheaper arm, or say in verdict.margin which gain is worth the dearer one."
        )
    amount = "More" if needed is None else f"About {needed:,}"
    return (
        f"{amount} test questions would decide, instead of {asked:,}: label more rows, give the test split a "
        "larger share in split.fractions, and run `goldleaf release` and `goldleaf finetune`."
    )
