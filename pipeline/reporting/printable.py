"""Texts of records on a page that travels: what HTML cannot show replaced, and what may be private redacted."""

import re

from markupsafe import Markup


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
