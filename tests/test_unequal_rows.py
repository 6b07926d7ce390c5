"""An adapter that ``finetune.max_rows`` kept from rows is not judged as if it had learned what the others have."""

from typing import Any

import numpy as np
import pytest
from assessed import answered, assessed, evidence_of, share_right, spread, verdict_on

from pipeline.evaluation.estimates import wilson
from pipeline.ladder.judgement import Judgement, Verdict
from pipeline.ladder.learning_curve import Curve, Learned, curve_of
from pipeline.ladder.retrained_scores import SeedScore
from schemas.arms_section import Family

FEWER: dict[str, Any] = {"train_rows": 104, "undrawn": 352}
GOOD, WEAK = share_right("linear", 880, 1000), share_right("adapter", 700, 1000)
RAISED = "Raise finetune.max_rows to 456, or leave it out, and run `goldleaf finetune`."
KEPT = "finetune.max_rows kept 352 of 456 training rows from the adapter, and from no other arm"


def said(found: Judgement) -> str:
    return " ".join([*found.reasons, found.next_step])


def test_an_arm_that_knows_more_rows_is_not_called_enough() -> None:
    assert verdict_on(GOOD, WEAK, train_rows=456).verdict is Verdict.CLASSICAL
    found = verdict_on(GOOD, WEAK, **FEWER)
    assert (found.verdict, found.rule, found.arm) == (Verdict.UNDECIDED, "rows_not_drawn", "")
    assert KEPT in found.reasons[0] and found.next_step == RAISED
    assert "A linear model on TF-IDF scores 88.0%" in said(found), "what was measured is still said"


def test_a_prompt_that_knows_more_rows_is_not_called_enough() -> None:
    prompted = share_right("few_shot", 880, 1000)
    assert verdict_on(prompted, WEAK, **FEWER).rule == "rows_not_drawn"


def test_an_adapter_that_wins_with_fewer_rows_is_worth_it_and_it_is_said() -> None:
    found = verdict_on(share_right("linear", 700, 1000), share_right("adapter", 880, 1000), **FEWER)
    assert (found.verdict, found.arm) == (Verdict.TUNE, "adapter")
    assert f"It is better although {KEPT}." in found.reasons


def test_of_arms_too_close_to_call_the_rows_come_before_more_questions() -> None:
    arms = (spread("linear", 0.80, 200), spread("adapter", 0.83, 200, seed=1))
    usual, found = (verdict_on(*arms, **rows) for rows in ({"train_rows": 456}, FEWER))
    assert usual.rule == found.rule == "too_close"
    assert found.next_step == f"{RAISED} If that does not decide: {usual.next_step}"


def test_more_rows_that_exist_are_not_to_be_labeled() -> None:
    for limits in ({"target": 0.95}, {}):
        found = verdict_on(GOOD, WEAK, limits=limits, **FEWER)
        assert found.verdict is Verdict.UNDECIDED and "label more" not in said(found)


@pytest.mark.parametrize(
    ("arms", "limits", "verdict"),
    [
        ((share_right("linear", 995, 1000), WEAK), {}, Verdict.CLASSICAL),
        ((GOOD, share_right("adapter", 700, 1000, latency=3.0)), {"max_seconds": 1}, Verdict.CLASSICAL),
    ],
)
def test_what_more_rows_cannot_change_stands_and_they_are_named(
    arms: Any, limits: dict[str, float], verdict: Verdict
) -> None:
    """Nothing is left to gain above a perfect score, and an adapter that is too slow is so with any rows."""
    found = verdict_on(*arms, limits=limits, **FEWER)
    assert found.verdict is verdict and KEPT in said(found)


def test_an_arm_that_learned_nothing_from_all_rows_is_named_with_all_of_them() -> None:
    arms = (share_right("majority", 500, 1000), share_right("linear", 505, 1000), share_right("adapter", 480, 1000))
    found = verdict_on(*arms, **FEWER)
    assert (found.verdict, found.rule) == (Verdict.FIX_LABELS, "nothing_learned")
    assert "learned from 456 rows, a linear model on TF-IDF," in found.reasons[0]
    assert verdict_on(arms[0], arms[2], **FEWER).rule == "rows_not_drawn", "no other model has learned anything"


def test_every_verdict_names_rows_that_stayed_undrawn() -> None:
    for arms in ((GOOD, WEAK), (WEAK,), (share_right("linear", 20, 20), share_right("adapter", 19, 20))):
        for leaked in (0, 500):
            assert "max_rows" in said(verdict_on(*arms, leaked=leaked, **FEWER))
            assert "max_rows" not in said(verdict_on(*arms, leaked=leaked, train_rows=456))


