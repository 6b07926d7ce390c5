"""Files of raw rows become records, each with the key that it is known by from then on.

In: the sources of a dataset. Out: rows of the table ``records``; a line that cannot be read is one, too.
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
