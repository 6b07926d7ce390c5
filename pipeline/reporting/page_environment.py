"""How pages are rendered: the templates, what they can call, and that no text of a record is ever obeyed."""

import base64
import functools
import hashlib
from datetime import UTC

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.reporting.curve_picture import curve_picture
from pipeline.reporting.printable import printable, redacted
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
