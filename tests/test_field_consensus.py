"""What several annotators' votes amount to: the reliable count for more, and few votes are a plain majority."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried_examples import examples
from votes import Integers, any_votes, crowd, misled_crowd, votes_of

from pipeline.agreement.field_consensus import Consensus, consensus_of_field, without_own_vote


def right(found: Consensus, truth: Integers) -> float:
    return float((found.label == truth[found.items]).mean())


def majority_of(votes: Integers, labels: int) -> Integers:
    counts = np.zeros((votes[:, 0].max() + 1, labels))
    np.add.at(counts, (votes[:, 0], votes[:, 2]), 1)
    return counts.argmax(axis=1)


# --- who counts -------------------------------------------------------------------------------------
def test_two_reliable_annotators_outvote_three_unreliable_ones() -> None:
    votes, truth = crowd([0.95, 0.95, 0.4, 0.4, 0.4], 300)
    found = consensus_of_field(votes)
    assert right(found, truth) > 0.93
    assert (majority_of(votes, 3) == truth).mean() < 0.85


def test_the_accuracy_of_each_annotator_is_found_without_any_known_label() -> None:
    accuracies = [0.95, 0.85, 0.75, 0.6, 0.45]
    votes, _ = crowd(accuracies, 800)
    assert consensus_of_field(votes).accuracy == pytest.approx(accuracies, abs=0.06)


def test_who_mistakes_one_label_for_another_is_read_so() -> None:
    """An annotator who swaps two labels says as much as one who does not."""
    votes, truth = crowd([0.9, 0.9, 0.9, 0.9], 400)
    swapped = votes.copy()
    of_the_last = swapped[:, 1] == 3
    swapped[of_the_last, 2] = np.array([1, 0, 2])[swapped[of_the_last, 2]]
    found = consensus_of_field(swapped)
    assert found.tables[3, 0, 1] > 0.7 and found.tables[3, 1, 0] > 0.7 and found.tables[3, 2, 2] > 0.7
    assert right(found, truth) > 0.97


def test_consensus_is_right_more_often_than_the_majority_in_simulated_crowds() -> None:
    won = []
    for seed in range(8):
        accuracies = np.random.default_rng(seed).uniform(0.4, 0.95, 8)
        votes, truth = crowd(accuracies.tolist(), 200, labels=4, seed=seed)
        won.append(right(consensus_of_field(votes), truth) - (majority_of(votes, 4) == truth).mean())
    assert min(won) > -0.003 and np.mean(won) > 0.015


def test_probabilities_are_about_as_right_as_they_say() -> None:
    votes, truth = crowd([0.6, 0.65, 0.7, 0.75, 0.8], 3000)
    found = consensus_of_field(votes)
    hits = found.label == truth
    for low, high in ((0.5, 0.8), (0.8, 0.95), (0.95, 1.0)):
        chosen = (found.probability >= low) & (found.probability < high)
        assert hits[chosen].mean() == pytest.approx(found.probability[chosen].mean(), abs=0.06)


# --- annotators who err alike ----------------------------------------------------------------------
def above_majority(seed: int, known: int) -> float:
    """How much more often the consensus is right about other items than a majority that draws lots among equals."""
    votes, truth = misled_crowd(seed)
    found = consensus_of_field(votes, known=np.column_stack([np.arange(known), truth[:known]]))
    counts = np.zeros((len(truth), 3))
    np.add.at(counts, (votes[:, 0], votes[:, 2]), 1)
    is_most = counts == counts.max(axis=1, keepdims=True)
    by_majority = is_most[np.arange(len(truth)), truth] / is_most.sum(axis=1)
    return float(((found.label == truth) - by_majority)[known:].mean())


def test_where_annotators_err_alike_the_majority_is_not_overruled_in_error() -> None:
    assert np.mean([above_majority(seed, known=0) for seed in range(12)]) > 0.002
    assert min(above_majority(seed, known=30) for seed in range(12)) > -0.003, "known labels tell how far to trust it"


# --- few votes --------------------------------------------------------------------------------------
def test_of_few_votes_the_majority_counts_and_the_first_label_among_equals() -> None:
    found = consensus_of_field(votes_of([[0, 2, 1], [0, 1, None], [1, None, None]]))
    assert found.is_majority and found.label.tolist() == [0, 1, 1]
    assert found.probability == pytest.approx([2 / 3, 1 / 2, 1])


@pytest.mark.parametrize(("items", "annotators", "is_majority"), [(99, 3, True), (100, 3, False), (50, 4, False)])
def test_votes_are_few_below_a_hundred_items_for_each_annotator_beyond_two(
    items: int, annotators: int, is_majority: bool
) -> None:
    votes, _ = crowd([0.8] * annotators, items)
    assert consensus_of_field(votes).is_majority is is_majority


def test_two_annotators_are_never_more_than_a_majority() -> None:
    votes, _ = crowd([0.9, 0.6], 3000)
    assert consensus_of_field(votes).is_majority


def test_a_single_label_is_certain() -> None:
    found = consensus_of_field(votes_of([[0] * 200] * 4))
    assert found.label.tolist() == [0] * 200 and found.probability.tolist() == [1.0] * 200


# --- known labels -----------------------------------------------------------------------------------
def test_known_labels_are_kept_and_tell_who_is_reliable_even_if_they_are_in_the_minority() -> None:
    """Two annotators make the same mistakes, so that nobody could tell without known labels."""
    truth = np.random.default_rng(3).integers(0, 2, 240)
    wrong = np.where(np.arange(240) % 3, truth, 1 - truth)
    votes = votes_of([truth.tolist(), wrong.tolist(), wrong.tolist()])
    assert right(consensus_of_field(votes), truth) == pytest.approx(2 / 3, abs=0.01)
    known = np.column_stack([np.arange(80), truth[:80]])
    found = consensus_of_field(votes, known=known)
    assert found.probabilities[np.arange(80), truth[:80]].tolist() == [1.0] * 80
    assert found.accuracy[0] > found.accuracy[1] + 0.1
    assert right(found, truth) > 0.95


def test_ten_known_labels_make_up_for_few_votes() -> None:
    votes, truth = crowd([0.95, 0.5, 0.5], 60)
    for count, is_majority in ((9, True), (10, False)):
        known = np.column_stack([np.arange(count), truth[:count]])
        assert consensus_of_field(votes, known=known).is_majority is is_majority


# --- what must hold for any votes -------------------------------------------------------------------
@examples(50)
@given(any_votes(), st.randoms(use_true_random=False))
def test_any_order_of_the_votes_gives_the_very_same_result(votes: Integers, order: random.Random) -> None:
    rows = votes.tolist()
    order.shuffle(rows)
    one, other = consensus_of_field(votes), consensus_of_field(np.array(rows))
    assert np.array_equal(one.probabilities, other.probabilities) and np.array_equal(one.label, other.label)
    assert one.probabilities.sum(axis=1) == pytest.approx(1)


@examples(10)
@given(st.permutations(range(5)), st.permutations(range(4)), st.integers(0, 20))
def test_other_names_of_annotators_and_labels_give_the_same_result_under_these_names(
    people: list[int], labels: list[int], seed: int
) -> None:
    votes, _ = crowd([0.9, 0.8, 0.7, 0.6, 0.5], 60, labels=4, seed=seed)
    renamed = np.column_stack([votes[:, 0], np.array(people)[votes[:, 1]], np.array(labels)[votes[:, 2]]])
    one, other = consensus_of_field(votes, 4), consensus_of_field(renamed, 4)
    assert other.probabilities[:, labels] == pytest.approx(one.probabilities, abs=1e-6)
    assert other.accuracy[people] == pytest.approx(one.accuracy, abs=1e-6)


def test_items_and_annotators_may_have_any_numbers() -> None:
    votes, _ = crowd([0.9, 0.8, 0.7], 150)
    found = consensus_of_field(votes * [7, 5, 1] + [3, 2, 0])
    assert found.items.tolist() == [3 + 7 * item for item in range(150)] and found.annotators.tolist() == [2, 7, 12]
    assert np.array_equal(found.label, consensus_of_field(votes).label)


def test_no_votes_and_two_votes_of_an_annotator_about_an_item_are_refused() -> None:
    with pytest.raises(ValueError, match="no votes"):
        consensus_of_field(votes_of([]))
    with pytest.raises(ValueError, match="twice"):
        consensus_of_field(np.array([[0, 0, 1], [0, 0, 1]]))


# --- the others -------------------------------------------------------------------------------------
def test_what_the_others_say_leaves_out_the_own_vote() -> None:
    votes = votes_of([[0, 1], [0, None], [1, None]])
    others, is_shared = without_own_vote(votes, consensus_of_field(votes))
    assert others[is_shared].tolist() == [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]
    assert is_shared.tolist() == [True, False, True, True], "nobody else voted about the second item"


def test_what_the_others_say_is_what_they_would_say_alone() -> None:
    votes, _ = crowd([0.9, 0.8, 0.7, 0.6], 500)
    others, _ = without_own_vote(votes, consensus_of_field(votes))
    alone = consensus_of_field(votes[votes[:, 1] != 3])
    assert np.abs(others[votes[:, 1] == 3] - alone.probabilities).mean() < 0.05
