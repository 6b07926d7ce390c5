"""What more rows would bring is compared question by question: growth with growth, and forecast with forecast."""

import numpy as np
import pytest
from assessed import answered, evidence_of, learned_by, verdict_on

from pipeline.evaluation.estimates import Estimate
from pipeline.ladder.judgement import Verdict
from pipeline.ladder.learning_curve import Curve, Floats, Learned, curve_of
from pipeline.ladder.results import ArmResult

ROWS = (100, 250, 500, 1000)
ASKED = 500


def wrong(rows: float) -> float:
    return 0.4 * (rows / 100) ** -0.4


TRUE_GROWTH = wrong(1000) - wrong(2000)


def arms(name: str, hard: Floats, ahead: float = 0.0) -> list[ArmResult]:
    """An arm after more and more rows, right about the questions that are easy enough; ahead by some at any size."""
    return [answered(name, (hard > wrong(rows) - ahead).tolist()) for rows in ROWS]


def learned(found: list[ArmResult]) -> Learned:
    points = [(rows, arm.evaluation) for rows, arm in zip(ROWS, found, strict=True)]
    return Learned.of(found[0].name, found[0].title, points[-len(found) :])


def difficulties(seed: int) -> Floats:
    return np.random.default_rng(seed).uniform(0, 1, ASKED)


def grown(curve: Curve) -> Estimate:
    assert curve.growth is not None
    return curve.growth


def test_growth_is_measured_on_the_same_questions_and_not_by_the_forecast_s_band() -> None:
    """The band minus a score of now has the chance of which questions were drawn in it, which both share."""
    held, narrower = 0, 0
    for seed in range(30):
        hard = difficulties(seed)
        curve = curve_of(learned_by(ROWS, [hard > wrong(rows) for rows in ROWS]))
        growth, band = grown(curve), curve.expected[0].score
        assert growth.value == pytest.approx(band.value - curve.measured[-1].score.value)
        held += growth.low <= TRUE_GROWTH <= growth.high
        narrower += growth.high - growth.low < band.high - band.low
    assert held >= 26 and narrower >= 28


def test_trainings_that_differ_by_chance_make_growth_less_sure() -> None:
    hard = difficulties(1)
    worse = dict(zip(ROWS, (0, 0.08, -0.05, 0), strict=True))
    lucky = [answered("adapter", (hard > wrong(rows) + worse[rows]).tolist()) for rows in ROWS]
    usual, unsure = (grown(curve_of(learned(found))) for found in (arms("adapter", hard), lucky))
    assert unsure.high - unsure.low > 2 * (usual.high - usual.low)


def test_where_the_linear_model_grows_alike_more_rows_are_no_advice() -> None:
    """It was ahead by half a point at any size, and the adapter on twice the rows ahead of it on today's."""
    hard = difficulties(1)
    adapter, linear = arms("adapter", hard), arms("linear", hard, ahead=0.006)
    curve = curve_of(learned(adapter), [learned(linear)])
    found = verdict_on(linear[-1], adapter[-1], train_rows=1000, curve=curve)
    assert found.rule != "curve_rises"
    lead = evidence_of(linear[-1], adapter[-1], curve=curve).lead(linear[-1])
    assert lead is not None and lead.value < 0.005 and not lead.is_sure
    assert grown(curve).is_sure, "the adapter does grow"


def test_an_adapter_that_overtakes_an_arm_that_stays_where_it_is_gets_more_rows() -> None:
    hard = difficulties(1)
    adapter = arms("adapter", hard)
    flat = answered("linear", (hard > wrong(1000) - 0.006).tolist())
    for others in ([learned([flat] * 4)], [Learned.of("linear", "a linear model", [(1000, flat.evaluation)])]):
        curve = curve_of(learned(adapter), others)
        found = verdict_on(flat, adapter[-1], train_rows=1000, curve=curve)
        assert (found.verdict, found.rule) == (Verdict.MORE_DATA, "curve_rises")
        assert "better than now, and better than a linear model on TF-IDF by 3." in found.reasons[0]


def test_arms_that_were_asked_other_questions_are_not_compared() -> None:
    hard = difficulties(1)
    other = answered("linear", (hard > 0.2).tolist(), first=1)
    assert curve_of(learned(arms("adapter", hard)), [Learned.of("linear", "", [(9, other.evaluation)])]).leads == {}


def test_answers_that_came_out_alike_at_every_size_prove_no_growth() -> None:
    perfect = [answered("adapter", [True] * 50)] * 4
    assert not grown(curve_of(learned(perfect))).is_bounded


def test_a_curve_over_few_groups_is_less_sure() -> None:
    alone = learned(arms("adapter", difficulties(1)))
    # What is hard is so for whole contracts.
    order = np.argsort(difficulties(1))
    names = np.empty(ASKED, dtype=object)
    names[order] = [f"contract {place // 25}" for place in range(ASKED)]
    grouped = alone.model_copy(update={"groups": tuple(names)})
    for one, other in zip(curve_of(alone).expected, curve_of(grouped).expected, strict=True):
        assert one.score.value == other.score.value
        assert other.score.high - other.score.low > 1.5 * (one.score.high - one.score.low)
