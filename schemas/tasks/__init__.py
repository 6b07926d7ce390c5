"""Example tasks, one file each; they belong to the samples under ``data/samples``."""
