"""How reliable annotators are, and whose answers as a whole speak against them."""

import numpy as np
import pytest
from votes import crowd, votes_of

from pipeline.agreement.field_consensus import consensus_of_field
from pipeline.agreement.reliability import Flag, Reliability, reliabilities
from pipeline.evaluation.estimates import wilson


def table(votes: np.ndarray, known: np.ndarray | None = None) -> list[Reliability]:
    return reliabilities(votes, consensus_of_field(votes, known=known), known)


def test_each_annotator_s_accuracy_on_known_labels_has_wilson_s_interval() -> None:
    truth = [0, 1] * 25
    half_wrong = [0] * 50
    found = table(votes_of([truth, half_wrong]), np.column_stack([np.arange(40), truth[:40]]))
    assert [(one.annotator, one.answers) for one in found] == [(0, 50), (1, 50)]
    perfect, half = (one.right for one in found)
    assert perfect is not None and half is not None
    for rate, expected in ((perfect, wilson(40, 40)), (half, wilson(20, 40))):
        assert (rate.value, rate.low, rate.high) == pytest.approx((expected.value, expected.low, expected.high))
        assert rate.of == 40


def test_without_known_labels_and_without_others_nothing_is_said() -> None:
    [one] = table(votes_of([[0, 1, 1]]))
    assert (one.right, one.agreeing, one.flags, one.answers) == (None, None, (), 3)


def test_agreement_with_the_others_follows_how_often_annotators_are_right() -> None:
    votes, _ = crowd([0.95, 0.8, 0.65, 0.9], 400)
    rates = [one.agreeing for one in table(votes)]
    assert all(rate is not None and rate.low < rate.value < rate.high for rate in rates)
    values = [rate.value for rate in rates if rate]
    assert sorted(values, reverse=True) == [values[0], values[3], values[1], values[2]]


def test_who_answers_everything_alike_is_flagged_and_so_is_who_answers_at_random() -> None:
    votes, _ = crowd([0.9, 0.85, 0.8], 150)
    chance = np.random.default_rng(9)
    lazy = np.column_stack([np.arange(150), np.full(150, 3), np.zeros(150, dtype=int)])
    guessing = np.column_stack([np.arange(150), np.full(150, 4), chance.integers(0, 3, 150)])
    found = table(np.concatenate([votes, lazy, guessing]))
    assert [one.flags for one in found] == [(), (), (), (Flag.ALL_ALIKE, Flag.CHANCE), (Flag.CHANCE,)]


def test_who_answers_alike_because_the_items_are_alike_is_not_flagged() -> None:
    truth = [1] + [0] * 149
    for one in table(votes_of([truth, truth, [0] * 150])):
        assert Flag.ALL_ALIKE not in one.flags


def test_nothing_is_held_against_who_gave_few_answers() -> None:
    votes, truth = crowd([0.9, 0.85, 0.8], 150)
    wrong = np.column_stack([np.arange(19), np.full(19, 3), (truth[:19] + 1) % 3])
    assert table(np.concatenate([votes, wrong]))[3].flags == ()


def test_the_model_is_no_annotator_of_the_table() -> None:
    votes, truth = crowd([0.9, 0.8], 150)
    model = 0.1 + 0.7 * np.eye(3)[truth]
    found = reliabilities(votes, consensus_of_field(votes, model=model))
    assert [one.annotator for one in found] == [0, 1]
