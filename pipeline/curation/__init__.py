"""Every current record is prepared, compared, measured, scored, and given its fate.

In: current records and what is known from earlier runs. Out: rows of ``decisions``, committed with a run.
"""

__all__ = [
    "evaluation_sets",
    "follow_answers",
    "history",
    "prepare",
    "shards",
    "shared_keys",
    "similarity_histogram",
    "small_files",
    "stages",
    "task_change",
]
