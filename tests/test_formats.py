"""Whatever a file holds, every row of it arrives: readable, or with its bytes and the reason."""

import datetime
import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from file_rows import LATIN_1, detail, read
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.ingest.formats import RawRow, read_rows
from pipeline.ingest.json_rows import MAX_DEPTH
from schemas.dataset import Format
from schemas.fate import ReasonCode

NAUGHTY_JSON = [
    b"[1,]",
    b'{"a":1,}',
    b'{"a" 1}',
    b"{a: 1}",
    b"{'a': 1}",
    b'{"a":1}{"b":2}',
    b'{"a":1} // why',
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":1e999}',
    b'{"a":01}',
    b'{"a":"\\x"}',
    b'{"a":"tab\there"}',
    b'{"a":"\\ud800"}',
    b'{"a":"\xff"}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":',
    b"\x00",
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


def parquet(folder: Path, columns: dict[str, Any]) -> list[RawRow]:
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    return list(read_rows(path))


# --- JSONL ------------------------------------------------------------------------------------------
def test_each_line_is_a_row_with_its_number_and_its_own_bytes(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.jsonl", b'{"a": 1}\n{ "a":2 }\n')
    assert [(row.line, row.raw, row.row) for row in rows] == [(1, b'{"a": 1}', {"a": 1}), (2, b'{ "a":2 }', {"a": 2})]


def test_byte_order_mark_windows_line_ends_blank_lines_and_a_missing_last_line_end_are_not_part_of_rows(
    tmp_path: Path,
) -> None:
    rows = read(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"a":1}\r\n\r\n  \t\n{"a":2}')
    assert [(row.line, row.raw) for row in rows] == [(1, b'{"a":1}'), (4, b'{"a":2}')]
    assert read(tmp_path, "a.jsonl", b"\xef\xbb\xbf") == []


@pytest.mark.parametrize("naughty", NAUGHTY_JSON, ids=lambda data: repr(data[:20]))
def test_a_broken_line_is_one_error_row_and_its_neighbors_are_read(tmp_path: Path, naughty: bytes) -> None:
    before, broken, after = read(tmp_path, "a.jsonl", b'{"a":1}\n' + naughty + b'\n{"a":2}\n')
    assert (before.row, after.row) == ({"a": 1}, {"a": 2})
    assert broken.raw == naughty
    assert broken.row is None
    assert broken.error is not None
    assert broken.error.code is ReasonCode.UNREADABLE


@pytest.mark.parametrize("naughty", NAUGHTY_JSON, ids=lambda data: repr(data[:20]))
def test_a_broken_json_file_is_one_error_row_with_all_its_bytes(tmp_path: Path, naughty: bytes) -> None:
    (row,) = read(tmp_path, "a.json", naughty)
    assert row.raw == naughty
    assert row.error is not None
    assert row.error.code is ReasonCode.UNREADABLE


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"[]", "it is a list"),
        (b'"{}"', "it is a string"),
        (b"12", "it is a number"),
        (b"1.5", "it is a number"),
        (b"true", "it is true or false"),
        (b"null", "it is null"),
    ],
)
def test_valid_json_that_is_not_an_object_says_what_it_is(tmp_path: Path, value: bytes, said: str) -> None:
    (row,) = read(tmp_path, "a.jsonl", value)
    assert row.error is not None
    assert (row.error.code, row.error.detail, row.raw) == (ReasonCode.NOT_AN_OBJECT, said, value)


def test_an_error_names_the_place(tmp_path: Path) -> None:
    broken, cut, text, wide = read(tmp_path, "a.jsonl", b'{"a": x}\n{"a":1\n{"a":"caf\xe9"}\n\xff\xfe{\x00}\x00\n')
    assert detail(broken) == "unexpected character, expected a JSON value at column 7"
    assert detail(cut) == "unexpected end of data at column 7"
    assert detail(text) == f"byte 9 (0xe9) is not UTF-8; {LATIN_1}"
    assert detail(wide) == "byte 0 (0xff) is not UTF-8; it looks like UTF-16, save the file as UTF-8"


