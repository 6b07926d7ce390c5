"""What turns a text over though its words hardly differ: numbers, negations, signs."""

import functools
import itertools
import re
import unicodedata

import orjson

from pipeline.text.normalize import key_fields

# Of Arabic, Dutch, English, French, German, Greek, Hebrew, Indonesian, Italian, Korean, Persian, Polish, Portuguese,
# Russian, Scandinavian, Spanish, Turkish, Ukrainian, Vietnamese. In one language a word may negate what it does not in
# another: it only counts where one text has it and the other has not.
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
"""In scripts that join it to other words."""
_TOKEN = re.compile(r"[-+]?\d+(?:[.,:/]\d+)*|(?<!\S)[^\w\s]+(?!\S)|[^\W\d_]+(?:'t\b)?")
_NOT = "not"
_SHORTENED = re.compile(
    "n't$|^(cannot|cant|dont|wont|isnt|arent|aint|doesnt|didnt|wasnt|werent|couldnt|wouldnt|shouldnt|hasnt|havent|hadnt)$"
)
# Minus, C#, times, and faces. One class of characters comes first, so that all others are passed over at once.
_SIGN = re.compile(r"[-#*/%:;=](?:(?<=-)(?=\s?\d)|(?<=\w#)|(?:(?<=\d[*/%])|(?<=\d\s[*/%]))(?=\s?\d)|(?<=[:;=])-?[()])")
_RARE = re.compile(r"""[^\w\s.,;:!?'"()-]""")
_APOSTROPHES = str.maketrans("\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}\N{ACUTE ACCENT}", "'''")
_LONGEST_KEPT = 40
"""Longer words do not come again; without spaces, a whole paragraph is one."""
_QUOTES = r"\"'\xab\xbb\u2018-\u201f\u2039\u203a"
_ENDS = r".,;:!?\u2026"
# What ends a sentence, after a letter or mark; after a digit, only what is no part of a number or measure.
_PUNCTUATION = re.compile(
    rf"(?<=[^\s\d\x00-\x40\[-`{{-\x7f])[{_ENDS}{_QUOTES}]+(?!\S)|(?<=\d)[.,;:?]+(?!\S)|(?<!\S)[{_ENDS}]+(?!\S)"
    rf"|(?<!\S)[{_QUOTES}\xa1\xbf]+(?=[^\W\d_])|[\u3001\u3002\u300c-\u300f]"
)
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_MEANINGFUL = ("Sm", "Sc", "So")


def facts(answer: str) -> list[str]:
    """What turns an answer over: numbers, signs that stand alone, negations."""
    # None of them reaches across white space.
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
    """The words, and parts of words, of a text in lower case that negate something."""
    words = (_NOT if _SHORTENED.search(token) else token for token in _TOKEN.findall(text))
    found = [word for word in words if word in _NEGATIONS]
    return found if text.isascii() else found + _NEGATES.findall(text)


def signs(text: str) -> list[str]:
    """The signs that carry meaning though they are no part of a word: of mathematics and currencies, emoji, faces."""
    # Two lists, one after the other: no string of the one may be in the other, or no part of a text could be left out.
    alone = [sign for sign in _RARE.findall(text) if unicodedata.category(sign) in _MEANINGFUL]
    return alone + _SIGN.findall(text)


def question(key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a key asks: the inputs without what hardly ever turns them over, and their signs.

    That is the punctuation that ends a sentence, quotes and hyphens. Lists and objects stay as they are.
    """
    parts = key_fields(key)
    return tuple(part if _is_json(part) else plain(part) for part in parts), tuple(signs(key))


def plain_answer(answer: str) -> str:
    """An answer, as JSON, in the same form; its signs are kept."""
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
    """The list or object that a text is as JSON; otherwise the text."""
    if text[:1] not in ("[", "{"):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def plain(text: str) -> str:
    """A text without the punctuation that hardly ever turns it over."""
    return " ".join(_HYPHEN.sub(" ", _PUNCTUATION.sub(" ", text)).split())


def same_facts(one: str, other: str) -> bool:
    """Whether two answers have the same facts."""
    one, other = _with_plain_apostrophes(one), _with_plain_apostrophes(other)
    words, others = one.split(), other.split()
    if len(words) == len(others):
        # Mostly a few words were replaced by as many.
        replaced = [(a, b) for a, b in zip(words, others, strict=True) if a != b]
        if all(facts(a) == facts(b) for a, b in replaced):
            return True
    one, other = _difference(one, other)
    return facts(one) == facts(other)


def same_negations(one: str, other: str) -> bool:
    """Whether two texts, in lower case, have the same negations."""
    one, other = _difference(_with_plain_apostrophes(one), _with_plain_apostrophes(other))
    return negations(one) == negations(other)


def same_signs(one: str, other: str) -> bool:
    """Whether two texts have the same signs."""
    one, other = _difference(one, other)
    return signs(one) == signs(other)


def _with_plain_apostrophes(text: str) -> str:
    """A text with the apostrophes of don't."""
    return text.translate(_APOSTROPHES)


def _difference(one: str, other: str) -> tuple[str, str]:
    """Two texts without their common beginning and end, cut where no fact and no sign reaches across."""
    start = _cut(one, _common(one, other))
    one, other = one[start:], other[start:]
    # From the end it is the same backwards.
    backwards = one[::-1]
    end = _cut(backwards, _common(backwards, other[::-1]))
    return one[: len(one) - end], other[: len(other) - end]


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, within: int) -> int:
    """The last place within the beginning where no fact and no sign can reach across: a space between two letters."""
    at = text.rfind(" ", 0, max(within - 1, 0))
    while at > 0 and not (text[at - 1].isalpha() and text[at + 1].isalpha()):
        at = text.rfind(" ", 0, at)
    return max(at, 0)
