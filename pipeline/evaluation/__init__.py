"""Evaluation: how much of the gold answers a model gives, with intervals; arithmetic on texts, no model is loaded."""
