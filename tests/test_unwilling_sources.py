"""A source whose server is busy, breaks off, sends a page or without end: what is tried again, and what is refused."""

import gzip
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ingest_home import Home
from loopback import OK, Reply, serving, talking
from support import Context, offline, write_dataset

from flows.curate import curate
from flows.engines.engine import Inline
from flows.turns import waiting
from pipeline import time_limits
from pipeline.errors import SourceError
from pipeline.ingest import download
from pipeline.steps import Silent
from schemas.dataset import Format, Source

ROW = b'{"id": 1, "question": "Where is my parcel?", "topic": "delivery"}\n'


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time."""
    found: list[float] = []
    monkeypatch.setattr(download.time, "sleep", found.append)
    return found


# --- again and again --------------------------------------------------------------------------------
def waited(tmp_path: Path, replies: Iterator[Reply], wait: str) -> int:
    """A curate that waits so long for others; returns how many rows it has read."""
    write_dataset(tmp_path, [])
    file = tmp_path / "dataset.yaml"
    with serving(lambda *_: next(replies)) as server:
        file.write_text(file.read_text().replace("path: data.jsonl", f"path: {server.url}/data.jsonl"))
        context = Context.load(file, offline(tmp_path / "home"))
        with waiting(context, "curate", wait, Silent()):
            return curate(context, Inline()).lines


BUSY = [(503, {}, b""), (429, {"retry-after": "30"}, b""), (500, {}, b""), (-5, {}, ROW), (408, {}, b"")]


def test_a_run_that_waits_tries_a_busy_server_again(tmp_path: Path, pauses: list[float]) -> None:
    assert waited(tmp_path, iter([*BUSY, (200, {}, ROW)]), "30m") == 1
    assert pauses == [2, 30, 8, 16, 32]


def test_a_run_that_does_not_wait_fails_at_once(tmp_path: Path, pauses: list[float]) -> None:
    with pytest.raises(SourceError, match=r"cannot be fetched, the server answered 503 .*; try again$"):
        waited(tmp_path, iter(BUSY), "0")
    assert pauses == []


@pytest.mark.parametrize(("after", "expected"), [("3600", []), ("nonsense", [2.0]), ("-1", [2.0]), ("inf", [2.0])])
def test_a_server_that_asks_for_more_than_the_patience_is_not_waited_for(
    tmp_path: Path, pauses: list[float], after: str, expected: list[float]
) -> None:
    replies = [(503, {"retry-after": after}, b""), (200, {}, ROW)]
    if expected:
        assert waited(tmp_path, iter(replies), "1m") == 1
    else:
        with pytest.raises(SourceError, match="the server answered 503"):
            waited(tmp_path, iter(replies), "1m")
    assert pauses == expected


def test_the_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time_limits.time, "monotonic", lambda: now)
    retries, paused = time_limits.Retries(1800), list[float]()
    while (pause := retries.pause()) is not None:
        paused.append(pause)
        now += pause
    assert paused[:8] == [2, 4, 8, 16, 32, 64, 120, 120]
    assert 1680 < sum(paused) <= 1800


def test_a_refusal_is_not_tried_again(tmp_path: Path, pauses: list[float]) -> None:
    with pytest.raises(SourceError, match=r"the server answered 401 Unauthorized; set its `auth`"):
        waited(tmp_path, iter([(401, {}, b"")]), "30m")
    assert pauses == []


# --- a page -----------------------------------------------------------------------------------------
LOGIN = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>\nPlease log in\n</body></html>\n"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=utf-8", LOGIN),
        ("application/json", LOGIN),
        ("text/html", b"<div>Please log in</div>"),
        ("Text/HTML", b"Please log in"),
        ("application/xml", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
    ],
)
def test_a_page_instead_of_data_is_refused_and_nothing_is_committed(home: Home, kind: str, body: bytes) -> None:
    with serving(lambda *_: (200, {"content-type": kind}, body)) as server, pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path=f"{server.url}/data.jsonl"))
    problem = f"cannot be fetched (the server sends a page ({kind.partition(';')[0].lower()}) instead of data)"
    assert problem in str(caught.value)
    assert "set its `auth` if it asks to log in, or correct its path" in str(caught.value)
    assert not home.store.exists and not list((home.folder / "home").rglob("*.parquet"))


def test_data_that_a_server_calls_a_page_are_read_if_their_format_is_named(home: Home) -> None:
    with serving(lambda *_: (200, {"content-type": "text/html"}, b"id,question\n1,Where?\n")) as server:
        with pytest.raises(SourceError, match="if it is data, set its `format`"):
            home.ingest(Source(name="s", path=f"{server.url}/export.csv"))
        assert home.ingest(Source(name="s", path=f"{server.url}/export.csv", format=Format.CSV)).added == 1


# --- without end ------------------------------------------------------------------------------------
def endless(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(OK + b"\r\n")
    while True:
        connection.sendall(ROW * 1000)


def test_an_answer_without_end_ends_at_the_limit_and_leaves_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LARGEST", 20_000_000)
    with talking(endless) as url, pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path=f"{url}data.jsonl"))
    assert "(it is larger than 20 MB, the most that is fetched); download it yourself, and name the file" in str(
        caught.value
    )
    assert not list(home.folder.rglob("download*")) and not list(home.folder.rglob("*.partial"))


@pytest.mark.parametrize("headers", [{}, {"content-length": "70000000000000"}])
def test_a_disk_without_room_is_not_filled(
    home: Home, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    if not headers:
        monkeypatch.setattr(download, "KEPT_FREE", 2**60)
    else:
        monkeypatch.setattr(download, "LARGEST", 2**60)

    def long(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items()) + b"\r\n")
        connection.sendall(ROW)

    with talking(long) as url, pytest.raises(SourceError, match=r"it is larger than the disk has room for, with"):
        home.ingest(Source(name="s", path=f"{url}data.jsonl"))


def test_a_packed_body_of_gigabytes_takes_little_memory(tmp_path: Path) -> None:
    """In a process of its own; httpx alone unpacks 64 MB at once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(2**20)
    body = b"".join([*(packer.compress(zeros) for _ in range(400)), packer.flush()])
    program = (
        "import resource, sys; from pathlib import Path; from pipeline.ingest import download\n"
        "from schemas.dataset import Source\n"
        "source, folder = Source(name='s', path=sys.argv[1]), Path(sys.argv[2])\n"
        "import httpx; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "size = download.fetch(source, folder).stat().st_size\n"
        "print(size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    with serving(lambda *_: (200, {"content-encoding": "gzip"}, body)) as server:
        command = [sys.executable, "-c", program, f"{server.url}/data.jsonl", str(tmp_path)]
        size, megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(size) == 400 * 2**20
    assert int(megabytes) < 40


@pytest.mark.parametrize(
    ("packing", "body", "problem"),
    [
        ("gzip", gzip.compress(ROW * 1000)[:-20], "what it packs is cut off"),
        ("br", b"\x00", "it comes packed as br, which was not asked for"),
        ("gzip, gzip", b"\x00", "it comes packed as gzip, gzip, which was not asked for"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_one_line(home: Home, packing: str, body: bytes, problem: str) -> None:
    with serving(lambda *_: (200, {"content-encoding": packing}, body)) as server, pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path=f"{server.url}/data.jsonl"))
    assert f"data.jsonl cannot be fetched ({problem}); correct its path or try again" in str(caught.value)


def test_a_body_of_several_packed_parts_is_read_whole(home: Home) -> None:
    body = gzip.compress(ROW) + gzip.compress(ROW.replace(b"1", b"2"))
    with serving(lambda *_: (200, {"content-encoding": "gzip"}, body)) as server:
        assert home.ingest(Source(name="s", path=f"{server.url}/data.jsonl", key="id")).added == 2
