"""Doubts what the assistant says: cut off, repeated, refused, leaked or left over from a template."""

import functools
import re
from collections.abc import Iterator, Sequence

from pipeline.label_errors.chat_endings import ending, ends_in_code
from pipeline.label_errors.chat_findings import Finding, Rule
from pipeline.label_errors.chat_languages import other_language
from pipeline.label_errors.chat_refusals import refusal
from pipeline.label_errors.chat_repeats import loop, same_text
from pipeline.label_errors.quotes import quoted
from schemas.message import Message, Speaker

_PROMPTS = (Speaker.SYSTEM, Speaker.DEVELOPER)
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`", re.DOTALL)
_TEMPLATE_TOKEN = re.compile(
    r"<\|[a-zA-Z_]{2,30}\|>|<\|(?:im_start|im_end)|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|^[ \t]*###[ \t]*(?:Response|Instruction|Human|Assistant|User|Input)\s*:"
    # HTML strikes text out with <s>, so it counts only at the ends.
    r"|\A(?:<s>(?!.*</s>[ \t]*\S)|<bos>)|(?:</s>|<eos>|\[EOS\])\s*\Z",
    re.MULTILINE,
)
_PLACEHOLDER = re.compile(
    r"\{\{ ?\w[\w .-]{0,40}\}\}|\[(?:PLACEHOLDER|INSERT[ _][A-Z][A-Z _]{0,40}|TODO)\]|<(?:PLACEHOLDER|placeholder)>"
    r"|\b[Ll]orem ipsum dolor\b"
)
_TO_FILL_IN = re.compile(
    r"\[(?:[Yy]our|YOUR|[Ii]nsert|[Ee]nter) [^\[\]\n]{1,40}\](?![(\[:])"
    r"|\[(?:(?:(?:[Cc]ompany|[Rr]ecipient|[Cc]ustomer|[Cc]lient|[Ss]ender|[Ff]irst|[Ll]ast)(?:'s)? )?[Nn]ame"
    r"|Date|Address|Phone [Nn]umber|Job [Tt]itle|Ihr Name|Dein Name|Votre nom|Tu nombre)\](?![(\[:])"
)
_TEXT_TO_SEND = re.compile(
    r"letter|mail|template|draft|form\b|invit|memo|résumé|resume|\bCV\b|script|speech|contract|message|announce|agenda"
    r"|\bbio\b|press release|statement|report|certificate|agreement|proposal|note\b|post\b|brief|vorlage|lettre|modèle"
    r"|carta|plantilla",
    re.IGNORECASE,
)
"""What a user asks for who will fill in names and dates."""
_RUNAWAY = re.compile(
    r"^[ \t]*(?:#+ *)?\**(Input|Question|Q|Instruction|Human|User)\**[ \t]*:.*?"
    r"^[ \t]*(?:#+ *)?\**(?:Output|Answer|A|Response|Assistant|AI)\**[ \t]*:",
    re.MULTILINE | re.DOTALL,
)
_EXAMPLES = re.compile(
    r"example|e\.g\.|sample|test case|\bq ?& ?a\b|faq|beispiel|exempl|ejempl|esempi|voorbeeld", re.IGNORECASE
)
_MARKS = ("<", "[", "{{", "###", "orem ipsum")
"""What template tokens and placeholders have in common; looking for these is quick."""
_LEAKED_WORDS, _WHOLE_PROMPT = 15, 8
"""A span of the system prompt this long is quoted, not met by chance; so is all of a shorter one with 8 words."""
_WORD = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\\W_]+")
_TO_THE_MODEL = re.compile(
    r"\b(?:you are|you must|you should|you will|you have|you can|your (?:task|job|role|goal|name)|do not|don't|never"
    r"|always|du bist|du sollst|sie sind|tu es|vous êtes|eres|usted es|debes|você é|tu sei|jij bent|ты|вы)\b"
    r"|你是|你的|您是|あなたは|당신은",
    re.IGNORECASE,
)


def answer_findings(messages: Sequence[Message]) -> Iterator[Finding]:
    """What is odd about the assistant's texts, except those that training does not learn."""
    prompt = "\n".join(one.content for one in messages if one.role in _PROMPTS)
    earlier: dict[str, str] = {}
    asked = ""
    in_code = False
    for turn, message in enumerate(messages):
        if message.role is not Speaker.ASSISTANT:
            asked = message.content if message.role is Speaker.USER else asked
            continue
        text = message.content.strip()
        if message.says_nothing or message.weight == 0:
            continue
        before = messages[:turn]
        # A continued answer ends the code block of the one before.
        broken_off, in_code = ending(text, continued=in_code), ends_in_code(text)
        plain = _without_code(text)
        looped = loop(plain)
        found = {
            Rule.TEMPLATE_TOKEN: _left_over(_TEMPLATE_TOKEN, text, before) or _runs_on(plain, before),
            Rule.PLACEHOLDER: _left_over(_PLACEHOLDER, text, before) or _to_fill_in(text, before),
            Rule.LOOP: looped,
            # A loop ends where the model's limit is.
            Rule.CUT_ANSWER: "" if looped else broken_off,
            Rule.LEAKED_PROMPT: _leak(prompt, text, before),
            Rule.OTHER_LANGUAGE: other_language(plain, before),
            Rule.REFUSAL: refusal(text),
        }
        yield from (Finding(rule, turn, detail) for rule, detail in found.items() if detail)
        if (key := same_text(text)) and earlier.setdefault(key, asked) != asked:
            yield Finding(
                Rule.REPEATED_ANSWER, turn, f"an earlier answer, to another question, is the same: {quoted(text)}"
            )


def _without_code(text: str) -> str:
    return _CODE.sub(" ", text) if "`" in text or "~~~" in text else text


