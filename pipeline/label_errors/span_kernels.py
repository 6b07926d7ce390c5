"""The compiled part of the model that reads spans: a linear-chain conditional random field.

Of F fields there are 2 F + 1 states: 0 for a token outside of all values, 1 + f for the first token of a value of field
f, and 1 + F + f for its others. What a state may follow is decided by what its predecessor leaves open: nothing (0), a
value of field f (1 + f), or the beginning of the text (F + 1).

Most of the probability is on few states once the model has learned a little; the rest is passed over.
"""

import numpy as np

from pipeline.compiled import called, compiled

_NEGLIGIBLE = 1e-6
_KNOWN = 0.01
"""Probabilities that are off by less are not improved."""


@called
def potentials(columns, weights, first, end, scores):
    """What the features of the tokens from first to end say for each state."""
    states = weights.shape[1]
    for token in range(first, end):
        line = scores[token - first]
        line[:] = 0
        for place in range(columns.shape[1]):
            if columns[token, place] >= 0:
                says = weights[columns[token, place]]
                for state in range(states):
                    line[state] += says[state]


@called
def left_open(shares, at, opened):
    """What the states before a token leave open; returns nothing, fills in ``opened``."""
    fields = len(opened) - 2
    if at == 0:
        opened[:] = 0
        opened[fields + 1] = 1
    else:
        opened[0] = shares[at - 1, 0]
        for field in range(fields):
            opened[field + 1] = shares[at - 1, 1 + field] + shares[at - 1, 1 + fields + field]
        opened[fields + 1] = 0


@called
def forward(scores, tokens, moves, shares, masses, opened):
    """Fill in the share of each state at each token, given the tokens before; returns the log of the partition sum.

    Args:
        scores: tokens x states.
        tokens: how many there are.
        moves: the exponentials of what it scores to begin nothing, or a value of a field, after each predecessor.
        shares: tokens x states, is filled in.
        masses: tokens, receives what the shares were divided by.
        opened: room for F + 2 values.
    """
    fields = len(opened) - 2
    total = 0.0
    for at in range(tokens):
        left_open(shares, at, opened)
        line = shares[at]
        line[:] = 0
        for before in range(fields + 2):
            if opened[before] > _NEGLIGIBLE:
                move = moves[before]
                for after in range(fields + 1):
                    line[after] += opened[before] * move[after]
        for field in range(fields):
            line[1 + fields + field] = opened[field + 1]
        highest = scores[at].max()
        mass = 0.0
        for state in range(2 * fields + 1):
            line[state] *= np.exp(scores[at, state] - highest)
            mass += line[state]
        for state in range(2 * fields + 1):
            line[state] /= mass
        masses[at] = mass
        total += np.log(mass) + highest
    return total


@compiled
def train(columns, starts, states, trust, orders, rates, weights, steps):
    """Train by stochastic gradient descent on the likelihood of whole texts.

    Args:
        columns: tokens x features, the lines of ``weights``; negative for a feature that is not used.
        starts: where each text begins among the tokens, and where the last one ends.
        states: the given state of every token.
        trust: how much each text counts, from 0 to 1.
        orders: passes x texts, the texts in the order of each pass.
        rates: the learning rate at the beginning and at the end.
        weights: features x states, are changed.
        steps: (F + 2) x (F + 1), what each step between states scores; are changed.
    """
    fields = steps.shape[1] - 1
    longest = 1
    for text in range(len(starts) - 1):
        longest = max(longest, starts[text + 1] - starts[text])
    scores = np.empty((longest, 2 * fields + 1), dtype=np.float32)
    shares, masses = np.empty((longest, 2 * fields + 1)), np.empty(longest)
    opened, behind, reached = np.empty(fields + 2), np.empty(2 * fields + 1), np.empty(2 * fields + 1)
    change = np.empty(2 * fields + 1, dtype=np.float32)
    gradient = np.zeros_like(steps)
    moves = np.exp(steps)
    rooms = (opened, behind, reached, change, gradient)
    done = 0
    for order in orders:
        for text in order:
            rate = (rates[0] + (rates[1] - rates[0]) * done / orders.size) * trust[text]
            done += 1
            first, end = starts[text], starts[text + 1]
            if rate <= 0 or first == end:
                continue
            potentials(columns, weights, first, end, scores)
            total = forward(scores, end - first, moves, shares, masses, opened)
            # What is known well already is not worth the time.
            if total - _given(scores, states[first:end], steps) >= _KNOWN:
                seen = (scores, shares, masses)
                if _learn(columns[first:end], states[first:end], seen, moves, rate, weights, rooms):
                    _move_steps(rate, gradient, steps, moves)


