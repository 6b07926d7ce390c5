"""Divides tasks and push keys into requests that are neither too many nor too large."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

BATCH = 500
"""Tasks per request; larger requests are slower and fail as a whole."""
BATCH_BYTES = 8 * 2**20
"""A batch is smaller if its texts are long, so that a slow connection can send it in time."""


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """Some items at a time, in their order."""
    return (list(items[start : start + size]) for start in range(0, len(items), size))


def portions(tasks: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """The keys in batches that are neither too many nor too large."""
    keys: list[str] = []
    size = 0
    for key, task in tasks.items():
        weight = len(json.dumps(task))
        if keys and (len(keys) == BATCH or size + weight > BATCH_BYTES):
            yield keys
            keys, size = [], 0
        keys.append(key)
        size += weight
    if keys:
        yield keys
