"""Which labels would an annotator most likely correct?

In: texts with their labels, extracted values or rewritten texts. Out: a score per row with its reasons, a better
label, or the values that do not occur in the text.
"""

__all__ = ["classifier", "grounding"]
