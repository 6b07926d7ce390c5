"""Doubts an answer in another language than the user's, where no other language was asked for."""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from schemas.message import Message, Speaker

_MOST = 1_200
"""Characters that are looked at."""
_GLANCE = 300
_ANSWER_LETTERS, _QUESTION_LETTERS, _PART_LETTERS = 80, 40, 12
_SURE, _CERTAIN = 0.95, 0.8
"""Of the answer's and the question's language."""
_SHORT_LETTERS = 8
_NEARLY_ALL = 0.9
_SCRIPTS = {
    "latin": re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]"),
    "cyrillic": re.compile("[\u0400-\u052f]"),
    "greek": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "arabic": re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    "hebrew": re.compile("[\u0590-\u05ff]"),
    "devanagari": re.compile("[\u0900-\u097f]"),
    "thai": re.compile("[\u0e00-\u0e7f]"),
    "hangul": re.compile("[\uac00-\ud7af]"),
    "han": re.compile("[\u3040-\u30ff\u3400-\u9fff]"),
}
_ENGLISH_WORDS = "the and of that with you this to in what how can are your"
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_ENGLISH_SHARE = 0.15
_IN_LATIN = frozenset({"en", "de", "fr", "es", "it", "pt", "nl"})
_NOT_WORDS = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S{1,64}@\S+|<[^>\n]{1,80}>|[\d{}\[\]|=<>/\\_*#]+", re.DOTALL
)
_PARTS = re.compile(r"\n+|(?<=[.!?:。！？])\s*|[\"“”„«»「」]")
_DENSE = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LETTERS = re.compile(r"[^\W\d_]")
# Any of these in what was asked may be the wish for another language. Words begin with them, in many languages.
_ASKED = re.compile(
    r"\b(?:translat|translit|tradu[cçitz]|überset|vertaal|vertal|översätt|oversæt|oversett|tłumacz|перев[оеё]|перекла"
    r"|çevir|terjemah|dịch|fordít|přelo|ترجم|अनुवाद|(?<!programming )language|langue|langua|lengua|idioma|lingua|língua"
    r"|sprache|taal|язык|bahasa|engl|ingl[eéê]s|anglais|англ|angiel|spani|españ|espagn|испан|french|franz|franç|france[sz]|fransk|franca|франц|german|deutsch"
    r"|alem[aá]n|allemand|tedesco|немец|italia|italien|итал|portug|russ|русск|polish|pols[ks]|chin[ae]|китай|japan|japon"
    r"|япон|korea|corea|arab|hindi|turk|türk|dutch|nederl|hebrew|greek|griech|latin|swed|svensk|danish|dansk|norwe|norsk"
    r"|finnish|suomi|czech|česk|hungar|magyar|romanian|român|ukrain|україн|vietnam|thai|indones|persian|farsi|esperanto)"
    r"|翻译|翻譯|翻訳|译成|译为|英文|英语|英語|中文|汉语|日文|日语|日本語|韩文|韩语|法语|法文|德语|德文|俄语|西班牙"
    r"|번역|영어|한국어|일본어|แปล|ภาษา",
    re.IGNORECASE,
)
_ALIKE = (
    frozenset({"no", "nb", "nn", "da", "sv"}),
    frozenset({"hr", "bs", "sr", "sh", "sl", "mk", "bg"}),
    frozenset({"id", "ms", "jv", "su"}),
    frozenset({"es", "gl", "pt", "ca", "an", "oc", "ast"}),
    frozenset({"cs", "sk"}),
    frozenset({"nl", "af", "fy", "li"}),
    frozenset({"ru", "uk", "be"}),
    frozenset({"hi", "ne", "mr"}),
    frozenset({"de", "lb", "als", "nds"}),
    frozenset({"it", "la", "scn"}),
    frozenset({"ar", "arz", "fa", "ur"}),
    frozenset({"zh", "yue", "wuu"}),
)
"""Languages that are often taken for each other."""


