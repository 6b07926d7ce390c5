"""Read files of raw rows: JSONL, JSON, CSV and Parquet, one row at a time.

A row that cannot be read is still a row: it comes with its raw bytes and the reason, and reading goes on.
Only a file that cannot be used as a whole (missing, damaged, without a header) is an error.

Rules that hold for every format:

* Text is UTF-8; a byte order mark at the start is no part of the first row.
* JSON is strict: no NaN, no Infinity, no lone surrogates, at most ``MAX_DEPTH`` levels. Integers beyond
  64 bits are read as floats (in JSONL, whose lines are kept as they are) or as texts (in JSON). The last of
  two equal keys counts.
* ``.gz`` and ``.zst`` files are decompressed while they are read.
"""

import base64
import csv
import datetime
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import SourceError
from schemas.dataset import Format
from schemas.fate import Reason, ReasonCode

BOM = b"\xef\xbb\xbf"
MAX_DEPTH = 254
"""Levels of nesting that orjson can write again; a deeper row could be read but never published."""
MAX_CELL = 64 * 1024 * 1024
"""Characters of a CSV cell; a quote that is never closed ends here instead of in memory."""
PARQUET_BATCH = 4096
"""Rows that are held in memory at once."""
UNPACKED_TIMES = 1_000
"""Times its size that a compressed file may hold."""
UNPACKED_FLOOR = 64 * 2**20
"""Bytes that it may hold in any case."""

_MANY = 1_000
"""Blank lines after which more are looked for at once, which takes as long as reading some hundred."""
_LONG_INTEGER = re.compile(rb"(?<![\w.])\d{19,}(?![\w.])")
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_FORMATS = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSON,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".parquet": Format.PARQUET,
}


@dataclass(slots=True)
class RawRow:
    """One row as it stands in a file; it has either ``row`` or ``error``.

    Not frozen: a frozen dataclass takes twice as long to make, and one is made for every row.
    """

    line: int
    """First physical line (JSONL, CSV) or 1-based row number (JSON, Parquet)."""
    raw: bytes
    """JSONL: the line without its end. CSV, JSON and Parquet: the row as compact JSON, so that a row keeps
    its revision when the file is written anew with other quotes or compression. Unreadable: the bytes that
    were read."""
    row: dict[str, Any] | None = None
    error: Reason | None = None
    holds_others: bool = False
    """Whether an unreadable row may have swallowed others: it is a whole JSON file, or a quote was not closed."""


