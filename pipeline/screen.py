"""Find what should not be trained on: personal data, secrets and the control tokens of chat templates.

Everything is found by form (patterns, check digits, numbering plans); nothing asks the network. Names and
addresses of people are not looked for. A cheap look for one telling character or word comes before each
pattern, because nearly all texts are clean.
"""

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import phonenumbers
from stdnum import iban, luhn

from schemas.dataset import Action, Screen
from schemas.fate import Reason, ReasonCode


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing found in one field, and what the configuration does about it."""

    reason: Reason
    """Its detail names the kind and shows the first value masked, never whole."""
    action: Action


@dataclass(frozen=True, slots=True)
class _Hit:
    kind: str
    value: str


def screen(texts: Mapping[str, str], config: Screen) -> list[Finding]:
    """Screen a row's texts by field name; what the configuration allows is not even looked for."""
    findings: list[Finding] = []
    for field, text in texts.items():
        if config.personal_data is not Action.ALLOW:
            hits = _personal_data(text, config.phone_regions)
            findings += _findings(ReasonCode.PERSONAL_DATA, config.personal_data, field, hits)
        if config.secrets is not Action.ALLOW:
            findings += _findings(ReasonCode.SECRET, config.secrets, field, _secrets(text))
        if config.template_tokens is not Action.ALLOW:
            findings += _findings(ReasonCode.TEMPLATE_TOKEN, config.template_tokens, field, _template_tokens(text))
    return findings


def _findings(code: ReasonCode, action: Action, field: str, hits: Iterable[_Hit]) -> Iterator[Finding]:
    """One finding for each kind, so that a list of a thousand addresses is one reason."""
    values: dict[str, dict[str, None]] = {}
    for hit in hits:
        values.setdefault(hit.kind, {})[hit.value] = None
    for kind, (first, *others) in values.items():
        # A control token is no secret; seen whole, it can be searched for.
        shown = first if code is ReasonCode.TEMPLATE_TOKEN else masked(first)
        more = f" and {len(others)} more" if others else ""
        yield Finding(Reason(code=code, field=field, detail=f"{kind} {shown}{more}"), action)


def masked(value: str) -> str:
    """The first and the last two characters; a short value shows its first only."""
    return f"{value[:2]}…{value[-2:]}" if len(value) >= 8 else f"{value[:1]}…"


# --- personal data ----------------------------------------------------------------------------------

_EMAIL = re.compile(
    r"(?<![\w.+%'-])[\w.+%'-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])",
)
_MANY_DIGITS = re.compile(r"\d(?:[ \xa0()./\u2010-\u2013-]{0,3}\d){7}")
"""What phone, card and account numbers have in common: eight digits, apart by a few separators at most."""
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\w.,/-])\d(?:[ -]?\d){12,18}(?![\w/-]|[.,]\d)")
_CARD_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?=\d{16}$)(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)\d+"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?=\d{16}$)(?:6011|64[4-9]|65)\d+"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|62\d{14,17}"  # UnionPay
)
_PHONE_CUE = re.compile(
    r"\b(?:tel|phone|telephone|call(?:ed|ing)?|mobile|cell|fax|whatsapp|sms|text(?:ed|ing)?|dial|ring|contact"
    r"|(?:my|your|his|her|our|their) number)\b\D{0,24}$",
    re.IGNORECASE,
)
_MAX_PHONES = 100
"""Numbers of one text that are told apart; one alone decides what happens to the row."""
_MAX_PHONE_TRIES = 1000
"""Candidates that may prove wrong before the search of one text ends; a page of figures has hundreds."""


def _personal_data(text: str, regions: Sequence[str]) -> list[_Hit]:
    hits = [_Hit("e-mail address", match) for match in _EMAIL.findall(text)] if "@" in text else []
    if _MANY_DIGITS.search(text):
        numbers = [*_ibans(text), *_cards(text)]
        for hit in numbers:
            # So that no part of a card number is taken for a phone number.
            text = text.replace(hit.value, " " * len(hit.value))
        hits += [*numbers, *_phones(text, regions)]
    return hits


def _ibans(text: str) -> Iterator[_Hit]:
    for value in _IBAN.findall(text):
        if iban.is_valid(value):
            yield _Hit("IBAN", value)


def _cards(text: str) -> Iterator[_Hit]:
    for value in _CARD.findall(text):
        digits = value.replace(" ", "").replace("-", "")
        if _CARD_ISSUERS.fullmatch(digits) and len(set(digits)) > 1 and luhn.is_valid(digits):
            yield _Hit("card number", value)


def _phones(text: str, regions: Sequence[str]) -> Iterator[_Hit]:
    """International numbers, and national ones of the regions in the grouping that is usual there."""
    any_region: Sequence[str | None] = regions or [None]
    for region in any_region:
        matcher = phonenumbers.PhoneNumberMatcher(
            text, region, phonenumbers.Leniency.STRICT_GROUPING, max_tries=_MAX_PHONE_TRIES
        )
        for match in itertools.islice(matcher, _MAX_PHONES):
            value = match.raw_string
            # Ten digits in a row are an order or account number as often as a phone number.
            bare = value.isdigit() and not value.startswith("0")
            if not bare or _PHONE_CUE.search(text[max(0, match.start - 48) : match.start]):
                yield _Hit("phone number", value)


