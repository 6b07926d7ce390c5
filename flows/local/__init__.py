"""Local: a Label Studio server of our own, annotators that are simulated, and the demo."""
