"""Which texts are similar, among millions, and which of them are already known?

In: texts as Arrow columns on disk. Out: pairs with their exact Jaccard similarity, and an index of what was
compared.
"""

__all__ = ["index", "ngram_overlap", "pairs", "search", "signatures", "spelling", "text_columns"]