def read_rows(path: Path, format: Format = Format.AUTO) -> Iterator[RawRow]:
    """Yield every row of a file, the unreadable ones too.

    Memory is bounded by the longest row, but by the whole file for JSON.

    Raises:
        SourceError: the file is missing or damaged, its format is not known, or a CSV has no usable header.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    ending = "".join(suffixes[-2:-1] if compression else suffixes[-1:])
    chosen = _format_of(path, ending) if format is Format.AUTO else format
    with _explained(path):
        if chosen is Format.PARQUET:
            yield from _read_parquet(path)
            return
        with _opened(path, compression) as stream:
            match chosen:
                case Format.JSONL:
                    yield from _read_jsonl(stream)
                case Format.JSON:
                    yield from _read_json(stream.read())
                case _:
                    yield from _read_csv(path, stream, delimiter="\t" if ending == ".tsv" else ",")


def _format_of(path: Path, ending: str) -> Format:
    if ending not in _FORMATS:
        known = ", ".join(_FORMATS)
        shown = f"the ending '{ending}'" if ending else "no ending"
        raise SourceError(
            f"'{path}' has {shown}, which names no format; rename it ({known}, also with .gz or .zst) "
            "or set the source's `format:`"
        )
    return _FORMATS[ending]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the file as a whole into one line for the person at the terminal."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(f"'{path}' does not exist; check the source's `path:`") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise SourceError(f"'{path}' cannot be read: {_first_line(error)}; replace or repair the file") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__


def _opened(path: Path, compression: str | None) -> io.BufferedReader:
    if compression is None:
        return io.BufferedReader(io.FileIO(path), buffer_size=1 << 20)
    return io.BufferedReader(_Unpacked(path, compression), buffer_size=1 << 20)


class _Unpacked(io.RawIOBase):
    """A compressed file's content, as long as it is not out of all proportion to the file."""

    def __init__(self, path: Path, compression: str) -> None:
        self._path = path
        self._stream = pa.input_stream(path, compression=compression)
        self._left = most_unpacked(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = int(self._stream.readinto(buffer))
        self._left -= count
        if self._left < 0:
            raise too_much(self._path)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def most_unpacked(path: Path) -> int:
    """How many bytes a compressed file may hold: a few kilobytes can hold gigabytes of nothing, and take hours."""
    return max(UNPACKED_FLOOR, UNPACKED_TIMES * path.stat().st_size)


def too_much(path: Path) -> SourceError:
    """What is said of a file that holds more."""
    return SourceError(
        f"'{path}' holds more than {UNPACKED_TIMES:,} times its size; if its rows are meant, unpack it and name "
        "what comes out"
    )


def _skip_blank(stream: io.BufferedReader) -> int:
    """Pass over the empty lines that follow, however many: one by one they would take a minute for 300 MB.

    Returns how many there were.
    """
    lines = 0
    while True:
        ahead = stream.peek()
        ends = ahead[: len(ahead) - len(ahead.lstrip(b"\r\n"))]
        # A carriage return may belong to the line that follows.
        ends = ends[: ends.rfind(b"\n") + 1]
        if not ends:
            return lines
        lines += ends.count(b"\n")
        stream.read(len(ends))


# --- JSONL and JSON ---------------------------------------------------------------------------------


def _read_jsonl(stream: io.BufferedReader) -> Iterator[RawRow]:
    """One row a line; blank lines hold nothing and are skipped."""
    number = empty = 0
    for line in stream:
        number += 1
        raw = line.rstrip(b"\r\n")
        if number == 1:
            raw = raw.removeprefix(BOM)
        if not raw or raw.isspace():
            empty += 1
            if empty % _MANY == 0:
                number += _skip_blank(stream)
            continue
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            yield RawRow(number, raw, error=_unreadable(_json_problem(raw, error)))
            continue
        yield _json_row(number, raw, value)


def _read_json(data: bytes) -> Iterator[RawRow]:
    """A list of objects, or one object; anything else is one unusable row that holds the whole file."""
    data = data.removeprefix(BOM)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        problem = _json_problem(data, error) + _jsonl_hint(data)
        yield RawRow(1, data, error=_unreadable(problem), holds_others=True)
        return
    if _LONG_INTEGER.search(data):
        # The rows are written anew, so digits that a float drops would be gone for good, ids among them.
        with suppress(RecursionError):
            value = json.loads(data, parse_int=_exact)
    if isinstance(value, list):
        for number, element in enumerate(value, start=1):
            yield _json_row(number, _compact(element), element)
    elif isinstance(value, dict):
        yield _json_row(1, _compact(value), value)
    else:
        yield RawRow(1, data, error=_not_an_object(value), holds_others=True)


def _exact(digits: str) -> int | str:
    """An integer, or its digits as text where it has more than 64 bits."""
    # No integer of 64 bits is longer, and Python refuses to read those of thousands of digits.
    if len(digits) > 20 or not -(2**63) <= (number := int(digits)) < 2**64:
        return digits
    return number


def _json_row(number: int, raw: bytes, value: Any) -> RawRow:
    if not isinstance(value, dict):
        return RawRow(number, raw, error=_not_an_object(value))
    # A value of that depth takes at least so many bytes, so that most rows are not looked at twice.
    if len(raw) >= 2 * MAX_DEPTH and _is_too_deep(value):
        return RawRow(number, raw, error=_unreadable(f"its values nest deeper than {MAX_DEPTH} levels"))
    return RawRow(number, raw, value)


def _compact(value: Any) -> bytes:
    """Compact JSON; what lies too deep to be written is left out."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_pruned(value, MAX_DEPTH))


def _is_too_deep(value: Any) -> bool:
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
    if problem := _utf8_problem(data):
        return problem
    where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
    return f"{error.msg} at {where}"


def _utf8_problem(data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        hint = "it looks like UTF-16, save the file as UTF-8"
        if not utf16:
            hint = "if it is Latin-1, `iconv -f latin1 -t utf-8` converts the file"
        return f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8; {hint}"
    return ""


def _jsonl_hint(data: bytes) -> str:
    """Many a file called .json holds one object per line."""
    first, _, rest = data.partition(b"\n")
    try:
        is_row = isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return ""
    return "; its first line is a whole object, so set `format: jsonl`" if is_row and rest.strip() else ""


def _unreadable(detail: str) -> Reason:
    return Reason(code=ReasonCode.UNREADABLE, detail=detail)


_JSON_NAMES: dict[type, str] = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _not_an_object(value: Any) -> Reason:
    return Reason(code=ReasonCode.NOT_AN_OBJECT, detail=f"it is {_JSON_NAMES[type(value)]}")


# --- CSV --------------------------------------------------------------------------------------------


_EMPTY = (b"\n", b"\r\n")


class _Lines:
    """Physical lines as text for the csv module; it keeps the bytes that the current row took."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._taken: list[bytes] = []
        self._number = self._empty = 0
        self._ended = False
        self.first = 1
        """Number of the current row's first line."""
        self.problem = ""
        """Why a line of the current row is no text."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline()
        if not line:
            self._ended = True
            raise StopIteration
        self._number += 1
        if line in _EMPTY and not self._taken:
            # Between two rows, not inside a quoted cell.
            self._empty += 1
            if self._empty % _MANY == 0:
                self._number += _skip_blank(self._stream)
        if self._number == 1:
            line = line.removeprefix(BOM)
        self._taken.append(line)
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.problem = self.problem or f"line {self._number}: {_utf8_problem(line)}"
            return line.decode(errors="replace")

    def start_row(self) -> None:
        """Forget the lines of the last row."""
        self._taken.clear()
        self.first = self._number + 1
        self.problem = ""

    def raw(self) -> bytes:
        """The current row's lines, without the last line's end."""
        return b"".join(self._taken).rstrip(b"\r\n")

    def span(self) -> str:
        """The current row's lines in words."""
        return f"line {self.first}" if self._number == self.first else f"lines {self.first} to {self._number}"

    def may_hold_others(self) -> bool:
        """Whether the current row, which is broken, ran over the next lines or into the end of the file."""
        return self._ended or self._number > self.first


def _read_csv(path: Path, stream: io.BufferedReader, delimiter: str) -> Iterator[RawRow]:
    """Rows under a header; blank lines are skipped, empty cells are None, cells may hold line breaks.

    A quote that is not closed takes all lines up to the next quote, or to the end, into one unreadable row:
    guessing where the row was meant to end could turn the inside of a text into rows.
    """
    csv.field_size_limit(MAX_CELL)
    lines = _Lines(stream)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names = _csv_header(path, reader, lines)
    while True:
        lines.start_row()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problem = _unreadable(f"{error} in {lines.span()}")
            yield RawRow(lines.first, lines.raw(), error=problem, holds_others=lines.may_hold_others())
            continue
        if cells is None:
            return
        if cells:
            yield _csv_row(names, cells, lines)


def _csv_row(names: list[str], cells: list[str], lines: _Lines) -> RawRow:
    if lines.problem:
        return RawRow(lines.first, lines.raw(), error=_unreadable(lines.problem))
    if len(cells) != len(names):
        detail = f"{len(cells)} cells, but the header has {len(names)}"
        detail = "; ".join(filter(None, [detail, separated_otherwise(names)]))
        return RawRow(lines.first, lines.raw(), error=_unreadable(detail))
    row = {name: cell or None for name, cell in zip(names, cells, strict=True)}
    return RawRow(lines.first, orjson.dumps(row), row)


def _csv_header(path: Path, reader: Iterator[list[str]], lines: _Lines) -> list[str]:
    try:
        cells: list[str] | None = []
        while cells == []:
            lines.start_row()
            cells = next(reader, None)
    except csv.Error as error:
        raise SourceError(f"'{path}' has a header that cannot be read: {error}; repair the first line") from error
    if cells is None:
        raise SourceError(f"'{path}' is empty; a CSV starts with a line of column names")
    if lines.problem:
        raise SourceError(f"'{path}' has a header that is no text: {lines.problem}; save the file as UTF-8")
    names = [cell.strip() for cell in cells]
    _refuse_doubled(path, names)
    return names


def _refuse_doubled(path: Path, names: list[str]) -> None:
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"'{path}' has two columns called '{doubled[0]}'; rename one, so that no cell is lost")


