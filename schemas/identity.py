"""The stable hashes that identify records, their revisions, and the questions asked about them."""

import hashlib
from collections.abc import Iterable

ID_BYTES = 16
"""Bytes of record ids, revisions and push keys before hex: no collision expected below 10^15 rows."""
_TEXT_DIGITS = 16
"""The digits of a push key that identify what is asked."""
_ABSENT_AT_THE_END = "\x1f"
"""What a key of inputs ends with whose last ones are absent: one more that a row does not have asks nothing else."""


def stable_hash(*parts: str | bytes) -> str:
    """Hash parts to 32 hex digits; each is prefixed by its length, so that no two lists collide."""
    # At once: a call of update takes as long as hashing a short text.
    return hashlib.blake2b(b"".join(map(_sized, parts)), digest_size=ID_BYTES).hexdigest()


def revision_of(raw: bytes) -> str:
    """The id of what a row says, as 32 hex digits over its bytes."""
    return hashlib.blake2b(raw, digest_size=ID_BYTES).hexdigest()


def stable_hashes(first: str, texts: Iterable[str]) -> list[str]:
    """``stable_hash(first, text)`` of each of many texts."""
    head, hashed = _sized(first), hashlib.blake2b
    sized = ((text, len(text).to_bytes(8, "little")) for text in map(str.encode, texts))
    return [hashed(head + size + text, digest_size=ID_BYTES).hexdigest() for text, size in sized]


def _sized(part: str | bytes) -> bytes:
    data = part.encode() if isinstance(part, str) else part
    return len(data).to_bytes(8, "little") + data


def content_digest(inputs_key: str, targets: bytes | str | None) -> str:
    """What a row asks and answers, as 16 hex digits: it stays when columns change that the task does not read.

    Args:
        inputs_key: of its inputs: a difference in whitespace or case asks nothing else.
        targets: its own, as JSON; None if it has none.
    """
    return stable_hash(_shown(inputs_key), *(() if targets is None else (targets,)))[:_TEXT_DIGITS]


def push_key(record_id: str, state: str, task_digest: str, inputs_key: str, *seat: str) -> str:
    """The key that a labeling task carries: the same question is never asked twice.

    It covers the row's own answer (``state``) and the inputs as shown to annotators: another field map makes another
    question of the same raw row, and a column that the task does not read makes none. It begins with what is asked,
    whatever the row answers and whoever is to answer; see ``what_is_asked``. The first seat has no part in it:
    questions had one seat only before there were others.
    """
    shown = _shown(inputs_key)
    asked = stable_hash(record_id, task_digest, shown)
    return asked[:_TEXT_DIGITS] + stable_hash(record_id, state, task_digest, shown, *seat)[_TEXT_DIGITS:]


def _shown(inputs_key: str) -> str:
    return inputs_key.rstrip(_ABSENT_AT_THE_END)


def what_is_asked(push_key: str) -> str:
    """The prefix of all push keys that ask the same about a record; it still works in a home that lost its history."""
    return push_key[:_TEXT_DIGITS]
