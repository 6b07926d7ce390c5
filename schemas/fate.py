"""What became of a record, and why: the four fates, the routes to annotators, and the reasons."""

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


class ReasonCode(StrEnum):
    """Every reason a fate can have. Their texts are in ``EXPLANATIONS``."""

    PASSED = "passed"
    FROZEN = "frozen"
    REVIEWED = "reviewed"
    UNREVIEWED = "unreviewed"
    CLEARED = "cleared"
    UNREADABLE = "unreadable"
    NOT_AN_OBJECT = "not_an_object"
    MISSING = "missing"
    NO_INPUT = "no_input"
    INVALID = "invalid"
    RESPELLED = "respelled"
    TEMPLATE_TOKEN = "template_token"
    TOO_LONG = "too_long"
    CONTAMINATED = "contaminated"
    OVERRIDDEN = "overridden"
    BRIDGES_SPLITS = "bridges_splits"
    UNUSABLE = "unusable"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    UNLABELED = "unlabeled"
    CONFLICT = "conflict"
    SOFT_CHECK = "soft_check"
    PERSONAL_DATA = "personal_data"
    SECRET = "secret"
    LABEL_ERROR = "label_error"
    SECOND_OPINION = "second_opinion"
    CORRECTED = "corrected"
    UNGROUNDED = "ungrounded"
    # What rules say of rewritten texts, and of conversations: docs/rules.md.
    EMPTY = "empty"
    COPIED = "copied"
    CUT = "cut"
    LENGTH = "length"
    NUMBERS = "numbers"
    NAMES = "names"
    LINKS = "links"
    NEGATION = "negation"
    LANGUAGE = "language"
    MEANING = "meaning"
    PLACEHOLDER = "placeholder"
    EMPTY_TURN = "empty_turn"
    NO_ANSWER = "no_answer"
    UNKNOWN_FUNCTION = "unknown_function"
    BAD_ARGUMENTS = "bad_arguments"
    LOOP = "loop"
    CUT_ANSWER = "cut_answer"
    LEAKED_PROMPT = "leaked_prompt"
    OTHER_LANGUAGE = "other_language"
    REPEATED_ANSWER = "repeated_answer"
    REFUSAL = "refusal"
    STRAY_RESULT = "stray_result"
    MISSING_RESULT = "missing_result"
    ASSISTANT_FIRST = "assistant_first"
    USER_TWICE = "user_twice"
    ASSISTANT_TWICE = "assistant_twice"
    LATE_SYSTEM = "late_system"
    BROKEN_SCHEMA = "broken_schema"
    UNSURE = "unsure"
    DISAGREEMENT = "disagreement"


