"""What can be wrong with an answer as its original shows: pure functions of a pair, each of which says so in words."""

import functools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from pipeline.label_errors.quotes import SHOWN, quoted
from pipeline.label_errors.rewrite_rules import Rule
from pipeline.label_errors.rewrite_texts import Marks, ends_closed, left_open
from schemas.message import is_placeholder

_LISTED = 3

Find = Callable[[Marks, Marks], str | None]
"""Takes the original and the answer. None: the rule has nothing to say about such a pair; "": all is well; or what is
wrong, in words."""


@dataclass(frozen=True, slots=True)
class Clue:
    """One way in which a rule doubts a single pair; how rare it is in the set decides how much it says."""

    rule: Rule
    find: Find
    may_be_usual: bool = False
    """Whether a set's answers may do so on purpose."""


def not_in(where: str, texts: Iterable[str]) -> str:
    """Some texts as the subject of a sentence: 'a', 'b' and 2 more are not in the original."""
    all_ = list(dict.fromkeys(texts))
    shown = list(map(quoted, all_[:_LISTED]))
    if len(all_) > _LISTED:
        shown.append(f"{len(all_) - _LISTED} more")
    subject = " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
    return f"{subject} {'is' if len(all_) == 1 else 'are'} not in the {where}"


# --- empty, copied, cut ---------------------------------------------------------------------------
def find_empty(original: Marks, answer: Marks) -> str | None:
    """An answer without a word, or a placeholder."""
    if not answer.text:
        return "it is empty"
    if is_placeholder(answer.text) and original.text != answer.text:
        return f"it is only {quoted(answer.text)}"
    return "" if answer.words or answer.links or not original.words else quoted(answer.text)


def find_copied(original: Marks, answer: Marks) -> str | None:
    """An answer that equals the original."""
    if not original.words or not answer.words:
        return None
    # Comparing the words takes less time, and tells nearly all pairs apart.
    is_copy = original.words == answer.words and original.text.split() == answer.text.split()
    return quoted(answer.text) if is_copy else ""


def find_lost_end(original: Marks, answer: Marks) -> str | None:
    """An answer that stops without the sign that its original ends with."""
    if not answer.words or not ends_closed(original.text):
        return None
    return "" if ends_closed(answer.text) else _tail(answer)


def find_open_end(original: Marks, answer: Marks) -> str | None:
    """An answer that stops without a sign, whose original does so too."""
    if not answer.words or ends_closed(original.text):
        return None
    return "" if ends_closed(answer.text) else _tail(answer)


def find_early_stop(original: Marks, answer: Marks) -> str | None:
    """An answer without an end that stops in the middle of its original."""
    if len(answer.words) < 2 or answer.words[-1] not in original.seen or answer.words == original.words:
        return None
    if ends_closed(answer.text):
        return ""
    rest = _rest(original.words, answer.words[-2:])
    return f"it stops where the original goes on: {quoted(' '.join(rest))}" if rest else ""


def _rest(words: list[str], end: list[str]) -> list[str]:
    """What comes after two words where they occur last; nothing if they do not."""
    for at in range(len(words) - 1, 0, -1):
        if words[at] == end[1] and words[at - 1] == end[0]:
            return words[at + 1 :]
    return []


def find_trailing_off(original: Marks, answer: Marks) -> str | None:
    """An answer that ends with dots where the original goes on."""
    if not answer.words:
        return None
    return f"it trails off: {_tail(answer)}" if _trails_off(answer) and not _trails_off(original) else ""


def _trails_off(text: Marks) -> bool:
    return text.text.endswith(("...", "\u2026"))


def find_left_open(original: Marks, answer: Marks) -> str | None:
    """An answer that opens a bracket or quote and does not close it."""
    if not answer.words:
        return None
    sign = left_open(answer.text)
    return f"{sign} is not closed" if sign and not left_open(original.text) else ""


def _tail(answer: Marks) -> str:
    return f"'\u2026{answer.text[-SHOWN:]}'" if len(answer.text) > SHOWN else quoted(answer.text)


# --- what must survive ----------------------------------------------------------------------------
def find_invented_numbers(original: Marks, answer: Marks) -> str | None:
    """Numbers that the original does not have."""
    return _told("original", answer.numbers, _numbers_beyond(answer, original))


def find_lost_numbers(original: Marks, answer: Marks) -> str | None:
    """Numbers that the answer does not have."""
    return _told("answer", original.numbers, _numbers_beyond(original, answer))


