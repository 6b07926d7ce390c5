"""Which labels would an annotator most likely correct?

In: texts with their labels, sets of labels or extracted values. Out: a score per row, a better label or set, or the
values that do not occur in the text.
"""

__all__ = ["classifier", "grounding"]
