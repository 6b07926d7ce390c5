"""Sends requests to a Label Studio server, and checks every answer against the model of what we expect.

The one place where an answer is read: whatever else a server says, or does not say in time, is one clear line.
"""

import base64
import binascii
import contextlib
import dataclasses
import json
import re
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from pipeline.errors import LabelStudioError, Unreachable
from pipeline.patience import Answer, Patience, Patient, TooSlow

T = TypeVar("T")
_LOGIN, _USUAL, _IMPORTS = Patience(answer=30), Patience(answer=120), Patience(answer=300)


@dataclass(frozen=True)
class Limits:
    """How much of a server we put up with."""

    login: Patience = _LOGIN
    """The first request: whoever does not answer it would not answer any."""
    usual: Patience = _USUAL
    imports: Patience = _IMPORTS
    """On SQLite, an import was seen to take 45 s while people label."""
    whole: float = 900.0
    """Seconds that all requests together may take, and for each that was answered:"""
    each: float = 10.0
    most: int = 256 * 2**20
    """Bytes of one answer."""


LIMITS = Limits()
_LOGIN_FAILED = 401
_MOST_OF_A_PROBLEM = 65_536


class Refused(LabelStudioError):
    """The server answers with an error; nothing is said about whether it did what was asked."""

    def __init__(self, line: str, status: int, detail: str) -> None:
        super().__init__(line)
        self.status = status
        self.detail = detail
        """What the server says went wrong."""


class TooLarge(LabelStudioError):
    """An answer is larger than we put up with; the same may be had in smaller parts."""


class _Access(BaseModel):
    access: str


@dataclass(frozen=True)
class _Request:
    what: str
    """Begins every error."""
    method: str
    path: str
    patience: Patience
    content: bytes = b""
    query: Mapping[str, str | int] = field(default_factory=dict)
    most: int | None = None
    """Bytes of the answer's content; None where it does not matter and is not read."""


@dataclass(frozen=True)
class _Reply:
    status: int
    reason: str
    headers: httpx.Headers
    content: bytes

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