_SEPARATORS = {";": "export it with commas", "|": "export it with commas", "\t": "name it .tsv", ",": "name it .csv"}
"""What may separate a table that was read as one column, and what helps; a comma in a .tsv."""


def separated_otherwise(names: Sequence[str]) -> str:
    """What to do about a table whose header came out as one field; empty where it did not."""
    if len(names) != 1:
        return ""
    for separator, help in _SEPARATORS.items():
        if separator in names[0]:
            shown = "tabs" if separator == "\t" else f"'{separator}'"
            return f"the file seems to be separated by {shown}, and Goldleaf reads commas (tabs in .tsv): {help}"
    return ""


# --- Parquet ----------------------------------------------------------------------------------------

_NO_VALUE = (ValueError, OverflowError, KeyError)
"""What pyarrow raises for text that is not UTF-8, for dates beyond Python's and for unknown time zones."""


def _read_parquet(path: Path) -> Iterator[RawRow]:
    with pq.ParquetFile(path) as file:
        _refuse_doubled(path, file.schema_arrow.names)
        number, left = 1, most_unpacked(path)
        for batch in file.iter_batches(batch_size=PARQUET_BATCH):
            for row in _parquet_rows(batch, number):
                left -= len(row.raw)
                if left < 0:
                    raise too_much(path)
                yield row
            number += batch.num_rows


