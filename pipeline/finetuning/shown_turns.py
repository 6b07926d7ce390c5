"""Whether a chat template shows a conversation whole: what it drops, it drops without a word."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.message import Message, Speaker


@dataclass(frozen=True, slots=True)
class Dropped:
    """What is missing from a rendered conversation."""

    contents: int
    """Turns whose text is not there; the system message is not counted."""
    reasoning: int
    """Turns whose reasoning is not there."""


def is_shown(text: str, rendered: str) -> bool:
    """Whether a text stands in a rendered conversation; templates may trim it, or write it as JSON."""
    text = text.strip()
    return text in rendered or any(json.dumps(text, ensure_ascii=ascii)[1:-1] in rendered for ascii in (False, True))


def dropped_turns(messages: Sequence[Message], rendered: str) -> Dropped:
    """What the template left out of a conversation."""
    said = [one.content.strip() for one in messages if one.role is not Speaker.SYSTEM and one.content.strip()]
    reasons = [one.reasoning_content for one in messages if one.reasoning_content]
    return Dropped(
        0 if _in_order(said, rendered) else _missing(said, messages, rendered),
        sum(not is_shown(reason, rendered) for reason in reasons),
    )


def _in_order(texts: Sequence[str], rendered: str) -> bool:
    """Whether they stand there one after the other, as in nearly all rows: the quick case."""
    at = 0
    for text in texts:
        if (found := rendered.find(text, at)) < 0:
            return False
        at = found + len(text)
    return True


def _missing(said: Sequence[str], messages: Sequence[Message], rendered: str) -> int:
    """How many turns are not there: a text must be there as often as all that is shown says it."""
    shown = [one.content.strip() for one in messages if is_shown(one.content, rendered)]
    missing = 0
    for text in said:
        # As JSON it can only be looked for, not counted.
        there = rendered.count(text)
        missing += there < sum(one.count(text) for one in shown) if there else not is_shown(text, rendered)
    return missing
