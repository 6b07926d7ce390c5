"""The rules by which a conversation is doubted, and what a rule says about a turn."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """The rules by their names, the weightiest first."""

    TEMPLATE_TOKEN = "template_token"
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


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says about a turn."""

    rule: Rule
    turn: int
    """From 0."""
    detail: str
    """In one line."""
