"""A learning curve that follows a power law is extrapolated to it, with a band; one that does not promises nothing."""

from collections.abc import Sequence

import numpy as np
import pytest
from assessed import answered, learned_by, lost

from pipeline.evaluation.estimates import Unit
from pipeline.finetuning.evaluate import Evaluation
from pipeline.ladder.learning_curve import Curve, Learned, adapter_curve, curve_of

ROWS = (100, 250, 500, 1000)


def by_errors(errors: Sequence[float], asked: int = 1000) -> list[tuple[int, Evaluation]]:
    """Evaluations after more and more rows, by the share of the same questions that is wrong."""
    numbers = np.random.default_rng(5).permutation(asked)
    return [
        (rows, answered("adapter", (numbers >= round(share * asked)).tolist()).evaluation)
        for rows, share in zip(ROWS, errors, strict=False)
    ]


def by_losses(losses: Sequence[float], asked: int = 40) -> list[tuple[int, Evaluation]]:
    """The same by the loss per token of chats, each ten tokens long, some harder than others."""
    hard = np.random.default_rng(5).uniform(0.8, 1.2, asked)
    hard *= asked / hard.sum()
    return [
        (rows, lost("adapter", [(loss * 10 * one, 10) for one in hard]).evaluation)
        for rows, loss in zip(ROWS, losses, strict=False)
    ]


def learned(points: Sequence[tuple[int, Evaluation]], arm: str = "adapter") -> Learned:
    return Learned.of(arm, f"the {arm}", points)


def curve_through(points: Sequence[tuple[int, Evaluation]]) -> Curve:
    return curve_of(learned(points))


def power(first: float, exponent: float, rows: float) -> float:
    return first * (rows / ROWS[0]) ** exponent


# --- a power law --------------------------------------------------------------------------------
@pytest.mark.parametrize("exponent", [-0.1, -0.35, -0.5, -0.9])
def test_a_power_law_is_extrapolated_to_its_value_with_the_band_around_it(exponent: float) -> None:
    curve = curve_through(by_errors([power(0.4, exponent, rows) for rows in ROWS]))
    assert [point.rows for point in curve.measured] == list(ROWS)
    assert [point.rows for point in curve.expected] == [2000, 4000]
    for point in curve.expected:
        assert point.score.value == pytest.approx(1 - power(0.4, exponent, point.rows), abs=0.003)
        assert point.score.low < point.score.value < point.score.high <= 1
        assert point.score.high - point.score.low < 0.12
        assert point.score.unit is Unit.SHARE


def test_a_loss_that_is_a_power_of_the_rows_goes_on_falling() -> None:
    curve = curve_through(by_losses([power(2.0, -0.3, rows) for rows in ROWS]))
    for point in curve.expected:
        assert point.score.value == pytest.approx(power(2.0, -0.3, point.rows), rel=1e-6)
        assert 0 < point.score.low < point.score.value < point.score.high < curve.measured[-1].score.high
        assert point.score.unit is Unit.NATS


def test_the_band_holds_what_the_law_gives_about_as_often_as_it_says() -> None:
    law, asked, held = [power(0.5, -0.4, rows) for rows in ROWS], 200, 0
    for seed in range(40):
        # Each question has a difficulty of its own, and is answered once the model is good enough.
        hard = np.random.default_rng(seed).uniform(0, 1, asked)
        found = curve_of(learned_by(ROWS, [hard > wrong for wrong in law])).expected[0].score
        held += found.low <= 1 - power(0.5, -0.4, 2000) <= found.high
    assert held >= 34


def test_the_band_holds_that_trainings_differ_by_chance() -> None:
    """Each point is of one training: of 3,000 questions the law alone, 0.02 off each time, was in 45% of the bands."""
    law, held = [power(0.4, -0.4, rows) for rows in (*ROWS, 2000)], 0
    numbers = np.random.default_rng(5).permutation(3000)
    for seed in range(15):
        chance = np.random.default_rng(seed)
        errors = [wrong + chance.normal(0, 0.02) for wrong in law[:-1]]
        found = curve_of(learned_by(ROWS, [numbers >= round(share * 3000) for share in errors])).expected[0].score
        held += found.low <= 1 - law[-1] <= found.high
    assert held >= 12


def test_more_questions_make_the_band_narrower() -> None:
    wide, tight = (
        curve_through(by_errors([power(0.4, -0.5, rows) for rows in ROWS], asked)).expected[0].score
        for asked in (100, 2000)
    )
    assert tight.high - tight.low < (wide.high - wide.low) / 3


def test_the_last_points_count_for_more_than_the_first() -> None:
    # The beginning of a curve follows no law: here nothing is learned from a tenth of the rows.
    bent = curve_through(by_errors([0.4, 0.4, 0.4 * 0.5**0.5, 0.2]))
    assert bent.expected[0].score.value > 1 - 0.2 * 2**-0.25


