"""Doubts whether an answer is complete: it ends inside a code block, in the middle of a sentence or before a list."""

import itertools
import re
from collections.abc import Iterator, Sequence

from pipeline.label_errors.quotes import quoted

_FENCE = re.compile(r"[ \t]*+(```+|~~~+)[ \t]*+([^`]*)$")
_ITEM = re.compile(r"\s*(?:[-*+•–]|\(?\d{1,3}[.):]|\(?[a-zA-Z][.)])\s+")
_BARE_ITEM = re.compile(r"\d{1,3}[.)]?|[-*•]")
_NOT_PROSE = re.compile(
    # Headings, tables, code and formulas.
    r"\s*(?:#|\||>|\$|\\|<|=|/|@)|\s{4,}\S|.*\$|.*(?:https?://\S+|[{};=|<>\\^_]|\(\)|\]\(|::|->)[^a-z]*$"
)
_ENDED = re.compile(r"""[.!?…:;。！？।؟۔"”’'»)\]}*_`>|~]\s*$""")
_SENTENCE_END = re.compile(r"[.!?…]['\"”’)]?\s+(?=[^\W\d_])")
_LABELED = re.compile(r"\s*\**[^\W\d_][\w ]{0,30}\**:\s")
_SIGNED = re.compile(r"[.!?\"\u201d\u00bb'\u2019*_]\s*[-\u2013\u2014~(]\s*[^\W\d_a-z][^!?]{0,40}$")
# Only words that end no sentence, and that mean nothing else at the end of one in another language.
_OPEN = """
the a an and or of because than with your their its from into which whose although whereas between
und oder dass weil damit eine einen einem einer eines zur zum vom sowie
et ou mais parce dans avec leur leurs aux
los las unos unas porque pero cuando
della dello degli delle perché anche nella nel
dos das uma umas quando pelo pela
het een voor omdat naar
и или но потому что чтобы для на по из
"""
_OPEN_WORDS = frozenset(_OPEN.split())
_SHORTEST = 40
"""Characters; a shorter answer may be a title, a name or a list of keywords."""
_SENTENCE = 8
"""Words that make a line prose; shorter ones are titles, signatures and verses."""

_STYLE = 0.75
_LONGEST_LINE = 5_000


def ending(answer: str, continued: bool = False) -> str:
    """How an answer ends too early, in a line; empty if it does not.

    Args:
        answer: its text.
        continued: whether the answer before ended inside a code block, which this one may end.
    """
    if not continued and ends_in_code(answer):
        return "ends inside a code block"
    lines = answer.rstrip().splitlines()
    if len(answer) < _SHORTEST or not lines:
        return ""
    # A line without end, such as an encoded image, is judged by its own end.
    lines[-1] = lines[-1] if len(lines[-1]) <= _LONGEST_LINE else lines[-1][-_LONGEST_LINE:]
    last = lines[-1].strip()
    words = last.split()
    if _BARE_ITEM.fullmatch(last) and len(lines) > 2:
        return f"ends with the empty item {quoted(last)}"
    if _FENCE.match(last) or _NOT_PROSE.match(lines[-1]) or words[-1].startswith(("#", "@")):
        return ""
    end = f"ends with {quoted(' '.join(words[-6:]))}"
    if last[-1] in "，、([" or (last[-1] == "," and len(words) > 4):
        return end
    if last[-1] in ":：" and len(words) > 3 and not _ITEM.match(last):
        return end
    if len(words) >= 5 and words[-1] in _OPEN_WORDS:
        return end
    return end if _breaks_off(lines, words) else ""


def ends_in_code(answer: str) -> bool:
    """Whether a fence is open at the end; one on a single line, or with a language inside of another, opens nothing."""
    if "```" not in answer and "~~~" not in answer:
        return False
    fence = ""
    lines = answer.rstrip().splitlines()
    for number, line in enumerate(lines, start=1):
        if match := _FENCE.match(line):
            marks, language = match.groups()
            if not fence:
                # As the last line, without a language, it is one too many.
                fence = marks if number < len(lines) or language.strip() else ""
            elif marks[0] == fence[0] and len(marks) >= len(fence) and not language.strip():
                fence = ""
    return bool(fence)


def _breaks_off(lines: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the last line ends with a small letter, where the other lines of its sort end their sentences."""
    last = lines[-1]
    # Only scripts with case have small letters, and these write full stops.
    if not words[-1][-1].islower():
        return False
    if _ITEM.match(last):
        items = itertools.takewhile(lambda line: _ITEM.match(line) or not line.strip(), reversed(lines[:-1]))
        return len(words) > _SENTENCE and _all_ended([line for line in items if line.strip()], least=2)
    # "Answer: the second one" is complete, and so is a quotation with its author.
    if len(words) < _SENTENCE or _SIGNED.search(last) or (_LABELED.match(last) and not _SENTENCE_END.search(last)):
        return False
    prose = [line for line in _outside_code(lines[:-1]) if len(line.split()) >= _SENTENCE and not _ITEM.match(line)]
    return _all_ended(prose, least=0) and bool(prose or _SENTENCE_END.search(last))


def _outside_code(lines: Sequence[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            yield line


def _all_ended(lines: Sequence[str], least: int) -> bool:
    """Whether nearly all lines end their sentences; long titles do not."""
    return len(lines) >= least and sum(bool(_ENDED.search(line)) for line in lines) >= _STYLE * len(lines)
