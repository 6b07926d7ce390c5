"""The dataset.yaml, the task that it names, and the workspace that both make with a home.

In: files that people write. Out: a loaded dataset, or one line that says what to change, with file and line.
"""

__all__ = ["dataset_file", "scaffold", "workspace"]
