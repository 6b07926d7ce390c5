"""Local: a Label Studio server, simulated annotators, and the demo."""
