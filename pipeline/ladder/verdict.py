"""Was it worth it? The verdict on a fine-tuning, and the reasons for it in numbers.

The rules are in the order in which an experienced engineer would ask: can this test tell anything at all; are its
labels right; which of the cheaper ways is enough; and only then, whether the adapter is better by as much as matters.
"""

from dataclasses import replace

from pipeline.ladder.evidence import Evidence
from pipeline.ladder.first_rules import FIRST_RULES, with_doubted_labels, with_rows_in_review
from pipeline.ladder.judgement import Judgement, Verdict
from pipeline.ladder.reasons import (
    LIST_ARMS,
    at_ceiling,
    circumstances,
    how_they_compare,
    how_to_prompt,
    how_to_use,
    near_the_limit,
    not_heard,
    target_above_ceiling,
    unpriced,
    what_is_certain,
    what_more_rows_bring,
    what_tells_the_target,
    what_would_decide,
    which_seeds,
    why_unclear,
)
from pipeline.ladder.results import ArmResult
from pipeline.ladder.undrawn_rows import with_undrawn_rows
from pipeline.text.wording import shown_amount
from schemas.arms_section import ArmName, Family

_CHEAPER = 5
"""So many times cheaper is an arm chosen though it is no better."""


def judge(evidence: Evidence) -> Judgement:
    """The verdict of the first rule that has one."""
    for rule in FIRST_RULES:
        if (found := rule(evidence)) is not None:
            return with_rows_in_review(evidence, with_undrawn_rows(evidence, found))
    found = with_undrawn_rows(evidence, _in_time(evidence))
    return with_rows_in_review(evidence, with_doubted_labels(evidence, found))


# --- how long may a call take? ----------------------------------------------------------------
def _in_time(evidence: Evidence) -> Judgement:
    """Compare the arms; where some may be too slow, with them and without them."""
    near = [arm for arm in evidence.ladder.comparable if evidence.may_be_too_slow(arm)]
    with_them = _compared(evidence)
    if not near:
        return with_them
    without = _compared(replace(evidence, barred=frozenset(arm.name for arm in near)))
    said = tuple(near_the_limit(evidence, arm) for arm in near)
    if (with_them.verdict, with_them.arm) == (without.verdict, without.arm):
        return with_them.model_copy(update={"reasons": (*with_them.reasons, *said)})
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="time_open",
        reasons=(*said, *with_them.reasons),
        next_step=(
            "Say in verdict.max_seconds what a call may take with more room, or measure again on a machine that does "
            "nothing else: `goldleaf finetune --again`."
        ),
    )


# --- which arm is enough? ---------------------------------------------------------------------
def _no_rival(evidence: Evidence) -> Judgement:
    """To be better than what knows nothing of the task is no reason to train."""
    others = ", ".join(
        f"{arm.title} with {arm.score}" for arm in evidence.ladder.comparable if arm.family is not Family.TUNED
    )
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="no_rival",
        reasons=(
            f"The adapter scores {evidence.ladder.adapter.score}, and nothing else that knows the training rows, or a "
            f"model elsewhere, was compared with it: only {others}.",
        ),
        next_step=LIST_ARMS,
    )


def _compared(evidence: Evidence) -> Judgement:
    """Go from the cheapest family to the dearest, and keep what is enough."""
    ladder = evidence.ladder
    notes: list[str] = []
    best: list[ArmResult] = []
    for family in (Family.CLASSICAL, Family.PROMPT, Family.TUNED):
        notes += [note for arm in ladder.comparable if arm.family is family for note in _beyond(arm, evidence)]
        allowed = [arm for arm in ladder.comparable if arm.family is family and evidence.is_allowed(arm)]
        found = ladder.best_of(allowed)
        best += [] if found is None else [found]
    if all(arm.name == ArmName.MAJORITY.value for arm in best) and notes:
        return _nothing_allowed(notes)
    notes += [*unpriced(evidence), *not_heard(evidence)]
    chosen, unclear = best[0], None
    if len(best) == 1:
        notes.insert(0, f"{chosen.heading} scores {chosen.score}, and no arm of another kind is within the limits.")
    for dearer in best[1:]:
        if _is_preferred(dearer, chosen, evidence):
            notes.insert(0, how_they_compare(evidence, chosen, dearer))
            if unclear is None or _is_preferred(dearer, unclear, evidence):
                chosen, unclear = dearer, None
            elif evidence.is_enough(unclear, dearer):
                notes.insert(0, how_they_compare(evidence, dearer, unclear))
                chosen, unclear = unclear, None
            else:
                chosen, unclear = unclear, dearer
        elif evidence.is_enough(chosen, dearer):
            notes.insert(0, how_they_compare(evidence, dearer, chosen))
        elif unclear is None:
            unclear = dearer
    if unclear is not None:
        return _unclear(evidence, chosen, unclear, notes)
    return _chosen(evidence, chosen, notes)


