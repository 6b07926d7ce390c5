"""Arms are compared pair by pair on the questions that both answered, whichever of them is named first."""

import math

import numpy as np
import pytest
from assessed import answered, ladder_of, lost, share_right
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.evaluation.estimates import Unit
from pipeline.evaluation.paired import sign_test
from pipeline.ladder import experiment
from pipeline.ladder.results import ArmResult
from schemas.arms_section import Family

RIGHTS = st.lists(st.booleans(), min_size=1, max_size=30)


def losing(name: str, seed: int, rows: int = 20) -> ArmResult:
    chance = np.random.default_rng(seed)
    return lost(name, [(float(chance.uniform(1, 30)), float(chance.integers(1, 9))) for _ in range(rows)])


# --- pairs ----------------------------------------------------------------------------------------
def test_arms_are_compared_on_the_questions_that_both_answered() -> None:
    slow = answered("few_shot", [True, True, False], first=1)
    pair = ladder_of(slow, answered("adapter", [False, True, False, True, False])).pair("few_shot", "adapter")
    assert pair.questions == 3
    assert (pair.comparison.better, pair.comparison.worse, pair.comparison.same) == (1, 1, 1)
    assert pair.comparison.difference.value == 0


def test_a_pair_named_the_other_way_round_is_the_same_comparison_reversed() -> None:
    ladder = ladder_of(share_right("linear", 20, 40), share_right("adapter", 30, 40))
    there, back = ladder.pair("linear", "adapter"), ladder.pair("adapter", "linear")
    assert (back.one, back.other, back.questions, back.p_value) == ("adapter", "linear", 40, there.p_value)
    change, other = there.comparison.difference, back.comparison.difference
    assert (other.value, other.low, other.high) == (-change.value, -change.high, -change.low)
    assert (there.comparison.better, there.comparison.worse) == (10, 0)
    assert (back.comparison.better, back.comparison.worse, back.comparison.same) == (0, 10, 30)
    assert back.comparison.reversed() == there.comparison
    assert str(back.comparison).startswith("-25.0 points (")


def test_no_difference_has_no_sign() -> None:
    same = ladder_of(share_right("linear", 20, 40), share_right("adapter", 20, 40))
    assert str(same.pair("adapter", "linear").comparison).startswith("+0.0 points (")


def test_every_two_arms_are_a_pair() -> None:
    ladder = ladder_of(*(share_right(name, 5, 9) for name in ("majority", "linear", "nearest", "adapter")))
    assert len(ladder.pairs) == 6
    with pytest.raises(KeyError, match="linear and zero_shot were not compared"):
        ladder.pair("linear", "zero_shot")


def test_arms_that_share_no_question_differ_by_no_one_knows_how_much() -> None:
    pair = ladder_of(answered("linear", [True]), answered("adapter", [False], first=5)).pair("linear", "adapter")
    assert (pair.questions, pair.p_value, pair.comparison.difference.value) == (0, 1, -1)
    assert not pair.comparison.difference.is_bounded


def test_arms_of_different_metrics_are_no_pair_and_not_comparable() -> None:
    ladder = ladder_of(share_right("frontier", 5, 9), losing("zero_shot", 1), losing("adapter", 2))
    assert [(pair.one, pair.other) for pair in ladder.pairs] == [("zero_shot", "adapter")]
    assert [arm.name for arm in ladder.comparable] == ["zero_shot", "adapter"]


@given(RIGHTS, RIGHTS, st.integers(0, 29))
def test_a_difference_is_that_of_the_scores_on_the_shared_questions(
    one: list[bool], other: list[bool], first: int
) -> None:
    arms = (answered("few_shot", one, first=first), answered("adapter", other))
    pair = ladder_of(*arms).pair("few_shot", "adapter")
    shared = {found.id for found in arms[0].evaluation.outcomes} & {found.id for found in arms[1].evaluation.outcomes}
    assert pair.questions == len(shared)
    if shared:
        scores = [arm.evaluation.of(shared).score.value for arm in arms]
        assert pair.comparison.difference.value == pytest.approx(scores[1] - scores[0])
        compared = pair.comparison
        assert compared.better - compared.worse == round(len(shared) * (scores[1] - scores[0]))
        assert compared.better + compared.worse + compared.same == len(shared)


