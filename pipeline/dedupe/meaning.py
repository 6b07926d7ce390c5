"""What turns a text over though its words hardly differ: numbers, negations, signs."""

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable

_FACT = re.compile(
    r"[-+]?\d+(?:[.,:/]\d+)*"
    r"|(?<!\S)[^\w\s]+(?!\S)"
    r"|\b(?:no|not|never|none|nobody|nothing|nor|neither|cannot|without)\b|n't\b"
)
# Minus, C#, times, and faces. One class of characters comes first, so that all others are passed over at once.
_SIGN = re.compile(r"[-#*/%:;=](?:(?<=-)(?=\s?\d)|(?<=\w#)|(?:(?<=\d[*/%])|(?<=\d\s[*/%]))(?=\s?\d)|(?<=[:;=])-?[()])")
_RARE = re.compile(r"""[^\w\s.,;:!?'"()-]""")
_MEANINGFUL = ("Sm", "Sc", "So")


def facts(answer: str) -> list[str]:
    """What turns an answer over: numbers, signs that stand alone, English negations."""
    return list(itertools.chain.from_iterable(map(_facts_of_word, answer.split())))


@functools.lru_cache(maxsize=2**16)
def _facts_of_word(word: str) -> list[str]:
    # No fact reaches across white space.
    return _FACT.findall(word)


def signs(text: str) -> list[str]:
    """The signs that carry meaning though they are no part of a word: of mathematics and currencies, emoji, faces."""
    alone = [sign for sign in _RARE.findall(text) if unicodedata.category(sign) in _MEANINGFUL]
    return alone + _SIGN.findall(text)


def same(what: Callable[[str], list[str]], one: str, other: str) -> bool:
    """Whether two texts have the same facts, or signs; looks only at where they differ, which is many times as fast."""
    if one == other:
        return True
    start = _cut(one, _common(one, other))
    one, other = one[start:], other[start:]
    # From the end it is the same backwards.
    backwards = one[::-1]
    end = _cut(backwards, _common(backwards, other[::-1]))
    return what(one[: len(one) - end]) == what(other[: len(other) - end])


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, within: int) -> int:
    """The last place within the beginning where no fact and no sign can reach across: a space between two letters."""
    at = text.rfind(" ", 0, max(within - 1, 0))
    while at > 0 and not (text[at - 1].isalpha() and text[at + 1].isalpha()):
        at = text.rfind(" ", 0, at)
    return max(at, 0)
