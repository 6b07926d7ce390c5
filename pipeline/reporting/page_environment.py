"""How pages are rendered: the templates, what they can call, and that no text of a record is ever obeyed."""

import base64
import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.reporting.error_outlook import ErrorOutlook
from pipeline.text.word_diff import word_diff
from pipeline.text.wording import sentence, shown_share, shown_similarity
from schemas.fate import EXPLANATIONS, Fate

TEXT_LIMIT = 2_000
"""Characters of a text on a page; ``goldleaf explain`` shows it in full."""
_DIFF_LIMIT = 6_000
"""Characters of two texts that are compared; their common parts are folded."""


@functools.cache
def page_environment() -> Environment:
    """The environment of all pages; what a template names must exist, and texts are escaped."""
    environment = Environment(
        loader=PackageLoader("pipeline.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": shown_share, "redacted": redacted, "sha256": _sha256, "sentence": sentence}
    environment.globals |= {"Fate": Fate, "EXPLANATIONS": EXPLANATIONS, "UTC": UTC}
    environment.globals |= {
        "similarity": shown_similarity,
        "word_diff": word_diff,
        "curve_picture": curve_picture,
        "limit": TEXT_LIMIT,
        "diff_limit": _DIFF_LIMIT,
    }
    return environment


def _sha256(text: str) -> str:
    """The hash by which a page's security policy allows its own script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def redacted(text: str) -> str:
    """Redact every word that may be personal or secret: all except short plain ones that follow no ``:`` or ``=``."""
    plain = re.compile(r"[^\W\d_]{1,12}[.,;!?]?")
    return re.sub(r"\S*[:=]\s*\S+|\S+", lambda match: match[0] if plain.fullmatch(match[0]) else "•••", text)


def printable(value: object) -> object:
    """Replace control characters by their pictures, and what HTML cannot contain or what reverses text by U+FFFD."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", lambda match: chr(0x2400 + ord(match[0])), value)
    return re.sub(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


@dataclass(frozen=True)
class CurvePicture:
    """Lines in a square from 0 to 100, whose origin is above on the left, as SVG takes them."""

    so_far: str
    """The points of the line of errors found."""
    ahead: str
    """The points of the line of those that are expected; empty if no label is left to ask about."""
    fan: str
    """The corners of the area in which the errors will be with a probability of 95%."""
    now: float
    """Where the line ends, from 0 on the left to 100."""
    answers: int
    """On the right."""
    errors: int
    """Above."""


def curve_picture(outlook: ErrorOutlook) -> CurvePicture:
    """The picture of an outlook."""
    start, found = outlook.answered, outlook.found
    answers = start + max((one.answers for one in outlook.ahead), default=0)
    errors = max(found + max((one.high for one in outlook.ahead), default=0), 1)

    def points(pairs: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{100 * x / answers:.2f},{100 - 100 * y / errors:.2f}" for x, y in pairs)

    here: list[tuple[float, float]] = [(start, found)]
    highs: list[tuple[float, float]] = [(start + one.answers, found + one.high) for one in outlook.ahead]
    lows: list[tuple[float, float]] = [(start + one.answers, found + one.low) for one in reversed(outlook.ahead)]
    expected: list[tuple[float, float]] = [(start + one.answers, found + one.expected) for one in outlook.ahead]
    return CurvePicture(
        so_far=points([(0, 0), *((one.answers, one.found) for one in outlook.curve)]),
        ahead=points(here + expected) if expected else "",
        fan=points(here + highs + lows) if expected else "",
        now=100 * start / answers,
        answers=answers,
        errors=errors,
    )
