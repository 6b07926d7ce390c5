"""Which languages may a text be in? A few common words decide, and English counts unless another is certain."""

from pipeline.label_errors.folded_text import words_of

_COMMON_WORDS = {
    "en": "the of and for to is your our",
    "da": "og det er til af på som ikke",
    "de": "der die das und den dem ist wir für von",
    "fr": "le la les des et du est nous vous pour une",
    "es": "el la los las del y su en por para con",
    "pt": "o os as do da dos das em e ao à para no uma",
    "it": "il di che per della del un e gli è",
    "nl": "het een van en de voor is wij op",
}
"""The languages whose number words text2num reads."""
_SIGNS = {language: [f" {word} " for word in words.split()] for language, words in _COMMON_WORDS.items()}
_ENOUGH_SIGNS = 2
_ENOUGH_TEXT = 2000


def likely_languages(folded: str) -> list[str]:
    """English, and the languages with most of their common words among these.

    In another language, a word may be a number by chance: the "due" of an English invoice is two in Italian.
    """
    counts = _counts(folded)
    most = max(counts.values())
    return [language for language, count in counts.items() if language == "en" or count == most > 0]


def is_surely_not_english(folded: str) -> bool:
    """Whether there are several common words of one of the other languages, and none of English."""
    counts = _counts(folded)
    return counts["en"] == 0 and max(counts.values()) >= _ENOUGH_SIGNS


def _counts(folded: str) -> dict[str, int]:
    words = words_of(folded[:_ENOUGH_TEXT])
    return {language: sum(sign in words for sign in signs) for language, signs in _SIGNS.items()}
