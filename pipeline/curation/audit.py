"""Draws the audit: a random sample of records by hashes, so that every run, in any order of rows, draws the same."""

import hashlib
import heapq
from collections.abc import Collection

from schemas.dataset import Review

SHARE = 0.02
MOST = 300
"""Of records to look at where no share is written down: 5% of errors are known to 3% to 8% by them."""


def drawn(places: Collection[str], review: Review) -> set[str]:
    """The records to look at out of those that may be: the ones with the smallest hashes below the share.

    As the records grow in number, smaller hashes come in, so that new records are looked at, too, though fewer of each.
    """
    share, most = (SHARE, MOST) if review.audit is None else (review.audit, len(places))
    limit = share * 2**64
    below = ((hash_, record_id) for record_id in places if (hash_ := _hash(record_id)) < limit)
    return {record_id for _, record_id in heapq.nsmallest(most, below)}


def _hash(record_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"audit {record_id}".encode(), digest_size=8).digest(), "big")
