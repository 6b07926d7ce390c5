"""The Delta tables of a dataset, its folders and its locks; every file is written atomically.

In: frames and models of ``schemas``. Out: a store that commits runs, and snapshots of what is committed.
"""

__all__ = [
    *("arrays", "at_work", "atomic", "compaction", "dataset_folder", "decisions", "file_stamps", "locks"),
    *("mapped_rows", "memory", "outline", "own_code", "refusals", "runs", "same_question", "snapshot"),
    *("staging", "store", "tables", "tries", "work_files"),
]
