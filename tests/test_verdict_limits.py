"""The verdict keeps to what a call may cost and take, to targets and ceilings, and stands whatever is missing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from assessed import ADAPTER, LINEAR, answered, evidence_of, lost, rising, share_right, spread, verdict_on

from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.evaluation.scores import Part
from pipeline.ladder.judgement import Judgement, Verdict
from pipeline.ladder.results import ArmResult
from pipeline.ladder.verdict import judge


def parts(found: Judgement) -> str:
    return " ".join(found.reasons)


# --- costs and limits -----------------------------------------------------------------------------
def test_an_adapter_that_is_much_cheaper_than_the_prompt_is_chosen_though_it_is_no_better() -> None:
    def on(cost: float, right: int = 900) -> Judgement:
        prompt = share_right("frontier", 900, 1000, cost=10.0)
        return verdict_on(prompt, share_right("adapter", right, 1000, cost=cost))

    found = on(2.0)
    assert (found.verdict, found.arm) == (Verdict.TUNE, "adapter")
    assert "1,000 calls cost 2 instead of 10." in found.reasons[0]
    assert on(2.1).verdict is Verdict.PROMPT
    assert on(2.0, right=850).verdict is Verdict.PROMPT, "it is worse by as much as matters"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_cost": 5, "prices": "prices.yaml"}, "frontier costs 10 per 1,000 calls, above the 5 allowed."),
        ({"max_seconds": 1}, "frontier takes 2.5 s a call, above the 1 allowed."),
    ],
    ids=["too dear", "too slow"],
)
def test_an_arm_beyond_the_limits_is_not_chosen_however_good(limits: dict[str, Any], said: str) -> None:
    arms = [share_right("frontier", 990, 1000, cost=10.0, latency=2.5), share_right("adapter", 700, 1000, cost=1.0)]
    assert verdict_on(*arms).verdict is Verdict.PROMPT
    found = verdict_on(*arms, limits=limits)
    assert (found.verdict, found.arm) == (Verdict.TUNE, "adapter")
    assert said in found.reasons


def test_an_arm_whose_cost_or_time_nobody_measured_is_not_forbidden() -> None:
    limits = {"max_cost": 0.001, "max_seconds": 0.001, "prices": "prices.yaml"}
    found = verdict_on(LINEAR, ADAPTER, limits=limits)
    assert found.verdict is Verdict.TUNE
    assert f"nobody knows what they cost: {LINEAR.title}; {ADAPTER.title}." in parts(found)


def timed(name: str, right: int, median: float, low: float, high: float) -> ArmResult:
    return share_right(name, right, 1000, latency=median, latency_low=low, latency_high=high)


def test_an_arm_that_may_or_may_not_be_too_slow_is_not_recommended() -> None:
    """Five calls that took 1.04 s in the middle, where 1 s is allowed, once made the classical model enough."""
    linear, near = timed("linear", 800, 0.001, 0.001, 0.002), timed("adapter", 900, 1.04, 0.97, 1.3)
    found = verdict_on(linear, near, limits={"max_seconds": 1})
    assert (found.verdict, found.rule, found.arm) == (Verdict.UNDECIDED, "time_open", "")
    assert found.reasons[0] == (
        "The adapter takes 1.04 s a call (95% interval 0.97 to 1.3): whether that is within the 1 allowed cannot be "
        "told."
    )
    assert "verdict.max_seconds" in found.next_step and "`goldleaf finetune --again`" in found.next_step
    for seconds, verdict in ((1.3, Verdict.TUNE), (0.96, Verdict.CLASSICAL)):
        assert verdict_on(linear, near, limits={"max_seconds": seconds}).verdict is verdict


def test_an_arm_near_the_limit_that_changes_nothing_is_noted() -> None:
    linear, near = timed("linear", 950, 0.001, 0.001, 0.002), timed("adapter", 900, 0.98, 0.97, 1.3)
    found = verdict_on(linear, near, limits={"max_seconds": 1})
    assert (found.verdict, found.arm) == (Verdict.CLASSICAL, "linear")
    assert found.reasons[-1].endswith("within the 1 allowed cannot be told.")


def test_if_all_arms_are_beyond_the_limits_the_limits_are_to_be_raised() -> None:
    arms = [share_right("linear", 800, 1000, latency=3.0), share_right("adapter", 900, 1000, latency=4.0)]
    found = verdict_on(*arms, limits={"max_seconds": 2})
    assert (found.verdict, found.rule) == (Verdict.UNDECIDED, "nothing_allowed")
    assert "verdict.max_seconds" in found.next_step and "takes 4 s a call" in parts(found)


# --- ceilings, targets, and what more rows would bring --------------------------------------------
def test_an_arm_at_the_ceiling_of_the_audit_is_enough() -> None:
    noise = Estimate(value=0.04, low=0.02, high=0.07)
    arms = [spread("linear", 0.95, 100), spread("adapter", 0.94, 100, seed=1)]
    assert verdict_on(*arms).rule == "too_close"
    # Of 5 in 100 wrong answers 4 are errors of the test rows: look at those first, were they more.
    found = verdict_on(*arms, noise=noise)
    assert (found.verdict, found.arm) == (Verdict.CLASSICAL, "linear")
    assert "no model can be seen above 96.0%" in found.reasons[-1]
    assert (
        "within 2.0 points of a perfect score"
        in verdict_on(*(share_right(n, 99, 100) for n in ("linear", "adapter"))).reasons[-1]
    )


def test_wrong_rows_set_no_ceiling_for_rewritten_texts() -> None:
    noise = Estimate(value=0.04, low=0.02, high=0.07)
    written = Part(name="text", precision=0.5, recall=0.5, f1=0.5, support=100, chrf=0.9)
    label = written.model_copy(update={"chrf": None})
    for part, ceiling in ((label, 0.96), (written, None)):
        adapter = spread("adapter", 0.95, 100)
        parted = adapter.model_copy(update={"evaluation": adapter.evaluation.model_copy(update={"parts": (part,)})})
        assert evidence_of(spread("linear", 0.94, 100, seed=1), parted, noise=noise).ceiling == ceiling


def test_a_target_that_nothing_reaches_needs_more_rows() -> None:
    found = verdict_on(LINEAR, ADAPTER, limits={"target": 0.95})
    assert (found.verdict, found.rule, found.arm) == (Verdict.MORE_DATA, "target_missed", "")
    assert found.reasons[0] == (
        "Nothing reaches 95.0%, the score that is needed: the adapter scores 90.0% (88.0% to 91.7%)."
    )
    assert "finetune.base_model" in found.next_step
    assert verdict_on(LINEAR, ADAPTER, limits={"target": 0.9}).verdict is Verdict.TUNE


@pytest.mark.parametrize(
    ("more", "step"),
    [
        ({}, "Add rows, and run `goldleaf curate`, `goldleaf collect` if annotators answer, `goldleaf release` and "),
        ({"held_back": 500}, "`finetune.eval_rows: 1500` in the dataset.yaml asks about 1,500 questions"),
    ],
)
def test_an_arm_that_may_but_need_not_reach_the_target_is_not_recommended(more: dict[str, Any], step: str) -> None:
    found = verdict_on(LINEAR, ADAPTER, limits={"target": 0.91}, **more)
    assert (found.verdict, found.rule, found.arm) == (Verdict.UNDECIDED, "target_open", "")
    assert found.reasons[0] == (
        "Whether the adapter reaches 91.0%, the score that is needed, cannot be told: 90.0% (88.0% to 91.7%)."
    )
    assert "a difference of +10.0 points" in found.reasons[1] and found.next_step.startswith(step)


def test_a_slow_arm_that_may_reach_the_target_is_asked_more() -> None:
    arms = (spread("linear", 0.7, 1000), spread("adapter", 0.72, 1000, seed=1), spread("few_shot", 0.9, 500, seed=2))
    found = verdict_on(*arms, limits={"target": 0.91})
    assert found.rule == "target_open" and "`goldleaf finetune --slow-rows 1000` asks all arms" in found.next_step


def test_the_arm_that_reaches_the_target_is_chosen_though_it_is_hardly_better() -> None:
    arms = (share_right("linear", 2700, 3000), share_right("adapter", 2738, 3000))
    assert verdict_on(*arms).verdict is Verdict.CLASSICAL
    found = verdict_on(*arms, limits={"target": 0.912})
    assert (found.verdict, found.arm) == (Verdict.TUNE, "adapter")


def test_an_adapter_that_would_be_better_with_more_rows_gets_them_first() -> None:
    arms = (share_right("linear", 900, 1000), share_right("adapter", 850, 1000))
    found = verdict_on(*arms, curve=rising(0.94, linear=(0.04, 0.01)))
    assert (found.verdict, found.rule, found.arm) == (Verdict.MORE_DATA, "curve_rises", "")
    assert found.reasons[0] == (
        "With 10,000 training rows the adapter is expected at 94.0% (91.0% to 97.0%), and better than a linear model "
        "on TF-IDF by 4.0 points (95% interval +1.0 to +7.0, on the same questions); with 5,000 it is not the best for "
        "sure."
    )
    for unsure in ((0.04, -0.01), (0.01, 0.005)):
        assert verdict_on(*arms, curve=rising(0.94, linear=unsure)).verdict is Verdict.CLASSICAL
    unknown = verdict_on(*arms, curve=rising(0.94, few_shot=(0.04, 0.01)))
    assert unknown.verdict is Verdict.CLASSICAL, "nothing is known of the linear model"


def test_more_rows_bring_nothing_above_the_ceiling_of_the_audit() -> None:
    arms = (share_right("linear", 900, 1000), share_right("adapter", 850, 1000))
    curve, audit = rising(0.98, linear=(0.05, 0.02)), Estimate(value=0.03, low=0.02, high=0.04)
    lead = evidence_of(*arms, curve=curve, noise=audit).lead(arms[0])
    assert lead is not None and lead.low == 0.02
    assert (lead.value, lead.high) == (pytest.approx(0.04), pytest.approx(0.04))
    assert verdict_on(*arms, curve=curve).rule == "curve_rises"
    higher = Estimate(value=0.055, low=0.03, high=0.06)
    assert verdict_on(*arms, curve=curve, noise=higher).rule != "curve_rises", "1.5 points are left"


@pytest.mark.parametrize(
    ("linear", "adapter", "limits", "verdict"),
    [
        (0.80, 0.90, {}, Verdict.TUNE),
        (0.99, 0.90, {}, Verdict.CLASSICAL),
        (0.90, 0.85, {"max_seconds": 1}, Verdict.CLASSICAL),
    ],
    ids=["it is better already", "there is nothing to gain", "it would be too slow"],
)
def test_a_rising_curve_is_no_reason_where_it_changes_nothing(
    linear: float, adapter: float, limits: dict[str, Any], verdict: Verdict
) -> None:
    arms = (
        share_right("linear", round(1000 * linear), 1000),
        share_right("adapter", round(1000 * adapter), 1000, latency=3.0),
    )
    assert verdict_on(*arms, curve=rising(0.96, linear=(0.05, 0.04)), limits=limits).verdict is verdict


# --- losses ---------------------------------------------------------------------------------------
def losing(name: str, each: float, rows: int = 60) -> ArmResult:
    """A chat's rows, each with a loss near this per token."""
    chance = np.random.default_rng(len(name))
    return lost(name, [(float(each * tokens + chance.normal()), float(tokens)) for tokens in range(20, 20 + rows)])