@called
def _learn(columns, states, seen, moves, rate, weights, rooms):
    """Change the weights by the gradient of one text, and add up that of the steps; returns whether there was any."""
    scores, shares, masses = seen
    opened, behind, reached, change, gradient = rooms
    fields = len(opened) - 2
    moved = False
    behind[:] = 1
    for at in range(len(states) - 1, -1, -1):
        mass = 0.0
        for state in range(2 * fields + 1):
            mass += shares[at, state] * behind[state]
        largest = 0.0
        for state in range(2 * fields + 1):
            error = -shares[at, state] * behind[state] / mass
            if state == states[at]:
                error += 1
            largest = max(largest, abs(error))
            change[state] = rate * error
        highest = scores[at].max()
        for state in range(2 * fields + 1):
            reached[state] = np.exp(scores[at, state] - highest) * behind[state]
        left_open(shares, at, opened)
        if largest > _KNOWN:
            moved = True
            for place in range(columns.shape[1]):
                if columns[at, place] >= 0:
                    says = weights[columns[at, place]]
                    for state in range(2 * fields + 1):
                        says[state] += change[state]
            _add_steps(opened, moves, reached, mass * masses[at], gradient)
            if states[at] <= fields:
                before = fields + 1 if at == 0 else _opens(states[at - 1], fields)
                gradient[before, states[at]] += 1
        if at > 0:
            _look_back(opened, moves, reached, behind)
    return moved


@called
def _move_steps(rate, gradient, steps, moves):
    """Change what steps score by their gradient, which is emptied."""
    for before in range(steps.shape[0]):
        for after in range(steps.shape[1]):
            if abs(gradient[before, after]) > _NEGLIGIBLE:
                steps[before, after] += rate * gradient[before, after]
                moves[before, after] = np.exp(steps[before, after])
            gradient[before, after] = 0


@called
def _given(scores, states, steps):
    """What the given states of a text score."""
    fields = steps.shape[1] - 1
    before, found = fields + 1, 0.0
    for at in range(len(states)):
        if states[at] <= fields:
            found += steps[before, states[at]]
        found += scores[at, states[at]]
        before = _opens(states[at], fields)
    return found


@called
def _opens(state, fields):
    """What a state leaves open."""
    return state if state <= fields else state - fields


@called
def _add_steps(opened, moves, reached, mass, gradient):
    """Subtract how often each step is expected."""
    fields = len(opened) - 2
    for before in range(fields + 2):
        if opened[before] > _NEGLIGIBLE:
            share, move, line = opened[before] / mass, moves[before], gradient[before]
            for after in range(fields + 1):
                line[after] -= share * move[after] * reached[after]


@called
def _look_back(opened, moves, reached, behind):
    """What comes behind the token before, given its state; only where that is possible at all."""
    fields = len(opened) - 2
    behind[:] = 0
    largest = 0.0
    for before in range(fields + 1):
        if opened[before] > _NEGLIGIBLE:
            found, move = 0.0, moves[before]
            for after in range(fields + 1):
                found += move[after] * reached[after]
            if before == 0:
                behind[0] = found
            else:
                found += reached[fields + before]
                behind[before] = behind[fields + before] = found
            largest = max(largest, found)
    behind /= largest
