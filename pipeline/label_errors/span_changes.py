"""What may have been done to the right spans of a text."""

from enum import IntEnum


class Change(IntEnum):
    """The mistakes that are told apart; their order says nothing."""

    DROPPED = 0
    """A value was forgotten."""
    REPLACED = 1
    """The value of a field is not in the text, but something that looks like one."""
    TRUNCATED = 2
    EXTENDED = 3
    MOVED = 4
    """A value is in the wrong field, and the right one is empty."""
    SWAPPED = 5
    EXTRA = 6
    """What is no value at all."""
