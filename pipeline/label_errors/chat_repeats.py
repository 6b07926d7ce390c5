"""Doubts texts that repeat themselves, as models do when they are caught in a loop."""

import re
from collections import Counter

from pipeline.label_errors.quotes import quoted

_SENTENCES = re.compile(r"(?<![.!?…])[.!?…]++(?=\s|$)|[。！？]|\n+")
"""What ends sentences. A run of dots is tried only from its beginning, or a long one would take the square of it."""
_WORD = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\\W_]+")
_DENSE = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
_WORDS = re.compile(r"[^\W\d_]{2,}|[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SAME = re.compile(r"([^\W_])\1{99}")
_SENTENCE_TIMES = 4
_SHORTEST_SENTENCE = 20
"""Characters; shorter sentences recur, such as "Yes." in a dialog."""
_SHARE = 0.3
"""Of a text, that a repeated sentence must take; a refrain takes less."""
_GRAM = 4
_PERIODS = 3
"""This many times a run of words follows itself, that is, it occurs once more."""
_LONGEST_PERIOD = 60
_SHORTEST_RUN = 12
_SHORTEST_SAME = 100
"""Characters; shorter answers are phrases that recur, such as "You're welcome!"."""


def loop(text: str) -> str:
    """What a text repeats again and again, in a line; empty if nothing."""
    if same := _SAME.search(text):
        return f"{quoted(same[1])} follows itself again and again"
    return _repeated_sentence(text) or _repeated_run(text)


def same_text(answer: str) -> str:
    """The form in which equal answers are equal; empty for short ones."""
    folded = " ".join(answer.lower().split())
    return folded if len(folded) >= _SHORTEST_SAME else ""


def _repeated_sentence(text: str) -> str:
    sentences = _SENTENCES.split(text)
    if len(sentences) - len(set(sentences)) < _SENTENCE_TIMES - 1:
        return ""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        bare = sentence.strip()
        if len(bare) >= _SHORTEST_SENTENCE and not bare.startswith("|") and _WORDS.search(bare):
            counts[bare.lower()] += 1
    for sentence, times in counts.most_common(1):
        if times >= _SENTENCE_TIMES and times * len(sentence) >= _SHARE * len(text):
            return f"{quoted(sentence)} occurs {times} times"
    return ""


def _repeated_run(text: str) -> str:
    """A run of words that follows itself: its 4-grams recur at one distance."""
    # Splitting at spaces is quick, but a script without them is one word.
    words = _WORD.findall(text.lower()) if _DENSE.search(text) else text.lower().split()
    grams = [*zip(*(words[start:] for start in range(_GRAM)), strict=False)]
    # Most texts repeat next to nothing, so this is as far as they come.
    if len(grams) - len(set(grams)) < _SHORTEST_RUN:
        return ""
    last: dict[tuple[str, ...], int] = {}
    distance = length = 0
    for at, gram in enumerate(grams):
        before = last.get(gram)
        last[gram] = at
        apart = at - before if before is not None else 0
        length = length + 1 if apart and apart == distance else int(bool(apart))
        distance = apart
        if _SHORTEST_RUN <= length >= _PERIODS * distance and 0 < distance <= _LONGEST_PERIOD:
            unit = words[at - distance + 1 : at + 1]
            if any(_WORDS.search(word) for word in unit):
                return f"{quoted(' '.join(unit))} follows itself again and again"
    return ""
