"""Turns files of raw rows into records, each with a permanent key.

In: the sources of a dataset. Out: rows of the table ``records``, including one for each unreadable line.
"""

__all__ = [
    "chat_layouts",
    "download",
    "field_checks",
    "formats",
    "ingest_sources",
    "raw_rows",
    "read_cache",
    "row_keys",
    "row_places",
    "row_values",
    "source_files",
    "source_urls",
    "sources",
]
