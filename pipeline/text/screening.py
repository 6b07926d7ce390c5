"""Find what should not be trained on: personal data, secrets and the control tokens of chat templates.

Everything is found by its form (patterns, check digits, numbering plans), without the network. Names and
addresses are not searched for. A cheap test for one characteristic character or word comes before each
pattern, and ``suspects`` runs it on many texts at once, because nearly all are clean.
"""

import functools
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import phonenumbers
import polars as pl
from stdnum import iban, luhn, numdb

from schemas.dataset import Action, Screen
from schemas.fate import Reason, ReasonCode
from schemas.field import JsonValue


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of finding in one field, and what the configuration does about it."""

    reason: Reason
    """Names the kind and shows the first value, masked."""
    action: Action


@dataclass(frozen=True, slots=True)
class _Hit:
    kind: str
    value: str


def screen(texts: Mapping[str, str], config: Screen) -> list[Finding]:
    """Screen a row's texts by field name; what the configuration allows is skipped."""
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


def personal_values(texts: Iterable[str], config: Screen) -> list[str]:
    """Digests of the personal data in some texts, sorted: the same for the same number, however it is grouped."""
    hits = itertools.chain.from_iterable(_personal_data(text, config.phone_regions) for text in texts)
    # In an address each sign counts.
    plain = {hit.value.casefold() if "@" in hit.value else re.sub(r"[\W_]", "", hit.value).casefold() for hit in hits}
    return sorted(hashlib.sha256(value.encode()).hexdigest()[:20] for value in plain)


def suspects(texts: pl.Series) -> pl.Series:
    """The texts that screening must look at: all that have findings, and a few others.

    Texts of several fields may be joined by line breaks or be JSON, which escapes nothing within a finding.
    Every test is for something that all findings have, in terms on which Python and polars agree.
    """
    text = pl.col("text")
    marks = [mark for kind, marks in _MARKS.items() if kind not in _COMMON_MARKS for mark in marks]
    patterns = [_AROUND_AT, _MANY_DIGITS.pattern, _TEMPLATE_TOKEN.pattern, *_COMMON_MARKS.values()]
    # One column each, since columns are evaluated in parallel.
    tests = [text.str.contains_any(marks), *map(text.str.contains, patterns)]
    found = pl.DataFrame({"text": texts}).select(test.alias(f"{number}") for number, test in enumerate(tests))
    return found.select(pl.any_horizontal(pl.all())).to_series()


def target_texts(targets: Mapping[str, JsonValue]) -> dict[str, str]:
    """The texts of an answer, by the names under which they are screened."""
    return {f"target {name}": "\n".join(texts_in(value)) for name, value in targets.items()}


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a value, including those in lists and objects; an object's keys are texts, too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts_in(item)


def _findings(code: ReasonCode, action: Action, field: str, hits: Iterable[_Hit]) -> Iterator[Finding]:
    """One finding per kind, so that a list of a thousand addresses is one reason."""
    values: dict[str, dict[str, None]] = {}
    for hit in hits:
        values.setdefault(hit.kind, {})[hit.value] = None
    for kind, (first, *others) in values.items():
        # A control token is no secret; unmasked, it can be searched for.
        shown = first if code is ReasonCode.TEMPLATE_TOKEN else masked(first)
        more = f" and {len(others)} more" if others else ""
        yield Finding(Reason(code=code, field=field, detail=f"{kind} {shown}{more}"), action)


def masked(value: str) -> str:
    """The first and the last two characters; a short value shows only its first."""
    return f"{value[:2]}…{value[-2:]}" if len(value) >= 8 else f"{value[:1]}…"


# --- personal data ----------------------------------------------------------------------------------