# --- curves -------------------------------------------------------------------------------------
ROWS = (10, 26, 52, 104)


def learned(name: str, rows: tuple[int, ...], asked: int = 500, ahead: float = 0.0) -> Learned:
    hard = np.random.default_rng(3).uniform(0, 1, 500)[:asked]
    points = [(count, answered(name, (hard > 0.6 * (count / 10) ** -0.3 - ahead).tolist())) for count in rows]
    return Learned.of(name, f"the {name}", [(count, arm.evaluation) for count, arm in points])


def test_a_curve_looks_ahead_to_the_rows_that_there_are() -> None:
    curve = curve_of(learned("adapter", ROWS), undrawn=352)
    assert [point.rows for point in curve.expected] == [456, 912]
    assert curve.expected[0].score.value == pytest.approx(1 - 0.6 * 45.6**-0.3, abs=0.03)
    assert [point.rows for point in curve_of(learned("adapter", ROWS)).expected] == [208, 416]


def test_a_rival_that_knows_all_rows_is_where_it_would_be_with_as_many() -> None:
    """It is not extrapolated to twice its rows while the adapter only catches up with it."""
    rival = learned("linear", (46, 114, 228, 456))
    lead = curve_of(learned("adapter", ROWS), [rival], undrawn=352).leads["linear"]
    assert lead.value == pytest.approx(0, abs=0.02)
    found = evidence_of(GOOD, WEAK, curve=_adapters(rival), **FEWER).forecast
    assert found is not None and found.rows == 456


def _adapters(rival: Learned) -> Curve:
    return curve_of(learned("adapter", ROWS), [rival], undrawn=352)


def test_a_rival_that_was_asked_more_is_compared_on_the_adapter_s_questions() -> None:
    """A linear model takes milliseconds for all questions, and an adapter's curve has those of slow arms."""
    adapter = learned("adapter", ROWS, asked=40)
    few, all_of_them = (learned("linear", ROWS, asked=asked, ahead=0.1) for asked in (40, 500))
    assert curve_of(adapter, [all_of_them]).leads == curve_of(adapter, [few]).leads != {}


# --- seeds --------------------------------------------------------------------------------------
def test_seeds_that_draw_other_rows_are_not_told_as_chance_alone() -> None:
    seeds = tuple(SeedScore(seed=17 + n, score=wilson(right, 1000)) for n, right in enumerate((880, 700, 690)))
    usual, drawn = (assessed(GOOD, WEAK, seeds=seeds, undrawn=undrawn) for undrawn in (0, 352))
    assert "With 3 seeds the adapter scores" in usual.beside[0] and "chance moves it" in usual.beside[0]
    assert "3 seeds, each of which draws other rows (finetune.max_rows), the adapter scores" in drawn.beside[0]
    ahead = share_right("adapter", 890, 1000), share_right("linear", 800, 1000)
    found = verdict_on(*ahead, seeds=seeds, **FEWER)
    assert found.rule == "by_chance" and "which also draws its rows (finetune.max_rows)" in found.reasons[0]
    assert found.next_step.startswith(RAISED)


# --- scores on the same questions ---------------------------------------------------------------
def test_arms_that_were_asked_other_numbers_of_questions_are_told_on_the_shared_ones() -> None:
    """A hundred percent of 12, ninety of 60, and no difference: both are right about the twelve."""
    prompted, linear = share_right("few_shot", 12, 12), share_right("linear", 54, 60)
    ladder = evidence_of(linear, prompted, share_right("adapter", 54, 60)).ladder
    assert ladder.pair("linear", "few_shot").scores == (1.0, 1.0)
    assert ladder.pair("few_shot", "linear").scores == (1.0, 1.0)
    found = verdict_on(linear, prompted, share_right("adapter", 40, 60))
    [told] = [reason for reason in found.reasons if "both answered" in reason]
    assert told.startswith("The base model, prompted with 5 retrieved examples scores 100.0% (")
    assert (
        "; on the 12 questions that both answered they score 100.0% and 100.0%: a difference of +0.0 points (" in told
    )
    assert any("a difference of +23.3 points on 60 questions" in reason for reason in found.reasons)
    assert {arm.family for arm in ladder.arms} == set(Family)


def test_of_two_arms_each_keeps_its_own_score_on_the_shared_questions() -> None:
    ladder = evidence_of(share_right("linear", 6, 60), share_right("adapter", 12, 12)).ladder
    assert ladder.pair("linear", "adapter").scores == (0.5, 1.0)
    assert ladder.pair("adapter", "linear").scores == (1.0, 0.5)
