"""Rows as far as duplicates are concerned, made from their texts."""

import random
from collections.abc import Collection
from dataclasses import dataclass, fields, replace

import numpy as np
from hypothesis import strategies as st

from pipeline.dedupe.candidates import Candidate, Resolution
from pipeline.dedupe.neighbors import SimilarRows
from pipeline.dedupe.resolve import resolve as resolve_compared
from pipeline.similarity.pairs import Pairs, distinct, propose, verify
from pipeline.similarity.signatures import NEAR_MISS, Scheme, sign
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.text.words import words
from schemas.dataset import OnConflict

CLAUSE = (
    "this agreement is governed by the laws of the state of delaware without regard to its rules on the "
    "conflict of laws and each party submits to the courts of that state for every dispute"
)
NEAR = CLAUSE.replace("every dispute", "any dispute")
LEASE = "the tenant pays rent on the first day of each month by bank transfer to the landlord and keeps the receipt"
NEAR_BOTH = "either party may end the lease on notice of ninety days in writing to the other party at its seat"
_TEXTS: list[str] = []
"""The text of every number that ``row`` has given out."""
_NUMBERS: dict[str, int] = {}


def row(record_id: str, text: str = CLAUSE, answer: str | None = "law", **more: object) -> Candidate:
    """A candidate; its text's number means something to this module's ``resolve`` only."""
    number = _NUMBERS.setdefault(text, len(_TEXTS))
    if number == len(_TEXTS):
        _TEXTS.append(text)
    order = int("".join(filter(str.isdigit, record_id)) or 0)
    key = " ".join(words(text))
    base = Candidate(record_id, text=number, key=key, answer=answer, human=False, order=order)
    return replace(base, **({"published": more.get("split") is not None} | more))


@dataclass(frozen=True)
class InMemory:
    """Texts in memory that were compared with each other."""

    texts: Texts
    entries: Rows
    """The number of each row's text; -1 for a text without words. Rows of equal words have the same."""
    firsts: Rows
    """The first row of each such text."""
    pairs: Pairs
    """The similar ones, and some that miss the threshold by no more than ``NEAR_MISS``."""

    @classmethod
    def compare(cls, texts: Texts, threshold: float) -> "InMemory":
        """Compare all texts."""
        scheme = Scheme(threshold)
        signed = sign(texts, scheme)
        firsts, equal = distinct(signed.identities, signed.sizes)
        entries = np.full(len(texts), -1, dtype=np.int64)
        entries[firsts] = np.arange(len(firsts))
        entries[equal.right] = entries[equal.left]
        found = verify(texts, *propose(signed, scheme, firsts))
        near = found.where(found.similarity >= threshold - NEAR_MISS)
        return cls(
            texts, entries, firsts, Pairs(entries[near.left], entries[near.right], near.similarity, near.answers)
        )

    def shuffled(self, rng: random.Random) -> "InMemory":
        """The same with its pairs in another order."""
        order = np.array(rng.sample(range(len(self.pairs)), len(self.pairs)), dtype=np.int64)
        found = (getattr(self.pairs, part.name)[order] for part in fields(Pairs))
        return replace(self, pairs=Pairs(*found))

    def without(self, pairs: Collection[tuple[int, int]]) -> "InMemory":
        """The same if the search had not found some pairs, by the numbers of their texts."""
        found = zip(self.pairs.left.tolist(), self.pairs.right.tolist(), strict=True)
        return replace(self, pairs=self.pairs.where(np.array([tuple(sorted(pair)) not in pairs for pair in found])))

    def verify(self, left: Rows, right: Rows) -> Pairs:
        """The exact similarities of pairs of numbers, similar or not."""
        found = verify(self.texts, self.firsts[left], self.firsts[right])
        return Pairs(left, right, found.similarity, found.answers)


def text_of(candidate: Candidate) -> str:
    """The text that a candidate was made from."""
    return _TEXTS[candidate.text]


def resolve(
    rows: list[Candidate],
    threshold: float,
    on_conflict: OnConflict = OnConflict.REVIEW,
    *,
    answers_repeat: bool = True,
    rng: random.Random | None = None,
    unfound: Collection[tuple[int, int]] = (),
) -> dict[str, Resolution]:
    """Compare the texts of rows, and decide; with ``rng`` the pairs come in an order of its own.

    ``unfound`` are similar texts that the search does not find, by the places of their rows.
    """
    compared = InMemory.compare(Texts.of([text_of(one) for one in rows]), threshold)
    if unfound:
        compared = compared.without(unfound)
    if rng is not None:
        compared = compared.shuffled(rng)
    numbered = [replace(one, text=number) for one, number in zip(rows, compared.entries.tolist(), strict=True)]
    return resolve_compared(
        numbered, SimilarRows(threshold, {"inputs": compared}), on_conflict, answers_repeat=answers_repeat
    )


def between(left: str, right: str) -> tuple[str, str, str]:
    """Two texts that do not resemble each other at 0.6, and one that resembles both."""
    common = [f"common{i}" for i in range(40)]
    return (
        " ".join([*(f"{left}{i}" for i in range(10)), *common]),
        " ".join(common),
        " ".join([*common, *(f"{right}{i}" for i in range(10))]),
    )


LONG = words("one two three four five six seven eight nine ten eleven twelve")


def variant(at: int, word: str, shout: bool) -> str:
    """LONG with one word replaced, so that variants are equal, similar or neither."""
    text = " ".join([*LONG[:at], word, *LONG[at + 1 :]])
    return text.upper() if shout else text


TEXTS = st.builds(variant, st.sampled_from([0, 1, 11]), st.sampled_from(["one", "two", "twelve", "x"]), st.booleans())
SPLITS = st.sampled_from([None, None, "train", "test"])


@st.composite
def candidate_lists(draw: st.DrawFn) -> list[Candidate]:
    count = draw(st.integers(0, 12))
    orders = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    return [
        row(
            f"r{number:02}",
            text=(text := draw(TEXTS | st.just(LEASE))),
            key=f"{' '.join(words(text))}{draw(st.sampled_from(['', '', '!', ' ?']))}",
            answer=(answer := draw(st.sampled_from([None, "a", "b"]))),
            human=draw(st.sampled_from([False, False, True])),
            order=order,
            held=draw(st.booleans()),
            disputed=draw(st.integers(0, 4)) == 0,
            group_keys=draw(st.sampled_from([(), (), ("p",), ("q",), ("p", "q")])),
            split=(split := draw(SPLITS)),
            published=(published := split is not None and draw(st.booleans())),
            told=published and draw(st.booleans()),
            frozen=split is not None and answer is not None and draw(st.integers(0, 3)) == 0,
            replaced=draw(st.sampled_from([None, None, "a", "b"])),
        )
        for number, order in enumerate(orders)
    ]


CONFIGS = st.tuples(st.sampled_from([0.5, 0.6, 0.8, 1.0]), st.sampled_from(OnConflict))