# --- secrets ----------------------------------------------------------------------------------------

_MARKS: dict[str, tuple[str, ...]] = {
    "AWS Access Key": ("AKIA", "ASIA", "ABIA", "ACCA", "A3T", "aws", "AWS"),
    "Azure Storage Account access key": ("AccountKey=",),
    "Basic Auth Credentials": ("://",),
    "GitHub Token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitLab Token": ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "GR1348941", "glcbt-", "glptt-", "gloas-"),
    "JSON Web Token": ("eyJ",),
    "Mailchimp Access Key": ("-us",),
    "NPM tokens": ("_authToken", "npm_"),
    "OpenAI Token": ("T3BlbkFJ",),
    "Private Key": ("PRIVATE KEY", "PuTTY-User-Key-File-2"),
    "PyPI Token": ("pypi-AgE",),
    "SendGrid API Key": ("SG.",),
    "Slack Token": ("xox", "XOX", "hooks.slack.com"),
    "Square OAuth Secret": ("sq0csp-",),
    "Stripe Access Key": ("k_live_",),
    "Telegram Bot Token": (":AA",),
    "Twilio API Key": ("AC", "SK"),
}
"""The kinds of detect-secrets that hardly ever meet ordinary text, and what a text must hold to be
searched for them. Its detectors by entropy and by keyword take too much prose for secrets."""

_YOUNGER_RULES: dict[str, tuple[str, re.Pattern[str]]] = {
    "GitHub fine-grained token": ("github_pat_", re.compile(r"github_pat_\w{36,}")),
    "Google API key": ("AIza", re.compile(r"(?<!\w)AIza[\w-]{35}(?![\w-])")),
    "Hugging Face token": ("hf_", re.compile(r"(?<!\w)hf_[A-Za-z0-9]{34}(?!\w)")),
    "Anthropic API key": ("sk-ant-", re.compile(r"sk-ant-[\w-]{20,}")),
    "Encrypted private key": ("PRIVATE KEY", re.compile(r"BEGIN ENCRYPTED PRIVATE KEY")),
}
"""Forms that detect-secrets does not know."""

_LINEAR_PATTERNS: dict[str, re.Pattern[str]] = {
    "JSON Web Token": re.compile(r"(?<![\w.-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?"),
    "NPM tokens": re.compile(r"(?:_authToken=\s*|(?<!\w)npm_)[\w-]{36,}"),
    "OpenAI Token": re.compile(r"[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
}
"""In place of patterns of detect-secrets that take minutes on a megabyte of their own first letters."""

_LEAST_SECRET = 20
"""Characters in a row, without a space, of the shortest secret (an AWS key) but for those below."""
_SPACED_MARKS = ("://", "PRIVATE KEY")


def _secrets(text: str) -> Iterator[_Hit]:
    if max(map(len, text.split()), default=0) < _LEAST_SECRET and not any(mark in text for mark in _SPACED_MARKS):
        return
    for kind, marks in _MARKS.items():
        if any(mark in text for mark in marks):
            yield from (_Hit(kind, value) for value in _secrets_of(kind, text))
    for kind, (mark, pattern) in _YOUNGER_RULES.items():
        if mark in text:
            yield from (_Hit(kind, value) for value in pattern.findall(text))


def _secrets_of(kind: str, text: str) -> Iterator[str]:
    detector = _detectors()[kind]
    patterns = [_LINEAR_PATTERNS[kind]] if kind in _LINEAR_PATTERNS else detector.denylist
    for pattern in patterns:
        for match in pattern.finditer(text):
            # Only JSON Web Tokens have a form beyond the pattern.
            if kind != "JSON Web Token" or detector.is_formally_valid(match.group()):
                yield match.group()


@functools.cache
def _detectors() -> Mapping[str, Any]:
    """Every detector class of detect-secrets by its kind.

    Imported here because it takes longer than the rest of the module, and clean texts do not need it.
    """
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    return cast(Mapping[str, Any], get_mapping_from_secret_type_to_class())


# --- chat templates ---------------------------------------------------------------------------------

_TEMPLATE_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_]{2,40}\|>"  # ChatML, GPT, Llama 3, Phi, Zephyr, Qwen, Command R
    r"|<\uff5c[A-Za-z\u2581]{2,40}\uff5c>"  # DeepSeek, with full-width bars
    r"|\[/?INST\]|<</?SYS>>|</?s>"  # Llama 2, Mistral
    r"|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]"  # Mistral
    r"|<(?:start|end)_of_turn>|<bos>|<eos>"  # Gemma
)


def _template_tokens(text: str) -> Iterator[_Hit]:
    if "<" in text or "[" in text:
        for token in _TEMPLATE_TOKEN.findall(text):
            yield _Hit("control token", token)
