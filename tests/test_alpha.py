"""Agreement beyond chance: the worked examples of the literature, other implementations, and what must hold for any."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from tried_examples import examples
from votes import Integers, any_votes, votes_of

from pipeline.agreement.alpha import (
    ALL_ALIKE,
    ONE_ANSWER,
    cohen_kappa,
    krippendorff,
    krippendorff_texts,
)
from pipeline.evaluation.text_similarity import chrf

# Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, section C: four observers, twelve units, gaps.
KRIPPENDORFF = votes_of(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
)


# --- worked examples --------------------------------------------------------------------------------
def test_alpha_is_that_of_krippendorff_s_example() -> None:
    found = krippendorff(KRIPPENDORFF)
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert (found.items, found.answers) == (11, 40), "the unit with a single answer does not count"


def test_cohen_s_kappa_is_that_of_the_textbook_s_table() -> None:
    """Both yes 20, only the first 5, only the second 10, both no 15."""
    one, other = np.repeat([1, 1, 0, 0], [20, 5, 10, 15]), np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert cohen_kappa(one, other).value == pytest.approx(0.4)


@examples(50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
def test_cohen_s_kappa_is_scikit_learn_s(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs).T
    found = cohen_kappa(one, other)
    if len({*one, *other}) == 1:
        assert (found.value, found.undefined) == (None, ALL_ALIKE)
    else:
        assert found.value == pytest.approx(cohen_kappa_score(one, other))


# --- what must hold for any votes -------------------------------------------------------------------
def pairwise_alpha(votes: Integers) -> float:
    """By definition: disagreement within items over disagreement among all answers, pair by pair."""
    items = [votes[votes[:, 0] == item, 2] for item in np.unique(votes[:, 0])]
    items = [item for item in items if len(item) > 1]
    said = np.concatenate(items)
    within = sum((item[:, None] != item).sum() / (len(item) - 1) for item in items) / len(said)
    return float(1 - within / ((said[:, None] != said).sum() / (len(said) * (len(said) - 1))))


@examples(50)
@given(any_votes())
def test_alpha_is_never_nan_and_says_why_it_is_undefined(votes: Integers) -> None:
    found = krippendorff(votes)
    if found.value is None:
        assert found.undefined in (ONE_ANSWER, ALL_ALIKE) and (found.low, found.high) == (None, None)
        return
    assert found.undefined == "" and found.value <= 1
    assert found.low is None or found.high is None or -5 < found.low <= found.value <= found.high <= 1
    assert found.value == pytest.approx(pairwise_alpha(votes))


@examples(50)
@given(any_votes(), st.randoms(use_true_random=False), st.permutations(range(3)))
def test_neither_order_nor_names_of_annotators_and_labels_change_alpha(
    votes: Integers, order: random.Random, names: list[int]
) -> None:
    rows = votes.tolist()
    order.shuffle(rows)
    assert krippendorff(np.array(rows)) == krippendorff(votes)
    renamed = votes.copy()
    renamed[:, 1] = 7 - renamed[:, 1]
    renamed[:, 2] = np.array(names)[renamed[:, 2]]
    one, other = krippendorff(votes), krippendorff(renamed)
    assert (one.value is None) == (other.value is None)
    assert one.value is None or other.value == pytest.approx(one.value)


@examples(40)
@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=30).filter(lambda labels: len(set(labels)) > 1))
def test_perfect_agreement_with_variety_is_1_and_few_items_do_not_prove_it(labels: list[int]) -> None:
    found = krippendorff(votes_of([labels] * 3))
    assert found.value == pytest.approx(1)
    assert (found.low is None) == (len(labels) < 6)
    assert found.low is None or found.low < 0.98


def test_answers_at_random_agree_by_about_0_and_the_interval_says_so() -> None:
    said = np.random.default_rng(1).integers(0, 4, (4, 3000))
    found = krippendorff(votes_of(said.tolist()))
    assert found.value == pytest.approx(0, abs=0.03)
    assert found.low is not None and found.high is not None and found.low < 0 < found.high < 0.05


def test_intervals_hold_the_true_agreement_in_19_of_20_samples() -> None:
    """Right with 80% of four labels, or at random: alpha is 0.64 in the long run."""
    held = 0
    for seed in range(100):
        chance = np.random.default_rng(seed)
        truth = chance.integers(0, 4, 60)
        said = np.where(chance.random((3, 60)) < 0.8, truth, chance.integers(0, 4, (3, 60)))
        found = krippendorff(votes_of(said.tolist()))
        assert found.low is not None and found.high is not None
        held += found.low <= 0.64 <= found.high
    assert held >= 90


def test_many_items_are_resampled_in_groups_with_about_the_same_interval() -> None:
    chance = np.random.default_rng(5)
    truth = chance.integers(0, 3, 4000)
    said = np.where(chance.random((2, 4000)) < 0.7, truth, chance.integers(0, 3, (2, 4000)))
    found = krippendorff(votes_of(said.tolist()))
    assert found.value is not None and found.low is not None and found.high is not None
    assert 0.03 < found.high - found.low < 0.06, "1.96 standard errors of 4,000 items to either side make 0.047"


# --- where it is not defined ------------------------------------------------------------------------
def test_without_a_second_answer_or_a_second_label_agreement_is_undefined_with_the_reason() -> None:
    assert krippendorff(votes_of([[0, 1, None], [None, None, 1]])).undefined == ONE_ANSWER
    assert krippendorff(votes_of([[1, 1], [1, 1]])).undefined == ALL_ALIKE
    assert krippendorff(votes_of([])).undefined == ONE_ANSWER
    assert cohen_kappa(np.array([], dtype=int), np.array([], dtype=int)).undefined == ONE_ANSWER


# --- texts ------------------------------------------------------------------------------------------
TOPICS = ["the parcel is late again", "my lamp flickers at night", "who pays for the return", "please close my account"]


def test_texts_that_hardly_differ_agree_and_texts_of_any_items_do_not() -> None:
    items = np.repeat(np.arange(40), 2)
    plain = [f"{TOPICS[item % 4]} {item}" for item in range(40)]
    alike = [text for one in plain for text in (one, f"{one}!")]
    agreeing = krippendorff_texts(items, alike, chrf)
    assert agreeing.value is not None and agreeing.value > 0.9
    mixed = [plain[number] for number in np.random.default_rng(2).integers(0, 40, 80)]
    by_chance = krippendorff_texts(items, mixed, chrf)
    assert by_chance.value is not None and by_chance.low is not None and by_chance.high is not None
    assert by_chance.low < 0 < by_chance.high


def test_texts_without_a_second_answer_or_all_equal_have_no_agreement() -> None:
    assert krippendorff_texts(np.array([0, 1]), ["a", "b"], chrf).undefined == ONE_ANSWER
    assert krippendorff_texts(np.array([0, 0]), ["a", "a"], chrf).undefined == ALL_ALIKE
    assert krippendorff_texts(np.array([0, 0]), ["a", "b"], lambda one, other: 1.0).undefined == ALL_ALIKE


@examples(10)
@given(st.permutations(range(12)))
def test_the_order_of_texts_does_not_matter(order: list[int]) -> None:
    items = np.arange(12) // 3
    texts = [TOPICS[number % 4][: 5 + number] for number in range(12)]
    found = krippendorff_texts(items, texts, chrf)
    assert krippendorff_texts(items[order], [texts[number] for number in order], chrf) == found


def test_texts_that_are_equal_or_share_nothing_agree_as_labels_do() -> None:
    texts = [str(label) for label in KRIPPENDORFF[:, 2]]
    found = krippendorff_texts(KRIPPENDORFF[:, 0], texts, lambda one, other: 0.0)
    assert found.value == pytest.approx(0.743, abs=0.02), "chance is sampled"
