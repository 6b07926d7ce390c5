"""Weights are kept in a byte where a feature was seen with a label, and as a product of two numbers elsewhere."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipeline.label_errors import kept_weights
from pipeline.label_errors.kept_weights import KeptLinear, KeptWeights, compact

FEATURES, LABELS = 60, 7


def drawn(seed: int = 1) -> tuple[kept_weights.Floats32, kept_weights.Bools]:
    """Weights, and where they are kept one by one; elsewhere they are a product."""
    some = np.random.default_rng(seed)
    there = some.random((FEATURES, LABELS)) < 0.3
    product = some.random((FEATURES, 1)) * -some.random((1, LABELS))
    return np.where(there, some.normal(size=there.shape), product).astype(np.float32), there


def test_a_weight_is_off_by_half_a_step_where_its_feature_was_seen_with_its_label() -> None:
    weights, there = drawn()
    found = KeptWeights.of(weights, there).of_features(np.arange(FEATURES))
    steps = np.abs(np.where(there, weights, 0)).max(axis=1, keepdims=True) / 127
    assert (np.abs(found - weights)[there] <= (np.broadcast_to(steps, there.shape) * 0.501)[there]).all()


def test_weights_that_are_a_product_are_kept_as_one() -> None:
    weights, there = drawn()
    found = KeptWeights.of(weights, there).of_features(np.arange(FEATURES))
    assert found[~there] == pytest.approx(weights[~there], abs=0.02)


def test_features_are_kept_in_parts_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, there = drawn()
    whole = KeptWeights.of(weights, there).of_features(np.arange(FEATURES))
    monkeypatch.setattr(kept_weights, "_LINES", 7)
    assert KeptWeights.of(weights, there).of_features(np.arange(FEATURES)) == pytest.approx(whole, abs=1e-5)


def test_some_features_have_the_weights_that_they_have_among_all() -> None:
    kept, some = KeptWeights.of(*drawn()), np.array([3, 4, 17, 59])
    assert (kept.of_features(some) == kept.of_features(np.arange(FEATURES))[some]).all()


def test_features_that_were_never_seen_or_that_there_are_none_of_do_no_harm() -> None:
    weights, there = drawn()
    weights[5], there[5] = 0, False
    assert not KeptWeights.of(weights, there).of_features(np.array([5])).any()
    assert KeptWeights.of(weights[:0], there[:0]).of_features(np.arange(0)).shape == (0, LABELS)


def test_texts_score_by_the_features_that_they_have() -> None:
    weights, there = drawn()
    there[:] = True
    model = KeptLinear.of(np.vstack([weights, np.ones((1, LABELS), dtype=np.float32)]), there)
    texts = csr_matrix(np.eye(FEATURES, dtype=np.float32)[[2, 9, 9]] + np.eye(FEATURES, dtype=np.float32)[[4, 9, 2]])
    used, asked = compact(texts)
    assert used.tolist() == [2, 4, 9]
    assert model.scores(used, asked) == pytest.approx(texts @ weights + 1, abs=0.05)
