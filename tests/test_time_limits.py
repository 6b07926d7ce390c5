"""No server keeps us waiting for good: it must take the connection, answer, and go on at a least rate."""

import gzip
import socket
import time
from dataclasses import replace

import httpx
import pytest
from loopback import HASTE, OK, Talk, dripping_body, dripping_headers, dripping_to_the_end, gone, mute, talking

from pipeline.time_limits import Patience, Patient, TooSlow


def deaf(connection: socket.socket) -> None:
    gone.wait(5)


def redirecting(connection: socket.socket) -> None:
    while request := connection.recv(65536):
        gone.wait(0.1)
        number = int(request.split()[1][1:] or 0) + 1
        connection.sendall(b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: /%d\r\n\r\n" % number)


def read(url: str, patience: Patience = HASTE, content: bytes = b"") -> bytes:
    client = Patient(follow_redirects=True, trust_env=False)
    try:
        with client.stream("POST" if content else "GET", url, patience, content=content) as answer:
            return b"".join(answer.parts())
    finally:
        client.close()


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (mute, "no answer within 0.5 s"),
        (dripping_headers, "no answer within 0.5 s"),
        (redirecting, "no answer within 0.5 s"),
        (dripping_body, "less than 1,000 bytes per second for 0.3 s"),
        (dripping_to_the_end, "less than 1,000 bytes per second for 0.3 s"),
    ],
)
def test_a_server_that_keeps_us_waiting_is_left(talk: Talk, reason: str) -> None:
    with talking(talk) as url, pytest.raises(TooSlow, match=reason):
        read(url)


def test_a_rate_counts_from_the_first_byte_however_long_the_answer_might_have_taken() -> None:
    with talking(dripping_body) as url, pytest.raises(TooSlow, match=r"less than 1,000 bytes per second for 0\.3 s"):
        read(url, replace(HASTE, answer=30))


def test_a_server_that_takes_no_more_of_a_request_is_left() -> None:
    with talking(deaf) as url, pytest.raises(TooSlow, match=r"no answer within 0\.5 s"):
        read(url, content=b"x" * 50_000_000)


def test_an_address_where_nothing_responds_is_left() -> None:
    """Its queue of connections is full, so that the next one is neither taken nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with pytest.raises(TooSlow, match=r"no connection within 0\.5 s"):
            read(f"http://127.0.0.1:{full.getsockname()[1]}/")
        for one in waiting:
            one.close()


def test_a_large_answer_may_take_longer_than_any_bound_as_long_as_it_comes() -> None:
    def steady(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + b"content-length: 100000\r\n\r\n")
        for _ in range(10):
            connection.sendall(b"x" * 10_000)
            gone.wait(0.1)

    with talking(steady) as url:
        assert len(read(url)) == 100_000


def test_an_answer_that_comes_fast_but_does_not_end_is_left() -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + b"\r\n")
        for _ in range(500):
            connection.sendall(b"x" * 10_000)
            gone.wait(0.02)

    with talking(endless) as url, pytest.raises(TooSlow, match=r"not complete within 0\.6 s"):
        read(url, replace(HASTE, whole=0.6))


def test_the_connection_that_was_used_before_is_watched_too() -> None:
    def once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + b"content-length: 2\r\n\r\n{}")
        dripping_headers(connection)

    client = Patient(trust_env=False)
    with talking(once) as url:
        with client.stream("GET", url, HASTE) as answer:
            assert b"".join(answer.parts()) == b"{}"
        with pytest.raises(TooSlow), client.stream("GET", url, HASTE):
            pass
    client.close()


def test_a_kept_connection_that_hangs_after_others_were_made_is_left_as_soon() -> None:
    """A redirection leads to another server, and the next request goes over the first connection again."""

    def away(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: {there}\r\n\r\n"
        connection.sendall(head.encode())
        dripping_headers(connection)

    def answering(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(OK + b"content-length: 2\r\n\r\n{}")

    client = Patient(follow_redirects=True, trust_env=False)
    with talking(answering) as there, talking(away) as here:
        with client.stream("GET", here, HASTE) as answer:
            assert b"".join(answer.parts()) == b"{}"
        began = time.monotonic()
        with pytest.raises(TooSlow, match=r"no answer within 0\.5 s"), client.stream("GET", here, HASTE):
            pass
        assert time.monotonic() - began < 5
    client.close()


def test_what_breaks_off_or_cannot_be_unpacked_is_an_error_of_the_answer_not_of_time() -> None:
    packed = gzip.compress(b"x" * 1000)[:-9] + b"?????????"
    head = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n"

    def wrong(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head % len(packed) + packed)

    def cut(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head % len(packed) + packed[:5])

    for talk, kind in ((wrong, httpx.DecodingError), (cut, httpx.RemoteProtocolError)):
        with talking(talk) as url, pytest.raises(kind):
            read(url)
