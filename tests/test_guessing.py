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