def test_a_row_that_could_not_be_written_again_is_unreadable(tmp_path: Path) -> None:
    levels = [b'{"a":' + b"[" * depth + b"]" * depth + b"}" for depth in (MAX_DEPTH - 1, MAX_DEPTH, 1000)]
    fits, deep, deeper = read(tmp_path, "a.jsonl", b"\n".join(levels))
    assert orjson.dumps(fits.row) == fits.raw
    assert detail(deep) == detail(deeper) == "its values are nested deeper than 254 levels"
    assert deeper.raw == levels[2]


def test_a_line_of_many_megabytes_is_one_row(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "a.jsonl", b'{"a":"' + b"x" * 50_000_000 + b'"}\n')
    assert row.row is not None
    assert len(row.row["a"]) == 50_000_000


@given(st.binary())
def test_no_bytes_can_stop_the_readers_of_json(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    lines = read(folder, "any.jsonl", data)
    assert [row.raw for row in lines] == [
        line
        for line in (part.rstrip(b"\r\n") for part in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
        if line.strip(b" \t\r\x0b\x0c")
    ]
    for row in [*lines, *read(folder, "any.json", data)]:
        assert (row.row is None) != (row.error is None)


# --- JSON -------------------------------------------------------------------------------------------
def test_a_list_gives_a_row_per_element_as_compact_json(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.json", b'[ {"b": 1, "a": "\\u00e9"},\n 7,\n {} ]')
    assert [row.line for row in rows] == [1, 2, 3]
    assert rows[0].raw == '{"b":1,"a":"é"}'.encode()
    assert (rows[1].raw, detail(rows[1])) == (b"7", "it is a number")
    assert rows[2].row == {}


def test_a_single_object_is_one_row(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "a.json", b'\xef\xbb\xbf{"a" : 1}\n')
    assert (row.line, row.raw, row.row) == (1, b'{"a":1}', {"a": 1})


def test_a_json_file_of_json_lines_says_what_to_set(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "a.json", b'{"a":1}\n{"a":2}\n')
    assert detail(row) == (
        "unexpected content after document at line 2, column 1; "
        "its first line is a whole object, so set `format: jsonl`"
    )


def test_an_empty_json_file_is_an_error_row(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "a.json", b" \n")
    assert detail(row) == "the file is empty"


def test_an_element_that_nests_too_deep_does_not_take_its_neighbors_along(tmp_path: Path) -> None:
    deep = b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"
    first, broken, last = read(tmp_path, "a.json", b'[{"a":1},' + deep + b',{"a":2}]')
    assert (first.row, last.row) == ({"a": 1}, {"a": 2})
    assert detail(broken) == "its values are nested deeper than 254 levels"
    assert broken.raw.startswith(b'{"a":[[[')


# --- Parquet ----------------------------------------------------------------------------------------
def test_parquet_values_become_plain_json_values(tmp_path: Path) -> None:
    (row,) = parquet(
        tmp_path,
        {
            "text": ["é"],
            "day": [datetime.date(2026, 3, 5)],
            "at": pa.array([datetime.datetime(2026, 3, 5, 1, 2, tzinfo=datetime.UTC)]),
            "clock": [datetime.time(1, 2)],
            "price": [decimal.Decimal("1.10")],
            "score": [float("nan")],
            "bytes": [b"ok"],
            "blob": [b"\xff"],
            "tags": [["a", "b"]],
            "inner": [{"x": 1}],
        },
    )
    assert row.row == {
        "text": "é",
        "day": "2026-03-05",
        "at": "2026-03-05T01:02:00+00:00",
        "clock": "01:02:00",
        "price": "1.10",
        "score": None,
        "bytes": "ok",
        "blob": "/w==",
        "tags": ["a", "b"],
        "inner": {"x": 1},
    }
    assert json.loads(row.raw) == row.row


def test_parquet_rows_are_numbered_across_batches(tmp_path: Path) -> None:
    rows = parquet(tmp_path, {"n": list(range(10_000))})
    assert [(row.line, row.row) for row in rows] == [(n + 1, {"n": n}) for n in range(10_000)]


def test_a_parquet_cell_without_a_value_in_python_is_an_error_row_of_its_own(tmp_path: Path) -> None:
    offsets = pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0]))
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"ok\xff\xfe")])
    far = pa.array([1, 10_000_000], pa.date32())
    good, bad = parquet(tmp_path, {"text": text, "day": far})
    assert good.row == {"text": "ok", "day": "1970-01-02"}
    assert bad.row is None
    assert bad.raw == b'{"text":"//4=","day":null}'
    assert detail(bad).startswith("column 'text': 'utf-8' codec can't decode byte 0xff")
    assert "column 'day': date value out of range" in detail(bad)


