"""A digest of Goldleaf itself, so that no cache outlives the rules that filled it."""

import hashlib
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

_LIBRARIES = ("polars", "pydantic", "tiktoken", "phonenumbers")
"""By which rows are read, checked, screened and counted."""


@lru_cache
def code_digest() -> str:
    """16 hex digits over the code of schemas and pipeline, and over the libraries that rows are read by.

    An upgrade of either changes it, and so does an edit in a checkout.
    """
    digest = hashlib.sha256(" ".join(map(version, _LIBRARIES)).encode())
    for package in ("schemas", "pipeline"):
        root = Path(str(files(package)))
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{path.relative_to(root)} {path.stat().st_size}".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
