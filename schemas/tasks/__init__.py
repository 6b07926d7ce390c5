"""Example tasks, one per file, for the samples in ``data/samples``."""