def test_two_parquet_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(SourceError, match="two columns called 'a'"):
        list(read_rows(path))


@pytest.mark.parametrize("size", [0, 3, 200])
def test_a_damaged_parquet_file_is_an_error(tmp_path: Path, size: int) -> None:
    pq.write_table(pa.table({"a": list(range(1000))}), tmp_path / "whole.parquet")
    data = (tmp_path / "whole.parquet").read_bytes()[:size]
    with pytest.raises(SourceError, match=r"a\.parquet' cannot be read: .*; replace or fix the file"):
        read(tmp_path, "a.parquet", data)


# --- files ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "A.JSONL", "v1.2.jsonl"])
def test_the_extension_names_the_format(tmp_path: Path, name: str) -> None:
    assert [row.row for row in read(tmp_path, name, b'{"a":1}')] == [{"a": 1}]


def test_a_given_format_outranks_the_extension(tmp_path: Path) -> None:
    assert [row.row for row in read(tmp_path, "a.txt", b'{"a":1}', Format.JSONL)] == [{"a": 1}]


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.txt", "has the extension '.txt'"), ("a", "has no extension"), ("a.gz", "has no extension")],
)
def test_an_unknown_extension_says_which_are_known(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(SourceError) as error:
        read(tmp_path, name, b"")
    assert str(error.value) == (
        f"'{tmp_path / name}' {said}, so its format is unknown; rename it (.jsonl, .ndjson, .json, .csv, .tsv, "
        ".parquet, also with .gz or .zst) or set the source's `format:`"
    )


@pytest.mark.parametrize("name", ["a.xlsx", "A.XLS", "a.ods"])
def test_a_spreadsheet_is_to_be_exported(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=f"{name}' is a spreadsheet, .*; export it as CSV or Parquet, and name that"):
        read(tmp_path, name, b"")


def test_compressed_files_are_read(tmp_path: Path) -> None:
    part = gzip.compress(b'{"a":1}\n')
    assert len(read(tmp_path, "a.jsonl.gz", part + part)) == 2
    zst = pa.compress(b"a,b\n1,2\n", codec="zstd", asbytes=True)
    assert [row.row for row in read(tmp_path, "a.csv.zst", zst)] == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_cut_off_compressed_file_is_an_error(tmp_path: Path, name: str) -> None:
    lines = b'{"a":1}\n' * 1000
    whole = gzip.compress(lines) if name.endswith(".gz") else pa.compress(lines, codec="zstd", asbytes=True)
    with pytest.raises(SourceError, match="Truncated compressed stream; replace or fix the file"):
        read(tmp_path, name, whole[:-9])


@pytest.mark.parametrize("name", ["gone.jsonl", "gone.parquet", "gone.csv.gz"])
def test_a_missing_file_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError) as error:
        list(read_rows(tmp_path / name))
    assert str(error.value) == f"'{tmp_path / name}' does not exist; check the source's `path:`"


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(SourceError, match=r"cannot be read: .*Is a directory"):
        list(read_rows(tmp_path / "a.jsonl"))


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_number_of_more_than_64_bits_is_a_number_in_every_format_and_its_digits_are_kept(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    file.write_bytes(b'{"id":123456789012345678901,"n":[-9223372036854775809]}')
    [row] = read_rows(file)
    assert row.row == {"id": 1.2345678901234568e20, "n": [-9.223372036854776e18]}
    assert row.raw == b'{"id":123456789012345678901,"n":[-9223372036854775809]}'
