"""How similar a free text is to a reference: by characters (chrF) and by the longest common sequence of words.

Both come from libraries: sacrebleu and rouge-score, which are imported when they are first needed.
"""

import functools
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
    return float(_rouge().score(reference, answer)["rougeL"].fmeasure)


_ALMOST = 0.9999


@functools.cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


class _Words:
    """The search's words, which the library's own tokenizer would limit to ASCII."""

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return words(text)


@functools.cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Words())
