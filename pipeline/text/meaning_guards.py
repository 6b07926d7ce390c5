"""What reverses a text's meaning though its words hardly differ: numbers, negations, signs."""

import functools
import itertools
import re
import unicodedata

import orjson

from pipeline.text.normalize import key_fields

# Of Arabic, Dutch, English, French, German, Greek, Hebrew, Indonesian, Italian, Korean, Persian, Polish, Portuguese,
# Russian, Scandinavian, Spanish, Turkish, Ukrainian, Vietnamese. A negation in one language may be an ordinary word in
# another, so a word only counts if one text has it and the other does not.
_NEGATING = """
no not never none nobody nothing nor neither cannot without nowhere
nicht nichts nie niemals niemand kein keine keinen keinem keiner keines weder ohne niet geen nooit niets zonder
ikke inte ingen inget intet aldrig uden uten utan ne pas jamais aucun aucune rien sans ni non mai niente senza nessuno
nessuna nunca nada nadie ningún ninguna ninguno jamás tampoco sin não nao nem nenhum nenhuma ninguém sem nigdy bez brak
не нет ни никогда никто ничего нельзя без ні немає ніколи δεν δε μην μη όχι ποτέ χωρίς
değil yok asla tidak bukan tanpa jangan không chưa đừng 안 لا ولا لم لن ليس ليست غير بدون نه نیست לא ולא אין בלי אל
"""
_NEGATIONS = frozenset(word.casefold() for word in _NEGATING.split())
_NEGATES = re.compile("[不没沒无無非未别勿]|ない|なかっ|なく|なけれ|ません|않|없|못|아니|ไม่|नहीं|बिना|نمی")
"""For scripts that attach it to other words."""
_TOKEN = re.compile(r"[-+]?\d+(?:[.,:/]\d+)*|(?<!\S)[^\w\s]+(?!\S)|[^\W\d_]+(?:'t\b)?")
_NOT = "not"
_SHORTENED = re.compile(
    "n't$|^(cannot|cant|dont|wont|isnt|arent|aint|doesnt|didnt|wasnt|werent|couldnt|wouldnt|shouldnt|hasnt|havent|hadnt)$"
)
# Minus, C#, times, and faces. A single character class comes first, so that all others are skipped at once.
_SIGN = re.compile(r"[-#*/%:;=](?:(?<=-)(?=\s?\d)|(?<=\w#)|(?:(?<=\d[*/%])|(?<=\d\s[*/%]))(?=\s?\d)|(?<=[:;=])-?[()])")
_RARE = re.compile(r"""[^\w\s.,;:!?'"()-]""")
_APOSTROPHES = str.maketrans("\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}\N{ACUTE ACCENT}", "'''")
_LONGEST_KEPT = 40
"""Longer words do not occur again; without spaces, a whole paragraph is one."""
_QUOTES = r"\"'\xab\xbb\u2018-\u201f\u2039\u203a"
_ENDS = r".,;:!?\u2026"
# What ends a sentence, after a letter or mark; after a digit, only what cannot be part of a number or measure.
_PUNCTUATION = re.compile(
    rf"(?<=[^\s\d\x00-\x40\[-`{{-\x7f])[{_ENDS}{_QUOTES}]+(?!\S)|(?<=\d)[.,;:?]+(?!\S)|(?<!\S)[{_ENDS}]+(?!\S)"
    rf"|(?<!\S)[{_QUOTES}\xa1\xbf]+(?=[^\W\d_])|[\u3001\u3002\u300c-\u300f]"
)
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_MEANINGFUL = ("Sm", "Sc", "So")


def facts(answer: str) -> list[str]:
    """What reverses an answer's meaning: numbers, freestanding signs, negations."""
    # None of them spans whitespace.
    words = answer.split()
    if max(map(len, words), default=0) <= _LONGEST_KEPT:
        return list(itertools.chain.from_iterable(map(_kept_facts, words)))
    found = (_kept_facts(word) if len(word) <= _LONGEST_KEPT else _facts(word) for word in words)
    return list(itertools.chain.from_iterable(found))


