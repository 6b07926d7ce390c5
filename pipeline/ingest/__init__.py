"""Turns files of raw rows into records, each with a permanent key.

In: the sources of a dataset. Out: rows of the table ``records``, including one for each unreadable line.
"""

__all__ = [
    "download",
    "field_checks",
    "formats",
    "ingest_sources",
    "raw_rows",
    "row_keys",
    "row_places",
    "source_files",
    "sources",
]
