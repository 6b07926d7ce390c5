"""How the words of a text are used in the answers of a set: in how many of them each is, and how many end with it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.label_errors.kept_arrays import Hashes
from pipeline.label_errors.rarity import Floats, Groups, Ints, counted
from pipeline.label_errors.rewrite_columns import Columns
from pipeline.sorted_places import places_of

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WordUse:
    """How words are used in answers, by their numbers in a vocabulary; a row that is judged counts as well."""

    counts: Floats
    """In how many groups an answer has the word."""
    lasts: Floats
    """In how many it is an answer's last one."""
    rows: float
    """How many groups there are."""

    @classmethod
    def learn(cls, columns: Columns, groups: Groups) -> "WordUse":
        """Count the words of all rows."""
        weights, size = groups.weights, len(columns.vocabulary)
        has = columns.last_word >= 0
        return cls(
            counts=counted(columns.answers.words, weights[columns.answers.rows], size),
            lasts=counted(columns.last_word[has], weights[has], size),
            rows=float(weights.sum()),
        )


@dataclass(frozen=True, slots=True)
class KeptWords:
    """The same for the words of later rows, which are looked up by their hashes."""

    hashes: Hashes
    """Ascending."""
    counts: Singles
    lasts: Singles
    rows: float

    @classmethod
    def of(cls, hashes: Hashes, use: WordUse) -> "KeptWords":
        """Keep the words that any answer has."""
        order = np.argsort(hashes)
        order = order[use.counts[order] > 0]
        return cls(hashes[order], use.counts[order].astype(np.float32), use.lasts[order].astype(np.float32), use.rows)

    def places(self, hashes: Hashes) -> Ints:
        """Where words are kept; -1 if they are not."""
        return places_of(hashes, self.hashes)

    def use(self, at: Ints) -> WordUse:
        """The use of words by where they are kept, one more row included: the one that is judged."""
        return WordUse(taken(self.counts, at) + 1, taken(self.lasts, at) + 1, self.rows + 1)


def taken(kept: npt.NDArray[Any], at: Ints) -> Floats:
    """What is kept at these places; 0 at -1."""
    found = np.zeros(len(at))
    known = at >= 0
    found[known] = kept[at[known]]
    return found
