"""A Label Studio whose answers go wrong in every way that we could think of, and a dataset that lives with it."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from desk import Desk, rename
from fake_studio import FakeStudio, fake_studio
from loopback import CUT, DRIP, LOST, MUTE, Reply
from support import row, write_dataset, write_rows
from terminal import Terminal

from pipeline.review import label_studio_requests as studio_requests
from pipeline.review.label_studio_transport import Limits
from pipeline.review.queue import asked_now
from pipeline.state.decisions import question_key
from pipeline.time_limits import Patience
from schemas.fate import LabelSource

_HASTE = Patience(connect=2, answer=0.4, window=0.3, least_rate=10_000)
HASTY = Limits(login=_HASTE, usual=_HASTE, imports=_HASTE, most=100_000)
"""So little patience that a slow server is abandoned at once."""
JSON = {"content-type": "application/json"}
Damage = Callable[[Reply, Random], Reply]


# --- what an answer may be instead ----------------------------------------------------------------
def _always(status: int, content: bytes, **headers: str) -> Damage:
    return lambda reply, random: (
        status,
        JSON | {name.replace("_", "-"): text for name, text in headers.items()},
        content,
    )


def _never(how: int) -> Damage:
    return lambda reply, random: (how, JSON, reply[2])


def _cut(reply: Reply, random: Random) -> Reply:
    return reply[0], reply[1], reply[2][: random.randrange(len(reply[2]) + 1)]


def _flip(reply: Reply, random: Random) -> Reply:
    """One byte of the text is another one, and no letter or digit: it might be a valid text with wrong content."""
    if not reply[2]:
        return reply
    at = random.randrange(len(reply[2]))
    return reply[0], reply[1], reply[2][:at] + bytes([random.choice(b'\xff\x00{]",:')]) + reply[2][at + 1 :]


def _altered(reply: Reply, random: Random) -> Reply:
    """Somewhere in the answer, something has another type, or is missing."""
    try:
        value = json.loads(reply[2])
    except ValueError:
        return reply
    places = list(_places(value))
    if not places:
        return reply
    holder, key = random.choice(places)
    if isinstance(holder, list) or random.random() < 0.3:
        del holder[key]
    else:
        holder[key] = random.choice([odd for odd in _ODD if type(odd) is not type(holder[key])])
    return reply[0], reply[1], json.dumps(value).encode()


_ODD: list[Any] = [None, 1.5, -(2**80), "nonsense", [[]], {"id": {}}, True]


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Where something could be altered; of lists only those of the whole answer, whose length the server names."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield value, key
            yield from _places(part, depth + 1)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            if depth == 1:
                yield value, index
            yield from _places(part, depth + 1)


DAMAGES: dict[str, Damage] = {
    "null": _always(200, b"null"),
    "an empty list": _always(200, b"[]"),
    "an empty object": _always(200, b"{}"),
    "a number": _always(200, b"17"),
    "a text": _always(200, b'"ok"'),
    "nothing": _always(200, b""),
    "no content": _always(204, b""),
    "no UTF-8": _always(200, b'{"tasks": ["\xff\xfe"]}'),
    "half a surrogate": _always(200, b'{"tasks": "\\ud800", "email": 5, "id": "\\udfff"}'),
    "deeply nested": _always(200, b"[" * 50_000 + b"]" * 50_000),
    "deeply nested objects": _always(200, b'{"a":' * 15_000 + b"1" + b"}" * 15_000),
    "a huge number": _always(200, b'{"id": ' + b"9" * 5000 + b"}"),
    "not a number": _always(200, b'{"total": NaN, "tasks": Infinity}'),
    "no gzip": _always(200, b"{}", content_encoding="gzip"),
    "gzip that is cut": _always(200, gzip.compress(b'{"tasks": []}' * 100)[:-20], content_encoding="gzip"),
    "much in little": _always(200, gzip.compress(b" " * 50_000_000), content_encoding="gzip"),
    "an unknown packing": _always(200, b"{}", content_encoding="sesame"),
    "HTML": _always(200, b"<html><body>Welcome</body></html>", content_type="text/html"),
    "a redirection": _always(302, b"", location="http://127.0.0.1:1/\x1b[31melsewhere"),
    "a redirection to nowhere": _always(301, b""),
    "too many requests": _always(429, b'{"detail": "slow down"}'),
    "a refusal": _always(400, b'{"validation_errors": {"title": [[["odd"]]]}}'),
    "a refusal that is a list": _always(422, b'["odd", "odder"]'),
    "no such page": _always(404, b""),
    "a failure": _always(500, b"<h1>Server Error</h1>\n" * 10_000),
    "a failure without words": _always(503, b""),
    "a status that there is not": _always(599, b"\xff\x1b[2J"),
    "too much": _always(200, b'{"tasks": [' + b" " * 200_000 + b"]}"),
    "no answer": _never(MUTE),
    "a drip": _never(DRIP),
    "half of it": _never(CUT),
    "a connection that breaks": _never(LOST),
    "a text that is cut": _cut,
    "another byte": _flip,
    "another type": _altered,
}


class IllStudio:
    """A fake server some of whose answers are damaged, before or after it has done what was asked."""

    def __init__(self, fake: FakeStudio) -> None:
        self.fake = fake
        self.random = Random(0)
        self.damages: list[str] = []
        """What happens to the answers, while anything does."""
        self.share = 1.0
        self.at = ""
        """Part of the paths that it happens to."""

    def __call__(self, method: str, path: str, body: bytes) -> Reply:
        hit = bool(self.damages) and self.at in f"{method} {path}" and self.random.random() < self.share
        if not hit:
            return self.fake(method, path, body)
        damage = self.random.choice(self.damages)
        unheard = method != "GET" and self.random.random() < 0.5
        reply = (200, JSON, b"{}") if unheard else self.fake(method, path, body)
        return DAMAGES[damage](reply, self.random)


@contextmanager
def ill_studio() -> Iterator[IllStudio]:
    made: list[IllStudio] = []

    def around(fake: FakeStudio) -> IllStudio:
        made.append(IllStudio(fake))
        return made[0]

    with fake_studio(around):
        yield made[0]


# --- a dataset that lives with it -----------------------------------------------------------------
TOPICS = ("billing", "delivery", "returns")
_SUBJECTS = ("parcel", "invoice", "lamp", "courier", "refund", "chair", "voucher", "receipt", "carpet", "engine")


class Year:
    """A dataset whose server falls ill again and again; no answer may be lost once it recovers."""

    def __init__(self, folder: Path, server: IllStudio, seed: int) -> None:
        self.server, self.random = server, Random(seed)
        server.random = Random(seed)
        self.keys = 0
        self.rows: dict[int, dict[str, object]] = {}
        write_dataset(folder, [], "review: {budget: 1000, audit: 0.0}\n")
        file = folder / "dataset.yaml"
        file.write_text(file.read_text().replace("key: id", "key: id, mode: snapshot"))
        rename(folder, "year")
        self.folder = folder
        self.terminal = Terminal(folder, server.fake.url, server.fake.token)

    def live(self, days: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for day in range(days):
                self.change()
                patch.setattr(studio_requests, "LIMITS", HASTY)
                self.server.damages, self.server.share = self.illness(), self.random.choice([0.1, 0.3, 0.6])
                self.try_to("curate")
                self.try_to(self.random.choice(["curate", "collect"]))
                self.server.damages = []
                patch.setattr(studio_requests, "LIMITS", Limits())
                self.people_answer()
                if day % 3 == 2 or day == days - 1:
                    self.recover()

    def illness(self) -> list[str]:
        return self.random.sample(list(DAMAGES), self.random.choice([1, 3, len(DAMAGES)]))

    def change(self) -> None:
        """A few rows come, change or go."""
        for _ in range(self.random.randint(1, 3)):
            self.keys += 1
            self.rows[self.keys] = row(self.keys, self._question(), None)
        if len(self.rows) > 3:
            self.rows.pop(self.random.choice(list(self.rows)))
            changed = self.random.choice(list(self.rows))
            self.rows[changed] = row(changed, self._question(), None)
        write_rows(self.folder, list(self.rows.values()))

    def _question(self) -> str:
        words = self.random.sample(_SUBJECTS, 4)
        return f"What of the {' and the '.join(words)} number {self.random.randrange(10**6)}?"

    def people_answer(self) -> None:
        """Some open tasks get an answer, as far as there are any."""
        with self._desk() as desk:
            for task in list(self.server.fake.tasks.values()):
                if self.random.random() < 0.3 and not self._answers(task["id"]):
                    desk.submit(task["id"], desk.result(self.random.choice(TOPICS)))

    def _answers(self, task: int) -> list[dict[str, Any]]:
        return [found for found in self.server.fake.annotations.values() if found["task"] == task]

    @contextmanager
    def _desk(self) -> Iterator[Desk]:
        desk = Desk(self.folder, self.server.fake.url, self.server.fake.token)
        with desk.api, desk.client:
            yield desk

    def try_to(self, verb: str) -> None:
        """Run a verb, which does it or fails with a line."""
        result = self.terminal.goldleaf(verb, exit_code=None)
        if result.exit_code:
            assert result.exit_code == 1, f"{result.output}\n{result.exception!r}"
            lines = [line for line in result.stderr.splitlines() if not line.startswith("✓ ")]
            assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
            assert lines[0].isprintable()
        status = self.terminal.json("status")
        fates = sum(status[fate] for fate in ("accepted", "rejected", "duplicate", "review"))
        assert fates == status["raw"] - status["superseded"] - status["withdrawn"]

    def recover(self) -> None:
        """The server is well: every open question is asked once, and every answer to one counts."""
        for verb in ("curate", "collect", "curate"):
            self.terminal.json(verb)
        with self._desk() as desk:
            context = desk.context
            snapshot = context.store.snapshot().at_last_commit()
            asked = Counter(task["data"]["push_key"] for task in self.server.fake.tasks.values())
            open_ones = asked_now(snapshot, context.dataset)
            wanted = {question_key(one.decision, context.dataset.task) for one in open_ones}
            assert wanted <= asked.keys()
            assert [key for key in wanted if asked[key] > 1] == []
            for key, one in self.rows.items():
                decision = desk.decision(key)
                question = question_key(decision, context.dataset.task)
                said = [
                    found["result"][0]["value"]["choices"][0]
                    for task in self.server.fake.tasks.values()
                    if task["data"]["push_key"] == question
                    for found in self._answers(task["id"])
                ]
                assert (decision.label_source is LabelSource.HUMAN) == bool(said), one
                assert not said or decision.targets == {"topic": said[-1]}
