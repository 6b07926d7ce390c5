"""Doubts answers that refuse, in about fifteen languages, by the phrases with which they begin."""

import re

from pipeline.label_errors.quotes import quoted

_AREA = 160
"""Characters at an answer's start in which a refusal is one."""
_IM = r"i(?:['\u2019]?m| am)"
_SORRY = (
    rf"(?:{_IM} (?:very |so |really |truly |deeply )?(?:sorry|afraid)|sorry|(?:i|my|we) apologi[sz]e|(?:my )?apologies"
    r"|unfortunately|regrettably|as an? (?:ai|artificial|(?:large )?language model)\b)"
)
_UNABLE = r"(?:unable|not (?:able|allowed|permitted|programmed|capable|comfortable|designed|equipped))"
_CANNOT = (
    rf"\bi (?:can(?:['\u2019]t|not| not)|am {_UNABLE}|(?:do not|don['\u2019]t|lack) (?:currently |actually )?"
    r"(?:have (?:the |any |direct |real-time )*(?:abilit|capabilit|capacity|functionalit|access|permission|means|tools)"
    rf"|feel comfortable)|(?:won['\u2019]t|will not)\b|must (?:decline|refuse)|refuse)|\bi['\u2019]m {_UNABLE}"
)
_HELP = (
    r"(?:help|assist|provide|comply|fulfill?|do that|answer|create|generate|write|discuss|engage|access|perform|browse)"
)
_PHRASES = (
    # English: after an apology it takes a "cannot"; without one, a verb of helping.
    rf"{_SORRY}[^.!?\n]{{0,80}}(?:{_CANNOT})\w*",
    rf"(?:i can(?:['\u2019]t|not)|{_IM} (?:unable|not able) to) {_HELP}\b",
    rf"i (?:must (?:decline|refuse)|(?:won['\u2019]t|will not) {_HELP})\b",
    # German, Dutch
    r"(?:es )?tut mir (?:sehr )?leid[^.!?\n]{0,40}\b(?:ich kann|kann ich)\b[^.!?\n]{0,80}\b(?:nicht|keine?[nrms]?)\b",
    r"(?:leider|entschuldigung)[^.!?\n]{0,40}\b(?:ich kann|kann ich)\b[^.!?\n]{0,80}\b(?:nicht|keine?[nrms]?)\b",
    r"(?:het spijt me|sorry|helaas)[^.!?\n]{0,40}\b(?:ik kan|kan ik)\b[^.!?\n]{0,60}\b(?:niet|geen)\b",
    # French, Spanish, Italian, Portuguese
    r"(?:je suis (?:vraiment )?désolée?|désolée?|malheureusement)[^.!?\n]{0,40}\bje ne (?:peux|suis)\b.{0,30}\bpas\b",
    r"(?:lo siento|lamento|disculpa|desafortunad|lamentable)[^.!?\n]{0,50}\bno (?:puedo|tengo acceso|soy capaz)\b",
    r"(?:mi dispiace|purtroppo|spiacente)[^.!?\n]{0,40}\bnon (?:posso|sono in grado)\b",
    r"(?:desculpe|sinto muito|lamento|infelizmente)[^.!?\n]{0,40}\bnão (?:posso|consigo|tenho acesso)\b",
    # Polish, Russian, Turkish
    r"(?:przykro mi|przepraszam|niestety)[^.!?\n]{0,40}\bnie (?:mogę|jestem w stanie)\b",
    r"(?:извините|простите|к сожалению|мне жаль|прошу прощения)[^.!?\n]{0,40}\bя не (?:могу|имею|в состоянии)\b",
    r"(?:üzgünüm|maalesef|özür dilerim)[^.!?\n]{0,80}(?:amıyorum|emiyorum|amam|emem)\b",
    # Chinese, Japanese, Korean
    r"(?:很?抱歉|非常抱歉|对不起|對不起|不好意思)[^。！？\n]{0,20}我(?:们)?(?:无法|不能|無法|没有办法|没办法|不会)",
    r"(?:作为|作為)[^。！？\n]{0,20}我(?:无法|不能|無法)",
    r"(?:申し訳|すみません|ごめんなさい|残念ながら)[^。！？\n]{0,80}(?:できません|できかねます|お答えできない|わかりません)",
    r"(?:죄송|미안|유감)[^.!?\n]{0,80}(?:수 없|못합니다|불가능)",
    # Arabic, Hindi
    r"(?:عذر|آسف|أنا آسف|أعتذر|للأسف)[^.!؟\n]{0,60}لا (?:أستطيع|يمكنني)",
    r"(?:क्षमा करें|मुझे खेद है|माफ़ कीजिए)[^।!?\n]{0,80}नहीं",
)
_REFUSES = re.compile("|".join(f"(?:{phrase})" for phrase in _PHRASES), re.IGNORECASE)


def refusal(answer: str) -> str:
    """The refusal with which an answer begins, in a line; empty if it does not."""
    match = _REFUSES.match(answer[:_AREA].lstrip("\"'* \n"))
    return f"begins with {quoted(match.group())}" if match else ""
