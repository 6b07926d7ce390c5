"""A finding says more the rarer it is among the other rows; copies of a row say nothing about it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.label_errors import rarity
from pipeline.label_errors.rarity import ORDINARY, SHOWN, Groups, Mismatch, Rate, Tail

ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 4), st.booleans()), min_size=1, max_size=30)


def apart(count: int) -> Groups:
    return Groups.of([str(row) for row in range(count)])


def only(count: int, rows: int) -> np.ndarray:
    """The first of some rows."""
    return np.arange(count) < rows


def of_finding(found: np.ndarray, applies: np.ndarray, groups: Groups, *, may_be_usual: bool = False) -> np.ndarray:
    return Rate.learn(found, applies, groups).says(found, applies, groups, may_be_usual=may_be_usual)


def of_mismatch(values: np.ndarray, mismatched: np.ndarray, known: np.ndarray, groups: Groups) -> np.ndarray:
    return Mismatch.learn(values, mismatched, known, groups).says(values, known, groups)


# --- counting -------------------------------------------------------------------------------------
@given(rows=ROWS)
def test_other_groups_are_counted_by_the_share_of_their_rows(rows: list[tuple[str, int, bool]]) -> None:
    groups = Groups.of([group for group, _, _ in rows])
    holds = np.array([flag for _, _, flag in rows])
    for row, (own, _, _) in enumerate(rows):
        expected = sum(
            np.mean([flag for group, _, flag in rows if group == name])
            for name in {group for group, _, _ in rows} - {own}
        )
        assert groups.others(groups.count(holds), holds)[row] == pytest.approx(expected)


@given(rows=ROWS, judged=st.lists(st.integers(-1, 4)))
def test_a_value_says_what_the_lower_ones_of_other_groups_let_it(
    rows: list[tuple[str, int, bool]], judged: list[int]
) -> None:
    groups, outside = Groups.of([group for group, _, _ in rows]), Groups.outside(len(judged))
    values, others = (np.array(some, dtype=np.float64) for some in ([value for _, value, _ in rows], judged))
    tail = Tail.learn(values, values < 4, groups)
    for some, of, found in ((values, groups, values <= values[:, None]), (others, outside, values <= others[:, None])):
        said = tail.says(some, some < 4, of)
        for row, is_lower in enumerate(found):
            # The same from the definition: a row's own group is left out, the row itself counts.
            rest = groups.without(groups.codes == groups.codes[row]) if of is groups else groups
            all_, out, low = (rest.count(holds) + 1 for holds in (None, values < 4, is_lower & (values < 4)))
            share = out / all_
            bits = max(np.floor(np.log2(ORDINARY / share) + 1e-9), 0)
            depth = np.log2(share / min(low / all_, share)) if share < ORDINARY else 0
            assert said[row] == pytest.approx(0.4 * (bits + 0.25 * depth) if some[row] < 4 else 0, abs=1e-6)


def test_rows_that_do_not_count_are_left_out() -> None:
    groups = apart(10).without(only(10, 5))
    assert groups.others(groups.count()).tolist() == [5.0] * 5 + [4.0] * 5


def test_rows_that_were_not_learned_from_are_judged_by_all_groups_and_say_nothing() -> None:
    learned, outside = apart(10), Groups.outside(3)
    assert outside.others(learned.count(only(10, 4)), only(3, 3)).tolist() == [4.0] * 3
    assert outside.count() == 0


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_quantile_weighs_rows(share: float) -> None:
    values = np.array([3.0, 1.0, 2.0, 9.0])
    repeated = np.repeat(values, [1, 2, 1, 0])
    expected = np.quantile(repeated, share, method="inverted_cdf")
    assert rarity.quantile(values, np.array([1.0, 2.0, 1.0, 0.0]), share) == expected


# --- what a finding says --------------------------------------------------------------------------
@pytest.mark.parametrize(("rows", "bits"), [(1, 8), (10, 4), (50, 2), (75, 2), (76, 1), (150, 1), (151, 0)])
def test_half_as_many_rows_are_one_bit_more(rows: int, bits: int) -> None:
    assert of_finding(only(1000, rows), only(1000, 1000), apart(1000))[0] == bits


def test_the_rarer_a_finding_the_more_it_says() -> None:
    said = [of_finding(only(1000, rows), only(1000, 1000), apart(1000))[0] for rows in (1, 10, 50, 140)]
    assert said == sorted(said, reverse=True)
    assert said[-1] > 0


def test_what_three_in_ten_rows_have_says_nothing() -> None:
    found = only(1000, int(1000 * ORDINARY) + 1)
    assert not of_finding(found, np.ones_like(found), apart(1000)).any()


def test_what_all_those_have_that_could_says_hardly_anything() -> None:
    said = [of_finding(only(1000, 20), only(1000, possible), apart(1000))[0] for possible in (20, 25, 30, 200)]
    assert said == sorted(said)
    assert said[0] < 0.3 and said[-1] > SHOWN


def test_a_loss_that_a_third_of_the_originals_have_says_nothing() -> None:
    found, applies = only(1000, 20), only(1000, 60)
    assert not of_finding(found, applies, apart(1000), may_be_usual=True).any()
    assert of_finding(found, applies, apart(1000))[0] > SHOWN


@pytest.mark.parametrize(("rows", "shown"), [(13, False), (14, True), (100, True)])
def test_one_odd_row_is_shown_from_fourteen_rows_on(rows: int, shown: bool) -> None:
    said = of_finding(only(rows, 1), only(rows, rows), apart(rows))[0]
    assert bool(said >= SHOWN) is shown


def test_being_outside_of_the_usual_range_says_less_than_a_contradiction() -> None:
    values = np.r_[-10.0, np.zeros(999)]
    tail = Tail.learn(values, values < -1, apart(1000)).says(values, values < -1, apart(1000))
    assert 0 < tail[0] < of_finding(values < -1, only(1000, 1000), apart(1000))[0]
    assert not tail[1:].any()


# --- what a mismatch says -------------------------------------------------------------------------
def test_a_match_as_low_as_that_of_strangers_is_suspect() -> None:
    own = np.r_[0.1, np.full(199, 0.9)]
    strangers = np.r_[np.nan, np.tile([0.1, 0.2], 100)][:200]
    said = of_mismatch(own, strangers, only(200, 200), apart(200))
    assert said[0] > SHOWN and not said[1:].any()


def test_a_match_lower_than_that_of_any_stranger_is_as_suspect() -> None:
    own = np.r_[0.0, np.full(199, 0.9)]
    said = of_mismatch(own, np.full(200, 0.2), only(200, 200), apart(200))
    assert said[0] > SHOWN


def test_a_measure_that_cannot_tell_strangers_says_nothing() -> None:
    own = np.linspace(0, 1, 200)
    assert not of_mismatch(own, own[::-1], only(200, 200), apart(200)).any()
    assert not of_mismatch(own, np.full(200, np.nan), only(200, 200), apart(200)).any()
