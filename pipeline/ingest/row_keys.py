"""How a row's key is written: the user's, the same from files of any format, or else its content."""

import re
from enum import StrEnum

import orjson
import polars as pl

_TYPES = ("bool", "int", "float", "list", "dict", "str")
"""JSON types that a row can hold."""
BY_CONTENT = pl.col("key").str.starts_with(pl.col("revision") + "#")
"""Marks rows without a key from the user."""
OFTEN = 0.25
"""If a larger share of a source's rows is replaced by later rows with the same key, that is said."""
_LEAST_REPLACED = 10
_NUMBER = "int:"
_INTEGER = re.compile(r"-?[1-9][0-9]*|0")
_MARKS = tuple(f"{name}:" for name in _TYPES)


class Integers(StrEnum):
    """How a source's keys that are integers are written. CSV only has texts: 7 and "7" are one key in every format."""

    NUMBERS = "numbers"
    TEXTS = "texts"
    """In homes of before they were one, from files that only have texts."""
    APART = "apart"
    """In homes of before that have both: 7 and "7" are two keys of the source."""


def integers_of(records: pl.LazyFrame) -> dict[str, Integers]:
    """How each source with rows in the table of records writes them; a record never gets another id."""
    seen = records.group_by("source").agg(
        texts=pl.col("key").str.contains(f"^(?:{_INTEGER.pattern})$").any(),
        numbers=pl.col("key").str.starts_with(_NUMBER).any(),
    )
    found = {(False, False): Integers.NUMBERS, (True, False): Integers.TEXTS, (True, True): Integers.APART}
    return {name: found.get((texts, numbers), Integers.NUMBERS) for name, texts, numbers in seen.collect().iter_rows()}


def typed_key(value: object, integers: Integers = Integers.NUMBERS) -> str:
    """The type is part of the key, but for integers: 1 and "1" are one key. Most texts stay as they are."""
    key = _with_type(value)
    number = key.removeprefix(_NUMBER)
    if integers is Integers.APART or not _INTEGER.fullmatch(number):
        return key
    return number if integers is Integers.TEXTS else f"{_NUMBER}{number}"


def _with_type(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        # A single empty cell turns a whole column of integers into floats.
        value = int(value)
    is_plain = isinstance(value, str) and not value.startswith(_MARKS)
    return str(value) if is_plain else f"{type(value).__name__}:{value}"


def is_no_key(replaced: int, rows: int) -> bool:
    """Whether so many rows are replaced by later ones of their file with the same key that it identifies none."""
    return replaced >= _LEAST_REPLACED and replaced > rows * OFTEN


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