def test_of_losses_the_lower_one_is_better() -> None:
    base, adapter = losing("zero_shot", 3.0), losing("adapter", 2.0)
    found = verdict_on(base, adapter)
    assert (found.verdict, found.arm) == (Verdict.TUNE, "adapter")
    assert f"{adapter.score}, the base model, prompted {base.score}: a difference of +1.0" in found.reasons[0]
    assert Unit.NATS.of_changes in found.reasons[0]
    assert verdict_on(losing("zero_shot", 2.0), losing("adapter", 3.0)).verdict is Verdict.PROMPT


def test_a_target_of_losses_is_reached_from_above() -> None:
    arms = (losing("zero_shot", 3.0), losing("adapter", 2.0))
    assert verdict_on(*arms, limits={"target": 2.5}).verdict is Verdict.TUNE
    low = arms[1].score.low
    assert verdict_on(*arms, limits={"target": low + 0.001}).rule == "target_open", "it may be that good"
    missed = verdict_on(*arms, limits={"target": low - 0.001})
    assert (missed.rule, missed.verdict) == ("target_missed", Verdict.MORE_DATA)


def test_losses_have_no_ceiling_and_no_wrong_labels() -> None:
    arms = (losing("zero_shot", 3.0), losing("adapter", 2.0))
    assert verdict_on(*arms, noise=Estimate(value=0.5, low=0.4, high=0.6)).verdict is Verdict.TUNE


