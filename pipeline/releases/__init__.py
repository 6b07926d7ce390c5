"""Turns accepted records into an immutable version, whose splits never leak and never move.

In: committed decisions. Out: rows of ``splits``, and a folder with Parquet files, card, manifest and report.
"""

__all__ = [
    "absent_labels",
    "adoption",
    "audit_result",
    "draft",
    "frozen_sources",
    "hub_license",
    "lockfile",
    "lost_rows",
    "numbering",
    "publish",
    "published_rows",
    "recovery",
    "split_audit",
    "unannounced",
    "versions",
]