def _left_over(pattern: re.Pattern[str], text: str, before: Sequence[Message]) -> str:
    """What a pattern finds outside of code, unless it was spoken of before."""
    if not any(mark in text for mark in _MARKS) or not pattern.search(text):
        return ""
    for match in pattern.finditer(_without_code(text)):
        token = match.group().strip()
        # Who writes templates speaks of braces.
        known = "{{" if token.startswith("{{") else token
        if not any(known in message.content for message in before if message.role is not Speaker.ASSISTANT):
            return f"contains {quoted(token)}"
    return ""


def _to_fill_in(text: str, before: Sequence[Message]) -> str:
    """A name or date that nobody filled in, unless the user asked for a text to send, in which they will."""
    if "[" not in text or not _TO_FILL_IN.search(text):
        return ""
    if any(_TEXT_TO_SEND.search(message.content) for message in before if message.role is not Speaker.ASSISTANT):
        return ""
    return _left_over(_TO_FILL_IN, text, before)


def _runs_on(plain: str, before: Sequence[Message]) -> str:
    """An answer that goes on with another question and its answer, as of a prompt with examples."""
    match = _RUNAWAY.search(plain)
    if match is None or not plain[: match.start()].strip() or _EXAMPLES.search(plain):
        return ""
    spoken = "\n".join(one.content for one in before if one.role is not Speaker.ASSISTANT)
    if re.search(rf"\b{match[1]}", spoken, re.IGNORECASE) or _EXAMPLES.search(spoken):
        return ""
    return f"goes on with another question: {quoted(match.group())}"


@functools.lru_cache(maxsize=64)
def _instructions(prompt: str) -> frozenset[tuple[str, ...]]:
    """The long spans of a system prompt that speak to the model; examples and documents are there to be quoted."""
    words = [*_WORD.finditer(prompt)]
    length = _span_length(len(words))
    addressed = [match.span() for match in _TO_THE_MODEL.finditer(prompt)]
    spans, at = set(), 0
    for first in range(len(words) - length + 1):
        span = words[first : first + length]
        while at < len(addressed) and addressed[at][0] < span[0].start():
            at += 1
        if at < len(addressed) and addressed[at][1] <= span[-1].end():
            spans.add(tuple(word.group().lower() for word in span))
    return frozenset(spans)


def _span_length(words: int) -> int:
    return max(min(words, _LEAKED_WORDS), _WHOLE_PROMPT)


def _leak(prompt: str, text: str, before: Sequence[Message]) -> str:
    """The first span of the system prompt that an answer quotes, unless the user quoted it before."""
    if not prompt or not (spans := _instructions(prompt)):
        return ""
    words = [*_WORD.finditer(text)]
    folded = [word.group().lower() for word in words]
    length = len(next(iter(spans)))
    for at in range(len(words) - length + 1):
        if tuple(folded[at : at + length]) in spans:
            span = text[words[at].start() : words[at + length - 1].end()]
            if any(span in message.content for message in before if message.role is Speaker.USER):
                return ""
            return f"quotes the system prompt: {quoted(span)}"
    return ""
