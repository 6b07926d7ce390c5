"""How far do annotators agree, who seems to guess, and which answer do their votes amount to?

In: votes as integers, an item, an annotator and a label each. Out: the label of each item with its probability, chance-
corrected agreement with its interval, and who agrees with the others by chance only.
"""

__all__ = ["alpha", "field_consensus", "guessing"]