_EMAIL = re.compile(
    r"(?<![\w.+%'-])[\w.+%'-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}"
    # Punycode; then only Latin letters, because Chinese continues without a space.
    r"(?:[Xx][Nn]--[A-Za-z0-9-]{0,58}[A-Za-z0-9]|[A-Za-z]{2,24}|[^\W\d_]{2,24})(?![A-Za-z0-9]|_[A-Za-z])",
)
_AROUND_AT = r"@[^\s@]+\."
_GAP = r" \xa0\u202f.\u2010-\u2013-"
"""Characters, for a regex character class, that separate the groups of a long number."""
_MANY_DIGITS = re.compile(rf"\d(?:[()/{_GAP}]{{0,3}}\d){{7}}")
"""What phone, card and account numbers have in common: eight digits with at most a few separators between them."""
_IBAN_HEAD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}")
_CARD_START = r"\d(?<!\w\d)(?<!\d[.,]\d)"
"""A first digit, and after it a lookbehind for what must not precede it: four times as fast as the other order.
Digits after a dot or a comma are decimals."""
# ASCII, so that a number may touch the words of a script without spaces. A slash or a hyphen next to an ungrouped
# number means a path or a code.
_CARD_IN_ONE = re.compile(rf"{_CARD_START}(?<![/-]\d)\d{{12,18}}(?!\w|\.\d|[/-]\D)", re.ASCII)
_CARD_ALONE = re.compile(rf"{_CARD_START}(?<![/-]\d)(?:[ -]?\d){{12,18}}(?![\w/-]|[.,]\d)", re.ASCII)
_CARD_OF_THREE = re.compile(rf"{_CARD_START}\d{{3}}([{_GAP}]{{1,3}})\d{{6}}\1\d{{4,5}}(?!\w)", re.ASCII)
_ROW_OF_FOURS = re.compile(rf"{_CARD_START}\d{{3}}([{_GAP}]{{1,3}})\d{{4}}(?:\1\d{{4}}(?!\w)){{2,}}", re.ASCII)
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
"""Distinct numbers in one text; a single one decides what happens to the row."""
_MAX_PHONE_TRIES = 1000
"""Candidates that may turn out wrong before the search of a text ends; a page of figures has hundreds."""


def _personal_data(text: str, regions: Sequence[str]) -> list[_Hit]:
    hits = [_Hit("e-mail address", match) for match in _EMAIL.findall(text)] if "@" in text else []
    if _MANY_DIGITS.search(text):
        for kind, find in (("IBAN", _ibans), ("card number", _cards)):
            spans = list(find(text))
            hits += [_Hit(kind, text[start:end]) for start, end in spans]
            text = _blanked(text, spans)
        hits += _phones(text, regions)
    return hits


def _blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Blank out what was found, so that no part of an account or card number counts as something else."""
    characters = list(text)
    for start, end in spans:
        characters[start:end] = " " * (end - start)
    return "".join(characters)


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for head in _IBAN_HEAD.finditer(text):
        pattern = _iban_pattern(head.group()[:2].upper())
        match = pattern and pattern.match(text, head.start())
        # Words fit some countries' format as well ("GT40 ..."), and one in 97 passes the checksum. The country checks
        # are skipped: they know some countries' banks, but not all.
        if match and _MANY_DIGITS.search(match.group()) and iban.is_valid(match.group(), check_country=False):
            yield match.span()


@functools.cache
def _iban_pattern(country: str) -> re.Pattern[str] | None:
    """An IBAN's country determines its length, so it ends where the next word or number begins."""
    structure = numdb.get("iban").info(country)[0][1].get("bban")
    if structure is None:
        return None
    length = 2 + sum(map(int, re.findall(r"\d+", structure)))
    return re.compile(rf"[A-Z]{{2}}(?:[{_GAP}]{{0,2}}[A-Z0-9]){{{length}}}(?![A-Z0-9])", re.IGNORECASE | re.ASCII)


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for start, end in _card_candidates(text):
        digits = re.sub(r"\D", "", text[start:end])
        if _CARD_ISSUERS.fullmatch(digits) and len(set(digits)) > 1 and luhn.is_valid(digits):
            yield start, end


def _card_candidates(text: str) -> Iterator[tuple[int, int]]:
    """Numbers grouped as on cards, whatever surrounds them, and isolated ones in any grouping."""
    for pattern in (_CARD_ALONE, _CARD_IN_ONE, _CARD_OF_THREE):
        yield from (match.span() for match in pattern.finditer(text))
    for row in _ROW_OF_FOURS.finditer(text):
        length = 16 + 3 * len(row[1])
        starts = range(row.start(), row.end() - length + 1, 4 + len(row[1]))
        # A year may precede and an expiry date follow; in a long table row, only the two ends are tried.
        for start in starts if len(starts) <= 3 else (starts[0], starts[-1]):
            yield start, start + length