def _beyond(arm: ArmResult, evidence: Evidence) -> list[str]:
    """What an arm costs or takes, if that is more than a call may."""
    limits = evidence.limits
    if evidence.is_too_dear(arm):
        return [
            f"{arm.heading} costs {shown_amount(arm.cost or 0)} per 1,000 calls, above the {limits.max_cost:g} allowed."
        ]
    if evidence.is_too_slow(arm):
        return [f"{arm.heading} takes {arm.latency:.2g} s a call, above the {limits.max_seconds:g} allowed."]
    return []


def _is_preferred(dearer: ArmResult, other: ArmResult, evidence: Evidence) -> bool:
    """Whether an arm of a dearer family is worth it."""
    # Of few questions an interval reaches high, which is no reason to prefer what is worse on the same ones.
    alone = evidence.may_reach_target(dearer) and not evidence.may_reach_target(other)
    if alone and evidence.gain(other, dearer).value > 0:
        return True
    return evidence.is_better(dearer, other) or _is_much_cheaper(dearer, other, evidence)


def _is_much_cheaper(one: ArmResult, other: ArmResult, evidence: Evidence) -> bool:
    """Whether an arm costs a fraction of another and is for sure not worse by as much as matters."""
    if other.family is not Family.PROMPT or one.cost is None or other.cost is None:
        return False
    loss = evidence.gain(one, other)
    return _CHEAPER * one.cost <= other.cost and loss.is_bounded and loss.high < evidence.margin


def _chosen(evidence: Evidence, arm: ArmResult, notes: list[str]) -> Judgement:
    lead, adapter = evidence.lead(arm), evidence.ladder.adapter
    if evidence.is_at_ceiling(arm):
        notes.append(at_ceiling(evidence, arm))
    notes += target_above_ceiling(evidence)
    is_open = arm.name != adapter.name and evidence.is_allowed(adapter)
    rises = lead is not None and lead.is_sure and lead.value >= evidence.margin
    if lead is not None and rises and is_open and not evidence.is_at_ceiling(arm):
        return Judgement(
            verdict=Verdict.MORE_DATA,
            rule="curve_rises",
            reasons=(what_more_rows_bring(evidence, arm, lead), *notes),
            next_step="Collect and label more rows, release again, and look at the learning curve.",
        )
    if not evidence.may_reach_target(arm):
        needed = evidence.unit.shown(evidence.limits.target or 0)
        notes.insert(0, f"Nothing reaches {needed}, the score that is needed: {arm.title} scores {arm.score}.")
        return Judgement(
            verdict=Verdict.MORE_DATA,
            rule="target_missed",
            reasons=tuple(notes),
            next_step="Collect and label more rows, or try a larger base model (`finetune.base_model`).",
        )
    if evidence.is_below_target(arm):
        return _target_open(evidence, arm, notes)
    if arm.family is Family.TUNED and not evidence.rivals:
        return _no_rival(evidence)
    match arm.family:
        case Family.CLASSICAL:
            verdict, step = Verdict.CLASSICAL, how_to_use(arm)
        case Family.PROMPT:
            verdict, step = Verdict.PROMPT, how_to_prompt(arm)
        case Family.TUNED:
            beside = " with the linear model beside it" if arm.name == ArmName.ADAPTER_LINEAR.value else ""
            verdict, step = Verdict.TUNE, f"Serve the adapter{beside}; its card shows how."
            notes += circumstances(evidence)
    return Judgement(verdict=verdict, arm=arm.name, rule="compared", reasons=tuple(notes), next_step=step)


def _unclear(evidence: Evidence, cheap: ArmResult, dear: ArmResult, notes: list[str]) -> Judgement:
    gain = evidence.gain(cheap, dear)
    pair = evidence.ladder.pair(cheap.name, dear.name)
    notes.insert(0, how_they_compare(evidence, cheap, dear))
    if unlucky := evidence.unlucky_seeds(dear, cheap) if gain.is_sure else []:
        return Judgement(
            verdict=Verdict.UNDECIDED,
            rule="by_chance",
            reasons=(which_seeds(evidence, cheap, dear, unlucky), *notes),
            next_step="Train on more rows, for more epochs, or with a lower finetune.learning_rate.",
        )
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="too_close",
        reasons=(
            *what_is_certain(evidence, cheap, dear, gain),
            f"Whether {dear.title} is better than {cheap.title} cannot be told on these test questions: "
            f"{why_unclear(evidence, gain)}.",
            *notes,
        ),
        next_step=what_would_decide(evidence, gain, pair.questions),
    )


def _target_open(evidence: Evidence, arm: ArmResult, notes: list[str]) -> Judgement:
    needed = evidence.unit.shown(evidence.limits.target or 0)
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="target_open",
        reasons=(
            f"Whether {arm.title} reaches {needed}, the score that is needed, cannot be told: {arm.score}.",
            *notes,
        ),
        next_step=what_tells_the_target(evidence, arm),
    )


def _nothing_allowed(notes: list[str]) -> Judgement:
    return Judgement(
        verdict=Verdict.UNDECIDED,
        rule="nothing_allowed",
        reasons=("No arm that has learned anything is within what a call may cost and take.", *notes),
        next_step="Raise verdict.max_cost or verdict.max_seconds, or add a cheaper arm.",
    )
