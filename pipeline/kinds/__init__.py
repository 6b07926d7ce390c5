"""What differs between kinds of task: one file per kind, behind one interface.

In: a task and its rows. Out: the kind's labels for splits, its label scores, metric and starter files.
Nothing outside this room names a kind; a new one is a file here and a row in ``registry.KINDS``.
"""

__all__ = ["interface", "registry", "starter_files"]