EXPLANATIONS: dict[ReasonCode, str] = {
    ReasonCode.PASSED: "valid, with no findings",
    ReasonCode.FROZEN: "valid, from a source that is published as is",
    ReasonCode.REVIEWED: "an annotator confirmed or corrected it",
    ReasonCode.UNREVIEWED: "likely enough to be wrong, but nobody was asked: accepted by `unreviewed: accept`",
    ReasonCode.CLEARED: "annotators have accepted other rows with the same personal data",
    ReasonCode.UNREADABLE: "the line could not be read",
    ReasonCode.NOT_AN_OBJECT: "valid JSON, but not an object with fields",
    ReasonCode.MISSING: "a required field is missing or empty",
    ReasonCode.NO_INPUT: "it asks nothing",
    ReasonCode.INVALID: "a field breaks the task's schema",
    ReasonCode.RESPELLED: "it differs from a choice only in case or whitespace",
    ReasonCode.TEMPLATE_TOKEN: "the text contains a chat template's control token",
    ReasonCode.TOO_LONG: "more tokens than `measure.max_tokens`",
    ReasonCode.CONTAMINATED: "it is similar to an evaluation row, which a model must not have seen",
    ReasonCode.OVERRIDDEN: "an annotator gave the same input another answer",
    ReasonCode.BRIDGES_SPLITS: "similar rows or rows of its group are in two splits, so it could leak",
    ReasonCode.UNUSABLE: "an annotator marked it unusable",
    ReasonCode.EXACT_DUPLICATE: "the same input and answer as the row that is kept",
    ReasonCode.NEAR_DUPLICATE: "nearly the same input as the row that is kept, and no different answer",
    ReasonCode.UNLABELED: "it has no answer yet",
    ReasonCode.CONFLICT: "the same input has another answer",
    ReasonCode.SOFT_CHECK: "a soft check of the task failed",
    ReasonCode.PERSONAL_DATA: "the text seems to contain personal data",
    ReasonCode.SECRET: "the text seems to contain a secret",
    ReasonCode.LABEL_ERROR: "models trained on the other rows doubt the label",
    ReasonCode.SECOND_OPINION: "the suggesting model would answer differently",
    ReasonCode.CORRECTED: "an annotator corrected the same answer to nearly the same input",
    ReasonCode.UNGROUNDED: "a value does not occur in the text",
    ReasonCode.EMPTY: "the answer has no word",
    ReasonCode.COPIED: "the answer is the original, unchanged",
    ReasonCode.CUT: "the answer stops without an end",
    ReasonCode.LENGTH: "the answer is longer or shorter than is usual for such an original",
    ReasonCode.NUMBERS: "numbers of the original and the answer differ",
    ReasonCode.NAMES: "names of the original and the answer differ",
    ReasonCode.LINKS: "links of the original and the answer differ",
    ReasonCode.NEGATION: "a negation was lost or added",
    ReasonCode.LANGUAGE: "the answer is in another language than the other answers",
    ReasonCode.MEANING: "the answer has little in common with its original",
    ReasonCode.PLACEHOLDER: "a placeholder was never filled in",
    ReasonCode.EMPTY_TURN: "a turn says nothing",
    ReasonCode.NO_ANSWER: "the conversation lacks an answer",
    ReasonCode.UNKNOWN_FUNCTION: "a function is called that the tools do not define",
    ReasonCode.BAD_ARGUMENTS: "a call's arguments break the function's schema",
    ReasonCode.LOOP: "an answer repeats itself",
    ReasonCode.CUT_ANSWER: "an answer stops without an end",
    ReasonCode.LEAKED_PROMPT: "an answer quotes the system prompt",
    ReasonCode.OTHER_LANGUAGE: "an answer is in another language than the conversation",
    ReasonCode.REPEATED_ANSWER: "an answer is the same as an earlier one",
    ReasonCode.REFUSAL: "an answer refuses",
    ReasonCode.STRAY_RESULT: "a tool answers that was not called",
    ReasonCode.MISSING_RESULT: "a call has no result",
    ReasonCode.ASSISTANT_FIRST: "the assistant speaks first",
    ReasonCode.USER_TWICE: "two turns of the user follow each other",
    ReasonCode.ASSISTANT_TWICE: "two turns of the assistant follow each other",
    ReasonCode.LATE_SYSTEM: "a system prompt comes late",
    ReasonCode.BROKEN_SCHEMA: "a tool's definition is broken",
    ReasonCode.UNSURE: "an annotator was unsure",
    ReasonCode.DISAGREEMENT: "annotators contradict each other",
}


LABEL_ERROR_CODES = frozenset(
    {
        ReasonCode.LABEL_ERROR,
        ReasonCode.UNGROUNDED,
        ReasonCode.TEMPLATE_TOKEN,
        ReasonCode.EMPTY,
        ReasonCode.COPIED,
        ReasonCode.CUT,
        ReasonCode.LENGTH,
        ReasonCode.NUMBERS,
        ReasonCode.NAMES,
        ReasonCode.LINKS,
        ReasonCode.NEGATION,
        ReasonCode.LANGUAGE,
        ReasonCode.MEANING,
        ReasonCode.PLACEHOLDER,
        ReasonCode.EMPTY_TURN,
        ReasonCode.NO_ANSWER,
        ReasonCode.UNKNOWN_FUNCTION,
        ReasonCode.BAD_ARGUMENTS,
        ReasonCode.LOOP,
        ReasonCode.CUT_ANSWER,
        ReasonCode.LEAKED_PROMPT,
        ReasonCode.OTHER_LANGUAGE,
        ReasonCode.REPEATED_ANSWER,
        ReasonCode.REFUSAL,
        ReasonCode.STRAY_RESULT,
        ReasonCode.MISSING_RESULT,
        ReasonCode.ASSISTANT_FIRST,
        ReasonCode.USER_TWICE,
        ReasonCode.ASSISTANT_TWICE,
        ReasonCode.LATE_SYSTEM,
        ReasonCode.BROKEN_SCHEMA,
    }
)
"""What a kind of task may say against a label; see ``Kind.score_labels``."""
LEAST_DOUBT = 0.05
"""From this chance of being wrong on, a label has reasons that say what speaks against it."""
RULE_CODES = LABEL_ERROR_CODES - {ReasonCode.LABEL_ERROR, ReasonCode.UNGROUNDED}
"""What rules say: it depends on the row, not on what kind of label it has."""


class Reason(BaseModel):
    """One reason of a decision, with the field and the value that caused it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
        return f"{EXPLANATIONS[self.code]}{where}{detail}"
