"""Components: rows that are related directly or through others, however many there are."""

from itertools import combinations
from random import Random

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curation.relations import RELATED, Links, components

VALUES = st.integers(0, 9)
"""Zero is nothing."""
ROWS = st.lists(st.tuples(VALUES, st.lists(st.integers(1, 9), max_size=2), VALUES, VALUES), max_size=12)
PAIRS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=4)
Row = tuple[int, list[int], int, int]
Pair = tuple[int, int]


def are_related(one: Row, other: Row, texts: list[Pair], wholes: list[Pair]) -> bool:
    same_key, shared = one[0] and one[0] == other[0], set(one[1]) & set(other[1])
    similar = any(
        one[at] and other[at] and (one[at] == other[at] or {(one[at], other[at]), (other[at], one[at])} & set(pairs))
        for at, pairs in ((2, texts), (3, wholes))
    )
    return bool(same_key or shared or similar)


def links(pairs: list[Pair]) -> Links:
    left, right = (np.array([[pair[side], 0] for pair in pairs], dtype=np.uint64).reshape(-1, 2) for side in (0, 1))
    return Links(left, right)


@given(ROWS, PAIRS, PAIRS, st.randoms(use_true_random=False))
def test_the_name_of_a_component_is_the_smallest_of_all_rows_that_are_related_through_others(
    rows: list[Row], texts: list[Pair], wholes: list[Pair], chance: Random
) -> None:
    names = np.array([5 * row + 3 for row in range(len(rows))], dtype=np.uint64)
    chance.shuffle(names)
    columns = {"key": [row[0] for row in rows], "ties": [row[1] for row in rows]}
    columns |= {name: [row[2] for row in rows] for name in ("text_one", "text_other")}
    columns |= {name: [row[3] for row in rows] for name in ("whole_one", "whole_other")}
    frame = pl.DataFrame(columns | {name: [0] * len(rows) for name in RELATED if name not in columns}, schema=RELATED)
    found = components(frame, names, {"text_one": links(texts), "whole_one": links(wholes)})
    expected = names.copy()
    for _ in rows:
        for one, other in combinations(range(len(rows)), 2):
            if are_related(rows[one], rows[other], texts, wholes):
                expected[[one, other]] = min(expected[one], expected[other])
    assert found.tolist() == expected.tolist()
