"""Questions are asked until the error is below the target, and a forecast says what the next ones would find."""

import numpy as np
import pytest
from audit_worlds import World, made_up
from scipy.stats import binom

from pipeline.estimation.audit_draw import Chances, draw, numbers
from pipeline.estimation.error_curve import error_curve
from pipeline.estimation.error_target import Rows, answers_needed, level_of, next_questions

TARGET = 0.02


def asked_until_proven(
    world: World, rate: float, rows: int, batch: int, chance: np.random.Generator
) -> tuple[bool, float]:
    """Whether the error is above the target after it was proven to be below, and the share of rows asked about."""
    some = made_up(world, rate, rows, chance)
    spots = numbers(some.hashes)
    chances = draw(numbers(some.hashes), some.scores, batch, Chances.none(rows))
    for look in range(1, 100):
        asked = chances.drawn(spots)
        plan = next_questions(Rows(chances, spots, asked, asked & some.wrong, rows, some.scores), TARGET, batch, look)
        if plan.proven or asked.all():
            return bool((some.wrong & ~asked).mean() > TARGET), float(asked.mean())
        assert plan.more > 0 and plan.bound >= TARGET
        drawn = plan.chances.drawn(spots)
        assert (asked <= drawn).all() and 0 < (drawn & ~asked).sum() <= batch + 12
        chances = plan.chances
    raise AssertionError("it asks forever")


@pytest.mark.parametrize("world", [World.SHARP, World.HALF, World.UNINFORMATIVE, World.MISLEADING, World.NONE])
@pytest.mark.parametrize("rate", [0.03, 0.06])
def test_what_is_proven_is_true_in_nearly_all_datasets(world: World, rate: float) -> None:
    chance = np.random.default_rng(1)
    above = [asked_until_proven(world, rate, 3_000, 300, chance)[0] for _ in range(60)]
    assert sum(above) <= binom.ppf(0.95, 60, 0.05), "5%, and what chance adds in all but one of twenty tests"


def test_scores_that_know_what_is_wrong_save_most_questions() -> None:
    chance = np.random.default_rng(2)
    sharp = np.mean([asked_until_proven(World.SHARP, 0.05, 10_000, 500, chance)[1] for _ in range(4)])
    blind = np.mean([asked_until_proven(World.NONE, 0.05, 10_000, 500, chance)[1] for _ in range(4)])
    assert sharp < 0.25 and blind > 2 * sharp


def test_how_many_more_answers_it_takes_is_within_the_forecast_range() -> None:
    chance, held, ratios = np.random.default_rng(4), 0, []
    for number in range(24):
        world = (World.SHARP, World.CALIBRATED, World.TOO_SURE)[number % 3]
        some = made_up(world, (0.01, 0.04)[number % 2], 1_240, chance)
        spots, forecast = numbers(some.hashes), None
        chances = draw(numbers(some.hashes), some.scores, 124, Chances.none(1_240))
        for look in range(1, 100):
            asked = chances.drawn(spots)
            rows = Rows(chances, spots, asked, asked & some.wrong, 1_240, some.scores)
            plan = next_questions(rows, TARGET, 124, look)
            if plan.proven:
                break
            if look == 1:
                first, forecast = int(asked.sum()), answers_needed(rows, TARGET, 124, look)
            chances = plan.chances
        if forecast is not None:
            needed = int(asked.sum()) - first
            held += forecast[0] <= needed <= forecast[1]
            ratios.append(sum(forecast) / 2 / needed)
    assert held >= 0.5 * len(ratios), "80% in the long run, less what chance does in one of a thousand tests"
    assert 0.6 < np.median(ratios) < 1.7


def test_all_looks_together_may_be_mistaken_in_five_percent() -> None:
    levels = [level_of(look) for look in range(1, 200)]
    assert sum(levels) == pytest.approx(0.05) and levels == sorted(levels, reverse=True)


def test_the_forecast_holds_what_the_next_answers_find() -> None:
    chance, held = np.random.default_rng(3), 0
    for _ in range(60):
        some = made_up(World.TOO_MODEST, 0.08, 3_000, chance)
        order = np.argsort(-some.scores)
        first = np.concatenate([order[:200], chance.choice(order[200:], 60, replace=False)])
        rest = np.setdiff1d(order, first, assume_unique=True)
        following = rest[np.argsort(-some.scores[rest])][:300]
        found = error_curve(some.scores[first], some.wrong[first]).forecast(some.scores[following])
        assert found.answers == 300 and found.low <= found.found <= found.high
        held += found.low <= some.wrong[following].sum() <= found.high
    assert held >= 51, "95% of 60, less what chance does in one of a thousand tests"


@pytest.mark.parametrize(("likely", "next_ones"), [(0.4, 0.35), (0.25, 0.3), (0.5, 0.5)])
def test_errors_that_scores_hardly_tell_from_others_are_not_forecast_away(likely: float, next_ones: float) -> None:
    """As of labels that are confused with similar ones: the first answers find nearly only errors, later ones a few."""
    held = 0
    for seed in range(20):
        chance = np.random.default_rng(seed)
        scores = np.sort(chance.uniform(0.1, 0.95, 400))[::-1]
        wrong = chance.random(400) < np.where(scores > 0.6, 0.99, np.where(scores > 0.45, likely, next_ones))
        found = error_curve(scores[:250], wrong[:250]).forecast(scores[250:350])
        held += found.low <= wrong[250:350].sum() <= found.high
    assert held >= 17


def test_without_answers_or_scores_a_forecast_is_wide_and_of_nothing_it_is_nothing() -> None:
    curve = error_curve(np.array([]), np.array([], dtype=bool))
    wide = curve.forecast(np.full(100, np.nan))
    assert wide.high - wide.low > 60
    assert curve.forecast(np.array([])).found == 0
    sure = error_curve(np.full(500, np.nan), np.arange(500) % 10 == 0).forecast(np.full(100, np.nan))
    assert sure.low >= 3 and sure.high <= 18
