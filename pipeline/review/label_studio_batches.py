"""Divides tasks and push keys into requests that are neither too many nor too large."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipeline.review.form import PUSH_KEY

BATCH = 2_500
"""Tasks per request: of what was tried from 500 to 10,000, the server took least time per task with this many."""
LOOKUP = 150
"""Push keys per query: they are in the URL, and many proxies allow no more than 8 kB there."""
BATCH_BYTES = 8 * 2**20
"""A batch is smaller if its texts are long, so that a slow connection can send it in time."""


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """Some items at a time, in their order."""
    return (list(items[start : start + size]) for start in range(0, len(items), size))


def portions(tasks: Iterable[dict[str, Any]]) -> Iterator[dict[str, bytes]]:
    """Tasks as JSON by push key, in batches that are neither too many nor too large; only one batch is held."""
    batch: dict[str, bytes] = {}
    size = 0
    for task in tasks:
        encoded = json.dumps(task, ensure_ascii=False, separators=(",", ":")).encode()
        if batch and (len(batch) == BATCH or size + len(encoded) > BATCH_BYTES):
            yield batch
            batch, size = {}, 0
        batch[task["data"][PUSH_KEY]] = encoded
        size += len(encoded)
    if batch:
        yield batch
