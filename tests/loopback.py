"""Servers on loopback that misbehave on purpose, for the tests of the connections to Label Studio and to sources."""

import contextlib
import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from flows.local.studio_server import LocalStudio
from pipeline.review.label_studio import LabelStudio
from pipeline.time_limits import Patience

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""
LOST, LATE = -1, -2
"""What a proxy does with a request: the server gets it, but its answer is lost; or it gets it later."""
MUTE, DRIP, CUT = -3, -4, -5
"""How an answer fails to come: not at all, a byte now and then, or only half of it."""


class Server(ThreadingHTTPServer):
    """A server on loopback that answers as its function says."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str, str, bytes], Reply]) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client may have disconnected, which is expected."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, headers, content = self.server.answer(self.command, self.path, body)
        if status == LOST:
            self.close_connection = True
            self.connection.close()
            return
        if status in (MUTE, DRIP, CUT):
            self.fail(status, headers, content)
            return
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def fail(self, how: int, headers: dict[str, str], content: bytes) -> None:
        self.close_connection = True
        if how != MUTE:
            self.send_response(200)
            for name, value in (headers | {"content-length": str(len(content) + 1000)}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
        with contextlib.suppress(OSError):
            if how == DRIP:
                drip(self.connection, b" ")
            elif how == MUTE:
                mute(self.connection)

    do_GET = do_POST = do_PATCH = do_DELETE = reply  # noqa: N815 (the base class asks for these names)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def serving(answer: Callable[[str, str, bytes], Reply]) -> Iterator[Server]:
    with Server(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Proxy:
    """A way to the server on which imports go wrong as ``plan`` says: None, a status, ``LOST`` or ``LATE`` for each."""

    def __init__(self, studio: LocalStudio, plan: Callable[[bytes], int | None]) -> None:
        self.plan, self.imports = plan, 0
        self.held: tuple[str, str, bytes] | None = None
        header = {"Authorization": f"Token {studio.token}", "Content-Type": "application/json"}
        self.upstream = httpx.Client(base_url=studio.url, headers=header, timeout=60)

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        fault = None
        if method == "POST" and "/import" in path:
            self.imports += 1
            fault = self.plan(body)
        if fault == LATE:
            self.held = (method, path, body)
            return LOST, {}, b""
        if fault is not None and fault > 0:
            return fault, {"content-type": "application/json"}, b'{"detail": "out of order"}'
        answer = self.upstream.request(method, path, content=body)
        if self.held and method == "POST":
            (method, path, body), self.held = self.held, None
            self.upstream.request(method, path, content=body).raise_for_status()
        if fault == LOST:
            return LOST, {}, b""
        return answer.status_code, {"content-type": answer.headers.get("content-type", "")}, answer.content


@contextmanager
def through_a_proxy(studio: LocalStudio, plan: Callable[[bytes], int | None]) -> Iterator[tuple[LabelStudio, Proxy]]:
    proxy = Proxy(studio, plan)
    with proxy.upstream, serving(proxy) as server, LabelStudio(server.url, studio.token) as client:
        yield client, proxy


def plan(*faults: int | None) -> Callable[[bytes], int | None]:
    left = iter(faults)
    return lambda body: next(left, None)


# --- servers that keep us waiting -----------------------------------------------------------------
HASTE = Patience(connect=0.5, answer=0.5, window=0.3, least_rate=1_000)
gone = threading.Event()
"""Never set: to wait for it is to pause."""
OK = b"HTTP/1.1 200 OK\r\n"
Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that does with every connection what a function says, until the client goes away."""

    def attend() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                talk(connection)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=attend, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)


def drip(connection: socket.socket, text: bytes, pause: float = 0.02) -> None:
    """A byte now and then, for ten seconds: a client that waits for the end would otherwise wait forever."""
    for byte in itertools.islice(itertools.cycle(text), 500):
        connection.sendall(bytes([byte]))
        gone.wait(pause)


def mute(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def dripping_headers(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(OK)
    drip(connection, b"x-more: y\r\n")


def dripping_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(OK + b"content-length: 1000000\r\n\r\n")
    drip(connection, b"{} ")


def dripping_to_the_end(connection: socket.socket) -> None:
    """Without a length, the end of the connection is the end of the answer."""
    connection.recv(65536)
    connection.sendall(OK + b"\r\n")
    drip(connection, b"{} ")
