"""Which texts resemble each other, among millions, and which of those are known from before?

In: texts as Arrow columns on disk. Out: pairs with their exact Jaccard similarity, and an index of what was
compared.
"""

__all__ = ["index", "ngram_overlap", "pairs", "search", "signatures", "text_columns"]
