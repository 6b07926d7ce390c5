"""The dataset.yaml, the task that it names, and the workspace that combines both with a home.

In: files that users write. Out: a loaded dataset, or one line that says what to change, with file and line.
"""

__all__ = ["dataset_file", "price_file", "scaffold", "workspace"]