def _parquet_rows(batch: pa.RecordBatch, first: int) -> Iterator[RawRow]:
    try:
        rows = batch.to_pylist()
    except _NO_VALUE:
        # One cell that Python has no value for fails the batch: look for it cell by cell.
        for index in range(batch.num_rows):
            yield _parquet_row(batch, index, first + index)
        return
    for number, row in enumerate(rows, start=first):
        yield _plain_row(number, row)


def _plain_row(number: int, row: Mapping[str, Any]) -> RawRow:
    """The row that its own compact JSON says: reading that back gives plain values and NaN as None."""
    raw = orjson.dumps(row, default=_as_json)
    return RawRow(number, raw, orjson.loads(raw))


def _parquet_row(batch: pa.RecordBatch, index: int, number: int) -> RawRow:
    row: dict[str, Any] = {}
    problems: list[str] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        cell = column[index]
        try:
            row[name] = cell.as_py()
        except _NO_VALUE as error:
            row[name] = cell.as_buffer().to_pybytes() if isinstance(cell, pa.BinaryScalar) else None
            problems.append(f"column '{name}': {_first_line(error)}")
    plain = _plain_row(number, row)
    return RawRow(number, plain.raw, error=_unreadable("; ".join(problems))) if problems else plain


def _as_json(value: Any) -> str:
    """What orjson cannot write: decimals as digits, bytes as text (or base64), times as ISO text."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
