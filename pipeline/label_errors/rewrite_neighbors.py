"""Which original an answer fits better than its own: answers that slipped into another row."""

from collections import Counter, defaultdict
from collections.abc import Collection

import numpy as np

from pipeline.label_errors.rarity import Floats, Ints
from pipeline.label_errors.rewrite_columns import Columns

_MOST_POSTINGS = 50
"""A word that more originals have does not tell them apart."""
_BETTER_BY = 0.3


def better_originals(columns: Columns, weights: Floats, groups: Ints, rows: Collection[int]) -> dict[int, int]:
    """By row: the row of another group whose original has clearly more of the answer than the answer's own original.

    Only words that few originals have are looked up, so the time grows with the number of rows, not of pairs.
    """
    wanted = np.zeros(len(columns.vocabulary), dtype=np.bool_)
    for row in rows:
        wanted[columns.answers.of(row)] = True
    counts = np.bincount(columns.originals.words, minlength=len(wanted))
    places = np.flatnonzero((wanted & (counts <= _MOST_POSTINGS))[columns.originals.words])
    postings: defaultdict[int, list[int]] = defaultdict(list)
    originals = columns.originals.rows[places]
    for word, original in zip(columns.originals.words[places].tolist(), originals.tolist(), strict=True):
        postings[word].append(original)
    found = {row: _better(columns, weights, groups, postings, row) for row in rows}
    return {row: other for row, other in found.items() if other is not None}


def _better(columns: Columns, weights: Floats, groups: Ints, postings: dict[int, list[int]], row: int) -> int | None:
    start, end = columns.answers.starts[row], columns.answers.starts[row + 1]
    words, worth = columns.answers.words[start:end].tolist(), weights[start:end].tolist()
    shared: Counter[int] = Counter()
    for word, weight in zip(words, worth, strict=True):
        for other in postings.get(word, ()):
            shared[other] += weight
    own = float(np.dot(worth, columns.own[start:end]))
    best = max((other for other in shared if groups[other] != groups[row]), key=lambda o: (shared[o], -o), default=None)
    return best if best is not None and shared[best] >= own + _BETTER_BY * sum(worth) else None
