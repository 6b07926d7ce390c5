"""Reads CSV: the first line has the column names, every later one is a row."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.errors import SourceError
from pipeline.ingest.json_rows import MANY_BLANK_LINES, utf8_problem
from pipeline.ingest.raw_rows import BOM, RawRow, lines_of, skip_blank, unreadable

MAX_CELL = 64 * 1024 * 1024
"""Maximum characters in a CSV cell; an unclosed quote ends here instead of filling memory."""
_PIECE = 1 << 16
_EMPTY = (b"\n", b"\r\n")
_SEPARATORS = (";", "|", "\t", ",")
"""Likely separators of a table that was read as one column; a comma in a .tsv."""


class _Recoded(io.RawIOBase):
    """A file in another encoding as UTF-8; bytes that are no character in it stay as they are, and so are no UTF-8."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        super().__init__()
        self._stream, self._left = stream, b""
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            data = self._stream.read(_PIECE)
            self._left = self._decoder.decode(data, final=not data).encode(errors="surrogateescape")
            if not data:
                break
        taken, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


class _Lines:
    """Physical lines as text for the csv module; keeps the bytes of the current row."""

    def __init__(self, path: Path, stream: io.BufferedReader, encoding: str | None) -> None:
        self._encoding = encoding
        self._stream, self._lines = stream, lines_of(path, stream)
        self._taken: list[bytes] = []
        self._number = self._empty = 0
        self._ended = False
        self.first = 1
        """Number of the current row's first line."""
        self.problem = ""
        """Why a line of the current row cannot be decoded."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines, b"")
        if not line:
            self._ended = True
            raise StopIteration
        self._number += 1
        if line in _EMPTY and not self._taken:
            # Between two rows, not inside a quoted cell.
            self._empty += 1
            if self._empty % MANY_BLANK_LINES == 0:
                self._number += skip_blank(self._stream)
        if self._number == 1:
            line = line.removeprefix(BOM)
        self._taken.append(line)
        try:
            return line.decode()
        except UnicodeDecodeError:
            # A row's first line is the place where the row is reported.
            where = "" if self._number == self.first else f"line {self._number}: "
            self.problem = self.problem or where + self._problem(line)
            return line.decode(errors="replace")

    def _problem(self, line: bytes) -> str:
        if self._encoding is not None:
            odd = next(char for char in line.decode(errors="surrogateescape") if "\udc80" <= char <= "\udcff")
            return f"the byte 0x{ord(odd) & 0xFF:02x} is not {self._encoding}; correct `csv: {{encoding: …}}`"
        guess = "utf-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else "cp1252"
        return utf8_problem(line, f"if it is {guess}, set `csv: {{encoding: {guess}}}`")

    def start_row(self) -> None:
        """Forget the lines of the last row."""
        self._taken.clear()
        self.first = self._number + 1
        self.problem = ""

    def raw(self) -> bytes:
        """The current row's lines, without the final line end."""
        return b"".join(self._taken).rstrip(b"\r\n")

    def span(self) -> str:
        """The current row's line numbers in words."""
        return f"line {self.first}" if self._number == self.first else f"lines {self.first} to {self._number}"

    def may_hold_others(self) -> bool:
        """Whether the current row, if it is broken, extends into the next lines or is cut off."""
        return self._ended or self._number > self.first or not self.has_end()

    def is_last(self) -> bool:
        """Whether no line follows the current row."""
        return not self._stream.peek(1)

    def has_end(self) -> bool:
        """Whether the current row's last line has a line end."""
        return self._taken[-1].endswith(b"\n")


def read_csv(path: Path, stream: io.BufferedReader, delimiter: str, encoding: str | None = None) -> Iterator[RawRow]:
    """Rows under a header; blank lines are skipped, empty cells are None, cells may hold line breaks.

    An unclosed quote takes all lines up to the next quote, or to the end, into one unreadable row:
    guessing where the row was meant to end could turn the inside of a text into rows.
    """
    csv.field_size_limit(MAX_CELL)
    if encoding is not None:
        stream = io.BufferedReader(_Recoded(stream, encoding), _PIECE)
    lines = _Lines(path, stream, encoding)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names = _csv_header(path, reader, lines)
    while True:
        lines.start_row()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problem = unreadable(f"{error} in {lines.span()}")
            yield RawRow(lines.first, lines.raw(), error=problem, holds_others=lines.may_hold_others())
            continue
        if cells is None:
            return
        if cells:
            yield _csv_row(names, cells, lines)


def _csv_row(names: list[str], cells: list[str], lines: _Lines) -> RawRow:
    if lines.problem:
        is_cut = not lines.has_end()
        return RawRow(lines.first, lines.raw(), error=unreadable(lines.problem), holds_others=is_cut)
    if len(cells) != len(names):
        is_cut = len(cells) < len(names) and lines.is_last()
        detail = f"{len(cells)} cells, but the header has {len(names)}"
        detail = "; ".join(filter(None, [detail, separated_otherwise(names)]))
        return RawRow(lines.first, lines.raw(), error=unreadable(detail), holds_others=is_cut)
    row = {name: cell or None for name, cell in zip(names, cells, strict=True)}
    return RawRow(lines.first, orjson.dumps(row), row, may_go_on=not lines.has_end())


def _csv_header(path: Path, reader: Iterator[list[str]], lines: _Lines) -> list[str]:
    try:
        cells: list[str] | None = []
        while cells == []:
            lines.start_row()
            cells = next(reader, None)
    except csv.Error as error:
        raise SourceError(f"'{path}' has a header that cannot be read: {error}; fix the first line") from error
    if cells is None:
        raise SourceError(f"'{path}' is empty; a CSV starts with a line of column names")
    if lines.problem:
        raise SourceError(f"'{path}' has a header that cannot be decoded: {lines.problem}")
    names = [cell.strip() for cell in cells]
    refuse_doubled(path, names)
    return names


def refuse_doubled(path: Path, names: list[str]) -> None:
    """Raise a ``SourceError`` for two columns with one name: a row could hold only one of their cells."""
    seen = set[str]()
    for name in names:
        if name in seen:
            raise SourceError(f"'{path}' has two columns called '{name}'; rename one, so that no cell is lost")
        seen.add(name)


def separated_otherwise(names: Sequence[str]) -> str:
    """What to do about a table whose header was read as one field; empty if it was not."""
    if len(names) != 1:
        return ""
    for separator in _SEPARATORS:
        if separator in names[0]:
            shown, written = ("tabs", r"\t") if separator == "\t" else (f"'{separator}'", separator)
            return f'the file seems to be separated by {shown}: set `csv: {{delimiter: "{written}"}}`'
    return ""