def _phones(text: str, regions: Sequence[str]) -> Iterator[_Hit]:
    """International numbers, and national ones of the configured regions in their usual grouping."""
    any_region: Sequence[str | None] = regions or [None]
    for region in any_region:
        matcher = phonenumbers.PhoneNumberMatcher(
            text, region, phonenumbers.Leniency.STRICT_GROUPING, max_tries=_MAX_PHONE_TRIES
        )
        for match in itertools.islice(matcher, _MAX_PHONES):
            value = match.raw_string
            # Ten consecutive digits are an order or account number as often as a phone number.
            bare = value.isdigit() and not value.startswith("0")
            if not bare or _PHONE_CUE.search(text[max(0, match.start - 48) : match.start]):
                yield _Hit("phone number", value)


# --- secrets ----------------------------------------------------------------------------------------

_MARKS: dict[str, tuple[str, ...]] = {
    "Anthropic API key": ("sk-ant-",),
    "AWS Access Key": ("AKIA", "ASIA", "ABIA", "ACCA", "A3T", "aws", "AWS"),
    "AWS secret access key": ("SECRET_ACCESS_KEY", "secret_access_key", "ecretAccessKey"),
    "AWS session token": ("IQoJb3JpZ2luX2Vj", "FwoGZXIvYXdz", "FQoGZXIvYXdz"),
    "Azure client secret": ("Q~",),
    "Azure shared access key": ("SharedAccessKey=",),
    "Azure shared access signature": ("sig=",),
    "Azure Storage Account access key": ("AccountKey=",),
    "Basic Auth Credentials": ("://",),
    "Databricks token": ("dapi",),
    "DigitalOcean token": ("_v1_",),
    "Docker token": ("dckr_pat_",),
    "GitHub fine-grained token": ("github_pat_",),
    "GitHub Token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitLab Token": (
        *("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "GR1348941", "glcbt-"),
        *("glimt-", "glptt-", "glagent-", "gloas-"),
    ),
    "Google API key": ("AIza",),
    "Google OAuth secret": ("ya29.", "1//0", "GOCSPX-"),
    "Groq API key": ("gsk_",),
    "Hugging Face token": ("hf_",),
    "JSON Web Token": ("eyJ",),
    "Mailchimp Access Key": ("-us",),
    "NPM tokens": ("_authToken", "npm_"),
    "OpenAI Token": ("T3BlbkFJ",),
    "OpenRouter API key": ("sk-or-v1-",),
    "Private Key": ("PRIVATE KEY", "PuTTY-User-Key-File-"),
    "PyPI Token": ("pypi-AgE",),
    "SendGrid API Key": ("SG.",),
    "Shopify token": ("shp",),
    "Slack Token": ("xox", "XOX", "xapp-", "hooks.slack.com"),
    "Square OAuth Secret": ("sq0csp-",),
    "Stripe Access Key": ("k_live_", "k_test_", "whsec_"),
    "Telegram Bot Token": (":AA",),
    "Twilio API Key": ("AC", "SK"),
    "Vault token": ("hvs.",),
}
"""The kinds of detect-secrets that hardly ever match ordinary text, and those of `_PATTERNS`, with the strings of
which a text must contain one to be searched. Entropy and keyword detectors mistake too much prose for secrets."""

_COMMON_MARKS = {
    "Basic Auth Credentials": r"://\S+@",
    "Mailchimp Access Key": r"[0-9a-z]{32}-us[0-9]",
    "Twilio API Key": r"(?:AC|SK)[a-z0-9]{32}",
}
"""For the kinds whose marks occur in ordinary texts: what surrounds the mark in a real secret."""

_PATTERNS: dict[str, re.Pattern[str]] = {
    kind: re.compile(pattern, re.ASCII)
    for kind, pattern in {
        "Anthropic API key": r"sk-ant-[\w-]{20,}",
        "AWS secret access key": r"(?:SECRET_ACCESS_KEY|secret_access_key|[sS]ecretAccessKey)[\"']?\s{0,3}[=:]\s{0,3}"
        r"[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
        "AWS session token": r"(?:IQoJb3JpZ2luX2Vj|F[wQ]oGZXIvYXdz)[A-Za-z0-9/+%]{100,}",
        "Azure client secret": r"(?<![\w~])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~-])",
        "Azure shared access key": r"SharedAccessKey=[A-Za-z0-9+/]{43}=",
        "Azure shared access signature": r"(?<!\w)sig=(?:[\w+/-]|%2[BbFf]){43}(?![\w+/-])",
        "Databricks token": r"(?<!\w)dapi[0-9a-f]{32}(?!\w)",
        "DigitalOcean token": r"(?<!\w)do[opr]_v1_[0-9a-f]{64}(?!\w)",
        "Docker token": r"dckr_pat_[\w-]{27}",
        "GitHub fine-grained token": r"github_pat_\w{36,}",
        "Google API key": r"(?<!\w)AIza[\w-]{35}(?![\w-])",
        "Google OAuth secret": r"(?<!\w)(?:ya29\.[\w-]{30,}|1//0[\w-]{40,}|GOCSPX-[\w-]{28})",
        "Groq API key": r"(?<!\w)gsk_[A-Za-z0-9]{52}(?!\w)",
        "Hugging Face token": r"(?<!\w)hf_[A-Za-z0-9]{34}(?!\w)",
        "JSON Web Token": r"(?<![\w.-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?",
        "NPM tokens": r"(?:_authToken=\s*|(?<!\w)npm_)[\w-]{36,}",
        "OpenAI Token": r"(?<![A-Za-z0-9-])sk-[\w-]{20,250}T3BlbkFJ[\w-]{20,250}",
        "OpenRouter API key": r"sk-or-v1-[0-9a-f]{64}(?!\w)",
        "Private Key": r"BEGIN (?:[A-Z0-9]+ ){0,2}PRIVATE KEY|PuTTY-User-Key-File-\d",
        "Shopify token": r"(?<!\w)shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}(?!\w)",
        "Slack Token": r"(?i:xox[abceoprs]-(?:\d+-)+[a-z0-9]+|xapp-\d+-[a-z0-9]+-\d+-[a-z0-9]+"
        r"|hooks\.slack\.com/(?:services|workflows|triggers)/T\w{8,}/\w{8,}/\w{8,})",
        "Stripe Access Key": r"[rs]k_(?:live|test)_[A-Za-z0-9]{24,}|(?<!\w)whsec_[A-Za-z0-9+/]{32,}",
        "Vault token": r"(?<!\w)hvs\.[\w-]{90,}",
    }.items()
}
"""Formats that detect-secrets does not know, or knows only in part, or for which it takes minutes on a megabyte
of text made of their first letters."""

_LEAST_SECRET = 20
"""Consecutive characters without a space in the shortest secret (an AWS key), except those below."""
_SPACED_MARKS = ("://", "PRIVATE KEY")


def _secrets(text: str) -> Iterator[_Hit]:
    if max(map(len, text.split()), default=0) < _LEAST_SECRET and not any(mark in text for mark in _SPACED_MARKS):
        return
    for kind, marks in _MARKS.items():
        if any(mark in text for mark in marks):
            yield from (_Hit(kind, value) for value in _secrets_of(kind, text))


def _secrets_of(kind: str, text: str) -> Iterator[str]:
    patterns = [_PATTERNS[kind]] if kind in _PATTERNS else _detectors()[kind].denylist
    for pattern in patterns:
        for match in pattern.finditer(text):
            # Only JSON Web Tokens are checked beyond the pattern.
            if kind != "JSON Web Token" or _detectors()[kind].is_formally_valid(match.group()):
                yield match.group()


@functools.cache
def _detectors() -> Mapping[str, Any]:
    """Every detector class of detect-secrets by its kind.

    Imported here because it takes longer to load than the rest of the module, and clean texts do not need it.
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


def template_tokens(text: str) -> list[str]:
    """The control tokens of the common chat templates that a text has, in order."""
    return _TEMPLATE_TOKEN.findall(text) if "<" in text or "[" in text else []


def _template_tokens(text: str) -> Iterator[_Hit]:
    for token in template_tokens(text):
        yield _Hit("control token", token)
