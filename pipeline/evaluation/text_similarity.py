"""How similar a free text is to a reference: by characters (chrF) and by the longest common sequence of words.

chrF is sacrebleu's, which is imported when it is first needed. ROUGE-L gives the figures of rouge-score for
the words by which duplicates are compared: of any script, without case, accents and width, which chrF sees. rapidfuzz
searches for the sequence, as rouge-score's own search takes 17 seconds for a pair of texts of 8,000 words.
"""

import functools
from typing import Any

from rapidfuzz.distance import LCSseq

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
    shared = LCSseq.similarity(given, expected)
    return 2 * shared / (len(given) + len(expected)) if shared else 0.0


_ALMOST = 0.9999


@functools.cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
