"""The compiled search for what may be wrong with the spans of a text: how much likelier it would be with one change.

A change is local: what it does to the score of all states follows from running sums over the tokens and from the steps
at its edges. The states are those of ``span_kernels``.
"""

import numpy as np

from pipeline.compiled import called, compiled
from pipeline.label_errors.span_changes import Change
from pipeline.label_errors.span_kernels import forward, potentials

_DROPPED, _REPLACED = int(Change.DROPPED), int(Change.REPLACED)
_TRUNCATED, _EXTENDED = int(Change.TRUNCATED), int(Change.EXTENDED)
_MOVED, _SWAPPED, _EXTRA = int(Change.MOVED), int(Change.SWAPPED), int(Change.EXTRA)
_FARTHEST = 3
"""How many tokens a value may have lost or gained at one end."""
_NEGLIGIBLE = 30.0


@compiled
def judge(columns, starts, rows, spans, span_starts, open_fields, weights, steps, said, best, change, fits):
    """Weigh all single changes of some texts.

    Args:
        columns, starts, weights, steps: as for ``train``, the latter two scaled.
        rows: the texts to judge.
        spans: first token, counted from the text's first, the one behind the last, and field of all given values, by
            text and place.
        span_starts: where the spans of each text begin.
        open_fields: as in ``SpanRows``.
        said: texts x changes, receives the log of how much likelier the given spans are as the result of a change.
        best: texts x changes, the same of the likeliest of its kind.
        change: texts x changes x 3, what that one is: of a missing value its tokens and field, else which span it is of
            the text's, with its right tokens, its right field, or the other span.
        fits: texts, receives the log-likelihood of the given spans.
    """
    states = weights.shape[1]
    fields = states // 2
    size = 1
    for row in rows:
        size = max(size, starts[row + 1] - starts[row])
    scores, shares = np.empty((size, states), dtype=np.float32), np.empty((size, states))
    outside, within = np.zeros(size + 1), np.zeros((size + 1, fields))
    moves, masses, opened = np.exp(steps), np.empty(size), np.empty(fields + 2)
    for row in rows:
        first, tokens = starts[row], starts[row + 1] - starts[row]
        potentials(columns, weights, first, starts[row + 1], scores)
        total = forward(scores, tokens, moves, shares, masses, opened)
        for at in range(tokens):
            outside[at + 1] = outside[at] + scores[at, 0]
            for field in range(fields):
                within[at + 1, field] = within[at, field] + scores[at, 1 + fields + field]
        given = spans[span_starts[row] : span_starts[row + 1]]
        model = (scores, outside, within, steps)
        fits[row] = _whole(model, given, tokens, -1, -1) - total
        lines = (said[row], best[row], change[row])
        _missing(model, given, tokens, open_fields[row], lines)
        _misplaced(model, given, tokens, lines)
        _of_other_fields(model, given, tokens, open_fields[row], lines)
        _swapped(model, given, tokens, lines)


@called
def _gap(model, before, begin, end):
    """The score of tokens outside of all values."""
    outside, steps = model[1], model[3]
    if end == begin:
        return 0.0
    return outside[end] - outside[begin] + steps[before, 0] + (end - begin - 1) * steps[0, 0]


@called
def _span(model, before, begin, first, end, field):
    """The score of a value and of the tokens before it, from ``begin`` on."""
    scores, within, steps = model[0], model[2], model[3]
    left = before if first == begin else 0
    inner = within[end, field] - within[first + 1, field]
    return _gap(model, before, begin, first) + steps[left, field + 1] + scores[first, field + 1] + inner


@called
def _rest(model, before, begin, end, behind):
    """The score of the tokens after a value, and of the step to the field of the next one; -1 if there is none."""
    found = _gap(model, before, begin, end)
    if behind >= 0:
        left = before if end == begin else 0
        found += model[3][left, behind + 1]
    return found


@called
def _whole(model, given, tokens, one, other):
    """The score of all spans of a text, with the fields of two of them swapped unless they are -1."""
    before, begin, found = model[3].shape[1], 0, 0.0
    for place in range(len(given)):
        first, end, field = given[place]
        if place == one:
            field = given[other, 2]
        elif place == other:
            field = given[one, 2]
        found += _span(model, before, begin, first, end, field)
        before, begin = field + 1, end
    return found + _gap(model, before, begin, tokens)


@called
def _around(model, given, tokens, place):
    """Where the surroundings of a span begin and end, and the fields before and behind."""
    before, begin = model[3].shape[1], 0
    if place > 0:
        before, begin = given[place - 1, 2] + 1, given[place - 1, 1]
    behind, end = -1, tokens
    if place + 1 < len(given):
        behind, end = given[place + 1, 2], given[place + 1, 0]
    return before, begin, behind, end


@called
def _note(lines, kind, value, one, two, three):
    said, best, change = lines
    said[kind] = _sum(said[kind], value)
    if value > best[kind]:
        best[kind] = value
        change[kind, 0], change[kind, 1], change[kind, 2] = one, two, three


@called
def _missing(model, given, tokens, open_fields, lines):
    """Values that the given ones leave room for."""
    forgotten, place = -np.log(len(given) + 1.0), np.zeros(2, dtype=np.int64)
    for field in range(len(open_fields)):
        if open_fields[field] == 0:
            continue
        value = _anywhere(model, given, tokens, field, place)
        if open_fields[field] == 2:
            _note(lines, _REPLACED, value, place[0], place[1], field)
        else:
            _note(lines, _DROPPED, value + forgotten, place[0], place[1], field)


