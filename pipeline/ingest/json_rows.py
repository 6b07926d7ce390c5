"""Reads JSONL and JSON: each line, or each item of the file's list, is a row."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from pipeline.errors import SourceError
from pipeline.ingest.raw_rows import BOM, RawRow, lines_of, not_an_object, skip_blank, unreadable

MAX_JSON = 2**30
"""Bytes of the longest JSON file, which memory must hold."""
MAX_VALUES = 20 * 2**20
"""Values of one line or file, as weighed by ``_has_few_values``: objects for them take some sixty bytes each."""
_SMALL = 2**23
"""Bytes whose values memory can hold whatever they are, so that usual rows need no second look."""
MAX_DEPTH = 254
"""Levels of nesting that orjson can write; a deeper row could be read but never published."""
MANY_BLANK_LINES = 1_000
"""After this many blank lines, the rest are skipped at once, which takes as long as reading some hundred."""
_LONG_INTEGER = re.compile(rb"(?<![\w.])\d{19,}(?![\w.])")


def read_jsonl(path: Path, stream: io.BufferedReader, lines: int = 0) -> Iterator[RawRow]:
    """One row per line, after so many lines of the same file; blank lines are skipped."""
    number, empty = lines, 0
    for line in lines_of(path, stream):
        number += 1
        raw = line.rstrip(b"\r\n")
        if number == 1:
            raw = raw.removeprefix(BOM)
        if not raw or raw.isspace():
            empty += 1
            if empty % MANY_BLANK_LINES == 0:
                number += skip_blank(stream)
            continue
        if not _has_few_values(raw):
            yield RawRow(number, raw, error=unreadable("it has more values than memory can hold"))
            continue
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            # Without its line end, the last line of a file that is cut off, or still being written.
            is_cut = not line.endswith(b"\n")
            yield RawRow(number, raw, error=unreadable(_json_problem(raw, error)), holds_others=is_cut)
            continue
        yield _json_row(number, raw, value)


def read_json(path: Path, stream: io.BufferedReader) -> Iterator[RawRow]:
    """A list of objects, or one object; anything else is one unusable row that holds the whole file."""
    data = stream.read(MAX_JSON + 1).removeprefix(BOM)
    if len(data) > MAX_JSON:
        raise SourceError(
            f"'{path}' has more than {MAX_JSON // 2**20:,} MB, and JSON is read at once; write a row a line, as JSONL"
        )
    if not _has_few_values(data):
        raise SourceError(
            f"'{path}' has more values than memory can hold, and JSON is read at once; write a row a line, as JSONL"
        )
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        problem = _json_problem(data, error) + _jsonl_hint(data)
        yield RawRow(1, data, error=unreadable(problem), holds_others=True)
        return
    written = value
    if _LONG_INTEGER.search(data):
        # Rows are re-serialized, so digits that a float drops, for example of ids, would be lost for good.
        with suppress(RecursionError):
            written = json.loads(data, parse_int=_exact)
    if isinstance(value, list):
        for number, (element, whole) in enumerate(zip(value, written, strict=True), start=1):
            yield _json_row(number, compact_json(whole), element)
    elif isinstance(value, dict):
        yield _json_row(1, compact_json(written), value)
    else:
        yield RawRow(1, data, error=not_an_object(value), holds_others=True)


def _has_few_values(data: bytes) -> bool:
    """Whether what JSON holds fits into memory: of two bytes can come a hundred times as many."""
    return len(data) <= _SMALL or data.count(b",") + data.count(b"[") + 4 * data.count(b"{") <= MAX_VALUES


def _exact(digits: str) -> int | orjson.Fragment:
    """An integer, or its digits to be written as they are if it exceeds 64 bits."""
    # No 64-bit integer is longer, and Python refuses to parse those of thousands of digits.
    if len(digits) > 20 or not -(2**63) <= (number := int(digits)) < 2**64:
        return orjson.Fragment(digits)
    return number


def _json_row(number: int, raw: bytes, value: Any) -> RawRow:
    if not isinstance(value, dict):
        return RawRow(number, raw, error=not_an_object(value))
    # A value of that depth has at least this many bytes, so most rows need no second look.
    if len(raw) >= 2 * MAX_DEPTH and is_too_deep(value):
        return RawRow(number, raw, error=unreadable(f"its values are nested deeper than {MAX_DEPTH} levels"))
    return RawRow(number, raw, value)


def compact_json(value: Any) -> bytes:
    """Compact JSON, without what is nested too deeply to be written."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_pruned(value, MAX_DEPTH))


def is_too_deep(value: Any) -> bool:
    """Whether a value has so many levels that it could be read but never written."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def _pruned(value: Any, depth: int) -> Any:
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {key: _pruned(inner, depth - 1) for key, inner in value.items()}
    return [_pruned(inner, depth - 1) for inner in value] if isinstance(value, list) else value


def _json_problem(data: bytes, error: orjson.JSONDecodeError) -> str:
    if not data.strip():
        return "the file is empty"
    if problem := utf8_problem(data):
        return problem
    where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
    return f"{error.msg} at {where}"


def utf8_problem(data: bytes, remedy: str = "") -> str:
    """Where bytes stop being UTF-8, with another remedy than to convert the file; empty if they are valid."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        hint = "it looks like UTF-16, save the file as UTF-8"
        if not utf16:
            hint = "if it is Latin-1, `iconv -f latin1 -t utf-8` converts the file"
        return f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8; {remedy or hint}"
    return ""


def _jsonl_hint(data: bytes) -> str:
    """The hint for a file called .json that holds one object per line."""
    first, _, rest = data.partition(b"\n")
    try:
        is_row = isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return ""
    return "; its first line is a whole object, so set `format: jsonl`" if is_row and rest.strip() else ""
