"""Limits how long we wait for a server, to connect, to respond, for a minimum rate, in total and again, and for what.

A read timeout does not limit the total: a server that sends a byte now and then never exceeds it.
"""

import contextlib
import math
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx

from schemas.user_code_errors import in_a_line


@dataclass(frozen=True)
class Patience:
    """How long a request may take, in seconds."""

    connect: float = 10.0
    answer: float = 60.0
    """Until the response begins, including sending the request and following redirects."""
    window: float = 60.0
    """``least_rate`` must be reached within each window of this length, until the response ends."""
    least_rate: int = 1_000
    """Bytes per second."""
    whole: float = math.inf
    """Until the response ends, whatever its rate."""


_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 120.0
"""Seconds before another attempt: each time twice as long."""
_AT_ONCE = 2**20
"""Bytes that are unpacked at once: a few packed ones may hold gigabytes."""
_GZIP = ("gzip", "x-gzip")
_PACKED = {"br", "zstd", "deflate", "compress"}
"""What we do not ask for. Other names, as some servers send, mean nothing."""


class TooSlow(httpx.TimeoutException):
    """The server exceeded a time limit."""


class Response:
    """A response whose body has not been read yet."""

    def __init__(self, response: httpx.Response, watch: "_Watch", patience: Patience) -> None:
        self.status = response.status_code
        self.reason = response.reason_phrase
        self.headers = response.headers
        self._response, self._watch, self._patience = response, watch, patience

    def parts(self) -> Iterator[bytes]:
        """The body, decompressed, in chunks as they arrive."""
        if self._response.is_stream_consumed:
            # Of a transport that is no network.
            yield self._response.content
            return
        window, rate = self._patience.window, self._patience.least_rate
        too_slow = f"less than {rate:,} bytes per second for {window:g} s"
        self._watch.allow(window, too_slow)
        counted, unpacker = 0, _Unpacker(self.headers.get("content-encoding", ""))
        for part in self._response.iter_raw():
            yield from unpacker.pieces(part)
            if self._response.num_bytes_downloaded - counted >= rate * window:
                counted = self._response.num_bytes_downloaded
                self._watch.allow(window, too_slow)
        if self._watch.expired:
            # A body that ends when the connection closes looks complete.
            raise TooSlow(self._watch.reason)
        unpacker.end()


class _Unpacker:
    """Unpacks a body in pieces of a bounded size, however much a packed piece holds."""

    def __init__(self, packing: str) -> None:
        """Take the header that says how it is packed.

        Raises:
            httpx.DecodingError: in a way that was not asked for.
        """
        names = {name.strip().lower() for name in packing.split(",")}
        if names & _PACKED or ("," in packing and not names.isdisjoint(_GZIP)):
            raise httpx.DecodingError(f"it comes packed as {in_a_line(packing)}, which was not asked for")
        self._is_packed = not names.isdisjoint(_GZIP)
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._is_begun = False

    def pieces(self, part: bytes) -> Iterator[bytes]:
        """What a part of the body holds."""
        if not self._is_packed:
            yield part
            return
        while part:
            self._is_begun = True
            if self._inflate.eof:
                # Another one follows, as programs write that append to a packed file.
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                piece = self._inflate.decompress(part, _AT_ONCE)
                while piece:
                    yield piece
                    piece = self._inflate.decompress(self._inflate.unconsumed_tail, _AT_ONCE)
            except zlib.error as error:
                raise httpx.DecodingError(str(error)) from error
            part = self._inflate.unused_data

    def end(self) -> None:
        """Check that nothing is missing.

        Raises:
            httpx.DecodingError: something is.
        """
        if self._is_begun and not self._inflate.eof:
            raise httpx.DecodingError("what it packs is cut off")


class Retries:
    """When to try again: after pauses that double, or when the server says so, as long as the patience lasts."""

    def __init__(self, patience: float) -> None:
        """Begin to count the seconds."""
        self._end = time.monotonic() + patience
        self._next = _FIRST_PAUSE

    def pause(self, asked: float | None = None) -> float | None:
        """How many seconds to wait for the next attempt; None if there is none.

        Args:
            asked: how long the server asks to wait; if that is longer than the patience, it is not tried again.
        """
        pause = max(self._next, asked or 0.0)
        self._next = min(2 * self._next, _LONGEST_PAUSE)
        return pause if pause <= self._end - time.monotonic() else None


def seconds_asked(headers: Mapping[str, str]) -> float | None:
    """How long a response asks to wait, by its headers; None if it does not."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    after = headers.get("retry-after", "")
    if (seconds := _number(after)) is not None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


class Patient:
    """A client with a time limit on requests, one at a time; options are those of ``httpx.Client``."""

    def __init__(self, transport: httpx.BaseTransport | None = None, **options: Any) -> None:
        self._client = httpx.Client(transport=transport, **options)
        self._client.headers["accept-encoding"] = "gzip"
        self._streams: list[Any] = []

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @contextmanager
    def stream(self, method: str, url: httpx.URL | str, patience: Patience, **request: Any) -> Iterator[Response]:
        """Send a request; read the response while the context is open.

        Raises:
            TooSlow: the response did not arrive in time, or arrives too slowly.
            httpx.HTTPError, httpx.InvalidURL: no server answers, the connection breaks, or the URL is invalid.
        """
        connect = min(patience.connect, patience.answer)
        # Only connections that the watch cannot reach are left to the client's own timeout.
        timeout = httpx.Timeout(patience.answer + patience.window, connect=connect)
        built = self._client.build_request(method, url, timeout=timeout, extensions={"trace": self._trace}, **request)
        with _Watch(patience, self._shut) as watch:
            try:
                response = self._client.send(built, stream=True)
                with contextlib.closing(response):
                    yield Response(response, watch, patience)
            except httpx.ConnectTimeout as error:
                raise TooSlow(f"no connection within {connect:g} s") from error
            except UnicodeError as error:
                raise httpx.InvalidURL(f"invalid host name: {str(error).rpartition(': ')[2].rstrip(')')}") from error
            except httpx.HTTPError as error:
                if watch.expired and not isinstance(error, TooSlow):
                    raise TooSlow(watch.reason) from error
                raise

    def _trace(self, event: str, details: dict[str, Any]) -> None:
        """Keep track of every connection, including those that have no response yet."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._streams = [stream for stream in self._streams if _is_open(stream)] + [details["return_value"]]

    def _shut(self) -> None:
        """Abort the current request, wherever it hangs."""
        for stream in filter(_is_open, self._streams):
            with contextlib.suppress(OSError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _is_open(stream: Any) -> bool:
    return bool(stream.get_extra_info("socket").fileno() >= 0)


class _Watch:
    """Calls a function once the allowed time is up."""

    def __init__(self, patience: Patience, end: Callable[[], None]) -> None:
        self.expired = False
        self._end = end
        self._last = time.monotonic() + patience.whole
        self._too_long = f"not complete within {patience.whole:,g} s"
        self._done = False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.allow(patience.answer, f"no answer within {patience.answer:g} s")

    def allow(self, seconds: float, reason: str) -> None:
        """Allow this much time from now on, within the total; ``reason`` is the message when time is up."""
        until = time.monotonic() + seconds
        with self._turn:
            self._until, self.reason = (until, reason) if until < self._last else (self._last, self._too_long)
            self._turn.notify()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        with self._turn:
            self._done = True
            self._turn.notify()
        self._thread.join()

    def _watch(self) -> None:
        with self._turn:
            while not self._done and (left := self._until - time.monotonic()) > 0:
                self._turn.wait(left)
            if not self._done:
                self.expired = True
                self._end()