class Requests:
    """Connections to one server, as one user; they close with ``close()`` or with the object.

    Raises:
        LabelStudioError: the URL or the token cannot be one.
    """

    def __init__(
        self, url: str, api_key: str, limits: Limits | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        if not re.match(r"https?://[^/\s]", url):
            raise LabelStudioError(f"'{url}' is no address of a server; set LABEL_STUDIO_URL to http(s)://host:port")
        self._key = api_key.strip()
        if not (self._key and self._key.isascii() and self._key.isprintable()):
            raise LabelStudioError(
                "there is no access token for Label Studio; set LABEL_STUDIO_API_KEY (it stands in Account & Settings)"
            )
        self.url = url.rstrip("/")
        self.limits = limits or LIMITS
        self.clock: datetime | None = None
        """What time it was for the server when it answered last."""
        self._renews = _is_personal(self._key)
        self._authorization = "" if self._renews else f"Token {self._key}"
        self._answered, self._spent = 0, 0.0
        # What a redirection leads to may be anything.
        client = Patient(transport, follow_redirects=False)
        self._client = client
        self.close = weakref.finalize(self, client.close)

    # --- what others ask ----------------------------------------------------------------------
    def ask(
        self,
        what: str,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: object = None,
        patience: Patience | None = None,
        **query: str | int,
    ) -> T:
        """Send a request and return the answer as a model.

        Args:
            what: begins every error, such as "cannot log in".
            method: of HTTP.
            path: below ``/api/``.
            kind: a model, or a list of them.
            body: sent as JSON.
            patience: with this request; the usual one otherwise.
            query: parameters in the URL.

        Raises:
            Unreachable: nobody answers, or not in time.
            Refused: an error status.
            TooLarge: the answer is.
            LabelStudioError: the answer is none of a Label Studio, or the server took too long altogether.
        """
        request = _Request(what, method, path, patience or self.limits.usual, _json(body), query, most=self.limits.most)
        return self._parsed(what, kind, self._accepted(request))

    def tell(self, what: str, method: str, path: str, body: object = None, patience: Patience | None = None) -> None:
        """Send a request of which only the status counts; see ``ask``."""
        self._accepted(_Request(what, method, path, patience or self.limits.usual, _json(body)))

    # --- one request --------------------------------------------------------------------------
    def _accepted(self, request: _Request) -> bytes:
        """The content of the answer to a request that is not refused."""
        if self._renews and not self._authorization:
            self._renew(request.what)
        reply = self._reply(request)
        if reply.status == _LOGIN_FAILED and self._renews:
            # It is good for some minutes only.
            self._renew(request.what)
            reply = self._reply(request)
        if not reply.is_good:
            raise self._refused(request.what, reply)
        return reply.content

    def _renew(self, what: str) -> None:
        """Exchange a personal access token for one that requests may carry."""
        self._authorization = ""
        body = _json({"refresh": self._key})
        request = _Request(what, "POST", "token/refresh", self.limits.login, body, most=_MOST_OF_A_PROBLEM)
        reply = self._reply(request)
        if not reply.is_good:
            raise self._refused(what, reply)
        self._authorization = f"Bearer {self._parsed(what, _Access, reply.content).access}"

    def _reply(self, request: _Request) -> _Reply:
        """Send a request once."""
        what, began = request.what, time.monotonic()
        try:
            with self._client.stream(
                request.method,
                f"{self.url}/api/{request.path}",
                self._within(request.patience),
                params=dict(request.query),
                content=request.content,
                headers=self._headers(request),
            ) as answer:
                self._note_clock(answer.headers)
                reply = _Reply(answer.status, answer.reason, answer.headers, self._received(request, answer))
                self._answered += 1
                return reply
        except httpx.InvalidURL as error:
            raise LabelStudioError(f"{what}: '{self.url}' is no address ({error}); set LABEL_STUDIO_URL") from error
        except TooSlow as error:
            raise Unreachable(
                f"{what}: Label Studio at {self.url} keeps us waiting ({error}); see its log, or set LABEL_STUDIO_URL"
            ) from error
        except httpx.TransportError as error:
            raise Unreachable(
                f"{what}: Label Studio does not answer at {self.url} ({_line(error)}); "
                "start one with `goldleaf label-studio`, or set LABEL_STUDIO_URL"
            ) from error
        except httpx.HTTPError as error:
            raise self._stranger(what, _line(error)) from error
        finally:
            self._spent += time.monotonic() - began

    def _headers(self, request: _Request) -> dict[str, str]:
        headers = {"accept": "application/json"}
        if request.content:
            headers["content-type"] = "application/json"
        if self._authorization:
            headers["authorization"] = self._authorization
        return headers

    def _received(self, request: _Request, answer: Answer) -> bytes:
        """As much of an answer as counts: of a refusal its beginning, of others all or nothing."""
        received = bytearray()
        if not 200 <= answer.status < 300:
            for part in answer.parts():
                received += part
                if len(received) > _MOST_OF_A_PROBLEM:
                    break
        elif request.most is not None:
            for part in answer.parts():
                received += part
                if len(received) > request.most:
                    large = f"answers with more than {request.most:,} bytes; check LABEL_STUDIO_URL"
                    raise TooLarge(f"{request.what}: {self.url} {large}")
        return bytes(received)

    def _within(self, patience: Patience) -> Patience:
        """No longer than all requests together may take."""
        left = self.limits.whole + self.limits.each * self._answered - self._spent
        if left <= 0:
            raise TooSlow(f"{self._answered} requests took {self._spent:,.0f} s")
        return dataclasses.replace(patience, answer=min(patience.answer, left))

    def _note_clock(self, headers: httpx.Headers) -> None:
        with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
            self.clock = parsedate_to_datetime(headers["date"]).astimezone(UTC)

    # --- what goes wrong ----------------------------------------------------------------------
    def _refused(self, what: str, reply: _Reply) -> Refused:
        detail = _detail(reply.content) or _line(reply.reason)
        match reply.status:
            case 401 | 403:
                line = f"{self.url} refuses the token; set LABEL_STUDIO_API_KEY (it stands in Account & Settings)"
            case 404:
                line = f"{self.url} has no such page; it is no Label Studio, or the project was deleted"
            case status if 300 <= status < 400:
                target = _line(reply.headers.get("location", "elsewhere"))
                line = f"{self.url} sends us to {target}; set LABEL_STUDIO_URL to where that ends"
            case status:
                line = f"Label Studio answers {status}: {detail}"
        return Refused(f"{what}: {line}", reply.status, detail)

    def _stranger(self, what: str, problem: str) -> LabelStudioError:
        return LabelStudioError(
            f"{what}: {self.url} answers, but not like a Label Studio ({problem}); check LABEL_STUDIO_URL"
        )

    def _parsed(self, what: str, kind: type[T], content: bytes) -> T:
        try:
            return _parsed(TypeAdapter(kind), content)
        except ValidationError as error:
            raise self._stranger(what, _problem(error)) from error


def _json(body: object) -> bytes:
    return b"" if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()


def _is_personal(key: str) -> bool:
    """Whether a token is one that has to be exchanged: a JSON web token, and not the older kind."""
    parts = key.split(".")
    if len(parts) != 3:
        return False
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(claims, dict)


def _parsed(adapter: TypeAdapter[T], content: bytes) -> T:
    """JSON as a model; half a surrogate pair in somebody's text becomes a question mark."""
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        if error.errors(include_input=False)[0]["type"] != "json_invalid":
            raise
        try:
            mended = json.dumps(json.loads(content), ensure_ascii=False).encode("utf-8", "replace")
        except (ValueError, RecursionError):
            raise error from None
        return adapter.validate_json(mended)


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return _line(f"{place}: {first['msg']}" if place else first["msg"])


def _detail(content: bytes) -> str:
    """What the server says went wrong."""
    text = content.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return _line(text)
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    return _line(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False))


def _line(text: object) -> str:
    """A text of others, fit for a terminal."""
    whole = str(text) or (type(text).__name__ if isinstance(text, Exception) else "")
    line = next((part.strip() for part in whole.splitlines() if part.strip()), "")
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    return line if len(line) <= 300 else f"{line[:297]}..."
