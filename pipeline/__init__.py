"""The verbs of Goldleaf: plain typed functions over the nouns in ``schemas``, with no orchestrator."""
