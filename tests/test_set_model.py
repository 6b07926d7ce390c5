"""The model of how sets come about, against sums over all sets, and its compiled training against scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC
from tried_examples import examples

from pipeline.label_errors import set_model
from pipeline.label_errors.set_model import SetModel, fit_set_model, judge_sets, likeliest_sets
from pipeline.label_errors.svm_kernels import train

Set = tuple[bool, ...]
RATES = st.floats(0.001, 0.4)


@st.composite
def models(draw: st.DrawFn, labels: int) -> SetModel:
    sizes = draw(st.lists(st.floats(0.1, 10), min_size=labels + 1, max_size=labels + 1))
    return SetModel(draw(st.floats(0.5, 3)), np.array(sizes), draw(RATES), draw(RATES), draw(RATES))


def prior(model: SetModel, odds: list[float]) -> dict[Set, float]:
    """How likely each set is by the text."""
    weights = {}
    for one in itertools.product((False, True), repeat=len(odds)):
        log_weight = sum(model.steepness * log_odds for log_odds, there in zip(odds, one, strict=True) if there)
        weights[one] = math.exp(log_weight) * model.size_weights[sum(one)]
    return {one: weight / sum(weights.values()) for one, weight in weights.items()}


def mistakes(model: SetModel, right: Set, seen: Set) -> float:
    """How likely an annotator turns the right set into the one seen."""
    rates = {
        (True, True): 1 - model.forgotten,
        (True, False): model.forgotten,
        (False, True): model.added,
        (False, False): 1 - model.added,
    }
    alone = math.prod(rates[pair] for pair in zip(right, seen, strict=True))
    one_for_another = sum(right) == sum(seen) and sum(map(bool.__ne__, right, seen)) == 2
    ways = sum(right) * (len(right) - sum(right))
    return (1 - model.confused) * alone + (model.confused / ways if one_for_another else 0)


@examples(60)
@given(st.integers(1, 4).flatmap(lambda n: st.tuples(models(n), st.lists(st.floats(-4, 4), min_size=n, max_size=n))))
def test_what_is_said_of_a_set_follows_from_all_sets_that_may_be_right(case: tuple[SetModel, list[float]]) -> None:
    model, odds = case
    seen = list(itertools.product((False, True), repeat=len(odds)))
    found = judge_sets(model, np.array([odds] * len(seen)), np.array(seen))
    for row, one in enumerate(seen):
        joint = {right: share * mistakes(model, right, one) for right, share in prior(model, odds).items()}
        total = sum(joint.values())
        assert found.wrong[row] == pytest.approx(1 - joint[one] / total, abs=1e-9)
        for label, there in enumerate(one):
            doubt = sum(share for right, share in joint.items() if right[label] != there) / total
            assert found.doubts[row, label] == pytest.approx(doubt, abs=1e-9)


@examples(60)
@given(st.integers(1, 4).flatmap(lambda n: st.tuples(models(n), st.lists(st.floats(-4, 4), min_size=n, max_size=n))))
def test_the_suggested_set_is_the_likeliest_of_all(case: tuple[SetModel, list[float]]) -> None:
    model, odds = case
    chosen, wrong = likeliest_sets(model, np.array([odds]))
    shares = prior(model, odds)
    assert shares[tuple(chosen[0].tolist())] == pytest.approx(max(shares.values()))
    assert wrong[0] == pytest.approx(1 - max(shares.values()), abs=1e-9)


def test_rows_are_judged_alike_in_one_chunk_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    model = SetModel(1.0, np.array([0.5, 1.0, 2.0, 1.0]), 0.01, 0.1, 0.05)
    odds, seen = random.normal(size=(50, 6)), random.permuted(np.tile(np.arange(6) < 2, (50, 1)), axis=1)
    whole = judge_sets(model, odds, seen)
    monkeypatch.setattr(set_model, "_CELLS", 70)
    apart = judge_sets(model, odds, seen)
    assert np.allclose(whole.wrong, apart.wrong, atol=1e-12) and np.allclose(whole.doubts, apart.doubts, atol=1e-12)


@pytest.mark.parametrize(
    ("added", "forgotten", "confused"), [(0.02, 0.0, 0.0), (0.0, 0.15, 0.0), (0.0, 0.0, 0.1), (0.02, 0.1, 0.0)]
)
def test_how_often_annotators_are_wrong_is_found_from_their_sets(
    added: float, forgotten: float, confused: float
) -> None:
    random = np.random.default_rng(1)
    right = np.zeros((1_500, 8), dtype=np.bool_)
    for row in right:
        row[random.choice(8, random.integers(1, 4), replace=False)] = True
    odds = np.where(right, 4.0, -4.0) + random.normal(size=right.shape) * 1.5
    seen = np.where(right, random.random(right.shape) >= forgotten, random.random(right.shape) < added)
    for row in np.flatnonzero(random.random(1_500) < confused):
        seen[row, random.choice(np.flatnonzero(seen[row]))] = False
        seen[row, random.choice(np.flatnonzero(~right[row]))] = True
    model = fit_set_model(odds, seen)
    assert model.added == pytest.approx(added, abs=0.006)
    assert model.forgotten == pytest.approx(forgotten, abs=0.03)
    assert model.confused == pytest.approx(confused, abs=0.03)


def test_mistakes_that_nearly_every_set_has_are_believed_though_odds_then_tell_little() -> None:
    random = np.random.default_rng(1)
    right = random.random((1_500, 20)) < 0.1
    odds = np.where(right, 2.0, -2.0) + random.normal(size=right.shape)
    seen = right ^ (random.random(right.shape) < 0.1)
    # As moderate as a model that was trained on such sets.
    told = odds - np.log(9) * 0.5
    model = fit_set_model(told, seen)
    assert model.added == pytest.approx(0.1, abs=0.03)
    assert model.forgotten == pytest.approx(0.1, abs=0.05)


def test_the_compiled_training_finds_what_scikit_learn_finds() -> None:
    random = np.random.default_rng(2)
    rows = csr_matrix(random.random((200, 30)) * (random.random((200, 30)) < 0.3), dtype=np.float32)
    wanted = (rows @ random.normal(size=(30, 3)) + random.normal(size=(200, 3)) * 0.3) > 0.2
    orders = np.array([random.permutation(200) for _ in range(400)])
    weights = np.zeros((31, 3), dtype=np.float32)
    train(rows.indptr, rows.indices, rows.data, wanted, orders, 0.3, weights)
    for label in range(3):
        peer = LinearSVC(C=0.3, tol=1e-8, max_iter=100_000).fit(rows, wanted[:, label])
        assert np.allclose(weights[:-1, label], peer.coef_[0], atol=1e-3)
        assert weights[-1, label] == pytest.approx(peer.intercept_[0], abs=1e-3)


def test_labels_that_nobody_expects_weigh_on_a_set_though_they_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(3)
    model = SetModel(1.0, np.array([0.5, 1.0, 2.0, 1.0]), 0.01, 0.2, 0.3)
    odds = np.hstack([random.normal(size=(40, 4)), np.full((40, 30), -14.0)])
    seen = np.hstack([random.permuted(np.tile(np.arange(4) < 2, (40, 1)), axis=1), np.zeros((40, 30), dtype=np.bool_)])
    whole = judge_sets(model, odds, seen)
    monkeypatch.setattr(set_model, "_POSSIBLE", 6)
    assert np.allclose(judge_sets(model, odds, seen).wrong, whole.wrong, atol=1e-3)


def test_a_given_label_is_looked_at_however_unlikely_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SetModel(1.0, np.array([0.5, 1.0, 2.0, 1.0]), 0.01, 0.1, 0.05)
    odds = np.hstack([np.full((1, 8), -2.0), [[-9.0]]])
    seen = np.arange(9)[None, :] == 8
    whole = judge_sets(model, odds, seen)
    monkeypatch.setattr(set_model, "_POSSIBLE", 4)
    found = judge_sets(model, odds, seen)
    assert found.doubts[0, 8] == pytest.approx(whole.doubts[0, 8], abs=0.05)
    assert found.doubts[0, 8] > 0.9
