"""What became of a record, and why: the four fates, the routes to annotators, and the reasons."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, field_validator

from schemas.user_code_errors import writable


class Fate(StrEnum):
    """Every current record has exactly one of these."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    REVIEW = "review"


class Routed(StrEnum):
    """Why a record is shown to annotators; a record that needs no review has no route."""

    UNCERTAIN = "uncertain"
    CONFLICT = "conflict"
    AUDIT = "audit"
    ADJUDICATE = "adjudicate"
    REPAIR = "repair"
    """Its answer breaks the task's schema; it is rejected until an annotator gives a valid one."""


class LabelSource(StrEnum):
    """Where a record's targets come from."""

    SOURCE = "source"
    """The raw row contained them."""
    HUMAN = "human"
    """An annotator entered or confirmed them."""


_BY_RULE = True
"""Marks what a rule says against an answer: it depends on the row, not on what kind of label it has."""


class ReasonCode(StrEnum):
    """Every reason a fate can have, with its text."""

    def __new__(cls, code: str, explanation: str = "", by_rule: bool = False) -> Self:
        """A code as it is stored, what it means, and whether a rule of a kind of task says it."""
        member = str.__new__(cls, code)
        member._value_, member.explanation, member.is_by_rule = code, explanation, by_rule
        return member

    explanation: str
    is_by_rule: bool

    PASSED = "passed", "valid, with no findings"
    FROZEN = "frozen", "valid, from a source that is published as is"
    REVIEWED = "reviewed", "an annotator confirmed or corrected it"
    UNREVIEWED = "unreviewed", "likely enough to be wrong, but nobody was asked: accepted by `unreviewed: accept`"
    CLEARED = "cleared", "annotators have accepted other rows with the same personal data"
    UNREADABLE = "unreadable", "the line could not be read"
    NOT_AN_OBJECT = "not_an_object", "valid JSON, but not an object with fields"
    MISSING = "missing", "a required field is missing or empty"
    NO_INPUT = "no_input", "it asks nothing"
    INVALID = "invalid", "a field breaks the task's schema"
    RESPELLED = "respelled", "it differs from a choice only in case or whitespace"
    TEMPLATE_TOKEN = "template_token", "the text contains a chat template's control token", _BY_RULE
    TOO_LONG = "too_long", "more tokens than `measure.max_tokens`"
    CONTAMINATED = "contaminated", "it is similar to an evaluation row, which a model must not have seen"
    OVERRIDDEN = "overridden", "an annotator gave the same input another answer"
    BRIDGES_SPLITS = "bridges_splits", "similar rows or rows of its group are in two splits, so it could leak"
    UNUSABLE = "unusable", "an annotator marked it unusable"
    EXACT_DUPLICATE = "exact_duplicate", "the same input and answer as the row that is kept"
    NEAR_DUPLICATE = "near_duplicate", "nearly the same input as the row that is kept, and no different answer"
    UNLABELED = "unlabeled", "it has no answer yet"
    CONFLICT = "conflict", "the same input has another answer"
    SOFT_CHECK = "soft_check", "a soft check of the task failed"
    PERSONAL_DATA = "personal_data", "the text seems to contain personal data"
    SECRET = "secret", "the text seems to contain a secret"
    LABEL_ERROR = "label_error", "models trained on the other rows doubt the label"
    SECOND_OPINION = "second_opinion", "the suggesting model would answer differently"
    CORRECTED = "corrected", "an annotator corrected the same answer to nearly the same input"
    UNGROUNDED = "ungrounded", "a value does not occur in the text"
    # What rules say of rewritten texts, and of conversations: docs/rules.md.
    EMPTY = "empty", "the answer has no word", _BY_RULE
    COPIED = "copied", "the answer is the original, unchanged", _BY_RULE
    CUT = "cut", "the answer stops without an end", _BY_RULE
    LENGTH = "length", "the answer is longer or shorter than is usual for such an original", _BY_RULE
    NUMBERS = "numbers", "numbers of the original and the answer differ", _BY_RULE
    NAMES = "names", "names of the original and the answer differ", _BY_RULE
    LINKS = "links", "links of the original and the answer differ", _BY_RULE
    NEGATION = "negation", "a negation was lost or added", _BY_RULE
    LANGUAGE = "language", "the answer is in another language than the other answers", _BY_RULE
    MEANING = "meaning", "the answer has little in common with its original", _BY_RULE
    PLACEHOLDER = "placeholder", "a placeholder was never filled in", _BY_RULE
    EMPTY_TURN = "empty_turn", "a turn says nothing", _BY_RULE
    NO_ANSWER = "no_answer", "the conversation lacks an answer", _BY_RULE
    UNKNOWN_FUNCTION = "unknown_function", "a function is called that the tools do not define", _BY_RULE
    BAD_ARGUMENTS = "bad_arguments", "a call's arguments break the function's schema", _BY_RULE
    LOOP = "loop", "an answer repeats itself", _BY_RULE
    CUT_ANSWER = "cut_answer", "an answer stops without an end", _BY_RULE
    LEAKED_PROMPT = "leaked_prompt", "an answer quotes the system prompt", _BY_RULE
    OTHER_LANGUAGE = "other_language", "an answer is in another language than the conversation", _BY_RULE
    REPEATED_ANSWER = "repeated_answer", "an answer is the same as an earlier one", _BY_RULE
    REFUSAL = "refusal", "an answer refuses", _BY_RULE
    STRAY_RESULT = "stray_result", "a tool answers that was not called", _BY_RULE
    MISSING_RESULT = "missing_result", "a call has no result", _BY_RULE
    ASSISTANT_FIRST = "assistant_first", "the assistant speaks first", _BY_RULE
    USER_TWICE = "user_twice", "two turns of the user follow each other", _BY_RULE
    ASSISTANT_TWICE = "assistant_twice", "two turns of the assistant follow each other", _BY_RULE
    LATE_SYSTEM = "late_system", "a system prompt comes late", _BY_RULE
    BROKEN_SCHEMA = "broken_schema", "a tool's definition is broken", _BY_RULE
    UNSURE = "unsure", "an annotator was unsure"
    DISAGREEMENT = "disagreement", "annotators contradict each other"


EXPLANATIONS = {code: code.explanation for code in ReasonCode}
RULE_CODES = frozenset(code for code in ReasonCode if code.is_by_rule)
"""What rules say."""
LABEL_ERROR_CODES = RULE_CODES | {ReasonCode.LABEL_ERROR, ReasonCode.UNGROUNDED}
"""What a kind of task may say against a label; see ``Kind.score_labels``."""
LEAST_DOUBT = 0.05
"""From this chance of being wrong on, a label has reasons that say what speaks against it."""


class Reason(BaseModel, extra="forbid", frozen=True):
    """One reason of a decision, with the field and the value that caused it."""

    code: ReasonCode
    field: str = ""
    detail: str = ""
    refs: tuple[str, ...] = ()
    """What ``detail`` refers to: ids of other records, or the set's name and the row's place for an evaluation row."""

    @field_validator("field", "detail")
    @classmethod
    def _can_be_stored(cls, text: str) -> str:
        # The task's own code may return any text.
        return writable(text)

    def __str__(self) -> str:
        """As a sentence: the explanation, then field and detail if there are any."""
        where = f" ({self.field})" if self.field else ""
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.code.explanation}{where}{detail}"