def find_exchanged_numbers(original: Marks, answer: Marks) -> str | None:
    """Numbers that the original does not have, where others are missing."""
    invented, lost = _numbers_beyond(answer, original), _numbers_beyond(original, answer)
    return _exchanged(original.numbers, answer.numbers, invented, lost)


def find_invented_names(original: Marks, answer: Marks) -> str | None:
    """Names that the original does not have."""
    return _told("original", answer.names, _names_beyond(answer, original))


def find_lost_names(original: Marks, answer: Marks) -> str | None:
    """Names that the answer does not have."""
    return _told("answer", original.names, _names_beyond(original, answer))


def find_exchanged_names(original: Marks, answer: Marks) -> str | None:
    """Names that the original does not have, where others are missing."""
    invented, lost = _names_beyond(answer, original), _names_beyond(original, answer)
    return _exchanged(original.names, answer.names, invented, lost)


# The clues about one pair come one after the other, and each asks for the same again.
@functools.lru_cache(maxsize=2)
def _numbers_beyond(text: Marks, other: Marks) -> list[str]:
    """The numbers of a text that another one has neither in digits nor as words.

    A minus is compared with the lack of one only where no word may stand for it, as in "fell by 5".
    """
    says_less = text.says_less or other.says_less
    return [
        written
        for value, written in text.numbers.items()
        if value not in other.values and not (says_less and _negated(value) in other.values)
    ]


def _negated(value: str) -> str:
    return value.removeprefix("-") if value.startswith("-") else f"-{value}"


@functools.lru_cache(maxsize=2)
def _names_beyond(text: Marks, other: Marks) -> list[str]:
    missing = [fold for fold in text.names if fold not in other.seen]
    # User Datagram and UserDatagram are one name.
    return [text.names[fold] for fold in missing if fold not in other.joined]


def _told(where: str, all_: Collection[str], missing: list[str]) -> str | None:
    return None if not all_ else not_in(where, missing) if missing else ""


def _exchanged(before: Collection[str], after: Collection[str], invented: list[str], lost: list[str]) -> str | None:
    if not before or not after:
        return None
    return f"{not_in('original', invented)}, which has {quoted(lost[0])} instead" if invented and lost else ""


def find_invented_links(original: Marks, answer: Marks) -> str | None:
    """Addresses that the original does not have."""
    return _told("original", answer.links, sorted(answer.links - original.links))


def find_lost_links(original: Marks, answer: Marks) -> str | None:
    """Addresses that the answer does not have."""
    return _told("answer", original.links, sorted(original.links - answer.links))


def find_added_negation(original: Marks, answer: Marks) -> str | None:
    """A negation in an answer to an original without one."""
    if original.negations or not answer.words:
        return None
    return f"{quoted(answer.negations[0])} negates what the original does not" if answer.negations else ""


def find_lost_negation(original: Marks, answer: Marks) -> str | None:
    """No negation in the answer to an original that has one."""
    if not original.negations or not answer.words:
        return None
    return "" if answer.negations else f"{quoted(original.negations[0])} of the original is missing"


CLUES = (
    Clue(Rule.EMPTY, find_empty),
    Clue(Rule.COPIED, find_copied),
    Clue(Rule.CUT, find_early_stop),
    Clue(Rule.CUT, find_lost_end),
    Clue(Rule.CUT, find_open_end),
    Clue(Rule.CUT, find_trailing_off),
    Clue(Rule.CUT, find_left_open),
    Clue(Rule.NUMBERS, find_exchanged_numbers),
    Clue(Rule.NUMBERS, find_invented_numbers),
    Clue(Rule.NUMBERS, find_lost_numbers, may_be_usual=True),
    Clue(Rule.NAMES, find_exchanged_names),
    Clue(Rule.NAMES, find_invented_names),
    Clue(Rule.NAMES, find_lost_names, may_be_usual=True),
    Clue(Rule.LINKS, find_invented_links),
    Clue(Rule.LINKS, find_lost_links, may_be_usual=True),
    Clue(Rule.NEGATION, find_added_negation),
    Clue(Rule.NEGATION, find_lost_negation, may_be_usual=True),
)
"""All that a single pair shows; of two that say as much, the first one is told. Only the set shows which lengths, last
words, languages and matches are unusual: see ``rewrite_evidence.py``."""
