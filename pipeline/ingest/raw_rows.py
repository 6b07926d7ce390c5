"""A raw row from a file, readable or not, and the reason if it is not."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import SourceError
from schemas.fate import Reason, ReasonCode

BOM = b"\xef\xbb\xbf"
MAX_LINE = 64 * 2**20
"""Bytes of the longest line; one that does not end would fill the memory."""


@dataclass(slots=True)
class RawRow:
    """One row from a file; it has either ``row`` or ``error``.

    Not frozen: a frozen dataclass takes twice as long to create, and one is created for every row.
    """

    line: int
    """First physical line (JSONL, CSV) or 1-based row number (JSON, Parquet)."""
    raw: bytes
    """JSONL: the line without its end. CSV, JSON and Parquet: the row as compact JSON, so that a row keeps
    its revision when the file is rewritten with other quoting or compression. Unreadable: the bytes that
    were read."""
    row: dict[str, Any] | None = None
    error: Reason | None = None
    holds_others: bool = False
    """Whether an unreadable row may have swallowed others, or others be cut off after it: it is a whole JSON file, a
    quote was not closed, or the file ends within it."""
    may_go_on: bool = False
    """Whether the file ends without a line end after a row that can be read, so that its last cell may be cut off."""


def lines_of(path: Path, stream: io.BufferedReader) -> Iterator[bytes]:
    """The lines of an open file.

    Raises:
        SourceError: one is too long.
    """
    for line in iter(partial(stream.readline, MAX_LINE + 1), b""):
        if len(line) > MAX_LINE:
            raise SourceError(
                f"'{path}' has a line of more than {MAX_LINE // 2**20} MB, which is no row; replace or fix the file"
            )
        yield line


def skip_blank(stream: io.BufferedReader) -> int:
    """Skip all following empty lines: one by one they would take a minute for 300 MB.

    Returns how many there were.
    """
    lines = 0
    while True:
        ahead = stream.peek()
        ends = ahead[: len(ahead) - len(ahead.lstrip(b"\r\n"))]
        # A carriage return may belong to the next line.
        ends = ends[: ends.rfind(b"\n") + 1]
        if not ends:
            return lines
        lines += ends.count(b"\n")
        stream.read(len(ends))


def unreadable(detail: str) -> Reason:
    """The reason for a row that cannot be read."""
    return Reason(code=ReasonCode.UNREADABLE, detail=detail)


_JSON_NAMES: dict[type, str] = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def not_an_object(value: Any) -> Reason:
    """The reason for a row that is a value without fields."""
    return Reason(code=ReasonCode.NOT_AN_OBJECT, detail=f"it is {_JSON_NAMES[type(value)]}")


def first_line(error: Exception) -> str:
    """An error's text as one line."""
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
