"""Whose answers look like guesses beside the others'."""

import numpy as np
from votes import Integers, crowd, votes_of

from pipeline.agreement.field_consensus import consensus_of_field
from pipeline.agreement.guessing import guessers


def found(votes: Integers) -> list[tuple[int, int]]:
    return [(one.annotator, one.of) for one in guessers(votes, consensus_of_field(votes))]


def test_who_answers_at_random_is_found_and_so_is_who_answers_everything_alike() -> None:
    votes, _ = crowd([0.9, 0.85, 0.8], 150)
    lazy = np.column_stack([np.arange(150), np.full(150, 3), np.zeros(150, dtype=int)])
    guessing = np.column_stack([np.arange(150), np.full(150, 4), np.random.default_rng(9).integers(0, 3, 150)])
    assert found(np.concatenate([votes, lazy, guessing])) == [(3, 150), (4, 150)]


def test_who_answers_alike_because_the_items_are_alike_is_no_guesser() -> None:
    truth = [1] + [0] * 149
    assert found(votes_of([truth, truth, [0] * 150])) == []


def test_nothing_is_held_against_who_gave_few_answers_or_has_nobody_beside() -> None:
    votes, truth = crowd([0.9, 0.85, 0.8], 150)
    wrong = np.column_stack([np.arange(20), np.full(20, 3), (truth[:20] + 1) % 3])
    assert found(np.concatenate([votes, wrong[:19]])) == []
    assert found(np.concatenate([votes, wrong])) == [(3, 20)]
    assert found(votes_of([[0, 1, 1] * 20])) == []


def test_of_two_alone_either_may_guess_and_beside_a_third_only_who_does() -> None:
    chance = np.random.default_rng(1)
    truth, guessed = chance.integers(0, 3, 200), chance.integers(0, 3, 200)
    two = votes_of([truth.tolist(), guessed.tolist()])
    told = guessers(two, consensus_of_field(two))
    alike = float((truth == guessed).mean())
    assert [(one.annotator, one.other, one.share) for one in told] == [(0, 1, alike), (1, 0, alike)]
    # Two others who answer other items change nothing for these two.
    more = votes_of([[], [], truth.tolist(), truth.tolist()]) + np.array([200, 0, 0])
    apart = np.concatenate([two, more])
    assert [(one.annotator, one.other) for one in guessers(apart, consensus_of_field(apart))] == [(0, 1), (1, 0)]
    three = np.concatenate([two, votes_of([[], [], truth.tolist()])])
    assert [(one.annotator, one.other) for one in guessers(three, consensus_of_field(three))] == [(1, None)]
