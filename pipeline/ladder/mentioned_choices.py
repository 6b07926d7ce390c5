"""Looks for the choices of a field in texts: by their names and by learned spellings, with the words around them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from schemas.field import JsonValue

Words = list[str]
Bools = npt.NDArray[np.bool_]

_WORD = re.compile(r"[^\W_]+|[^\w\s]")
_LONGEST = 3
"""Words of a learned spelling."""
_FIRST_WORDS = 300
"""Of a text, from which spellings are learned."""
_FEWEST, _SHARE, _LIFT = 3, 0.5, 5.0
"""A spelling is learned if so many texts of a choice have it, and these are more than this share of all that have it,
at so many times the odds of any text."""
_AROUND = 2**14
"""Columns for the words around a choice: they are hashed."""
_MARGIN, _UNSEEN, _ABSENT_QUIET, _ABSENT_SAID, _OTHER_SAID, _OWN = range(6)
"""What is seen of a choice whether it stands in the text or not: the margin of a linear model, whether no training row
has it, whether it is no value where a choice stands in the text or none does, and whether another stands there."""


def words_of(text: str) -> Words:
    """The words and signs of a text, without case and plural."""
    found = _WORD.findall(text.casefold())
    return [one[:-1] if len(one) > 3 and one[-1] == "s" != one[-2] else one for one in found]


@dataclass(frozen=True)
class _Mention:
    choice: int
    first: int
    end: int
    odds: float
    """Of a learned spelling; 0 of a name."""


class Spellings:
    """How the choices of a field are written: their names, and what training rows show."""

    def __init__(self, choices: Sequence[JsonValue]) -> None:
        """Take the choices of the field; None stands for no value."""
        self._choices = choices
        self._seen: Bools = np.ones(len(choices), dtype=bool)
        names = ((number, tuple(words_of(one))) for number, one in enumerate(choices) if isinstance(one, str))
        self._known: dict[tuple[str, ...], tuple[int, float]] = {name: (number, 0.0) for number, name in names if name}
        self._longest = max([_LONGEST, *map(len, self._known)])

    def named(self, texts: Sequence[Words], given: Bools) -> float:
        """The share of texts in which a choice of theirs stands."""
        hits = (any(row[one.choice] for one in self._mentions(text)) for text, row in zip(texts, given, strict=True))
        return sum(hits) / len(texts)

    def learn(self, names: Sequence[tuple[str, ...]], seen: Any, given: Bools) -> Self:
        """Find spellings among groups of words.

        Args:
            names: the groups.
            seen: training texts x groups (sparse).
            given: these texts x choices.
        """
        self._seen = np.asarray(given.any(axis=0))
        together = np.asarray(seen.T @ given.astype(np.float32))
        every = np.asarray(seen.sum(axis=0)).ravel()
        best = together.argmax(axis=1)
        hits = together[np.arange(len(best)), best]
        share = np.clip(given.mean(axis=0), 1e-3, 1 - 1e-3)[best]
        odds = np.log((hits + 0.5) / (every - hits + 0.5) * (1 - share) / share)
        kept = np.flatnonzero((hits >= _FEWEST) & (hits > _SHARE * every) & (odds > np.log(_LIFT)))
        for place in sorted(kept.tolist(), key=lambda at: (len(names[at]), names[at])):
            # The shortest one: what is around it is told apart.
            if self._choices[best[place]] is not None and not any(part in self._known for part in _parts(names[place])):
                self._known[names[place]] = (int(best[place]), float(odds[place]))
        return self

    def _mentions(self, text: Words) -> Iterator[_Mention]:
        first = 0
        while first < len(text):
            for end in range(min(len(text), first + self._longest), first, -1):
                if (found := self._known.get(tuple(text[first:end]))) is not None:
                    yield _Mention(found[0], first, end, found[1])
                    first = end - 1
                    break
            first += 1

    def features(self, texts: Sequence[Words], margins: npt.NDArray[np.float64]) -> Any:
        """Pairs of row and choice x what is seen of them (sparse), a row's choices one below the other.

        Args:
            texts: of the rows.
            margins: rows x choices, by the words of the texts.
        """
        from scipy.sparse import csr_matrix, hstack
        from sklearn.feature_extraction import FeatureHasher

        many = len(self._choices)
        own = np.zeros((len(texts), many, _OWN))
        own[:, :, _MARGIN] = margins
        own[:, ~self._seen, _UNSEEN] = 1
        absent = np.array([one is None for one in self._choices])
        pairs: list[list[str]] = [[] for _ in range(len(texts) * many)]
        for row, text in enumerate(texts):
            found = list(self._mentions(text))
            said = {one.choice for one in found}
            own[row, absent, _ABSENT_SAID if said else _ABSENT_QUIET] = 1
            own[row, :, _OTHER_SAID] = len(said) > 0
            for choice in said:
                mine = [one for one in found if one.choice == choice]
                own[row, choice, _OTHER_SAID] = len(said) > 1
                pairs[row * many + choice] = list(_around(text, mine, found))
        hashed = FeatureHasher(_AROUND, input_type="string", alternate_sign=False, dtype=np.float64).transform(pairs)
        hashed.data[:] = 1
        return hstack([csr_matrix(own.reshape(-1, _OWN)), hashed], format="csr")


def groups_of_words(texts: Sequence[Words]) -> tuple[list[tuple[str, ...]], Any]:
    """Groups of words that stand in several texts, and texts x groups that have them (sparse)."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=_groups, min_df=_FEWEST, binary=True, dtype=np.float32)
    try:
        seen = counter.fit_transform(texts)
    except ValueError:
        # None is in so many.
        return [], np.zeros((len(texts), 0), dtype=np.float32)
    return [tuple(name.split(" ")) for name in counter.get_feature_names_out()], seen


def _groups(text: Words) -> set[str]:
    first = text[:_FIRST_WORDS]
    return {" ".join(first[at : at + size]) for size in range(1, _LONGEST + 1) for at in range(len(first) - size + 1)}


def _parts(piece: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield from (piece[at:end] for at in range(len(piece)) for end in range(at + 1, len(piece) + 1))


def _around(text: Words, mine: Sequence[_Mention], every: Sequence[_Mention]) -> Iterator[str]:
    """What is seen of a choice that a text has: where it stands among others, and between which words."""
    if any(one is every[0] for one in mine):
        yield "first"
    if any(one is every[-1] for one in mine):
        yield "last"
    if len(mine) > 1:
        yield "again"
    for one in mine:
        yield f"spelling {min(int(one.odds), 6)}"
        before, behind = ["^", "^", *text[: one.first]][-2:], [*text[one.end : one.end + 2], "$", "$"][:2]
        yield from (f"<{before[1]}", f"<<{before[0]}", f"<{before[0]} {before[1]}")
        yield from (f">{behind[0]}", f">>{behind[1]}", f">{behind[0]} {behind[1]}")