@pytest.mark.parametrize("seed", range(5))
def test_a_difference_of_losses_is_that_of_the_losses(seed: int) -> None:
    before = losing("zero_shot", seed)
    halved = lost(
        "adapter", [(one.loss.earned / 2, one.loss.possible) for one in before.evaluation.outcomes if one.loss]
    )
    pair = ladder_of(before, halved).pair("zero_shot", "adapter")
    change = pair.comparison.difference
    assert change.unit is Unit.NATS
    assert (
        change.value == pytest.approx(halved.score.value - before.score.value) == pytest.approx(-before.score.value / 2)
    )
    assert (pair.comparison.better, pair.p_value) == (20, pytest.approx(2 * 0.5**20))


# --- McNemar --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("better", "worse", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 0.0625),
        (6, 0, 0.03125),
        (10, 1, 0.01171875),
        (5, 5, 1.0),
        # Agresti, Categorical Data Analysis: approval ratings, 150 against 86.
        (86, 150, 3.716e-5),
    ],
)
def test_the_sign_test_is_mcnemar_s_exact_one(better: int, worse: int, p_value: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p_value, rel=1e-3)
    assert sign_test(worse, better) == pytest.approx(p_value, rel=1e-3)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_sums_up_what_is_at_least_as_uneven(better: int, worse: int) -> None:
    count = better + worse
    tail = sum(math.comb(count, k) for k in range(min(better, worse) + 1)) / 2**count
    assert sign_test(better, worse) == pytest.approx(min(1.0, 2 * tail))
    if count:
        assert sign_test(better, worse) == pytest.approx(binomtest(better, count).pvalue)


# --- the best and the rest ------------------------------------------------------------------------
def test_the_best_of_some_families_is_the_one_with_the_best_score() -> None:
    ladder = ladder_of(
        share_right("majority", 3, 10),
        share_right("linear", 8, 10),
        share_right("nearest", 8, 10),
        share_right("few_shot", 9, 10),
        share_right("adapter", 5, 10),
    )

    def best(*families: Family) -> str:
        found = ladder.best(families)
        return "" if found is None else found.name

    assert best(Family.CLASSICAL) == "linear", "of equal ones the first"
    assert best(Family.CLASSICAL, Family.PROMPT) == "few_shot"
    assert best(Family.TUNED) == "adapter"
    assert ladder_of(share_right("adapter", 1, 2)).best([Family.PROMPT]) is None


def test_the_best_of_losses_is_the_lowest() -> None:
    low, high = lost("zero_shot", [(2.0, 1.0)] * 6), lost("few_shot", [(3.0, 1.0)] * 6)
    best = ladder_of(high, low, lost("adapter", [(1.0, 1.0)] * 6)).best([Family.PROMPT])
    assert best is not None and best.name == "zero_shot"


def test_an_evaluation_of_some_questions_says_of_them_what_it_said_of_all() -> None:
    whole = answered("adapter", [True, False, True, True]).evaluation
    some = whole.of({"q0", "q1"})
    assert [one.id for one in some.outcomes] == ["q0", "q1"]
    assert (some.questions, some.score.value, some.exact.value, some.unreadable) == (2, 0.5, 0.5, 0)
    assert whole.of({one.id for one in whole.outcomes}) == whole


def test_how_many_questions_a_second_is_told_by_what_all_took() -> None:
    assert share_right("linear", 1, 10, seconds=4.0).per_second == 2.5
    assert share_right("linear", 1, 10, seconds=0.0).per_second == math.inf


def test_before_training_the_arm_to_beat_is_found_on_shared_questions() -> None:
    # Of the 20 questions of the slow arm, which are easy ones, the other has all right, too.
    linear = answered("linear", [True] * 60 + [False] * 40)
    prompted = answered("few_shot", [True] * 19 + [False])
    assert prompted.score.value > linear.score.value
    said = experiment._before_training([linear, prompted], linear.evaluation.metric)
    assert said.startswith("without training: a linear model on TF-IDF scores 60.0% (")
    assert experiment._before_training([linear], "loss_per_token") == experiment._before_training([], "accuracy") == ""
