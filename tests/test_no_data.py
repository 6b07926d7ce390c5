"""What is no data is refused before anything of it is taken, and half a line leaves nothing once it is whole."""

import json
from pathlib import Path

import pytest
from ingest_home import KEYED, LOG, Home, contents
from odd import QUESTION, Odd
from support import row
from terminal import Terminal

from pipeline.errors import SourceError
from pipeline.ingest.ingest_sources import Ingested
from pipeline.state.tables import Table
from schemas.dataset import Source

PAGE = b"\xef\xbb\xbf\n<!-- v3 -->\n<!DOCTYPE html>\n<html>\n<title>Please sign in</title>\n</html>\n"
ROWS = [row(number, f"Where is my parcel {number}?", "delivery") for number in range(5)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz"])
@pytest.mark.parametrize(
    "page", [PAGE, b"<HTML lang=en>\n<p>502 Bad Gateway", b"<?xml version='1.0'?>\n<Error>", b"<head>"]
)
def test_a_page_in_the_place_of_a_file_is_refused(home: Home, name: str, page: bytes) -> None:
    (home.folder / name).write_bytes(page)
    with pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path=name))
    assert str(caught.value) == (
        f"source 's': '{home.folder / name}' is a web page, as a login or an error page comes in place of a file; look "
        "at it in a browser, and name or fetch the file itself"
    )
    assert home.store.version(Table.RECORDS) < 1


def test_check_and_evaluation_sets_refuse_a_page_too(tmp_path: Path) -> None:
    odd = Odd(tmp_path, QUESTION, ROWS)
    (tmp_path / "page.jsonl").write_bytes(PAGE)
    odd.edit("path: data.jsonl", "path: '*.jsonl'")
    assert "is a web page" in Terminal(tmp_path).goldleaf("check", exit_code=1).stdout
    odd.edit("path: '*.jsonl'", "path: data.jsonl")
    odd.edit("review:", "decontaminate: {against: [{name: exam, path: page.jsonl}]}\nreview:")
    assert "page.jsonl' is a web page" in Terminal(tmp_path).error("curate", "--json")


def test_a_source_of_which_most_rows_cannot_be_read_is_refused_with_an_example(home: Home) -> None:
    home.write("data.jsonl", ["Service unavailable", "", "Retry later", {"id": 1}])
    with pytest.raises(SourceError) as caught:
        home.ingest(KEYED)
    assert str(caught.value) == (
        "source 's': 2 of its 3 rows cannot be read, such as data.jsonl:1 (unexpected character, expected a JSON value "
        "at column 1); correct its files, or set `most_unreadable`, which allows 50%"
    )
    assert home.store.version(Table.RECORDS) < 1
    assert home.ingest(KEYED.model_copy(update={"most_unreadable": 0.7})).added == 3
    assert home.ingest(KEYED) == Ingested(lines=3, added=0, withdrawn=0), "nothing more of it is taken"
    home.write("data.jsonl", ["Service unavailable", "Retry later", {"id": 1}, {"id": 2}])
    assert home.ingest(KEYED).added == 1, "half of the rows are not most of them"


HALVES = {
    "data.jsonl": ('{"id": 1}\n', '{"id": 2, "x": "ü"}\n'),
    "data.csv": ("id,x,y\n1,a,b\n", '2,"a ""b"", c",d\n'),
    "data.tsv": ("id\tx\ty\n1\ta\tb\n", "2\ta b\td\n"),
}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("key", [None, "id"])
def test_half_a_line_is_a_rejected_row_only_until_the_line_is_whole(home: Home, name: str, key: str | None) -> None:
    first, second = (part.encode() for part in HALVES[name])
    source = Source(name="s", path=name, key=key, most_unreadable=1)
    for written in range(1, len(second) - 2):
        (home.folder / name).write_bytes(first + second[:written])
        home.ingest(source)
        broken = home.current()["error"].to_list().count("")
        assert broken >= 1
    for more in (second, second + second.replace(b"2", b"3", 1)):
        (home.folder / name).write_bytes(first + more)
        home.ingest(source)
        rejected = [error for error in home.current()["error"] if error]
        assert not rejected, rejected
    assert len({json.loads(raw)["id"] for raw in contents(home)}) == 3


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("read_before", [True, False])
def test_half_of_a_line_goes_however_many_runs_later_the_line_is_whole(home: Home, read_before: bool) -> None:
    path, whole = home.folder / "data.jsonl", "".join(f'{{"id": {key}, "x": "{key}"}}\n' for key in range(4))
    torn = [whole[:first] for first in (whole.index("3") + 3, whole.index("1,") + 2)]
    for text in (*([whole] if read_before else []), *torn, whole):
        path.write_text(text)
        home.ingest(KEYED.model_copy(update={"most_unreadable": 1}))
    assert not [error for error in home.current()["error"] if error]
    assert len(contents(home)) == 4


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("key", [None, "id", "x"])
@pytest.mark.parametrize("runs_between", [0, 1])
def test_no_row_whose_last_cell_was_half_written_stays(home: Home, key: str | None, runs_between: int) -> None:
    path, whole = home.folder / "data.csv", 'id,x\n1,a\n2,"größer, ""b"""\n3,long\n'.encode()
    beside = home.folder / "beside.jsonl"
    sources = [Source(name="s", path="data.csv", key=key, most_unreadable=1), Source(name="t", path=beside.name)]
    for end in range(whole.index(b"1,a") + 2, len(whole)):
        path.write_bytes(whole[:end])
        for more in range(1 + runs_between):
            beside.write_text(json.dumps({"x": end * 2 + more}) + "\n")
            home.ingest(*sources)
    path.write_bytes(whole + b"4,lo")
    home.ingest(*sources)
    rows = home.current().filter(source="s")
    assert [json.loads(raw)["x"] for raw in rows["raw"]] == ["a", 'größer, "b"', "long", "lo"]
    path.write_bytes(b"id,x\n5,other\n6,long\n7,long\n8,l\n")
    home.ingest(*sources)
    assert home.current().filter(source="s").height == (6 if key == "x" else 8), (
        "what another line says is no end of it"
    )


@pytest.mark.parametrize("cached", [True, False])
def test_a_rejected_row_of_a_log_stays_when_its_line_says_something_else(home: Home, cached: bool) -> None:
    home.write("data.jsonl", [{"x": 1}, '{"x": 2'])
    home.ingest(LOG)
    home.write("data.jsonl", [{"x": 3}, {"x": 4}, {"x": 5}])
    if not cached:
        (home.store.read / "sources.json").unlink()
    assert home.ingest(LOG) == Ingested(lines=3, added=3, withdrawn=0)
    assert '{"x": 2' in contents(home)
