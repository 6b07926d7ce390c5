"""The rules by which a rewritten text is doubted; docs/rules.md says what each one finds."""

from enum import StrEnum


class Rule(StrEnum):
    """A rule's name, by which it is turned off."""

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
