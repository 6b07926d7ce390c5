"""What becomes of rows that resemble each other: which is kept, what is in conflict, what moves as one.

In: rows with their neighbors, answers and splits. Out: for each row: kept, a duplicate, overridden, in conflict, or
a bridge between splits.
"""

__all__ = ["candidates", "neighbors", "resolve"]
