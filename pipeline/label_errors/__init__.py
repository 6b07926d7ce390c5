"""Which labels would an annotator most likely correct?

In: texts with their labels or extracted values. Out: a score a row, a better label, or the values that the text
does not hold.
"""

__all__ = ["classifier", "grounding"]
