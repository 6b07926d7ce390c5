"""What a verdict says: how two arms compare, what to do, and what would decide, each with its numbers."""

from collections.abc import Sequence

from pipeline.evaluation.estimates import Estimate
from pipeline.ladder.evidence import Evidence
from pipeline.ladder.results import ArmResult, Pair
from pipeline.ladder.retrained_scores import SeedScore
from pipeline.text.wording import counted, shown_amount
from schemas.arms_section import ArmName

_THOUSANDS = 1000
"""Training rows from which on fine-tuning usually pays."""
_DEARER = 5
"""From so many times the latency or the cost on an arm's price is named."""
_TOO_MANY = 50
"""So many times as many test questions nobody labels."""
ADD_ROWS = "run `goldleaf curate`, `goldleaf collect` if annotators answer, `goldleaf release` and `goldleaf finetune`"
"""How added rows, and a changed share of the test split, come into a version that is compared."""
ONLY_NEW = "published rows stay in their splits, so a larger split.fractions.test moves none of them"
"""What a larger share of the test split does not do."""
LIST_ARMS = "List `linear` and `few_shot` under arms, and run `goldleaf finetune`: the adapter is kept."
"""What to do where the adapter has no rival."""


def how_they_compare(evidence: Evidence, before: ArmResult, after: ArmResult) -> str:
    """How two arms compare, the preferred one last."""
    gain = evidence.gain(before, after)
    pair = evidence.ladder.pair(before.name, after.name)
    low, high = (evidence.unit.shown_change(bound, "+") for bound in (gain.low, gain.high))
    interval = f"95% interval {low} to {high}" if gain.is_bounded else "too few questions for an interval"
    shared, change = counted(pair.questions, "question"), evidence.unit.shown_change(gain.value, "+")
    text = f"{after.heading} scores {after.score}, {before.title} {before.score}"
    if (scores := _on_shared(evidence, pair)) is None:
        text += f": a difference of {change} {evidence.unit.of_changes} on {shared}"
    else:
        text += f"; on the {shared} that both answered they score {scores[1]} and {scores[0]}: a difference of "
        text += f"{change} {evidence.unit.of_changes}"
    text += f" ({interval}; {evidence.paired_test} p {_p(pair.p_value)})."
    if before.cost is not None and after.cost:
        text += f" 1,000 calls cost {shown_amount(after.cost)} instead of {shown_amount(before.cost)}."
    return text


def _on_shared(evidence: Evidence, pair: Pair) -> tuple[str, str] | None:
    """The scores of two arms on the questions that both answered; None if both answered all.

    An arm that was asked fewer was perhaps asked easier ones: the difference is not that of the arms' own scores.
    """
    asked = {arm.evaluation.questions for arm in evidence.ladder.arms if arm.name in (pair.one, pair.other)}
    if pair.scores is None or asked == {pair.questions}:
        return None
    first, second = map(evidence.unit.shown, pair.scores)
    return first, second


def what_more_rows_bring(evidence: Evidence, arm: ArmResult, lead: Estimate) -> str:
    """That the adapter would be better than an arm if both had more rows, by their curves, on the same questions."""
    assert evidence.curve is not None and evidence.forecast is not None
    then, unit, growth = evidence.forecast, evidence.unit, evidence.curve.growth
    low, high = (unit.shown_change(bound, "+") for bound in (lead.low, lead.high))
    grown = "" if growth is None else f", {evidence.points(growth.value)} better than now"
    return (
        f"With {then.rows:,} training rows the adapter is expected at {then.score}{grown}, and better than {arm.title} "
        f"by {evidence.points(lead.value)} (95% interval {low} to {high}, on the same questions); with "
        f"{evidence.train_rows:,} it is not the best for sure."
    )


def near_the_limit(evidence: Evidence, arm: ArmResult) -> str:
    """That nobody can tell whether an arm is fast enough."""
    return (
        f"{arm.heading} takes {arm.latency:.3g} s a call (95% interval {arm.latency_low:.3g} to "
        f"{arm.latency_high:.3g}): whether that is within the {evidence.limits.max_seconds:g} allowed cannot be told."
    )


def target_above_ceiling(evidence: Evidence) -> list[str]:
    """That no model can be seen to reach the score that is needed, if that is so."""
    target, ceiling = evidence.limits.target, evidence.ceiling
    if target is None or ceiling is None or ceiling >= target:
        return []
    return [
        f"By the audit's wrong answers no model can be seen above {ceiling:.1%}, and {evidence.unit.shown(target)} is "
        "needed: correct the test rows, or lower verdict.target."
    ]


def what_tells_the_target(evidence: Evidence, arm: ArmResult) -> str:
    """How to find out whether an arm reaches the score that is needed."""
    asked, most = arm.evaluation.questions, min(evidence.ladder.adapter.evaluation.questions, evidence.test_rows)
    if asked < most:
        return _ask_all_arms(most, asked)
    if evidence.held_back:
        return _ask_more(asked + evidence.held_back, asked)
    return f"Add rows, and {ADD_ROWS}: more test rows tell whether it does, and more training rows may bring it there."