def other_language(answer: str, before: Sequence[Message]) -> str:
    """In which language an answer is, if nobody has used it before or asked for it; empty if nothing is certain."""
    last = _asked_last(before)
    if _is_english(answer) and _is_english(last):
        return ""
    bare, question = _bare(answer), _bare(last)
    found = _by_words(bare, question) or _by_script(bare, question)
    if not found:
        return ""
    spoken, wanted = found
    asked = [message.content for message in before if message.role is not Speaker.TOOL]
    if any(_ASKED.search(text) for text in asked):
        return ""
    # A question may quote a text in another language.
    heard = (language for text in asked for language in _languages(text))
    return "" if any(_alike(spoken, one) for one in heard) else f"answers in '{spoken}' what was asked in '{wanted}'"


def _is_english(text: str) -> bool:
    """Whether a text begins like an English one: most are, and this is quicker than identifying a language."""
    words = text[:_GLANCE].lower().split()
    return text[:_GLANCE].isascii() and sum(word in _ENGLISH for word in words) > _ENGLISH_SHARE * len(words)


def _asked_last(before: Sequence[Message]) -> str:
    """What the user said last; a short question is in the language of those before."""
    text = ""
    for message in reversed(before):
        if message.role is Speaker.USER and len(text) < _MOST:
            text += f"{message.content}\n"
    return text


def _by_words(answer: str, question: str) -> tuple[str, str] | None:
    """The languages of answer and question, if they differ and both are long enough to be sure."""
    if _letters(answer[:_GLANCE]) < _ANSWER_LETTERS or _letters(question[:_GLANCE]) < _QUESTION_LETTERS:
        return None
    # Nearly all answers are in the language of the question, which a glance shows.
    if _alike(_identified(answer[:_GLANCE])[0], _identified(question[:_GLANCE])[0]):
        return None
    (spoken, sure), (wanted, certain) = _identified(answer), _identified(question)
    return None if sure < _SURE or certain < _CERTAIN or _alike(spoken, wanted) else (spoken, wanted)


def _by_script(answer: str, question: str) -> tuple[str, str] | None:
    """The same of shorter texts in two scripts."""
    if answer[:_GLANCE].isascii() and question[:_GLANCE].isascii():
        return None
    if _letters(answer[:_GLANCE]) < _ANSWER_LETTERS or len(_LETTERS.findall(question[:_GLANCE])) < _SHORT_LETTERS:
        return None
    scripts = _script(answer[:_GLANCE]), _script(question[:_GLANCE])
    if not all(scripts) or scripts[0] == scripts[1]:
        return None
    wanted = _identified(question)[0]
    # Hindi, Arabic and others are often typed in Latin letters.
    if scripts[1] == "latin" and wanted not in _IN_LATIN:
        return None
    return _identified(answer)[0], wanted


def _script(text: str) -> str:
    """The script of nearly all letters; empty if there is none."""
    letters = len(_LETTERS.findall(text))
    return next((name for name, one in _SCRIPTS.items() if len(one.findall(text)) > _NEARLY_ALL * letters), "")


def _bare(text: str) -> str:
    return _NOT_WORDS.sub(" ", text[: 2 * _MOST])[:_MOST]


def _letters(text: str) -> int:
    """Letters; a character of a dense script counts for three."""
    return len(_LETTERS.findall(text)) + (0 if text.isascii() else 2 * len(_DENSE.findall(text)))


def _alike(one: str, other: str) -> bool:
    return one == other or any({one, other} <= some for some in _ALIKE)


def _languages(text: str) -> Iterator[str]:
    """The likeliest language of every part of a text that is long enough to have one."""
    for part in _PARTS.split(_bare(text)):
        if _letters(part) >= _PART_LETTERS:
            yield _identified(part)[0]


@functools.lru_cache(maxsize=1_000)
def _identified(text: str) -> tuple[str, float]:
    language, probability = _identifier().classify(text)
    return str(language), float(probability)


@functools.cache
def _identifier() -> Any:
    # Imported here: reading the model takes most of a second.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
