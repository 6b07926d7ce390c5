"""The compiled loops of language identification: from bytes to features, and from features to scores."""

import numpy as np

from pipeline.compiled import compiled


@compiled
def count_features(data, starts, moves, rows, outputs, features, counts, ends):
    """Find the features of every text by a finite automaton, and how often each occurs.

    Args:
        data, starts: the bytes of the texts, and where each text begins and the last one ends.
        moves, rows, outputs: the automaton: 256 next states per row, the row of each state, its feature (-1: none).
        features, counts: receive the distinct features of one text after another, ascending.
        ends: receives where those of each text end.
    """
    found = np.empty(np.max(starts[1:] - starts[:-1]), dtype=np.int32)
    size = 0
    for text in range(len(starts) - 1):
        state, many = 0, 0
        for at in range(starts[text], starts[text + 1]):
            state = moves[256 * rows[state] + data[at]]
            if outputs[state] >= 0:
                found[many] = outputs[state]
                many += 1
        found[:many].sort()
        for at in range(many):
            if at and found[at] == found[at - 1]:
                counts[size - 1] += 1
            else:
                features[size], counts[size] = found[at], 1
                size += 1
        ends[text] = size


@compiled
def add_features(features, weights, ends, table, scores):
    """Add the weighted lines of a table that the features of every text are.

    Args:
        features, weights, ends: the features of one text after another, and where those of each text end.
        table: features x languages.
        scores: texts x languages, which is added to.
    """
    start = 0
    for text in range(len(ends)):
        for at in range(start, ends[text]):
            for language in range(table.shape[1]):
                scores[text, language] += weights[at] * table[features[at], language]
        start = ends[text]
