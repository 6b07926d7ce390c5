"""The audit is drawn once, whatever the order of the rows, and its interval holds the truth as often as it says."""

import numpy as np
import pytest
from audit_worlds import World, made_up
from scipy.stats import binom

from pipeline.estimation.audit_draw import Chances, draw, numbers, raised_to
from pipeline.estimation.audit_estimate import Cells, bounds, chance_of_less, estimate, fewest_left, likeliest
from pipeline.evaluation.estimates import wilson


def test_likely_wrong_rows_have_the_better_chance_and_none_has_less_than_half_of_the_average() -> None:
    rows = made_up(World.CALIBRATED, 0.03, 20_000, np.random.default_rng(1))
    chances = draw(numbers(rows.hashes), rows.scores, 300, Chances.none(20_000))
    best, worst = rows.scores >= np.quantile(rows.scores, 0.98), rows.scores <= np.quantile(rows.scores, 0.5)
    assert chances.probability[best].mean() > 1.5 * chances.probability[worst].mean()
    assert chances.probability.min() > 0.4 * 300 / 20_000
    assert chances.drawn(numbers(rows.hashes)).sum() == pytest.approx(300, abs=6)
    assert (chances.stratum > 0).all()


def test_the_same_rows_are_drawn_in_any_order() -> None:
    rows = made_up(World.CALIBRATED, 0.03, 5_000, np.random.default_rng(2))
    rows.scores[::7] = 0.25
    rows.scores[::11] = np.nan
    order = np.random.default_rng(3).permutation(5_000)
    one = draw(numbers(rows.hashes), rows.scores, 100, Chances.none(5_000))
    other = draw(numbers(rows.hashes[order]), rows.scores[order], 100, Chances.none(5_000))
    assert (one.stratum[order] == other.stratum).all() and np.allclose(one.probability[order], other.probability)


@pytest.mark.parametrize("size", [0.4, 7, 100, 400])
def test_a_repeated_draw_changes_nothing_and_new_rows_withdraw_no_question(size: float) -> None:
    rows = made_up(World.HALF, 0.03, 4_000, np.random.default_rng(4))
    first = draw(numbers(rows.hashes[:2_000]), rows.scores[:2_000], size, Chances.none(2_000))
    again = draw(numbers(rows.hashes[:2_000]), 1 - rows.scores[:2_000], size, first)
    assert (again.probability == first.probability).all() and (again.stratum == first.stratum).all()
    new = Chances.none(2_000)
    before = Chances(np.concatenate([first.stratum, new.stratum]), np.concatenate([first.probability, new.probability]))
    grown = draw(numbers(rows.hashes), rows.scores, size, before)
    assert (grown.probability[:2_000] == first.probability).all(), "the size did not grow with the rows"
    assert (grown.probability[2_000:] > 0).all(), "no row is without a chance"
    assert grown.probability[2_000:].sum() == pytest.approx(size / 2, rel=0.25, abs=1)
    more = draw(numbers(rows.hashes), rows.scores, 3 * size, before)
    assert (more.probability >= grown.probability * 0.999).all()
    assert more.probability[:2_000].sum() >= 1.2 * first.probability.sum() or size < 1
    settled = draw(numbers(rows.hashes), rows.scores, 3 * size, more)
    assert (settled.probability == more.probability).all()


def test_chances_can_be_raised_to_draw_exactly_so_many_rows_of_a_stratum() -> None:
    rows = made_up(World.NONE, 0.03, 1_000, np.random.default_rng(5))
    spots, nobody = numbers(rows.hashes), np.zeros(1_000, dtype=bool)
    first = draw(numbers(rows.hashes), rows.scores, 50, Chances.none(1_000))
    more = raised_to(first, spots, nobody, {0: 200.0})
    assert (first.drawn(spots).sum(), more.drawn(spots).sum()) == (50, 200)
    assert (first.drawn(spots) <= more.drawn(spots)).all()
    assert raised_to(more, spots, nobody, {0: 100.0}).drawn(spots).sum() == 200, "none falls"
    assert raised_to(more, spots, nobody, {0: 1_000.0}).drawn(spots).all()


@pytest.mark.parametrize(("wrong", "asked"), [(0, 60), (1, 60), (5, 100), (40, 200), (99, 100)])
def test_for_one_stratum_the_interval_is_that_of_the_binomial_with_equality_counted_half(
    wrong: int, asked: int
) -> None:
    low, high = bounds(Cells(np.array([1.0]), np.array([float(asked)]), np.array([float(wrong)])))
    less = binom.cdf(wrong, asked, high) - binom.pmf(wrong, asked, high) / 2
    more = binom.sf(wrong, asked, low) + binom.pmf(wrong, asked, low) / 2
    # Of few errors, most of the misses are above: the interval is the shorter for it.
    above = [0.025 + 0.015 / np.sqrt(1 + asked * end / 4) for end in (low, high)]
    assert less == pytest.approx(above[1], abs=0.005)
    assert more == pytest.approx(0.05 - above[0], abs=0.005) if wrong else low == 0