def test_the_same_points_give_the_same_band() -> None:
    points = by_errors([0.4, 0.3, 0.22, 0.16])
    assert curve_through(points) == curve_through(points)


# --- where nothing is promised ------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_points_expect_nothing(count: int) -> None:
    curve = curve_through(by_errors([0.4, 0.3, 0.2])[:count])
    assert len(curve.measured) == count and curve.expected == ()
    assert adapter_curve([curve]) is None
    assert curve_through(by_errors([0.4, 0.3, 0.2])).expected


@pytest.mark.parametrize("errors", [(0.1, 0.12, 0.15, 0.18), (0.2, 0.2, 0.2, 0.2), (0.05, 0.2, 0.1, 0.2)])
def test_a_curve_that_got_worse_by_chance_is_expected_to_stay_where_it_is(errors: Sequence[float]) -> None:
    curve = curve_through(by_errors(errors))
    for point in curve.expected:
        assert point.score.value == pytest.approx(1 - errors[-1])
        assert point.score.low < point.score.value <= point.score.high


def test_a_loss_that_rose_is_expected_to_stay_where_it_is() -> None:
    [ahead, _] = curve_through(by_losses([1.0, 1.1, 1.2, 1.3])).expected
    assert ahead.score.value == pytest.approx(1.3)


def test_perfect_scores_stay_perfect_and_their_band_is_that_of_so_many_questions() -> None:
    curve = curve_through(by_errors([0, 0, 0, 0], asked=50))
    for point in curve.expected:
        assert point.score.value == point.score.high == 1
        assert point.score.low == curve.measured[-1].score.low < 0.95


def test_a_score_that_became_perfect_is_never_expected_to_fall() -> None:
    curve = curve_through(by_errors([0.3, 0.1, 0.02, 0], asked=100))
    assert [point.score.value for point in curve.expected] == [1, 1]


def test_answers_that_are_all_wrong_promise_nothing() -> None:
    curve = curve_through(by_errors([1, 1, 1, 1], asked=50))
    assert [point.score.value for point in curve.expected] == [0, 0]
    assert curve.expected[0].score.high == curve.measured[-1].score.high > 0.05


def test_a_small_loss_on_few_questions_goes_on_from_where_it_is() -> None:
    curve = curve_through(by_losses([power(0.02, -0.5, rows) for rows in ROWS], asked=10))
    assert curve.expected[0].score.value == pytest.approx(power(0.02, -0.5, 2000), rel=1e-6)


def test_a_band_that_holds_nearly_every_score_is_no_forecast() -> None:
    """Of 4 questions, half of them right on 12 rows, "50.0% (0.0% to 100.0%)" were expected on 24."""
    few = [answered("adapter", right).evaluation for right in ([False] * 4, [True, False] * 2, [True, False] * 2)]
    curve = curve_through(list(zip((3, 6, 12), few, strict=True)))
    assert (curve.expected, curve.growth, curve.leads) == ((), None, {}) and len(curve.measured) == 3
    assert str(curve) == (
        "The adapter by training rows, on 4 questions: 0.0% on 3, 50.0% on 6, 50.0% on 12; "
        "what more rows would bring cannot be told, since nearly every score is possible."
    )
    assert adapter_curve([curve]) == curve, "it was asked what more rows would bring"
    assert not any(one.is_untold for one in map(curve_through, (by_errors([0.4, 0.3, 0.2]), by_losses([2, 1, 2]))))


# --- what is said -------------------------------------------------------------------------------
def test_only_the_adapter_s_curve_says_what_more_rows_would_bring() -> None:
    points = by_errors([power(0.4, -0.5, rows) for rows in ROWS])
    linear, adapter = curve_of(learned(points, "linear")), curve_through(points)
    assert adapter_curve([linear]) is None
    assert adapter_curve([linear, adapter]) == adapter


def test_the_sentence_has_every_point_and_the_next() -> None:
    curve = curve_through(by_errors([0.4, 0.253, 0.179, 0.126]))
    assert str(curve) == (
        f"The adapter by training rows, on {curve.questions:,} questions: "
        "60.0% on 100, 74.7% on 250, 82.1% on 500, 87.4% on 1,000; "
        f"expected {curve.expected[0].score} on 2,000."
    )
    short = curve_through(by_errors([0.4, 0.2])[:2])
    assert str(short) == f"The adapter by training rows, on {curve.questions:,} questions: 60.0% on 100, 80.0% on 250."
    older = short.model_copy(update={"questions": 0})
    assert str(older) == "The adapter by training rows: 60.0% on 100, 80.0% on 250."


def test_a_curve_comes_back_from_the_file_as_it_was() -> None:
    curve = curve_through(by_losses([2.0, 1.7, 1.5, 1.4]))
    assert Curve.model_validate_json(curve.model_dump_json()) == curve
