"""Sends the SDK's requests to a Label Studio server within limits of time and size, and keeps the responses.

The SDK fills its models without validation, so only the raw response counts.
"""

import contextlib
import dataclasses
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from pipeline.time_limits import Patience, Patient, Response, TooSlow

_LOGIN, _USUAL, _IMPORTS = Patience(answer=30), Patience(answer=120), Patience(answer=300)
_EXCHANGE = "/api/token/refresh/"
_MOST_OF_A_PROBLEM = 65_536


@dataclass(frozen=True)
class Limits:
    """How much of a server's time and data we accept."""

    login: Patience = _LOGIN
    """For the first request: a server that does not answer it would not answer any."""
    usual: Patience = _USUAL
    imports: Patience = _IMPORTS
    """On SQLite, an import was seen to take 45 s while annotators were labeling."""
    whole: float = 900.0
    """Seconds that all requests together may take, plus this for each answered one:"""
    each: float = 10.0
    most: int = 256 * 2**20
    """Bytes of one response."""


class TooMuch(httpx.TransportError):
    """A response has more bytes than allowed."""


@dataclass(frozen=True)
class Reply:
    """A raw response, decompressed."""

    path: str
    status: int
    reason: str
    headers: httpx.Headers
    content: bytes

    @property
    def is_good(self) -> bool:
        """Whether the server has done what was asked."""
        return 200 <= self.status < 300

    @property
    def is_exchange(self) -> bool:
        """Whether the SDK, by itself, asked for a token that requests may carry."""
        return self.path.endswith(_EXCHANGE)


class LimitedTransport(httpx.BaseTransport):
    """Sends requests over the network, or through another transport, one at a time."""

    def __init__(self, limits: Limits, transport: httpx.BaseTransport | None) -> None:
        self.limits = limits
        self.replies: list[Reply] = []
        """The responses so far; the reader clears the list."""
        self.clock: datetime | None = None
        """The server's time at its latest response."""
        self.answered, self.spent = 0, 0.0
        self._patience, self._reads = limits.usual, True
        # A redirect may lead anywhere.
        self._client = Patient(transport, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def expect(self, patience: Patience, reads: bool) -> None:
        """Set how long the next response may take, and whether its content is read, or its status is enough."""
        self._patience, self._reads = patience, reads

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request once, and keep its response.

        Raises:
            TooSlow: no response in time, or it arrives too slowly, or all requests together took too long.
            TooMuch: the response is too large.
            httpx.HTTPError, httpx.InvalidURL: as for ``Patient``.
        """
        began = time.monotonic()
        try:
            with self._client.stream(
                request.method, request.url, self._within(), content=request.read(), headers=request.headers
            ) as answer:
                self._note_clock(answer.headers)
                content = self._received(answer, self._most(request.url.path))
        finally:
            self.spent += time.monotonic() - began
        self.answered += 1
        self.replies.append(Reply(request.url.path, answer.status, answer.reason, answer.headers, content))
        return httpx.Response(answer.status, content=content)

    def _within(self) -> Patience:
        """Limit the time to what all requests together have left."""
        left = self.limits.whole + self.limits.each * self.answered - self.spent
        if left <= 0:
            raise TooSlow(f"{self.answered} requests took {self.spent:,.0f} s")
        return dataclasses.replace(self._patience, answer=min(self._patience.answer, left))

    def _most(self, path: str) -> int | None:
        """How many bytes a successful response may have; None if they do not matter and are not read."""
        if path.endswith(_EXCHANGE):
            return _MOST_OF_A_PROBLEM
        return self.limits.most if self._reads else None

    def _received(self, answer: Response, most: int | None) -> bytes:
        """As much of a response as counts: the beginning of a refusal; of others, all or nothing."""
        received = bytearray()
        if not 200 <= answer.status < 300:
            for part in answer.parts():
                received += part
                if len(received) > _MOST_OF_A_PROBLEM:
                    break
        elif most is not None:
            for part in answer.parts():
                received += part
                if len(received) > most:
                    raise TooMuch(f"more than {most:,} bytes")
        return bytes(received)

    def _note_clock(self, headers: httpx.Headers) -> None:
        with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
            self.clock = parsedate_to_datetime(headers["date"]).astimezone(UTC)
