"""Sends requests to a Label Studio server through its SDK, and validates every response against the expected model.

The only module that knows the SDK, and the only place that reads responses: whatever unexpected a server sends, or
fails to send in time, becomes one clear line.
"""

import json
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from pipeline.config.workspace import shown_address
from pipeline.errors import LabelStudioError, Unreachable
from pipeline.review.label_studio_transport import LimitedTransport, Limits, Reply, TooMuch
from pipeline.time_limits import Patience, TooSlow

if TYPE_CHECKING:
    from label_studio_sdk.base_client import LabelStudioBase

T = TypeVar("T")
Call = Callable[["LabelStudioBase"], object]
"""Calls one method of the SDK, which sends one request; the method's return value is ignored."""

LIMITS = Limits()
TESTED = "1.23.2"
"""The version of Label Studio that the tests run."""
LOG_IN = "cannot log in"
"""Begins what the first request says if it fails, if the server was reached."""
_LOGIN_FAILED = 401
_START = "start one with `goldleaf label-studio`, or set LABEL_STUDIO_URL"
_NO_TOKEN = "set LABEL_STUDIO_API_KEY (see Account & Settings)"


class Refused(LabelStudioError):
    """The server answers with an error status; whether it did what was asked is unknown."""

    def __init__(self, line: str, status: int, detail: str) -> None:
        super().__init__(line)
        self.status = status
        self.detail = detail
        """The server's description of the error."""


class TooLarge(LabelStudioError):
    """A response is larger than allowed; the same may be fetched in smaller parts."""


