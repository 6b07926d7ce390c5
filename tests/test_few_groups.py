"""Intervals over few groups are as wide as so few groups make them, whatever the number of questions."""

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from pipeline.evaluation.estimates import bootstrap, design_effect, influences, widened, wilson


def of_groups(moves: list[float], size: int) -> float:
    """The design effect of questions, so many of each group."""
    return design_effect(np.array(moves), [f"contract {place // size}" for place in range(len(moves))])


@pytest.mark.parametrize("count", [2, 3, 6, 25, 100])
def test_an_interval_takes_a_t_multiplier_of_one_degree_of_freedom_less_than_there_are_groups(count: int) -> None:
    # In each group as many questions move the value up as down: the groups themselves explain nothing.
    effect = of_groups([1.0, -1.0] * 5 * count, 10)
    multiplier = stdtrit(count - 1, 0.975) / stdtrit(10 * count - 1, 0.975)
    assert effect == pytest.approx(multiplier**2)
    assert (count < 100) == (effect > 1.03), "a hundred contracts are as good as any number"


def test_questions_that_are_groups_by_themselves_are_independent() -> None:
    assert of_groups([1.0, -1.0] * 3, 1) == 1


def test_groups_of_unequal_size_count_as_so_many_equal_ones() -> None:
    moves = np.array([1.0, -1.0] * 60)
    names = ["large"] * 100 + [f"small {place // 2}" for place in range(20)]
    # 120 squared, divided by 100 squared and 10 times 2 squared: 1.43 groups, of which one is left.
    assert design_effect(moves, names) == pytest.approx((stdtrit(1, 0.975) / stdtrit(119, 0.975)) ** 2)


def test_of_a_single_group_nothing_follows_for_others() -> None:
    effect = of_groups([1.0, -1.0] * 20, 40)
    assert math.isinf(effect)
    assert wilson(30, 40, effect).value == 0.75 and not wilson(30, 40, effect).is_bounded
    assert not widened(wilson(30, 40), effect).is_bounded


def test_answers_that_are_all_right_in_three_groups_do_not_prove_more_than_three_groups_can() -> None:
    effect = of_groups([0.0] * 90, 30)
    assert wilson(90, 90, effect).low < 0.85 < 0.95 < wilson(90, 90).low


@pytest.mark.parametrize(("count", "size"), [(3, 40), (4, 30)])
def test_arms_that_are_equally_good_are_seldom_told_apart_over_few_groups(count: int, size: int) -> None:
    """Each misreads some contracts: by a normal multiplier 15 of 100 pairs were called different over three."""
    groups = np.repeat(np.arange(count), size)
    apart, trials = 0, 100
    for seed in range(trials):
        chance = np.random.default_rng([count, seed])
        skills = (np.clip(chance.normal(0.8, 0.15, count), 0.02, 0.98)[groups] for _ in range(2))
        one, two = (np.stack([chance.random(len(groups)) < skill, np.ones(len(groups))], 1) for skill in skills)
        effect = design_effect(influences(two) - influences(one), [str(name) for name in groups])
        found = widened(bootstrap(two, minus=one), effect, least=-1.0)
        apart += found.low > 0 or found.high < 0
    assert apart <= 9