def _facts(word: str) -> list[str]:
    # All other tokens are words.
    found = [token for token in _TOKEN.findall(word) if not token[0].isalpha()]
    return found + negations(word)


@functools.lru_cache(maxsize=2**16)
def _kept_facts(word: str) -> list[str]:
    return _facts(word)


def negations(text: str) -> list[str]:
    """The words and parts of words in a lowercase text that negate something."""
    words = (_NOT if _SHORTENED.search(token) else token for token in _TOKEN.findall(text))
    found = [word for word in words if word in _NEGATIONS]
    return found if text.isascii() else found + _NEGATES.findall(text)


def signs(text: str) -> list[str]:
    """Signs that carry meaning outside of words: mathematical and currency signs, emoji, faces."""
    # Two lists, one after the other: if a string could be in both, no part of a text could be left out.
    alone = [sign for sign in _RARE.findall(text) if unicodedata.category(sign) in _MEANINGFUL]
    return alone + _SIGN.findall(text)


def question(key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a key asks: the inputs without what hardly ever changes their meaning, and their signs.

    This drops sentence-final punctuation, quotes and hyphens. Lists and objects stay as they are.
    """
    parts = key_fields(key)
    return tuple(part if _is_json(part) else plain(part) for part in parts), tuple(signs(key))


def plain_answer(answer: str) -> str:
    """An answer, as JSON, in the same form, with its signs kept."""
    return repr(_plain_value(_parsed(answer)))


def _plain_value(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain_value(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain_value(part) for part in value]
    return (plain(value), signs(value)) if isinstance(value, str) else value


def _is_json(text: str) -> bool:
    """Whether a text is a list or an object."""
    return not isinstance(_parsed(text), str)


def _parsed(text: str) -> object:
    """The list or object that a text holds as JSON; otherwise the text."""
    if text[:1] not in ("[", "{"):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def plain(text: str) -> str:
    """A text without the punctuation that hardly ever changes its meaning."""
    return " ".join(_HYPHEN.sub(" ", _PUNCTUATION.sub(" ", text)).split())


def same_facts(one: str, other: str) -> bool:
    """Whether two answers state the same facts."""
    one, other = _with_plain_apostrophes(one), _with_plain_apostrophes(other)
    words, others = one.split(), other.split()
    if len(words) == len(others):
        # Usually a few words were replaced by the same number of words.
        replaced = [(a, b) for a, b in zip(words, others, strict=True) if a != b]
        if all(facts(a) == facts(b) for a, b in replaced):
            return True
    one, other = _difference(one, other)
    return facts(one) == facts(other)


def same_negations(one: str, other: str) -> bool:
    """Whether two lowercase texts have the same negations."""
    one, other = _difference(_with_plain_apostrophes(one), _with_plain_apostrophes(other))
    return negations(one) == negations(other)


def same_signs(one: str, other: str) -> bool:
    """Whether two texts have the same signs."""
    one, other = _difference(one, other)
    return signs(one) == signs(other)


def _with_plain_apostrophes(text: str) -> str:
    """A text with apostrophes as in don't."""
    return text.translate(_APOSTROPHES)


def _difference(one: str, other: str) -> tuple[str, str]:
    """Two texts without their common prefix and suffix, cut where no fact or sign spans the cut."""
    start = _cut(one, _common(one, other))
    one, other = one[start:], other[start:]
    # The suffix is the same, backwards.
    backwards = one[::-1]
    end = _cut(backwards, _common(backwards, other[::-1]))
    return one[: len(one) - end], other[: len(other) - end]


def _common(one: str, other: str) -> int:
    """How many leading characters two texts share."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, within: int) -> int:
    """The last place in the prefix that no fact or sign can span: a space between two letters."""
    at = text.rfind(" ", 0, max(within - 1, 0))
    while at > 0 and not (text[at - 1].isalpha() and text[at + 1].isalpha()):
        at = text.rfind(" ", 0, at)
    return max(at, 0)
