"""The verbs of Goldleaf: typed functions over the nouns in ``schemas``, with no orchestrator."""
