"""Which answers are in another language than the answers of their set."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from pipeline.label_errors.text_languages import Shares, language_shares, languages

_LEAST_LETTERS = 20
"""Shorter texts in Latin letters could be in many languages."""
_BEYOND_LATIN = "\u0250"
_MOST_CHARACTERS = 300
_LEAST_SURE = 0.5
"""Below this probability the language of a text counts as unknown."""
_LEAST_LIKELY = 0.05
"""Above this probability a text may well be in a language of its set."""
_SAMPLE = 2_000
"""Answers whose languages show in which ones the set is written."""
_OF_THE_SET = 0.1
"""A language with this share of the sample is one of the set's."""


def answer_languages(answers: Sequence[str]) -> Shares:
    """How likely each answer is in each language, one of them a row; all 0 where it is too short to tell."""
    starts = [answer[:_MOST_CHARACTERS] for answer in answers]
    shares = language_shares(starts)
    shares[[row for row, start in enumerate(starts) if _is_short(start)]] = 0
    return shares


def _is_short(text: str) -> bool:
    return max(text, default="") < _BEYOND_LATIN and sum(map(str.isalpha, text)) < _LEAST_LETTERS


def usual_languages(shares: Shares) -> frozenset[str]:
    """The languages that a set is written in, by how likely its answers are in each."""
    sample = shares[:_SAMPLE]
    sure = sample.max(axis=1, initial=0) >= _LEAST_SURE
    counts = Counter(languages()[column] for column in sample[sure].argmax(axis=1).tolist())
    return frozenset(language for language, count in counts.items() if count >= _OF_THE_SET * counts.total())


def foreign(shares: Shares, usual: Collection[str]) -> dict[int, str]:
    """The languages of the answers that are in none of the usual ones, by row."""
    is_usual = np.isin(languages(), list(usual))
    may_be_usual = shares[:, is_usual].sum(axis=1) > _LEAST_LIKELY
    likeliest = shares.argmax(axis=1)
    is_odd = (shares.max(axis=1, initial=0) >= _LEAST_SURE) & ~is_usual[likeliest] & ~may_be_usual
    return {row: languages()[likeliest[row]] for row in np.flatnonzero(is_odd).tolist()}


def language_name(code: str) -> str:
    """The English name of a language."""
    # Imported here: its data would slow down every command.
    from babel import Locale

    return str(Locale("en").languages.get(code, code))
