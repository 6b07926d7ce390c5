"""The decision about one revision of a record."""

from pydantic import BaseModel

from schemas.fate import Fate, LabelSource, Reason, Routed
from schemas.field import JsonValue


class Decision(BaseModel, frozen=True):
    """What was decided about one revision of a record; the latest committed one counts."""

    run: str
    record_id: str
    revision: str
    task_digest: str
    content: str = ""
    """Digest of what the row asks and answers by itself; empty if it breaks the schema: then its revision says that."""
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
    replaced: dict[str, JsonValue] | None = None
    """The answer that the record had before an annotator corrected it."""
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
    model_answer: dict[str, JsonValue] | None = None
    """The answer of the model that `suggest` names: a proposal if there are no targets, else one more voice."""
    score_alone: float | None = None
    """Where that model has answered: the label-error score before it was heard."""
    audit_stratum: int | None = None
    """Which rows it stands for in the audit; none if it has no chance to be drawn."""
    audit_probability: float | None = None
    """Its chance to be drawn, above 0."""

    @property
    def state(self) -> str:
        """What changes with what the row asks and answers, but not with columns that the task does not read."""
        return self.content or self.revision