def which_seeds(evidence: Evidence, before: ArmResult, after: ArmResult, unlucky: Sequence[SeedScore]) -> str:
    """That an arm is ahead by the luck of a seed."""
    scores = ", ".join(f"{evidence.unit.shown(one.score.value)} with seed {one.seed}" for one in unlucky)
    drawn = ", which also draws its rows (finetune.max_rows)" if evidence.undrawn else ""
    return (
        f"Whether {after.title} is better than {before.title} depends on the seed of the training{drawn}: the adapter "
        f"scores {scores}, and {evidence.unit.shown(evidence.ladder.adapter.score.value)} with its own."
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def how_to_use(arm: ArmResult) -> str:
    """What to do with a classical arm that is enough."""
    if arm.name == ArmName.LINEAR.value:
        return "Use it: the adapter's card shows how to fit it in a few lines."
    if arm.name == ArmName.MAJORITY.value:
        return "Train nothing on these rows. If the rarer answers matter, collect and label rows that have them."
    return f"Use {arm.title}; it needs no model."


def how_to_prompt(arm: ArmResult) -> str:
    """What to do with a prompt that is enough."""
    examples = "" if arm.name == ArmName.ZERO_SHOT.value else " and the retrieved examples"
    return f"Keep the prompt{examples}; train nothing."


def not_heard(evidence: Evidence) -> list[str]:
    """Which arms may yet turn out to be better: the same command asks them again."""
    return [f"{one.heading} was not compared: {one.why}." for one in evidence.ladder.skipped if one.for_now]


def unpriced(evidence: Evidence) -> list[str]:
    """Which arms may cost more than is allowed, since nobody knows what they cost."""
    if evidence.limits.max_cost is None:
        return []
    titles = "; ".join(arm.title for arm in evidence.ladder.comparable if arm.cost is None)
    return [f"The price file has no price for these, so that nobody knows what they cost: {titles}."] if titles else []


def circumstances(evidence: Evidence) -> list[str]:
    """What usually makes fine-tuning pay, and is not so here."""
    untold = "" if evidence.curve is not None else " --curve"
    untold += "" if len(evidence.seeds) > 1 else " --seeds 3"
    if evidence.train_rows >= _THOUSANDS or not untold:
        return []
    return [
        f"It has learned from {counted(evidence.train_rows, 'row')}; fine-tuning usually pays from thousands on, so "
        f"`goldleaf finetune{untold}` is worth its time."
    ]


def at_ceiling(evidence: Evidence, arm: ArmResult) -> str:
    """That nothing is left to gain above an arm, and why."""
    if evidence.ceiling is None or evidence.ceiling == 1:
        near = evidence.points(evidence.margin)
        return f"{arm.heading} is within {near} of a perfect score: there is nothing left to gain."
    return (
        f"{arm.heading} has reached what can be seen on this test split: {evidence.noise} of its answers are "
        f"wrong, so that no model can be seen {'' if evidence.is_ceiling_audited else 'far '}above "
        f"{evidence.ceiling:.1%}."
    )


def what_is_certain(evidence: Evidence, cheap: ArmResult, dear: ArmResult, gain: Estimate) -> list[str]:
    """What the dearer arm brings at most, and at which price; nothing if there is no interval, or no price is known."""
    prices = [
        f"{after / before:,.0f} times the {what}"
        for what, before, after in (("latency", cheap.latency, dear.latency), ("cost", cheap.cost, dear.cost))
        if before and after and after >= _DEARER * before
    ]
    if not gain.is_bounded or gain.high <= 0 or not prices:
        return []
    most = f"The gain of {dear.title} over {cheap.title} is at most {evidence.points(gain.high)}"
    return [f"{most}, at {' and '.join(prices)}: unless that is worth it to you, take {cheap.title}."]


def why_unclear(evidence: Evidence, gain: Estimate) -> str:
    """Why a gain neither makes the dearer arm better nor the cheaper one enough."""
    matter = f"the {evidence.points(evidence.margin)} that matter"
    if not gain.is_bounded:
        return "there are too few for an interval"
    if gain.value >= evidence.margin:
        return f"the gain is not below {matter}, but its interval does not lie above 0"
    return f"the gain is below {matter}, but its interval is not"


def what_would_decide(evidence: Evidence, gain: Estimate, asked: int) -> str:
    """The test questions that would probably decide if the gain stays what it is, and how to get them."""
    needed = evidence.questions_needed(gain, asked)
    # The adapter is asked all that can be asked; more than these no slow arm gets.
    askable = min(evidence.ladder.adapter.evaluation.questions, evidence.test_rows)
    if asked < askable:
        most = min(needed or askable, askable)
        return _ask_all_arms(most, asked)
    if needed is not None and needed > _TOO_MANY * asked:
        return (
            f"More than {_TOO_MANY} times as many test questions would be needed to decide, instead of {asked:,}: the "
            "gain is about as large as the one that matters. Take the cheaper arm, or say in verdict.margin which gain "
            "is worth the dearer one."
        )
    there = asked + evidence.held_back
    if evidence.held_back and (needed is None or needed <= there or asked <= evidence.held_back):
        most = min(needed or there, there)
        return _ask_more(most, asked)
    amount = "More" if needed is None else f"About {needed:,}"
    return (
        f"{amount} test questions would decide, instead of {asked:,}: add rows, and {ADD_ROWS}. "
        f"Of the new rows, split.fractions.test decides how many are asked and how many trained on: {ONLY_NEW}."
    )


def _ask_all_arms(most: int, asked: int) -> str:
    return f"`goldleaf finetune --slow-rows {most}` asks all arms about {most:,} questions instead of {asked:,}."


def _ask_more(most: int, asked: int) -> str:
    return (
        f"`finetune.eval_rows: {most}` in the dataset.yaml asks about {most:,} questions instead of {asked:,}: the "
        f"test split has them."
    )
