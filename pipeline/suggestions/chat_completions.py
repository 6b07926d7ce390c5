"""Sends one request to an OpenAI-compatible endpoint, and tells what became of it: an answer, or which kind of failure.

Every failure is an exception that says whether the call can have been paid, whether it may work later, and whether it
concerns this row or all of them.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from pipeline.suggestions.ledger import Reply
from pipeline.suggestions.server_errors import read_error
from pipeline.time_limits import Patience, Patient, Response, TooSlow
from schemas.suggest_section import Suggest
from schemas.user_code_errors import in_a_line, writable
from schemas.written_calls import write_turn

_MOST_TOKENS = 10**9
_MOST_BYTES = 4 * 2**20
"""Of a response."""
_SHOWN = 200
"""Characters of what a server says is wrong."""
_SECRET = 16
"""Characters from which on a key is a secret; shorter ones, as local servers take, may be words of an answer."""
_FOR_ALL = {401, 404, 405, 410}
"""Refusals that concern every row alike: no such key, model or address."""
_NO_MONEY = 402
_FORBIDDEN = 403
"""A key that may not ask, or an address from which nobody may; but also a row that a moderation or firewall refuses."""
_TOO_LARGE = 413
"""Of a row; other refusals of one may be about the request's form."""
_LATER = {409, 425, 429, 503, 529}
"""A busy server's, which has not carried the request out. Any other 5xx, such as a gateway's when it waited in vain,
may come after the model has answered."""


class CallFailed(Exception):
    """A call without an answer; its text says why, without what to do."""


class NotSent(CallFailed):
    """No connection, so nothing was asked."""


