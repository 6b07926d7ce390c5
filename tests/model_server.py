"""An OpenAI-compatible endpoint on loopback that answers as a function says, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from loopback import Handler, Reply, Server

JSON = {"content-type": "application/json"}
Says = Callable[[dict[str, Any], int], Reply]
"""What becomes of a request, by its body and by how many came before it."""


class _Listener(Handler):
    server: "ModelServer"

    def do_POST(self) -> None:  # noqa: N802 (the base class asks for this name)
        self.server.headers_seen.append({name.lower(): value for name, value in self.headers.items()})
        self.reply()

    do_GET = do_POST  # noqa: N815 (the base class asks for this name)


class ModelServer(Server):
    """Where a dataset's `suggest.endpoint` leads in a test."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.models: Reply = (200, JSON, b'{"data": [{"id": "small"}, {"id": "m"}]}')
        """Which models it lists."""
        self.asked: list[dict[str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []
        self._turn = threading.Lock()
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _Listener)
        self.answer = self._answer

    def _answer(self, method: str, path: str, body: bytes) -> Reply:
        if method == "GET":
            return self.models
        with self._turn:
            number, request = len(self.asked), json.loads(body)
            self.asked.append({"path": path, **request})
        return self.says(request, number)

    @property
    def endpoint(self) -> str:
        return f"{self.url}/v1"


@contextmanager
def model_server(says: Says) -> Iterator[ModelServer]:
    with ModelServer(says) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def completion(text: str | None, *, model: str = "m", finish: str = "stop", tokens: int = 10, **more: Any) -> Reply:
    """A complete answer of a model."""
    message = {"role": "assistant", "content": text, **more}
    body = {
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 2},
    }
    return 200, JSON, json.dumps(body).encode()


def failure(status: int, text: str, **headers: str) -> Reply:
    """An error as OpenAI writes it."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, JSON | names, json.dumps({"error": {"message": text}}).encode()


def last_user_text(request: dict[str, Any]) -> str:
    """What the latest message of the user says."""
    return str([message["content"] for message in request["messages"] if message["role"] == "user"][-1])
