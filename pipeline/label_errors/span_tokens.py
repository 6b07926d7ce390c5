"""Texts as tokens, and where among them values stand."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MAX_TOKENS = 2_000
"""Only this many leading tokens of a text are read."""
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff"
    "\uff66-\uff9d"
)
"""Scripts without spaces: each of their characters is a token."""
_ONE = rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+|[^\w\s]|_"
_TOKEN = re.compile(_ONE)
_TOKEN_AND_SPACE = re.compile(rf"({_ONE})(\s?)")


@dataclass(frozen=True)
class Tokens:
    """The tokens of some texts, one after another: words, and single signs."""

    words: list[str]
    """The different ones, as they are written."""
    ids: Ints
    """Which word each token is."""
    starts: Ints
    """Where each text begins, and where the last one ends."""
    spaced: Ints
    """1 for a token with a space behind it, else 0."""

    @property
    def rows(self) -> Ints:
        """The text of each token."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def read_tokens(texts: Sequence[str]) -> Tokens:
    """Divide texts into tokens."""
    known: dict[str, int] = {}
    ids: list[int] = []
    spaced: list[bool] = []
    starts = [0]
    for text in texts:
        found = _TOKEN_AND_SPACE.findall(text)[:MAX_TOKENS]
        ids += [known.setdefault(word, len(known)) for word, _ in found]
        spaced += [space != "" for _, space in found]
        starts.append(len(ids))
    numbers = (np.array(some, dtype=np.int64) for some in (ids, starts, spaced))
    return Tokens(list(known), *numbers)


def written(text: str, first: int, end: int) -> str:
    """The part of a text from one token to before another."""
    places = [match.span() for match in _TOKEN.finditer(text)]
    return text[places[first][0] : places[end - 1][1]]


def words_in(text: str) -> list[str]:
    """The tokens of a text that are no signs."""
    return [word for word in _TOKEN.findall(text) if word[0].isalnum()]


def folded_word(word: str) -> str:
    """A word without differences of case and width."""
    return unicodedata.normalize("NFKC", word).casefold()


class Places:
    """Finds the values of rows among their tokens: case, width, whitespace and signs do not matter."""

    def __init__(self, tokens: Tokens, alike: Callable[[str], str] = folded_word) -> None:
        """Args:
        tokens: of all rows.
        alike: equal for words that are found for each other.
        """
        self._tokens, self._alike = tokens, alike
        self._codes: dict[str, int] = {}
        # A sign has no code: values are found whatever signs are in and around them.
        self._code_of = [self._known(word) for word in tokens.words]
        self._values: dict[str, list[int]] = {}
        self._row, self._words = -1, (list[int](), list[int]())

    def _known(self, word: str) -> int:
        return self._codes.setdefault(self._alike(word), len(self._codes)) if word[0].isalnum() else -1

    def find(self, row: int, value: str) -> Iterator[tuple[int, int]]:
        """Where a value stands, as tokens counted from the text's first: the first one, and the one behind it."""
        if row != self._row:
            self._row, self._words = row, self._words_of(row)
        codes, at = self._words
        wanted = self._wanted(value)
        size = len(wanted)
        if not size or -1 in wanted:
            return
        begin = -1
        for _ in range(codes.count(wanted[0])):
            begin = codes.index(wanted[0], begin + 1)
            if codes[begin : begin + size] == wanted:
                yield at[begin], at[begin + size - 1] + 1

    def _words_of(self, row: int) -> tuple[list[int], list[int]]:
        """The codes of a text's words, and which of its tokens they are."""
        first, end = self._tokens.starts[row], self._tokens.starts[row + 1]
        codes = [self._code_of[id] for id in self._tokens.ids[first:end].tolist()]
        at = [place for place, code in enumerate(codes) if code >= 0]
        return [codes[place] for place in at], at

    def _wanted(self, value: str) -> list[int]:
        if value not in self._values:
            self._values[value] = [self._codes.get(self._alike(word), -1) for word in words_in(value)]
        return self._values[value]
