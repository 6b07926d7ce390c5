"""How far do annotators agree, how reliable is each, and which answer do their votes amount to?

In: votes as integers, an item, an annotator and a label each. Out: the label of each item with its probability, chance-
corrected agreement with its interval, and how reliable each annotator is.
"""

__all__ = ["field_consensus"]
