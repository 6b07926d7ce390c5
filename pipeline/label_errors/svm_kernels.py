"""The compiled training of support vector machines, all labels at once.

scikit-learn trains one label after another, each from a copy of the features: 22 s for the 37 kinds of CUAD, against
1 s here.
"""

import numpy as np

from pipeline.compiled import compiled


@compiled
def train(starts, columns, values, given, orders, cost, weights):
    """Train a linear support vector machine with squared hinge loss for every label, by dual coordinate descent.

    The labels have nothing in common but the order in which rows are visited: a row's features are read once for all
    of them, and the weights of a feature are adjacent.

    Args:
        starts, columns, values: the rows as a sparse matrix.
        given: rows x labels, whether the row has the label.
        orders: passes x rows, the rows in the order of each pass.
        cost: what a violated margin costs.
        weights: features + 1 x labels, receives the weights; those in the last line are added for every row.
    """
    rows, labels = given.shape
    bias = len(weights) - 1
    held = np.zeros((rows, labels), dtype=np.float32)
    change = np.empty(labels, dtype=np.float32)
    ridge = np.float32(0.5 / cost)
    one, zero = np.float32(1), np.float32(0)
    for order in orders:
        for row in order:
            first, end = starts[row], starts[row + 1]
            norm = one
            for label in range(labels):
                change[label] = weights[bias, label]
            for at in range(first, end):
                value, column = values[at], columns[at]
                norm += value * value
                for label in range(labels):
                    change[label] += value * weights[column, label]
            for label in range(labels):
                sign = one if given[row, label] else -one
                slope = sign * change[label] - one + ridge * held[row, label]
                moved = max(held[row, label] - slope / (norm + ridge), zero)
                change[label] = (moved - held[row, label]) * sign
                held[row, label] = moved
                weights[bias, label] += change[label]
            for at in range(first, end):
                value, column = values[at], columns[at]
                for label in range(labels):
                    weights[column, label] += value * change[label]
