"""How similar a free text is to a reference: by characters (chrF) and by the longest common sequence of words.

chrF is sacrebleu's, which is imported when it is first needed. ROUGE-L gives the figures of rouge-score, whose own
search takes 17 seconds for a pair of texts of 8,000 words.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pipeline.text.words import words


def chrf(answer: str, reference: str) -> float:
    """The F-score over character n-grams, from 0 to 1, with sacrebleu's defaults (chrF2); 1 only for equal texts."""
    if answer == reference:
        return 1.0
    if not answer or not reference:
        return 0.0
    # It ignores whitespace.
    return min(float(_chrf().sentence_score(answer, [reference]).score) / 100, _ALMOST)


def rouge_l(answer: str, reference: str) -> float:
    """The F-score over the longest common sequence of words, from 0 to 1: what is missing costs as much as what is
    added, so a cut or padded answer scores lower.
    """
    if answer == reference:
        return 1.0
    given, expected = words(answer), words(reference)
    shared = _common_words(given, expected)
    return 2 * shared / (len(given) + len(expected)) if shared else 0.0


def _common_words(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, with a bit for each word of one text (Hyyrö 2004)."""
    places: defaultdict[str, int] = defaultdict(int)
    for place, word in enumerate(one):
        places[word] |= 1 << place
    everything = (1 << len(one)) - 1
    row = everything
    for word in other:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & everything
    return len(one) - row.bit_count()


_ALMOST = 0.9999


@functools.cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
