"""Reads all rows of a set of rewritten texts once, and keeps of each what the comparison of the rows needs."""

import itertools
from array import array
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.rarity import Bools, Floats, Ints, counted
from pipeline.label_errors.rewrite_clues import CLUES, Clue
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrite_texts import Marks, read

_TRUE = b"\1"
MOST_WORDS = 256
"""Of a longer text, so many of its first distinct words are kept."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A row: a text and its answer."""

    original: str
    answer: str
    group: str
    """Rows of one group are copies of each other, never evidence about one another."""


@dataclass(frozen=True, slots=True)
class Bags:
    """The distinct words of many texts, as numbers."""

    words: Ints
    starts: Ints
    """Where each text's words begin, and at last where they end."""

    @property
    def sizes(self) -> Ints:
        """How many words each text has."""
        return np.diff(self.starts)

    @property
    def rows(self) -> Ints:
        """The text of each word."""
        return np.repeat(np.arange(len(self.starts) - 1), self.sizes)

    def sums(self, values: Floats) -> Floats:
        """A text's sum over values of its words."""
        return counted(self.rows, values, len(self.starts) - 1)

    def of(self, row: int) -> Ints:
        """The words of a text."""
        return self.words[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of all rows, in their order."""

    clues: tuple[Clue, ...]
    verdicts: npt.NDArray[np.int8]
    """A row per clue: -1 where it does not apply, 1 where it finds something, else 0."""
    original_length: Floats
    answer_length: Floats
    originals: Bags
    answers: Bags
    vocabulary: dict[str, int]
    last_word: Ints
    """The answer's last word; -1 if there is none."""
    own: Bools
    """Of every answer's words: whether the row's original has it."""
    stranger: Bools
    """Whether the original of the row before has it, as a row that has nothing to do with the answer."""
    plain: Bools
    """Whether it is neither a name nor a number."""


@dataclass(slots=True)
class _Reader:
    """Collects the columns, row by row."""

    clues: tuple[Clue, ...]
    verdicts: list[bytearray]
    vocabulary: defaultdict[str, int] = field(default_factory=lambda: defaultdict(itertools.count().__next__))
    lengths: tuple["array[int]", "array[int]"] = field(default_factory=lambda: (array("q"), array("q")))
    words: tuple["array[int]", "array[int]"] = field(default_factory=lambda: (array("q"), array("q")))
    starts: tuple["array[int]", "array[int]"] = field(default_factory=lambda: (array("q", [0]), array("q", [0])))
    last_word: "array[int]" = field(default_factory=lambda: array("q"))
    own: bytearray = field(default_factory=bytearray)
    stranger: bytearray = field(default_factory=bytearray)
    plain: bytearray = field(default_factory=bytearray)

    def add(self, original: Marks, answer: Marks, before: set[str]) -> None:
        for clue, verdicts in zip(self.clues, self.verdicts, strict=True):
            found = clue.find(original, answer)
            verdicts.append(2 if found else 0 if found is None else 1)
        self._keep(0, original)
        distinct = self._keep(1, answer)
        self.own.extend(map(original.seen.__contains__, distinct))
        self.stranger.extend(map(before.__contains__, distinct))
        written = answer.names.keys() | answer.numbers.keys()
        self.plain.extend([word not in written for word in distinct] if written else _TRUE * len(distinct))
        self.last_word.append(self.vocabulary[answer.words[-1]] if answer.words else -1)

    def _keep(self, side: int, text: Marks) -> list[str]:
        # In their order, as a set's order differs between processes; pairs of characters come last.
        distinct = list(dict.fromkeys(text.words))
        if len(distinct) < len(text.seen):
            distinct += sorted(text.seen.difference(distinct))
        distinct = distinct[:MOST_WORDS]
        self.words[side].extend(map(self.vocabulary.__getitem__, distinct))
        self.starts[side].append(len(self.words[side]))
        self.lengths[side].append(len(text.text))
        return distinct


def read_rows(rows: Sequence[Rewrite], off: Collection[Rule]) -> Columns:
    """Read every text, and let every clue judge its pair."""
    clues = tuple(clue for clue in CLUES if clue.rule not in off)
    reader = _Reader(clues, [bytearray() for _ in clues])
    before: set[str] = set()
    for row in rows:
        original, answer = read(row.original), read(row.answer)
        reader.add(original, answer, before)
        before = original.seen
    verdicts = [np.frombuffer(bytes(column), dtype=np.int8) for column in reader.verdicts]
    bags = [Bags(_ints(words), _ints(starts)) for words, starts in zip(reader.words, reader.starts, strict=True)]
    return Columns(
        clues=clues,
        verdicts=np.stack(verdicts) - np.int8(1) if clues else np.zeros((0, len(rows)), dtype=np.int8),
        original_length=_ints(reader.lengths[0]).astype(np.float64),
        answer_length=_ints(reader.lengths[1]).astype(np.float64),
        originals=bags[0],
        answers=bags[1],
        vocabulary=dict(reader.vocabulary),
        last_word=_ints(reader.last_word),
        own=_bools(reader.own),
        stranger=_bools(reader.stranger),
        plain=_bools(reader.plain),
    )


def _ints(numbers: "array[int]") -> Ints:
    return np.frombuffer(numbers, dtype=np.int64) if numbers else np.zeros(0, dtype=np.int64)


def _bools(flags: bytearray) -> Bools:
    return np.frombuffer(bytes(flags), dtype=np.bool_)