class Later(CallFailed):
    """The server has not carried it out, and may do so later."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds
        """How long the server asks to wait, if it says so."""


class NoAnswer(CallFailed):
    """It was sent, and no answer came that can be read: it may have been paid."""


class RowRefused(CallFailed):
    """The server refuses this request; another row may be fine."""


class FormRefused(RowRefused):
    """The same, and it may be the form of the request that it does not take."""


class Forbidden(RowRefused):
    """The same, and it may refuse every other row as well: it depends on whether it ever answers."""


class AllRefused(CallFailed):
    """The server refuses every request: key, model or address are wrong."""


class OutOfMoney(AllRefused):
    """Nothing more is paid for, and the server does not say when that changes."""


class ChatCompletions:
    """A client of one endpoint, for one thread."""

    def __init__(self, section: Suggest, api_key: str) -> None:
        self._base = section.endpoint
        self._url = f"{section.endpoint}/chat/completions"
        self._key = api_key
        self._key_name = section.api_key_env
        seconds = section.timeout
        self._patience = Patience(connect=min(10.0, seconds), answer=seconds, window=seconds, whole=seconds)
        # A redirect may lead anywhere, and would take the key along.
        self._client = Patient(follow_redirects=False)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def complete(self, body: Mapping[str, Any], idempotency: str) -> Reply:
        """Ask once.

        Args:
            body: the request.
            idempotency: the same for the same call: servers that know the header do not charge for a repetition.

        Raises:
            CallFailed: one of its subclasses.
        """
        headers = {"content-type": "application/json", "idempotency-key": idempotency}
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return self._reply(self._send("POST", self._url, self._patience, headers, content))

    def models(self, seconds: float) -> list[str]:
        """The names of the models that the server lists: a request that costs nothing.

        Args:
            seconds: until the whole list is here.

        Raises:
            CallFailed: one of its subclasses; some servers list no models.
        """
        patience = Patience(connect=seconds, answer=seconds, window=seconds, whole=seconds)
        received = self._send("GET", f"{self._base}/models", patience, {})
        try:
            found = json.loads(received)
            return [str(one["id"]) for one in (found["data"] if isinstance(found, dict) else found)]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            start = self._private(received.decode("utf-8", "replace"), 80)
            raise NoAnswer(f"what came is no list of models: {start!r}") from error

    def _send(
        self, method: str, url: str, patience: Patience, headers: Mapping[str, str], content: bytes = b""
    ) -> bytes:
        """The body of a successful response.

        Raises:
            CallFailed: one of its subclasses.
        """
        sent = {**headers, "authorization": f"Bearer {self._key}"} if self._key else dict(headers)
        try:
            with self._client.stream(method, url, patience, content=content or None, headers=sent) as answer:
                received = _received(answer)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
            raise NotSent(self._private(str(error) or type(error).__name__)) from error
        except TooSlow as error:
            if "connection" in str(error):
                raise NotSent(self._private(str(error))) from error
            raise NoAnswer(self._private(str(error))) from error
        except httpx.HTTPError as error:
            raise NoAnswer(self._private(str(error) or type(error).__name__)) from error
        if 200 <= answer.status < 300:
            return received
        self._refuse(answer, received)

    def _refuse(self, answer: Response, received: bytes) -> NoReturn:
        status, error = answer.status, read_error(received, answer.headers)
        said = self._private(error.text or answer.reason)
        text = f"{status}{f' ({said})' if said else ''}"
        if 300 <= status < 400:
            to = self._private(answer.headers.get("location", ""), 100)
            raise AllRefused(f"{status}, a redirection to {to}")
        is_money = status == _NO_MONEY or (status < 500 and error.is_money)
        # Who says when to ask again has not run out of money, whatever the text says about billing.
        if is_money and error.seconds is None:
            raise OutOfMoney(text)
        if is_money or status in _LATER:
            raise Later(text, error.seconds)
        if status in _FOR_ALL:
            raise AllRefused(text)
        if status >= 500 or status == 408:
            raise NoAnswer(text)
        if error.is_flagged or status == _TOO_LARGE:
            raise RowRefused(text)
        raise Forbidden(text) if status == _FORBIDDEN else FormRefused(text)

    def _reply(self, received: bytes) -> Reply:
        """What a successful response holds, without the key.

        Raises:
            NoAnswer: it is no chat completion.
        """
        try:
            reply = _completion(received)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            start = self._private(received.decode("utf-8", "replace"), 80)
            raise NoAnswer(f"what came is no chat completion: {start!r}") from error
        if len(self._key) < _SECRET:
            return reply
        return dataclasses.replace(reply, text=self._without_key(reply.text), model=self._without_key(reply.model))

    def _private(self, text: str, most: int = _SHOWN) -> str:
        """A foreign text as one line, without the key, nor a part of it."""
        return in_a_line(writable(self._without_key(text)), most)

    def _without_key(self, text: str) -> str:
        key = self._key.strip()
        # Escaped as in JSON, an address or an error of Python.
        written = {key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, safe=""), repr(key)[1:-1]}
        for one in written - {""}:
            text = text.replace(one, f"${self._key_name}")
        return text


def _received(answer: Response) -> bytes:
    received = bytearray()
    for part in answer.parts():
        received += part
        if len(received) > _MOST_BYTES:
            raise NoAnswer(f"more than {_MOST_BYTES:,} bytes")
    return bytes(received)


def _completion(received: bytes) -> Reply:
    """What a successful response holds; any error of Python if it is no chat completion."""
    found = json.loads(received)
    choice = found["choices"][0]
    message = choice["message"]
    text = message.get("content") or message.get("refusal")
    usage = found.get("usage") or {}
    calls = [(one["function"]["name"], _arguments(one)) for one in message.get("tool_calls") or ()]
    if isinstance(text, list):
        text = "".join(str(part.get("text") or "") for part in text)
    written = write_turn(str(text or ""), calls) if calls else str(text or "")
    return Reply(
        text=writable(written),
        cut=choice.get("finish_reason") in ("length", "content_filter"),
        model=str(found.get("model") or ""),
        tokens_in=_tokens(usage.get("prompt_tokens")),
        tokens_out=_tokens(usage.get("completion_tokens")),
    )


def _tokens(named: Any) -> int:
    """How many tokens a server names; 0 if that is no possible number, so that we count them."""
    return named if isinstance(named, int) and 0 <= named < _MOST_TOKENS else 0


def _arguments(call: Mapping[str, Any]) -> Any:
    arguments = call["function"].get("arguments") or "{}"
    return json.loads(arguments) if isinstance(arguments, str) else arguments
