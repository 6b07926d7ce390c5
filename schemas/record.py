"""What identifies a record, and the decision about it."""

import hashlib

from pydantic import BaseModel, ConfigDict

from schemas.fate import Fate, LabelSource, Reason, Routed
from schemas.field import JsonValue

ID_BYTES = 16
"""Bytes of record ids, revisions and push keys before hex: no collision expected below 10^15 rows."""
_TEXT_DIGITS = 16
"""The digits of a push key that identify what is asked."""


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

    It covers the inputs as shown to annotators: another field map makes another question of the same raw row. It
    begins with what is asked, whatever else the row contains; see ``what_is_asked``.
    """
    asked = stable_hash(record_id, task_digest, inputs_key)
    return asked[:_TEXT_DIGITS] + stable_hash(record_id, revision, task_digest, inputs_key)[_TEXT_DIGITS:]


def what_is_asked(push_key: str) -> str:
    """The prefix of all push keys that ask the same about a record; it still works in a home that lost its history."""
    return push_key[:_TEXT_DIGITS]


class Decision(BaseModel):
    """What was decided about one revision of a record; the latest committed one counts."""

    model_config = ConfigDict(frozen=True)

    run: str
    record_id: str
    revision: str
    task_digest: str
    fate: Fate
    reasons: list[Reason]
    duplicate_of: str = ""
    """The record that is kept instead of this one."""
    similarity: float | None = None
    """Verified Jaccard similarity with ``duplicate_of``, 0 to 1."""
    routed: Routed | None = None
    inputs: dict[str, object] = {}
    """Normalized inputs; empty for an unreadable or invalid record."""
    targets: dict[str, JsonValue] | None = None
    suggestion: dict[str, JsonValue] | None = None
    """The model's proposal; annotators see it if there are no targets."""
    label_source: LabelSource | None = None
    label_error_score: float | None = None
    """0 (certainly right) to 1 (certainly wrong), by out-of-fold prediction or grounding."""
    group: str = ""
    """Records of one group are always in the same split."""
    pinned_split: str = ""
    """The split that the group must go to, if the record has none of its own yet."""
    tokens: int | None = None
    """Of prompt and answer, in the configured encoding."""
