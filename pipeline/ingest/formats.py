"""Read files of raw rows: JSONL, JSON, CSV and Parquet, one row at a time.

A row that cannot be read is still a row: it comes with its raw bytes and the reason, and reading continues.
Only a file that cannot be used at all (missing, damaged, without a header) is an error.

Rules for all formats:

* Text is UTF-8, unless a CSV says otherwise; a byte order mark at the start is not part of the first row.
* JSON is strict: no NaN, no Infinity, no lone surrogates, at most ``MAX_DEPTH`` levels. Integers beyond
  64 bits are read as floats (in JSONL, whose lines are kept as they are) or as texts (in JSON). The last of
  two equal keys counts.
* ``.gz`` and ``.zst`` files are decompressed while they are read.
"""

import io
import os
import re
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import SourceError
from pipeline.ingest.checked_file import CheckedFile, Resumption, unmoved
from pipeline.ingest.csv_rows import read_csv
from pipeline.ingest.json_rows import read_json, read_jsonl
from pipeline.ingest.parquet_rows import batches_of, read_parquet
from pipeline.ingest.raw_rows import RawRow, first_line
from pipeline.ingest.unpacking import opened_file
from schemas.dataset import Csv, Format

PLAIN = Csv()
"""CSV as it is usually written."""
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_PIECE = 1 << 20
_FORMATS = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSON,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".parquet": Format.PARQUET,
}
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype|html|head|body|\?xml)\b", re.I | re.S)
_SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")


def read_rows(
    path: Path, format: Format = Format.AUTO, resumption: Resumption | None = None, csv: Csv = PLAIN
) -> Generator[RawRow]:
    """Yield every row of a file, including unreadable ones.

    Memory is bounded by the longest row, or for JSON by the whole file.

    Args:
        path: of the file.
        format: how its rows are written.
        resumption: what was read of it before: if that is still there, only the rows after it are read; only JSONL can
            have any. It says so before the first row comes, and at the end which bytes were read.
        csv: how it is written if it is CSV.

    Raises:
        SourceError: the file is missing or damaged, its format is unknown, or a CSV has no usable header.
        Rewritten: it was written to while it was read.
    """
    extension, compression = _endings(path)
    chosen = _format_of(path, extension) if format is Format.AUTO else format
    if chosen is not Format.CSV and csv != PLAIN:
        raise SourceError(f"'{path}' is read as {chosen.value}, and `csv:` is for CSV; drop it, or correct `format:`")
    reading = resumption or Resumption()
    with _explained(path), unmoved(path, reading) as opened:
        _require_data(path, os.pread(opened, 4_096, 0))
        if chosen is Format.PARQUET:
            yield from read_parquet(path, reading)
            return
        reading.may_grow = reading.may_grow and chosen is not Format.JSON
        file, stream = opened_file(path, compression)
        with stream:
            reading.passed = file.passed
            if not isinstance(file, CheckedFile):
                yield from _read(path, stream, chosen, extension, csv, 0)
                return
            passed = reading.start(file, may_grow=chosen is Format.JSONL)
            if passed is not None:
                yield from _read(path, stream, chosen, extension, csv, passed)
            reading.now = file.content


def _read(
    path: Path, stream: io.BufferedReader, format: Format, extension: str, csv: Csv, lines: int
) -> Iterator[RawRow]:
    """The rows of an open file, for JSONL after so many lines."""
    match format:
        case Format.JSONL:
            yield from read_jsonl(path, stream, lines)
        case Format.JSON:
            yield from read_json(path, stream)
        case Format.CSV:
            yield from read_csv(path, stream, csv.delimiter or ("\t" if extension == ".tsv" else ","), csv.encoding)
        case _:
            raise AssertionError("_format_of names a format, and Parquet is not read as a stream")


def open_once(path: Path, format: Format = Format.AUTO, csv: Csv = PLAIN, *, whole: bool = False) -> RawRow | None:
    """Read a file's first row, None if it has no rows; with ``whole``, a compressed file is unpacked to its end.

    Raises:
        SourceError: as for ``read_rows``.
    """
    with closing(read_rows(path, format, csv=csv)) as rows:
        row = next(rows, None)
    _, compression = _endings(path)
    with _explained(path):
        if whole and _is_parquet(path, format):
            with pq.ParquetFile(path) as file:
                deque(batches_of(path, file), maxlen=0)
        elif whole and compression:
            with opened_file(path, compression)[1] as stream:
                while stream.read(_PIECE):
                    pass
    return row


def is_compressed(path: Path, format: Format) -> bool:
    """Whether a file is unpacked as it is read."""
    return _endings(path)[1] is not None or _is_parquet(path, format)


def _is_parquet(path: Path, format: Format) -> bool:
    return format is Format.PARQUET or (format is Format.AUTO and _FORMATS.get(_endings(path)[0]) is Format.PARQUET)


def _endings(path: Path) -> tuple[str, str | None]:
    """A file's extension, and how the file is compressed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    return "".join(suffixes[-2:-1] if compression else suffixes[-1:]), compression


def _format_of(path: Path, extension: str) -> Format:
    if extension in _SPREADSHEETS:
        raise SourceError(
            f"'{path}' is a spreadsheet, which Goldleaf does not read; export it as CSV or Parquet, and name that file "
            "in the source's `path:`"
        )
    if extension not in _FORMATS:
        known = ", ".join(_FORMATS)
        shown = f"the extension '{extension}'" if extension else "no extension"
        raise SourceError(
            f"'{path}' has {shown}, so its format is unknown; rename it ({known}, also with .gz or .zst) "
            "or set the source's `format:`"
        )
    return _FORMATS[extension]


def is_page(beginning: bytes) -> bool:
    """Whether bytes begin as a page for people does, or an object store's error: no row of any format does."""
    return _PAGE.match(beginning) is not None


def _require_data(path: Path, beginning: bytes) -> None:
    if is_page(beginning):
        raise SourceError(
            f"'{path}' is a web page, as a login or an error page comes in place of a file; look at it in a browser, "
            "and name or fetch the file itself"
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn failures of the whole file into a one-line error for the user."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(f"'{path}' does not exist; check the source's `path:`") from error
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise SourceError(f"'{path}' cannot be read: {first_line(error)}; replace or fix the file") from error
