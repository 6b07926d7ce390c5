"""Draws the audit: a random sample of records by hash, so that every run draws the same, in any order of rows."""

import hashlib
import heapq
from collections.abc import Collection

from schemas.dataset import Review

SHARE = 0.02
MOST = 300
"""Records to audit if no share is configured: with them, an error rate of 5% is estimated at 3% to 8%."""


def drawn(places: Collection[str], review: Review) -> set[str]:
    """The records to audit among the candidates: those whose hashes are below the share, smallest first.

    As the number of records grows, smaller hashes come in, so that new records are audited, too, though fewer.
    """
    share, most = (SHARE, MOST) if review.audit is None else (review.audit, len(places))
    limit = share * 2**64
    below = ((hash_, record_id) for record_id in places if (hash_ := _hash(record_id)) < limit)
    return {record_id for _, record_id in heapq.nsmallest(most, below)}


def _hash(record_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"audit {record_id}".encode(), digest_size=8).digest(), "big")
