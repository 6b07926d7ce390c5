"""Votes of made-up annotators."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def votes_of(rows: Sequence[Sequence[int | None]]) -> Integers:
    """Votes as they stand in a table: one row per annotator, one column per item; None where there is none."""
    found = [
        (item, annotator, label)
        for annotator, row in enumerate(rows)
        for item, label in enumerate(row)
        if label is not None
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def crowd(accuracies: Sequence[float], items: int, labels: int = 3, seed: int = 0) -> tuple[Integers, Integers]:
    """Votes of annotators who are right so often, all about all items, and the true labels."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, labels, items)
    wrong = (truth + chance.integers(1, labels, (len(accuracies), items))) % labels
    said = np.where(chance.random((len(accuracies), items)) < np.array(accuracies)[:, None], truth, wrong)
    return votes_of(said.tolist()), truth


@st.composite
def any_votes(draw: st.DrawFn, fewest: int = 1) -> Integers:
    """A few annotators' votes about some items, with gaps."""
    one = st.one_of(st.none(), st.integers(0, 2))
    rows = draw(st.lists(st.lists(one, min_size=8, max_size=8), min_size=2, max_size=5))
    votes = votes_of(rows)
    return votes if len(votes) >= fewest else votes_of([[0, 1], [1, 1]])
