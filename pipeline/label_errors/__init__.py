"""Which labels would an annotator most likely correct, and which conversations?

In: texts with their labels, sets of labels, extracted values or rewritten texts, or conversations. Out: a score per row
with its reasons, a better label or set, the values that the text does not contain, or what is doubted in which turn.
"""

__all__ = [
    "chat_findings",
    "chat_rules",
    "classifier",
    "extractions",
    "grounding",
    "judged_labels",
    "kept_arrays",
    "label_sets",
    "rewrite_rules",
    "rewrites",
    "span_tokens",
    "static_embeddings",
    "text_languages",
    "value_words",
]
