"""Whether a chat template shows a conversation whole: what it drops, it drops without a word."""

import json
from collections import Counter
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
    """What the template left out of a conversation. A text that several turns have must be there as often."""
    said = [one.content.strip() for one in messages if one.role is not Speaker.SYSTEM and one.content.strip()]
    contents = (
        0
        if _in_order(said, rendered)
        else sum(_missing(text, times, rendered) for text, times in Counter(said).items())
    )
    reasons = [one.reasoning_content for one in messages if one.reasoning_content]
    return Dropped(contents, sum(not is_shown(reason, rendered) for reason in reasons))


def _in_order(texts: Sequence[str], rendered: str) -> bool:
    """Whether they stand there one after the other, as in nearly all rows: the quick case."""
    at = 0
    for text in texts:
        if (found := rendered.find(text, at)) < 0:
            return False
        at = found + len(text)
    return True


def _missing(text: str, times: int, rendered: str) -> int:
    there = rendered.count(text)
    return times - there if there < times and not (times == 1 and is_shown(text, rendered)) else 0