def test_the_chance_of_a_lower_estimate_is_that_of_a_simulation() -> None:
    cells = Cells(np.array([0.7, 0.25, 0.05]), np.array([80.0, 60.0, 40.0]), np.array([1.0, 3.0, 12.0]))
    shares = np.array([0.02, 0.04, 0.35])
    found = np.random.default_rng(6).binomial(cells.asked.astype(int), shares, (200_000, 3))
    estimates = (found * cells.weight / cells.asked).sum(axis=1)
    for value in np.quantile(estimates, [0.01, 0.2, 0.5, 0.8, 0.99]):
        simulated = (estimates < value - 1e-12).mean() + np.isclose(estimates, value).mean() / 2
        assert chance_of_less(cells, shares, float(value)) == pytest.approx(simulated, abs=0.02)


def test_the_likeliest_shares_are_better_than_any_others_with_the_same_sum() -> None:
    cells = Cells(np.array([0.6, 0.4]), np.array([50.0, 50.0]), np.array([1.0, 9.0]))

    def likelihood(one: float, other: float) -> float:
        return float(binom.logpmf([1, 9], 50, [one, other]).sum())

    assert likeliest(cells, 0.0) == pytest.approx([0.02, 0.18])
    for pull in (-60.0, 40.0):
        best = likeliest(cells, pull)
        for moved in (-0.004, 0.004):
            other = (best[0] + moved / 0.6, best[1] - moved / 0.4)
            assert other[0] < 0 or likelihood(*other) < likelihood(*best)


def rounds(world: World, rate: float, rows: int, size: int, count: int) -> tuple[float, float]:
    """How often the interval holds the truth, and its mean width over that of Wilson's with as many questions."""
    chance = np.random.default_rng(7)
    held, width, peer = 0, 0.0, 0.0
    for _ in range(count):
        some = made_up(world, rate, rows, chance)
        chances = draw(numbers(some.hashes), some.scores, size, Chances.none(rows))
        asked = chances.drawn(numbers(some.hashes))
        found = estimate(chances, asked, asked & some.wrong, rows)
        assert found is not None and found.low <= found.rate <= found.high
        held += found.low <= (some.wrong & ~asked).mean() <= found.high
        width += found.high - found.low
        uniform = wilson(int(some.wrong[np.argsort(some.hashes)[: asked.sum()]].sum()), int(asked.sum()))
        peer += (uniform.high - uniform.low) * float((~asked).mean())
    return held / count, width / peer


@pytest.mark.parametrize("rate", [0.004, 0.05])
@pytest.mark.parametrize("world", [World.SHARP, World.HALF, World.MISLEADING])
def test_the_interval_holds_whatever_the_scores_know(world: World, rate: float) -> None:
    held, _ = rounds(world, rate, 5_000, 200, 60)
    assert held >= 0.88, "95% of 60 rounds, less what chance does in one of a thousand tests"


def test_with_scores_that_know_what_is_wrong_the_interval_is_a_fourth_narrower_than_wilsons() -> None:
    _, ratio = rounds(World.SHARP, 0.03, 10_000, 300, 40)
    assert ratio < 0.75


def test_without_an_answer_there_is_no_estimate_and_with_all_answers_nothing_is_left() -> None:
    rows = made_up(World.HALF, 0.1, 200, np.random.default_rng(8))
    chances = draw(numbers(rows.hashes), rows.scores, 200, Chances.none(200))
    nobody, everybody = np.zeros(200, dtype=bool), np.ones(200, dtype=bool)
    assert estimate(chances, nobody, nobody, 200) is None
    assert estimate(chances, everybody, rows.wrong, 200) == estimate(chances, everybody, nobody, 200)
    none_left = estimate(chances, everybody, rows.wrong, 200)
    assert none_left is not None and (none_left.low, none_left.rate, none_left.high) == (0, 0, 0)


@pytest.mark.parametrize(("rows", "size"), [(100, 40), (200, 40), (200, 80)])
def test_the_interval_holds_for_small_sets_of_which_much_was_asked(rows: int, size: int) -> None:
    """Its low end was above 0 as soon as one error was found, though there was often no other."""
    below = 0
    chance = np.random.default_rng(9)
    for number in range(120):
        some = made_up(list(World)[number % len(World)], 0.02, rows, chance)
        chances = draw(numbers(some.hashes), some.scores, size, Chances.none(rows))
        asked = chances.drawn(numbers(some.hashes))
        found = estimate(chances, asked, asked & some.wrong, rows)
        assert found is not None and found.low <= found.rate <= found.high
        below += (some.wrong & ~asked).mean() < found.low
    assert below <= 6, "2.5% of 120, and what chance does in one of a thousand tests"


def test_the_lowest_number_of_errors_left_is_that_of_the_binomial_with_equality_counted_half() -> None:
    # Nine of what is wrong was found, each with a chance of 30%.
    fewest = fewest_left(np.full(9, 0.3), 0.3, 1_000.0)
    of = 9 + np.arange(100)
    more = binom.sf(9, of, 0.3) + binom.pmf(9, of, 0.3) / 2
    assert 0 < fewest == int(np.argmax(more > 0.015))
    assert fewest_left(np.array([0.5]), 0.5, 7.0) == 0, "the one that was found may be all"
    assert fewest_left(np.full(9, 0.3), 0.3, 2.5) == 2.5, "only ever fewer"
