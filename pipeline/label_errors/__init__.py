"""Which labels would an annotator most likely correct, and which conversations?

In: texts with their labels or extracted values, or conversations. Out: a score per row, a better label, the values that
do not occur in the text, or what is doubted in which turn.
"""

__all__ = ["chat_findings", "chat_rules", "classifier", "grounding", "label_sets", "rewrite_rules", "rewrites"]
