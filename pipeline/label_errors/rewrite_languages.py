"""Which answers are in another language than the answers of their set."""

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

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


def foreign(answers: Sequence[str]) -> dict[int, str]:
    """The languages of the answers that are in none of the set's, by row."""
    languages = [_likeliest(answer) for answer in answers]
    sample = Counter(filter(None, languages[:_SAMPLE]))
    usual = {language for language, count in sample.items() if count >= _OF_THE_SET * sample.total()}
    odd = {row: language for row, language in enumerate(languages) if language and language not in usual}
    return {row: language for row, language in odd.items() if not _may_be(answers[row], usual)}


def language_name(code: str) -> str:
    """The English name of a language."""
    # Imported here: its data would slow down every command.
    from babel import Locale

    return str(Locale("en").languages.get(code, code))


def _likeliest(text: str) -> str:
    """The language of a text; "" if it is too short to tell, or if it could be another one."""
    start = text[:_MOST_CHARACTERS]
    if max(start, default="") < _BEYOND_LATIN and sum(map(str.isalpha, start)) < _LEAST_LETTERS:
        return ""
    language, probability = _identifier().classify(start)
    return str(language) if probability >= _LEAST_SURE else ""


def _may_be(text: str, languages: set[str]) -> bool:
    ranked = _identifier().rank(text[:_MOST_CHARACTERS])
    return float(sum(probability for language, probability in ranked if language in languages)) > _LEAST_LIKELY


@functools.cache
def _identifier() -> Any:
    # Imported here: reading its model takes most of a second.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
