"""How a row's key is written: the user's, such that keys of two types never coincide, or else its content."""

import orjson
import polars as pl

_TYPES = ("bool", "int", "float", "list", "dict", "str")
"""JSON types that a row can hold."""
BY_CONTENT = pl.col("key").str.starts_with(pl.col("revision") + "#")
"""Marks rows without a key from the user."""
_MARKS = tuple(f"{name}:" for name in _TYPES)


def typed_key(value: object) -> str:
    """The type is part of the key: 1, "1" and "int:1" are three keys. Most texts stay as they are."""
    if isinstance(value, float) and value.is_integer():
        # A single empty cell turns a whole column of integers into floats.
        value = int(value)
    is_plain = isinstance(value, str) and not value.startswith(_MARKS)
    return str(value) if is_plain else f"{type(value).__name__}:{value}"


def content_key(revision: str, occurrence: int) -> str:
    """The key of a row without one from the user."""
    return f"{revision}#{occurrence}"


def keys_written_so(text: str) -> list[str]:
    """All keys that users might write like this, of any type, in Python or in the JSON of their rows."""
    return [text, *(f"{mark}{text}" for mark in _MARKS), *_of_json(text)]


def _of_json(text: str) -> list[str]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return [] if isinstance(value, str) else [typed_key(value)]
