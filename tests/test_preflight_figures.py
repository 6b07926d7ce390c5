"""What a training comes to: its batches, its steps, its time and its memory."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_families import SMOLLM, model_of

from pipeline.finetuning import preflight_estimates, preflight_timing
from pipeline.finetuning.examples import Example
from pipeline.finetuning.preflight_estimates import batches_of, memory, planned, typical_batches
from pipeline.finetuning.preflight_timing import time_depends_on, timed
from pipeline.finetuning.train import expected_steps
from pipeline.finetuning.training_rows import training_rows
from schemas.dataset import Finetune
from schemas.message import Message, Speaker

LENGTHS = st.lists(st.integers(1, 900), min_size=1, max_size=300).map(lambda lengths: np.array(lengths))


@given(tokens=LENGTHS, size=st.integers(1, 20), seed=st.integers(0, 9))
def test_every_row_is_in_one_batch(tokens: np.ndarray, size: int, seed: int) -> None:
    batches = batches_of(tokens, size, seed)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(tokens)))
    assert {len(batch) for batch in batches[:-1]} <= {size}


def test_rows_of_like_length_are_in_one_batch() -> None:
    lengths = np.random.default_rng(1).integers(10, 1000, 5000)
    trained = lengths // 10
    grouped = planned(lengths, trained, batches_of(lengths, 8, 1), Finetune())
    apart = planned(lengths, trained, np.array_split(np.arange(5000), 625), Finetune())
    assert grouped.padding < 0.05 < 0.3 < apart.padding
    assert (grouped.rows, grouped.steps, grouped.tokens) == (5000, 1250, int(lengths.sum()))
    assert grouped.trained_share == pytest.approx(0.1, abs=0.01)
    assert grouped.largest_batch <= 8 * 1000


@given(rows=st.integers(1, 40), size=st.integers(1, 9), epochs=st.sampled_from([0.5, 1, 2, 2.5]))
def test_the_steps_are_those_that_the_training_expects(rows: int, size: int, epochs: float) -> None:
    size = min(size, rows)
    config = Finetune(batch_size=size, epochs=epochs)
    lengths = np.full(rows, 9)
    turns = (Message(role=Speaker.USER, content="Hi"), Message(role=Speaker.ASSISTANT, content="Yes."))
    examples = [Example(f"r{number}", turns[:1], turns[1:], {}) for number in range(rows)]
    plan = planned(lengths, lengths, batches_of(lengths, size, 1), config)
    with TemporaryDirectory() as folder:
        assert plan.steps == expected_steps(training_rows(examples, config, TINY, Path(folder)), config)


TINY = model_of(SMOLLM)


def test_the_typical_batches_are_full_ones() -> None:
    tokens = np.array([10, 10, 20, 20, 30, 30, 5])
    batches = [np.array([0, 1]), np.array([2, 3]), np.array([4, 5]), np.array([6])]
    usual, largest = typical_batches(tokens, batches)
    assert (usual.tolist(), largest.tolist()) == ([2, 3], [4, 5])


def example(words: int) -> Example:
    turns = (Message(role=Speaker.USER, content="parcel " * words), Message(role=Speaker.ASSISTANT, content="Yes."))
    return Example("r", turns[:1], turns[1:], {})


def test_some_real_steps_are_timed_and_forgotten() -> None:
    before = {name: value.clone() for name, value in TINY.model.state_dict().items()}
    done: list[int] = []
    found = timed([example(9)] * 2, [example(90)] * 2, [60, 60, 60, 60, 240], Finetune(epochs=2), TINY, done.append)
    assert sum(done) == found.steps == 2 * preflight_timing.TIMED_STEPS
    assert found.usual_step > 0 and found.largest_step > 0
    after = TINY.model.state_dict()
    assert after.keys() == before.keys() and all(bool((after[name] == before[name]).all()) for name in before)


@pytest.mark.parametrize(
    ("usual", "largest", "expected"),
    [
        # Half a second whatever the batch, and one for each hundred tokens: 3 batches of 100 tokens.
        (1.5, 2.5, 2 * 3 * 1.5),
        # The larger batch was faster, since something else was in the way: the mean for each token.
        (4.0, 2.0, 2 * 3 * 2.0),
    ],
)
def test_the_time_of_all_steps_follows_from_two(
    usual: float, largest: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter([preflight_timing._Tried(usual, 4), preflight_timing._Tried(largest, 4)])
    monkeypatch.setattr(preflight_timing, "_tried", lambda *given: next(taken))
    found = timed([], [], [100, 100, 100, 100, 200], Finetune(epochs=2), TINY, lambda done: None)
    assert found.seconds == pytest.approx(expected)


def test_steps_are_timed_no_longer_than_half_a_minute_and_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine eight steps took 235 seconds, before every training. The model is as before all the same."""
    before = {name: value.clone() for name, value in TINY.model.state_dict().items()}
    monkeypatch.setattr(preflight_timing, "MOST_SECONDS", 0.0)
    done: list[int] = []
    found = timed([example(9)] * 2, [example(90)] * 2, [60, 60, 60, 60, 240], Finetune(epochs=2), TINY, done.append)
    assert sum(done) == found.steps == 1, "its time was over after the first step, and the largest batch takes longer"
    assert found.largest_step == pytest.approx(4 * found.usual_step), "by its tokens"
    assert found.seconds == pytest.approx(2 * 3 * found.usual_step) and "(1 step tried of at most 8" in str(found)
    after = TINY.model.state_dict()
    assert after.keys() == before.keys() and all(bool((after[name] == before[name]).all()) for name in before)


def test_a_time_is_known_for_the_settings_that_it_depends_on_and_no_others() -> None:
    def key(digest: str = "sha256:1", **changed: object) -> tuple[str, ...]:
        return time_depends_on(digest, Finetune().model_copy(update=changed), TINY)

    assert key(learning_rate=1e-4, seeds=3, eval_rows=9, form="free", patience=2) == key()
    for other in ({"digest": "sha256:2"}, {"batch_size": 4}, {"max_rows": 9}, {"epochs": 1}, {"rank": 8}):
        assert key(**other) != key()


def test_memory_grows_with_the_batch_and_says_which_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Beside it a tiny model takes nothing.
    monkeypatch.setattr(preflight_estimates, "_FIXED_BYTES", 0)

    def need(size: int, free: int) -> preflight_estimates.Memory:
        monkeypatch.setattr(preflight_estimates, "free_memory", lambda base: free)
        lengths = np.full(64, 500)
        config = Finetune(batch_size=size)
        return memory(TINY, planned(lengths, lengths, batches_of(lengths, size, 1), config), config, 10)

    small, large = need(4, 10**9), need(16, 10**9)
    assert small.needed < large.needed and small.fits
    tight = need(16, small.needed)
    assert not tight.fits and tight.is_hopeless
    # An estimate may be wrong by as much.
    nearly = need(16, int(large.needed / 1.2))
    assert not nearly.fits and not nearly.is_hopeless
    assert tight.fitting_batch == 4
    assert need(16, 1000).fitting_batch == 0 and need(16, 1000).is_hopeless
    assert small.weights == sum(p.numel() * p.element_size() for p in TINY.model.parameters())