def test_an_arm_that_is_judged_by_another_metric_is_not_compared() -> None:
    texts = spread("frontier", 0.99, 60)
    found = verdict_on(texts, losing("zero_shot", 3.0), losing("adapter", 2.0))
    assert found.verdict is Verdict.TUNE and "frontier" not in parts(found)


# --- what must not stop a verdict ------------------------------------------------------------------
@pytest.mark.parametrize(
    "arms",
    [
        lambda: [answered("linear", [True] * 40, first=100), answered("adapter", [True] * 40)],
        lambda: [lost("zero_shot", [(10.0, 5.0)] * 40), lost("adapter", [(5.0, 5.0)] * 40)],
        lambda: [answered("linear", [False] * 40, first=38), answered("adapter", [True] * 40)],
    ],
    ids=["no shared questions", "losses that are all alike", "two shared questions"],
)
def test_arms_without_an_interval_are_undecided_and_more_questions_are_wanted(
    arms: Callable[[], list[ArmResult]],
) -> None:
    evidence = evidence_of(*arms())
    found = judge(evidence)
    if evidence.is_at_ceiling(arms()[0]):
        assert (found.verdict, found.rule) == (Verdict.CLASSICAL, "compared")
        return
    assert (found.verdict, found.rule) == (Verdict.UNDECIDED, "too_close")
    assert "too few questions for an interval" in found.reasons[1]
    wanted = (
        "More test questions would decide, instead of ",
        "`goldleaf finetune --slow-rows 40` asks all arms about 40",
    )
    assert found.next_step.startswith(wanted)


def test_every_verdict_has_a_heading_of_its_own() -> None:
    assert len({verdict.heading for verdict in Verdict}) == len(Verdict) == 7
