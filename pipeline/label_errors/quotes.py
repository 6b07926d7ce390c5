"""How findings quote a part of a text."""

SHOWN = 60
"""Characters of a quoted text at most."""


def quoted(text: str) -> str:
    """A text in one line and in quotation marks, shortened at its end."""
    line = " ".join(text.split(maxsplit=SHOWN))
    return f"'{line[:SHOWN]}\u2026'" if len(line) > SHOWN else f"'{line}'"