@called
def _anywhere(model, given, tokens, field, place):
    """The log of how much likelier the spans are with one more of a field, of any length; fills in the likeliest."""
    scores, within, steps = model[0], model[2], model[3]
    found, best = -np.inf, -np.inf
    for gap in range(len(given) + 1):
        before, begin = steps.shape[1], 0
        if gap > 0:
            before, begin = given[gap - 1, 2] + 1, given[gap - 1, 1]
        behind, stop = -1, tokens
        if gap < len(given):
            behind, stop = given[gap, 2], given[gap, 0]
        now = _rest(model, before, begin, stop, behind)
        ends, likeliest, end = -np.inf, -np.inf, stop
        for first in range(stop - 1, begin - 1, -1):
            right = within[first + 1, field] + _rest(model, field + 1, first + 1, stop, behind)
            ends = _sum(ends, right)
            if right > likeliest:
                likeliest, end = right, first + 1
            left = steps[before if first == begin else 0, field + 1] + scores[first, field + 1] - now
            left += _gap(model, before, begin, first) - within[first + 1, field]
            found = _sum(found, left + ends)
            if left + likeliest > best:
                best, place[0], place[1] = left + likeliest, first, end
    return found


@called
def _sum(one, other):
    """The log of the sum of two likelihoods."""
    high, low = max(one, other), min(one, other)
    return high if low < high - _NEGLIGIBLE else high + np.log1p(np.exp(low - high))


@called
def _misplaced(model, given, tokens, lines):
    """Values that begin or end elsewhere."""
    for place in range(len(given)):
        first, end, field = given[place]
        before, begin, behind, stop = _around(model, given, tokens, place)
        now = _span(model, before, begin, first, end, field) + _rest(model, field + 1, end, stop, behind)
        for step in range(1, 2 * _FARTHEST + 1):
            left, right = (step, 0) if step <= _FARTHEST else (0, step - _FARTHEST)
            if first - left >= begin and end + right <= stop:
                value = _span(model, before, begin, first - left, end + right, field) - now
                value += _rest(model, field + 1, end + right, stop, behind)
                ways = 2.0 * len(given) * max(end + right - first + left - 1, 1)
                _note(lines, _TRUNCATED, value - np.log(ways), place, first - left, end + right)
            if first + left < end - right:
                value = _span(model, before, begin, first + left, end - right, field) - now
                value += _rest(model, field + 1, end - right, stop, behind)
                _note(lines, _EXTENDED, value - np.log(2.0 * len(given) * _FARTHEST), place, first + left, end - right)


@called
def _of_other_fields(model, given, tokens, open_fields, lines):
    """Values of another field, or of none."""
    fields = len(open_fields)
    free = max((open_fields == 1).sum(), 1)
    for place in range(len(given)):
        first, end, field = given[place]
        before, begin, behind, stop = _around(model, given, tokens, place)
        now = _span(model, before, begin, first, end, field) + _rest(model, field + 1, end, stop, behind)
        for other in range(fields):
            if open_fields[other] == 1 and other != field:
                value = _span(model, before, begin, first, end, other) - now
                value += _rest(model, other + 1, end, stop, behind)
                _note(lines, _MOVED, value - np.log(1.0 * len(given) * free), place, other, 0)
        value = _rest(model, before, begin, stop, behind) - now
        _note(lines, _EXTRA, value - np.log(4.0 * tokens * fields), place, 0, 0)


@called
def _swapped(model, given, tokens, lines):
    """Two values that each belong to the field of the other."""
    now = _whole(model, given, tokens, -1, -1)
    pairs = max(len(given) * (len(given) - 1) / 2.0, 1.0)
    for one in range(len(given)):
        for other in range(one + 1, len(given)):
            if given[one, 2] != given[other, 2]:
                value = _whole(model, given, tokens, one, other) - now
                _note(lines, _SWAPPED, value - np.log(pairs), one, other, 0)


@compiled
def fit_of_paths(columns, starts, paths, spans, span_starts, weights, steps, fits):
    """Fill in what several ways to place the values of texts score.

    Args:
        columns, starts, weights, steps: as for ``judge``.
        paths: the text that each way is for.
        spans, span_starts: the spans of each way.
        fits: of each way.
    """
    states = weights.shape[1]
    fields = states // 2
    size = 1
    for row in paths:
        size = max(size, starts[row + 1] - starts[row])
    scores = np.empty((size, states), dtype=np.float32)
    outside, within = np.zeros(size + 1), np.zeros((size + 1, fields))
    for path in range(len(paths)):
        row = paths[path]
        first, tokens = starts[row], starts[row + 1] - starts[row]
        potentials(columns, weights, first, starts[row + 1], scores)
        for at in range(tokens):
            outside[at + 1] = outside[at] + scores[at, 0]
            for field in range(fields):
                within[at + 1, field] = within[at, field] + scores[at, 1 + fields + field]
        given = spans[span_starts[path] : span_starts[path + 1]]
        fits[path] = _whole((scores, outside, within, steps), given, tokens, -1, -1)
