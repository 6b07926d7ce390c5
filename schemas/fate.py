"""What became of a record, and why: the four fates, the routes to people and the reasons."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, field_validator

from schemas.user_code_errors import writable


class Fate(StrEnum):
    """Every current record has exactly one of these."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    REVIEW = "review"


class Routed(StrEnum):
    """Why a record is shown to people; a record that nobody needs to see has no route."""

    UNCERTAIN = "uncertain"
    CONFLICT = "conflict"
    AUDIT = "audit"
    ADJUDICATE = "adjudicate"


class LabelSource(StrEnum):
    """Where a record's targets come from."""

    SOURCE = "source"
    """The raw row carried them."""
    HUMAN = "human"
    """A person entered or confirmed them."""


class ReasonCode(StrEnum):
    """Every reason a fate can have. The text that people read is in ``EXPLANATIONS``."""

    PASSED = "passed"
    FROZEN = "frozen"
    REVIEWED = "reviewed"
    UNREVIEWED = "unreviewed"
    UNREADABLE = "unreadable"
    NOT_AN_OBJECT = "not_an_object"
    INVALID = "invalid"
    TEMPLATE_TOKEN = "template_token"
    TOO_LONG = "too_long"
    CONTAMINATED = "contaminated"
    OVERRIDDEN = "overridden"
    BRIDGES_SPLITS = "bridges_splits"
    REVIEWER = "reviewer"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    UNLABELED = "unlabeled"
    CONFLICT = "conflict"
    SOFT_CHECK = "soft_check"
    PERSONAL_DATA = "personal_data"
    SECRET = "secret"
    LABEL_ERROR = "label_error"
    CORRECTED = "corrected"
    UNGROUNDED = "ungrounded"
    UNSURE = "unsure"
    DISAGREEMENT = "disagreement"


EXPLANATIONS: dict[ReasonCode, str] = {
    ReasonCode.PASSED: "valid, and nothing spoke against it",
    ReasonCode.FROZEN: "valid, and of a source that is published as it is",
    ReasonCode.REVIEWED: "an annotator confirmed or corrected it",
    ReasonCode.UNREVIEWED: "doubtful, beyond the review budget, accepted by `unreviewed: accept`",
    ReasonCode.UNREADABLE: "the line could not be read",
    ReasonCode.NOT_AN_OBJECT: "valid JSON, but not an object with fields",
    ReasonCode.INVALID: "a field breaks the task's schema",
    ReasonCode.TEMPLATE_TOKEN: "the text holds a chat template's control token",
    ReasonCode.TOO_LONG: "more tokens than `measure.max_tokens`",
    ReasonCode.CONTAMINATED: "it resembles an evaluation row, which a model must not have seen",
    ReasonCode.OVERRIDDEN: "an annotator gave the same input another answer",
    ReasonCode.BRIDGES_SPLITS: "it resembles rows of two splits, so it could leak",
    ReasonCode.REVIEWER: "a reviewer marked it unusable",
    ReasonCode.EXACT_DUPLICATE: "the same input and answer as the row that is kept",
    ReasonCode.NEAR_DUPLICATE: "nearly the same input as the row that is kept, and no other answer",
    ReasonCode.UNLABELED: "it has no answer yet",
    ReasonCode.CONFLICT: "the same input stands in the data with another answer",
    ReasonCode.SOFT_CHECK: "a soft check of the task failed",
    ReasonCode.PERSONAL_DATA: "the text seems to hold personal data",
    ReasonCode.SECRET: "the text seems to hold a secret",
    ReasonCode.LABEL_ERROR: "a model trained on the other rows would answer differently",
    ReasonCode.CORRECTED: "an annotator corrected the same answer to nearly the same input",
    ReasonCode.UNGROUNDED: "a value does not occur in the text",
    ReasonCode.UNSURE: "a reviewer was not sure",
    ReasonCode.DISAGREEMENT: "annotators contradict each other about the same input",
}


LABEL_ERROR_CODES = frozenset({ReasonCode.LABEL_ERROR, ReasonCode.UNGROUNDED})
"""What a kind of task may say against a label; see ``Kind.score_labels``."""


class Reason(BaseModel):
    """One reason of a decision, with the field and the value that caused it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: ReasonCode
    field: str = ""
    detail: str = ""
    refs: tuple[str, ...] = ()
    """What ``detail`` speaks of: ids of other records, or of an evaluation row the name of its set and its place."""

    @field_validator("field", "detail")
    @classmethod
    def _can_be_stored(cls, text: str) -> str:
        # The task's own code may say anything.
        return writable(text)

    def __str__(self) -> str:
        """Read like a sentence: explanation, then field and detail where there are any."""
        where = f" ({self.field})" if self.field else ""
        detail = f": {self.detail}" if self.detail else ""
        return f"{EXPLANATIONS[self.code]}{where}{detail}"
