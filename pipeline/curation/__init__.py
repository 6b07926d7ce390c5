"""Every current record is prepared, compared, measured and scored, and gets its fate.

In: current records and all that is known from before. Out: rows of ``decisions``, committed with a run.
"""

__all__ = [
    "evaluation_sets",
    "history",
    "measure",
    "notes",
    "prepare",
    "shards",
    "similarity_histogram",
    "stages",
]
