"""Turns files of raw rows into records, each with a permanent key.

In: the sources of a dataset. Out: rows of the table ``records``, including one for each unreadable line.
"""

__all__ = [
    "download",
    "formats",
    "raw_rows",
    "records",
    "row_fields",
    "row_keys",
    "row_places",
    "source_files",
    "sources",
]
