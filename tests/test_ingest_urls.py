"""A source may be a URL: its file is fetched first, and every failure is one line."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ingest_home import Home
from loopback import HASTE, OK, Talk, drip, dripping_body, dripping_headers, mute, serving, talking

from pipeline.errors import SourceError
from pipeline.ingest import download
from schemas.dataset import Format, Source


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"id": 1}\n{"id": 2}\n'
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/data.jsonl?signature=x")
        elif self.path == "/cut.jsonl":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + 1))
        elif self.path.startswith("/data"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_response(404)
            self.send_header("Content-Length", "0")
        self.end_headers()
        if not self.path.startswith(("/moved", "/none")):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/data.jsonl", "/data.jsonl?token=a/b.csv"])
def test_a_url_is_read_like_a_file_and_known_without_its_query(home: Home, server: str, path: str) -> None:
    source = Source(name="up/load", path=server + path, key="id")
    assert home.ingest(source).added == 2
    assert home.ingest(source).added == 0
    assert set(home.current()["file"]) == {f"{server}/data.jsonl"}


def test_a_redirect_is_followed_and_a_format_may_be_named(home: Home, server: str) -> None:
    assert home.ingest(Source(name="s", path=f"{server}/moved", format=Format.JSONL)).added == 2


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/none.jsonl", "the server answered 404 Not Found; correct its path"),
        ("/cut.jsonl", "(peer closed connection without sending complete message body"),
    ],
)
def test_an_answer_that_is_not_a_file_is_one_line(home: Home, server: str, path: str, problem: str) -> None:
    with pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path=server + path))
    assert str(caught.value).startswith(f"source 's': {server}{path} cannot be fetched")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/data.jsonl"
    odd = ("http://[bad/data.jsonl", "http:///data.jsonl", "http://./data.jsonl", f"http://{'a' * 70}/data.jsonl")
    for address, problem in ((url, "Connection refused"), *((address, "") for address in odd)):
        with pytest.raises(SourceError) as caught:
            home.ingest(Source(name="s", path=address))
        assert str(caught.value).startswith(f"source 's': {address} cannot be fetched (")
        assert problem in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("talk", "problem"),
    [
        (mute, "no answer within 0.5 s"),
        (dripping_headers, "no answer within 0.5 s"),
        (dripping_body, "less than 1,000 bytes per second for 0.3 s"),
    ],
)
def test_a_server_that_keeps_us_waiting_is_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, talk: Talk, problem: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PATIENCE", HASTE)
    with talking(talk) as url, pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path=f"{url}data.jsonl"))
    assert str(caught.value) == (
        f"source 's': {url}data.jsonl cannot be fetched ({problem}); correct its path or try again"
    )


@pytest.mark.parametrize(
    ("patience", "problem"),
    [({"window": 0.4}, "less than 10,000 bytes per second for 0.4 s"), ({"whole": 0.4}, "not complete within 0.4 s")],
)
def test_a_server_that_sends_a_kilobyte_a_second_does_not_keep_us_forever(
    home: Home, monkeypatch: pytest.MonkeyPatch, patience: dict[str, float], problem: str
) -> None:
    def slow(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + b"content-length: 1000000\r\n\r\n")
        drip(connection, b" ")

    assert (download.PATIENCE.window, download.PATIENCE.whole) == (60, 7_200)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PATIENCE", replace(download.PATIENCE, **patience))
    with talking(slow) as url, pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path=f"{url}data.jsonl"))
    assert f"cannot be fetched ({problem}); correct its path or try again" in str(caught.value)


def test_an_answer_that_cannot_be_unpacked_is_one_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with (
        serving(lambda *_: (200, {"content-encoding": "gzip"}, b"no gzip")) as server,
        pytest.raises(SourceError, match=r"data\.jsonl cannot be fetched \(Error -3 while decompressing data"),
    ):
        home.ingest(Source(name="s", path=f"{server.url}/data.jsonl"))


@pytest.mark.parametrize("status", [204, 304, 503])
def test_an_answer_without_a_file_is_one_line(home: Home, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(lambda *_: (status, {}, b"")) as server, pytest.raises(SourceError) as caught:
        home.ingest(Source(name="s", path=f"{server.url}/data.jsonl"))
    assert "\n" not in str(caught.value)
