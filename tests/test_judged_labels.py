"""A label's score is the chance that it is wrong: mistakes come first, and their number is known roughly."""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scored_rows import judged_labels

from pipeline.errors import ConfigError
from pipeline.label_errors import label_models, static_embeddings
from pipeline.label_errors.judged_labels import UNLABELED, Judged
from pipeline.label_errors.noisy_channel import Channel, fit_channel
from pipeline.label_errors.static_embeddings import Vectors, around, text_directions

Ints = npt.NDArray[np.int64]

TOPICS = (
    ("refund", "money", "return", "charged", "back", "account", "paid", "transfer"),
    ("parcel", "courier", "late", "door", "tracking", "address", "delivery", "shipped"),
    ("password", "login", "screen", "reset", "code", "locked", "email", "phone"),
    ("menu", "lunch", "table", "waiter", "dessert", "kitchen", "dinner", "soup"),
)
EACH = 60


def texts() -> list[str]:
    found = []
    for topic in TOPICS:
        for number in range(EACH):
            some = random.Random(f"{topic[0]} {number}")
            found.append(f"a question about {' and '.join(some.sample(topic, 4))}")
    return found


def right() -> Ints:
    return np.repeat(np.arange(len(TOPICS)), EACH)


def flipped(rows: Sequence[int]) -> Ints:
    labels = right()
    labels[list(rows)] += np.random.default_rng(4).integers(1, len(TOPICS), len(rows))
    labels %= len(TOPICS)
    return labels


def judged(labels: Ints, verified: Sequence[int] = ()) -> Judged:
    known = np.zeros(len(labels), dtype=np.bool_)
    known[list(verified)] = True
    return judged_labels(texts(), labels, [str(row) for row in range(len(labels))], known)


MISTAKES = range(0, len(TOPICS) * EACH, 10)


# --- rows ---------------------------------------------------------------------------------------------
def test_wrong_labels_have_the_highest_scores_and_the_right_label_is_suggested() -> None:
    found = judged(flipped(MISTAKES))
    first = np.argsort(-found.wrong, kind="stable")[: len(MISTAKES)]
    assert set(first) == {*MISTAKES}
    assert (found.suggested[first] == right()[first]).all()


@pytest.mark.parametrize("every", [5, 10, 20])
def test_the_mean_score_is_about_the_share_of_wrong_labels(every: int) -> None:
    share = 1 / every
    found = judged(flipped(range(0, len(TOPICS) * EACH, every)))
    assert 0.6 * share < float(found.wrong.mean()) < 1.4 * share


def test_where_no_label_is_wrong_no_score_is_high() -> None:
    assert judged(right()).wrong.max() < 0.1


def test_where_texts_say_nothing_about_labels_no_label_is_likely_wrong() -> None:
    labels = np.random.default_rng(3).permutation(right())
    assert judged(labels).wrong.max() < 0.5


def test_a_verified_label_is_never_wrong_whatever_its_text() -> None:
    doubted = judged(flipped(MISTAKES))
    settled = judged(flipped(MISTAKES), verified=[0, 10])
    assert (doubted.wrong[[0, 10]] > 0.9).all()
    assert (settled.wrong[[0, 10]] == 0).all()
    assert (settled.wrong[[20, 30]] > 0.5).all()


def test_an_unlabeled_row_has_a_suggestion_and_no_score() -> None:
    labels = right()
    labels[MISTAKES] = UNLABELED
    found = judged(labels)
    assert np.isnan(found.wrong[MISTAKES]).all()
    assert (found.suggested[MISTAKES] == right()[MISTAKES]).all()


def test_the_same_rows_give_the_same_result() -> None:
    one, other = judged(flipped(MISTAKES)), judged(flipped(MISTAKES))
    assert (one.wrong == other.wrong).all()
    assert (one.probabilities == other.probabilities).all()


def test_neighbors_and_models_from_samples_still_find_the_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_models, "MAX_TRAINING_ROWS", 150)
    monkeypatch.setattr(label_models, "_COMPARED_ROWS", 100)
    found = judged(flipped(MISTAKES))
    first = np.argsort(-found.wrong, kind="stable")[: len(MISTAKES)]
    assert len({*first} & {*MISTAKES}) > 0.9 * len(MISTAKES)


# --- the channel --------------------------------------------------------------------------------------
LABELS, ROWS = 12, 3_000


def drawn(by_chance: float, confused: float, seed: int = 1) -> tuple[npt.NDArray[np.float32], Ints]:
    """What one good and one useless model say of rows, and labels of which some are wrong.

    A row may have either of two labels that are similar, 0 and 1, 2 and 3, and is mostly surely one of them.
    """
    some = np.random.default_rng(seed)
    likely = some.dirichlet(np.full(LABELS, 0.02), ROWS) + 1e-4
    rows = np.arange(ROWS)
    best = likely.argmax(axis=1)
    likely[rows, best ^ 1] += 0.03
    likely /= likely.sum(axis=1, keepdims=True)
    truth = np.array([some.choice(LABELS, p=one) for one in likely])
    given = truth.copy()
    fate = some.random(ROWS)
    lots = fate < by_chance
    given[lots] = (truth[lots] + some.integers(1, LABELS, lots.sum())) % LABELS
    near = (fate >= by_chance) & (fate < by_chance + confused)
    given[near] = truth[near] ^ 1
    useless = some.dirichlet(np.ones(LABELS), ROWS)
    return np.log(np.stack([likely, useless])).astype(np.float32), given


def fitted(by_chance: float, confused: float) -> Channel:
    models, given = drawn(by_chance, confused)
    return fit_channel(models, given, np.zeros(ROWS, dtype=np.bool_), 17)


def test_a_model_that_knows_nothing_hardly_counts() -> None:
    good, useless = fitted(0.1, 0).weights
    assert good > 0.7
    assert useless < 0.15


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
def test_the_share_of_random_mistakes_is_known_roughly(share: float) -> None:
    assert fitted(share, 0).random == pytest.approx(share, abs=0.03)


def test_mistakes_between_similar_labels_are_told_from_random_ones() -> None:
    channel = fitted(0, 0.2)
    assert channel.confused > 0.1 > 3 * channel.random


def test_what_annotators_verified_is_no_evidence_of_mistakes() -> None:
    models, given = drawn(0.3, 0)
    some = np.random.default_rng(2).random(ROWS) < 0.5
    truth = drawn(0, 0)[1]
    given[some] = truth[some]
    assert fit_channel(models, given, some, 17).random == pytest.approx(0.3, abs=0.04)
    assert fit_channel(models, given, np.zeros(ROWS, dtype=np.bool_), 17).random < 0.2


# --- embeddings ---------------------------------------------------------------------------------------
def embeddings(texts: list[str]) -> Vectors:
    """What texts mean, seen from their mean."""
    found = text_directions(texts)
    return around(found, found.mean(axis=0))


def test_texts_that_mean_the_same_are_nearer_than_others() -> None:
    wanted = ["my invoice is wrong", "there is an error in the bill", "which banana tastes best", "I like fruit"]
    found = embeddings(wanted)
    assert found[0] @ found[1] > found[0] @ found[2]
    assert found[2] @ found[3] > found[0] @ found[3]


def test_an_embedding_has_length_one_also_of_an_empty_text() -> None:
    found = embeddings(["", "one", "two words", "\U0001f600"])
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_a_missing_table_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_embeddings, "_PACKAGE", "no_such_package")
    static_embeddings._table.cache_clear()
    with pytest.raises(ConfigError, match=r"^the package no_such_package lacks weights/.*; install it again: pip"):
        embeddings(["a"])
    static_embeddings._table.cache_clear()
