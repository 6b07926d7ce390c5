"""Every row of a CSV file arrives: readable, or with its bytes and the reason."""

from pathlib import Path

import pytest
from file_rows import CP1252, detail, read
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceError
from schemas.dataset import Format


def test_cells_may_hold_line_breaks_quotes_and_commas_and_a_row_has_the_number_of_its_first_line(
    tmp_path: Path,
) -> None:
    rows = read(tmp_path, "a.csv", b'\xef\xbb\xbf text ,label\r\n"a, ""b""\r\nc",x\r\n\r\nd,y\r\n')
    assert [(row.line, row.row) for row in rows] == [
        (2, {"text": 'a, "b"\r\nc', "label": "x"}),
        (5, {"text": "d", "label": "y"}),
    ]
    assert rows[1].raw == b'{"text":"d","label":"y"}'


def test_an_empty_cell_is_none(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "a.csv", b"text,label\n,x\n")
    assert row.row == {"text": None, "label": "x"}


def test_a_tsv_is_split_at_tabs(tmp_path: Path) -> None:
    for format in (Format.AUTO, Format.CSV):
        (row,) = read(tmp_path, "a.tsv", b"text\tlabel\na, b\tx\n", format)
        assert row.row == {"text": "a, b", "label": "x"}


def test_rows_with_too_many_or_too_few_cells_say_the_counts(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", b"a,b\n1\n1,2,3\n1,2\n")
    assert [detail(row) for row in rows[:2]] == ["1 cells, but the header has 2", "3 cells, but the header has 2"]
    assert (rows[1].raw, rows[2].row) == (b"1,2,3", {"a": "1", "b": "2"})


def test_broken_quotes_are_error_rows_with_their_lines(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", b'a,b\n1,"x"y\n1,2\n"3\n4,5\n')
    assert detail(rows[0]) == "',' expected after '\"' in line 2"
    assert rows[1].row == {"a": "1", "b": "2"}
    assert detail(rows[2]) == "unexpected end of data in lines 4 to 5"
    assert (rows[2].line, rows[2].raw) == (4, b'"3\n4,5')


@pytest.mark.parametrize(
    ("name", "data", "held"),
    [
        ("a.csv", b'a,b\n1,"x"y\n1,2,3\n\xff,2\n1,2\n', [False, False, False, False]),
        ("a.csv", b'a,b\n1,"x\n1,"y"\n1,2\n', [True, False]),
        ("a.csv", b'a,b\n1,2\n"3\n4,5\n', [False, True]),
        ("a.csv", b'a,b\n1,2\n3,"4', [False, True]),
        ("a.json", b'[{"a": 1}, {', [True]),
        ("a.json", b"null", [True]),
        ("a.json", b'[{"a": 1}, null]', [False, False]),
        ("a.json", b'{"a": 1}', [False]),
        ("a.jsonl", b'{"a": 1}\n{"a"\nnull', [False, False, False]),
    ],
)
def test_a_row_that_may_have_swallowed_others_is_marked(
    tmp_path: Path, name: str, data: bytes, held: list[bool]
) -> None:
    assert [row.holds_others for row in read(tmp_path, name, data)] == held


def test_a_csv_row_that_is_not_a_text_is_an_error_row_with_its_bytes(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", b'a,b\ncaf\xe9,x\ny,z\nw,"1\n\xe9"\n')
    assert (detail(rows[0]), rows[0].raw) == (f"byte 3 (0xe9) is not UTF-8; {CP1252}", b"caf\xe9,x")
    assert rows[1].row == {"a": "y", "b": "z"}
    assert detail(rows[2]) == f"line 5: byte 0 (0xe9) is not UTF-8; {CP1252}", "the row begins on line 4"


def test_nul_characters_and_huge_cells_do_not_stop_a_csv(tmp_path: Path) -> None:
    nul, huge = read(tmp_path, "a.csv", b"a,b\n\x00,1\n" + b"x" * 1_000_000 + b",2\n")
    assert nul.row == {"a": "\x00", "b": "1"}
    assert huge.row is not None
    assert len(huge.row["a"]) == 1_000_000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty; a CSV starts with a line of column names"),
        (b"a,b,a\n1,2,3\n", "has two columns called 'a'; rename one, so that no cell is lost"),
        (b'"a"b\n', "has a header that cannot be read: ',' expected after '\"'; fix the first line"),
        (
            b"\xff,b\n",
            f"has a header that cannot be decoded: byte 0 (0xff) is not UTF-8; {CP1252}",
        ),
    ],
)
def test_a_csv_without_a_usable_header_is_an_error(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(SourceError) as error:
        read(tmp_path, "a.csv", data)
    assert str(error.value) == f"'{tmp_path / 'a.csv'}' {said}"


@given(st.binary())
def test_no_bytes_below_a_header_can_stop_the_csv_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    for row in read(tmp_path_factory.getbasetemp(), "any.csv", b"a,b\n" + data):
        assert (row.row is None) != (row.error is None)
