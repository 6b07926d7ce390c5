"""Files with given bytes, and the rows that are read from them."""

from pathlib import Path

from pipeline.ingest.formats import PLAIN, RawRow, read_rows
from schemas.dataset import Csv, Format

LATIN_1 = "if it is Latin-1, `iconv -f latin1 -t utf-8` converts the file"
CP1252 = "if it is cp1252, set `csv: {encoding: cp1252}`"


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read(folder: Path, name: str, data: bytes, format: Format = Format.AUTO, csv: Csv = PLAIN) -> list[RawRow]:
    return list(read_rows(written(folder, name, data), format, csv=csv))


def detail(row: RawRow) -> str:
    assert row.error is not None
    return row.error.detail
