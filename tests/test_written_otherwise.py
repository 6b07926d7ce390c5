"""CSV that is separated, encoded or listed otherwise is read as its source says, and its rows are the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from file_rows import CP1252, detail, read, written
from odd import Odd
from terminal import Terminal

from pipeline.errors import SourceError
from pipeline.ingest.formats import PLAIN, read_rows
from schemas.dataset import Csv, Format

LABELS = '''
class Question(Task):
    """Name the topics of this question."""

    question: Input[str]
    topics: Target[set[Literal["billing", "delivery", "returns, refunds"]]]
'''
ROWS = [["1", "Où est mon colis?", "delivery | billing"], ["2", "Remboursé, ou non?", '["returns, refunds"]']]


def table(delimiter: str, encoding: str) -> bytes:
    lines = [
        ["id", "question", "topics"],
        *([number, text, f'"{topics.replace(chr(34), chr(34) * 2)}"'] for number, text, topics in ROWS),
    ]
    return "".join(delimiter.join(line) + "\r\n" for line in lines).encode(encoding)


@pytest.mark.parametrize(
    ("name", "delimiter", "encoding"),
    [("a.csv", ";", "cp1252"), ("a.csv", "\t", "utf-16"), ("a.tsv", "|", "utf-8"), ("a.csv", ";", "utf-16-le")],
)
def test_rows_are_the_same_however_a_table_is_written(tmp_path: Path, name: str, delimiter: str, encoding: str) -> None:
    rows = read(tmp_path, name, table(delimiter, encoding), csv=Csv(delimiter=delimiter, encoding=encoding))
    plain = [dict(zip(("id", "question", "topics"), cells, strict=True)) for cells in ROWS]
    assert [(row.line, row.row) for row in rows] == [(2, plain[0]), (3, plain[1])]
    assert rows[0].raw == json.dumps(plain[0], ensure_ascii=False, separators=(",", ":")).encode()


def test_a_long_table_in_another_encoding_is_read_whole(tmp_path: Path) -> None:
    text = "n;text\n" + "".join(f"{n};{'é' * (n % 977)}\n" for n in range(2_000))
    rows = read(tmp_path, "a.csv", text.encode("utf-16"), csv=Csv(delimiter=";", encoding="utf-16"))
    assert [row.row for row in rows] == [{"n": str(n), "text": "é" * (n % 977) or None} for n in range(2_000)]


def test_a_byte_that_is_no_character_of_the_encoding_rejects_its_row_only(tmp_path: Path) -> None:
    data = b"a;b\ncaf\xe9;x\ncaf\x81;y\n"
    good, bad = read(tmp_path, "a.csv", data, csv=Csv(delimiter=";", encoding="cp1252"))
    assert good.row == {"a": "café", "b": "x"}
    assert (detail(bad), bad.raw) == ("the byte 0x81 is not cp1252; correct `csv: {encoding: …}`", b"caf\x81;y")
    assert detail(read(tmp_path, "a.csv", b"a\ncaf\xe9\n")[0]).endswith(CP1252)


def test_csv_is_refused_for_another_format(tmp_path: Path) -> None:
    file = written(tmp_path, "a.jsonl", b'{"a": 1}\n')
    with pytest.raises(SourceError, match=r"a\.jsonl' is read as jsonl, and `csv:` is for CSV; drop it, or correct"):
        list(read_rows(file, csv=Csv(delimiter=";")))
    assert read(tmp_path, "a.csv", b"a;b\n1;2\n", Format.CSV, Csv(delimiter=";", encoding="UTF8"))[0].row
    assert Csv(encoding="UTF8") == PLAIN


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("{delimiter: '||'}", "'||' cannot separate cells; write one character, such as \";\""),
        ("{delimiter: '\\t'}", "cannot separate cells; write one character"),
        ("{encoding: utf-9}", "'utf-9' is no encoding of texts; write one such as cp1252"),
        ("{encoding: base64}", "'base64' is no encoding of texts"),
        ("{list_delimiter: ''}", "an empty text separates nothing; write what is between two items"),
    ],
)
def test_an_option_that_cannot_be_is_named_with_its_line(tmp_path: Path, csv: str, said: str) -> None:
    odd = Odd(tmp_path, LABELS, [])
    odd.edit("license: MIT", f"license: MIT, csv: {csv}")
    output = " ".join(Terminal(tmp_path).goldleaf("check", exit_code=1).output.split())
    assert said in output and "dataset.yaml:" in output


def source(odd: Odd, name: str, csv: str) -> None:
    odd.edit("data.jsonl", name)
    odd.edit("license: MIT", f"license: MIT, csv: {csv}")


def checked(folder: Path) -> str:
    return "".join(one["detail"] for one in Terminal(folder).json("check") if one["what"] == "source examples")


def test_check_shows_the_columns_and_curate_reads_lists_within_cells(tmp_path: Path) -> None:
    odd = Odd(tmp_path, LABELS, [])
    (tmp_path / "data.csv").write_bytes(table(";", "cp1252"))
    source(odd, "data.csv", "{delimiter: ';', encoding: cp1252, list_delimiter: '/'}")
    assert odd.curate().funnel.rejected == 1
    odd.edit("list_delimiter: '/'", "list_delimiter: '|'")
    assert "2 rows tried: 2 valid" in checked(tmp_path)
    assert "the rows have the fields 'id', 'question', 'topics'" in checked(tmp_path)
    assert odd.curate().funnel.accepted == 2
    targets: list[Any] = [odd[key].targets for key in (1, 2)]
    assert targets == [{"topics": ["billing", "delivery"]}, {"topics": ["returns, refunds"]}]


def test_a_corrected_option_reads_the_file_anew_and_leaves_nothing_of_the_first_reading(tmp_path: Path) -> None:
    odd = Odd(tmp_path, LABELS, [])
    (tmp_path / "data.csv").write_bytes(table(";", "cp1252"))
    source(odd, "data.csv", "{delimiter: ';', encoding: iso-8859-7, list_delimiter: ';'}")
    assert odd.curate().funnel.rejected == 1
    before = odd[1].record_id
    odd.edit("encoding: iso-8859-7, list_delimiter: ';'", "encoding: cp1252, list_delimiter: '|'")
    funnel = odd.curate().funnel
    assert (funnel.accepted, funnel.rejected, odd[1].record_id) == (2, 0, before)
    assert odd[1].inputs == {"question": "Où est mon colis?"}


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_rows_that_were_read_as_something_else_go_once_they_are_read(tmp_path: Path, encoding: str) -> None:
    odd = Odd(tmp_path, LABELS, [])
    rows = "".join(f"{n};{'Où' if n % 5 == 0 else 'Qui'} est {n}?;delivery\n" for n in range(4, 30))
    text = "id;question;topics\n1;Why, and how?;billing\n2;So, when?;billing\n" + rows
    (tmp_path / "data.csv").write_bytes(text.encode(encoding))
    odd.edit("data.jsonl, key: id", "data.csv")
    first = odd.curate().funnel
    assert first.rejected == 28
    odd.edit("license: MIT", "license: MIT, csv: {delimiter: ';', encoding: '" + encoding + "', list_delimiter: '|'}")
    again = odd.curate().funnel
    assert (again.rejected, again.accepted) == (0, 28)