class Requests:
    """Connections to one server, as one user; they close with ``close()`` or with the object.

    Raises:
        LabelStudioError: the URL or the token is malformed.
    """

    def __init__(
        self, url: str, api_key: str, limits: Limits | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = shown_address(url.rstrip("/"))
        """As shown to users."""
        if not re.match(r"https?://[^/\s]", url):
            raise LabelStudioError(
                f"'{self.url}' is not the address of a server; set LABEL_STUDIO_URL to http(s)://host:port"
            )
        self._key = api_key.strip()
        if not (self._key and self._key.isascii() and self._key.isprintable()):
            raise LabelStudioError(f"there is no access token for Label Studio; {_NO_TOKEN}")
        self._address = f"{url.rstrip('/')}/"
        self.limits = limits or LIMITS
        self.transport = LimitedTransport(self.limits, transport)
        self._http = httpx.Client(transport=self.transport)
        self.close = weakref.finalize(self, self._http.close)
        self._sdk = self._new_sdk()

    def _new_sdk(self) -> "LabelStudioBase":
        # It takes a while to import: too long for commands that only might need it.
        from label_studio_sdk.base_client import LabelStudioBase
        from label_studio_sdk.core.api_error import ApiError

        try:
            # It would retry a POST whose response was lost, and so import twice; and without the slash it
            # drops the end of the address when it exchanges a token.
            return LabelStudioBase(base_url=self._address, api_key=self._key, httpx_client=self._http, max_retries=0)
        except (ApiError, TypeError, ValueError, OverflowError, OSError) as error:
            # It decodes a personal access token to find its expiry time.
            raise LabelStudioError(f"the access token for Label Studio is expired or invalid; {_NO_TOKEN}") from error

    # --- public methods -----------------------------------------------------------------------
    def ask(self, what: str, kind: type[T], call: Call, *, patience: Patience | None = None) -> T:
        """Send a request and return the response as a model.

        Args:
            what: begins every error, such as ``LOG_IN``.
            kind: a model, or a list of them.
            call: sends the request.
            patience: for this request; default: the usual one.

        Raises:
            Unreachable: the server does not answer, or not in time.
            Refused: an error status.
            TooLarge: the response is too large.
            LabelStudioError: the response is not from Label Studio, or the server took too long in total.
        """
        content = self._accepted(what, call, patience, reads=True).content
        try:
            return _parsed(TypeAdapter(kind), content)
        except ValidationError as error:
            raise self._stranger(what, _problem(error)) from error

    def tell(self, what: str, call: Call, *, patience: Patience | None = None) -> None:
        """Send a request of which only the status matters; see ``ask``."""
        self._accepted(what, call, patience, reads=False)

    # --- one request --------------------------------------------------------------------------
    def _accepted(self, what: str, call: Call, patience: Patience | None, reads: bool) -> Reply:
        """The response to a request that was not refused."""
        self.transport.expect(patience or self.limits.usual, reads)
        reply = self._reply(what, call)
        if reply.status == _LOGIN_FAILED and self._key.count(".") == 2 and not reply.is_exchange:
            # A personal access token is exchanged for one that is only valid for minutes, by the server's clock.
            self._sdk = self._new_sdk()
            reply = self._reply(what, call)
        if not reply.is_good:
            raise self._refused(what, reply)
        if reply.is_exchange:
            raise self._stranger(what, "its response to the access token is not a token")
        return reply

    def _reply(self, what: str, call: Call) -> Reply:
        """Send a request once."""
        from label_studio_sdk.core.api_error import ApiError

        self.transport.replies.clear()
        try:
            with self._explained(what):
                call(self._sdk)
        except LabelStudioError:
            raise
        except ApiError as error:
            if not self.transport.replies:
                raise self._stranger(what, "its token has no expiry time") from error
        except Exception:
            # The SDK fails on unexpected responses in many ways: only the raw response matters.
            if not self.transport.replies:
                raise
        return self.transport.replies.pop()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn network failures into our errors."""
        # Who is not reached cannot refuse a login; what else was to be done is worth knowing.
        begun = "" if what == LOG_IN else f"{what}: "
        try:
            yield
        except httpx.InvalidURL as error:
            # It quotes what it takes for the port, which may be half a password.
            problem = f" ({error})" if self._address.startswith(self.url) else ""
            raise LabelStudioError(f"{begun}'{self.url}' is not an address{problem}; set LABEL_STUDIO_URL") from error
        except TooSlow as error:
            raise Unreachable(
                f"{begun}Label Studio at {self.url} does not respond in time ({error}); see its log, "
                "or set LABEL_STUDIO_URL"
            ) from error
        except TooMuch as error:
            raise TooLarge(f"{what}: {self.url} answers with {error}; check LABEL_STUDIO_URL") from error
        except httpx.TransportError as error:
            plain = f"http://{self.url.partition('://')[2]}"
            advice = f"if it speaks plain http, set LABEL_STUDIO_URL to {plain}" if _is_no_tls(error) else _START
            raise Unreachable(
                f"{begun}Label Studio does not answer at {self.url} ({_line(error)}); {advice}"
            ) from error
        except httpx.HTTPError as error:
            raise self._stranger(what, _line(error)) from error

    # --- errors -------------------------------------------------------------------------------
    def _refused(self, what: str, reply: Reply) -> Refused:
        detail = _detail(reply.content) or _line(reply.reason)
        match reply.status:
            case 401 if "legacy token" in detail:
                line = f"{self.url} takes no legacy tokens; set LABEL_STUDIO_API_KEY to a personal access token"
            case 401:
                line = f"{self.url} refuses the token; {_NO_TOKEN}"
            case 403:
                line = f"{self.url} does not let this user ({detail}); set LABEL_STUDIO_API_KEY to another's token"
            case 404:
                line = f"{self.url} has no such page; it is not Label Studio, or the project was deleted"
                line += self._rootwards
            case status if 300 <= status < 400:
                target = _line(reply.headers.get("location", "elsewhere"))
                line = f"{self.url} redirects to {target}; set LABEL_STUDIO_URL to the final address"
            case status:
                line = f"Label Studio answers {status}: {detail}"
        version = "" if reply.status in (401, 403) else _told_version(reply.content)
        return Refused(f"{what}: {line}{_if_other(version)}", reply.status, detail)

    def _stranger(self, what: str, problem: str) -> LabelStudioError:
        return LabelStudioError(
            f"{what}: {self.url} answers, but not like Label Studio ({problem}); check LABEL_STUDIO_URL"
            f"{self._rootwards}{_if_other(self._version)}"
        )

    @cached_property
    def _version(self) -> str:
        """The server's version; empty if it does not tell."""
        self.transport.expect(self.limits.login, reads=True)
        try:
            return _told_version(self._http.get(f"{self._address}api/version").content)
        except httpx.HTTPError:
            return ""

    @property
    def _rootwards(self) -> str:
        """What to try if the address may be that of a page, as shown in a browser; else empty."""
        scheme, _, rest = self.url.partition("://")
        host, _, path = rest.partition("/")
        return f"; if /{path} is one of its pages, set LABEL_STUDIO_URL to {scheme}://{host}" if path else ""


def raw(method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Call:
    """A request that the SDK has no method for, or not with all that the server takes."""
    return lambda sdk: sdk._client_wrapper.httpx_client.request(path, method=method, json=body, params=query)


def raw_json(method: str, path: str, items: list[bytes], query: dict[str, Any]) -> Call:
    """A request with a list of which each item is JSON already: the SDK copies all values before it encodes them."""
    content, headers = b"[" + b",".join(items) + b"]", {"Content-Type": "application/json"}
    return lambda sdk: sdk._client_wrapper.httpx_client.request(
        path, method=method, content=content, params=query, headers=headers
    )


def _is_no_tls(error: httpx.TransportError) -> bool:
    """Whether https was answered with something else; a bad certificate is a different matter."""
    return "[SSL" in str(error) and "CERTIFICATE" not in str(error)


def _parsed(adapter: TypeAdapter[T], content: bytes) -> T:
    """JSON as a model; lone surrogates become question marks."""
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        if error.errors(include_input=False)[0]["type"] != "json_invalid":
            raise
        try:
            fixed = json.dumps(json.loads(content), ensure_ascii=False).encode("utf-8", "replace")
        except (ValueError, RecursionError):
            raise error from None
        return adapter.validate_json(fixed)


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return _line(f"{place}: {first['msg']}" if place else first["msg"])


def _detail(content: bytes) -> str:
    """The server's description of the error."""
    text = content.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return _line(text)
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    return _line(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False))


def _told_version(content: bytes) -> str:
    """The version that an error or the page of versions names; empty if none."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    told = body.get("version", body.get("release")) if isinstance(body, dict) else None
    return told if isinstance(told, str) and re.fullmatch(r"\d[\w.+-]{0,40}", told, re.ASCII) else ""


def _if_other(version: str) -> str:
    """What to add to an error if the server is another version than the one that is tested."""
    if version in ("", TESTED):
        return ""
    return f"; the server is Label Studio {version}, and Goldleaf is tested with {TESTED}"


def _line(text: object) -> str:
    """Foreign text, made safe for a terminal."""
    whole = str(text) or (type(text).__name__ if isinstance(text, Exception) else "")
    line = next((part.strip() for part in whole.splitlines() if part.strip()), "")
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    return line if len(line) <= 300 else f"{line[:297]}..."
