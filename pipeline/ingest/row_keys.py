"""How the key of a row is written down: the user's, so that keys of two types are never one, or else its content."""

import orjson
import polars as pl

_TYPES = ("bool", "int", "float", "list", "dict", "str")
"""Of all that a row can hold."""
BY_CONTENT = pl.col("key").str.starts_with(pl.col("revision") + "#")
"""Of rows as they were read: those that have no key of the user's."""
_MARKS = tuple(f"{name}:" for name in _TYPES)


def typed_key(value: object) -> str:
    """The type is part of the key: 1, "1" and "int:1" are three keys. Most texts stay as they are."""
    if isinstance(value, float) and value.is_integer():
        # One empty cell makes floats of a whole column of integers.
        value = int(value)
    is_plain = isinstance(value, str) and not value.startswith(_MARKS)
    return str(value) if is_plain else f"{type(value).__name__}:{value}"


def content_key(revision: str, occurrence: int) -> str:
    """The key of a row that has none of the user's."""
    return f"{revision}#{occurrence}"


def keys_written_so(text: str) -> list[str]:
    """All keys that people would write like this, whatever their type, in Python or in the JSON of their rows."""
    return [text, *(f"{mark}{text}" for mark in _MARKS), *_of_json(text)]


def _of_json(text: str) -> list[str]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return [] if isinstance(value, str) else [typed_key(value)]
