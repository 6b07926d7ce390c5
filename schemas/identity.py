"""The stable hashes that identify records, their revisions, and the questions asked about them."""

import hashlib

ID_BYTES = 16
"""Length of record ids, revisions and push keys before hex: no collision to be expected below 10^15 rows."""
_TEXT_DIGITS = 16
"""Of a push key, those that stand for what is asked."""


def stable_hash(*parts: str | bytes) -> str:
    """Hash parts to 32 hex digits; each is prefixed by its length, so that no two lists collide."""
    digest = hashlib.blake2b(digest_size=ID_BYTES)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def push_key(record_id: str, revision: str, task_digest: str, inputs_key: str) -> str:
    """The key that a labeling task carries: the same question is never asked twice.

    The inputs as people see them are part of it: another field map makes another question of the same raw row. It
    begins with what is asked, whatever else the row says; see ``what_is_asked``.
    """
    asked = stable_hash(record_id, task_digest, inputs_key)
    return asked[:_TEXT_DIGITS] + stable_hash(record_id, revision, task_digest, inputs_key)[_TEXT_DIGITS:]


def what_is_asked(push_key: str) -> str:
    """How all push keys begin that ask the same of a record: by it a home that lost its past still knows."""
    return push_key[:_TEXT_DIGITS]
