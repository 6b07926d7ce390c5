"""How many of the accepted rows are wrong, and how many answers would show it?

In: scores, hashes and answers of rows, as arrays. Out: which rows to ask about, the share of wrong rows with its
interval, and how many errors the next answers would find. Pure functions; nothing is read or stored.
"""

__all__ = ["audit_draw", "audit_estimate", "error_curve", "error_target"]
