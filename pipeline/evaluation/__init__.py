"""How good are a model's answers?

In: answers and the gold ones; no model is loaded. Out: scores by label and by field, shares, ratios
and losses with their 95% intervals.
"""

__all__ = ["call_matches", "estimates", "paired", "scores", "text_similarity", "value_pairs"]
