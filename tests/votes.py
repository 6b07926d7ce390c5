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


def misled_crowd(seed: int) -> tuple[Integers, Integers]:
    """57 annotators, five votes about each of 576 items, and mistakes that many make about the same item.

    Nearly all items have the label 1. The rare 0 and 2 are taken for it by most, and some of its own mislead most.
    """
    chance = np.random.default_rng([seed, 99])
    items, annotators = 576, 57
    truth = chance.choice(3, items, p=[0.07, 0.86, 0.07])
    accuracy = 1 / (1 + np.exp(-chance.normal(1.8, 0.6, annotators)))
    leaning = chance.dirichlet([1.0, 1.0, 1.0], annotators)
    seen, other = chance.beta(1.0, 2.0, items), chance.choice([0, 2], items)
    pull = np.where(chance.random(items) < 0.12, 0.5, 0.0)
    votes = []
    for item, true in enumerate(truth.tolist()):
        for who in chance.choice(annotators, 5, replace=False).tolist():
            looks = true
            if chance.random() > (1 - pull[item] if true == 1 else seen[item]):
                looks = int(other[item]) if true == 1 else 1
            said = looks if chance.random() < accuracy[who] else chance.choice(3, p=leaning[who])
            votes.append((item, who, said))
    return np.array(votes, dtype=np.int64), truth


@st.composite
def any_votes(draw: st.DrawFn, fewest: int = 1) -> Integers:
    """A few annotators' votes about some items, with gaps."""
    one = st.one_of(st.none(), st.integers(0, 2))
    rows = draw(st.lists(st.lists(one, min_size=8, max_size=8), min_size=2, max_size=5))
    votes = votes_of(rows)
    return votes if len(votes) >= fewest else votes_of([[0, 1], [1, 1]])
