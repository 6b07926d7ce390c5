"""What becomes of similar rows: which is kept, what is in conflict, what moves together.

In: rows with their neighbors, answers and splits. Out: each row as kept, a duplicate, overridden, in conflict, or
a bridge between splits.
"""

__all__ = ["candidates", "neighbors", "resolve"]
