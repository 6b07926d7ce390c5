"""The ledger of calls: every call of a model, written before its answer is used, with its tokens and cost.

A call is entered before it is sent and completed when its answer is here, each in a transaction that is on disk when
it returns. After kill -9 the answers that came are known, and those in flight count as lost, at the most that they can
have cost. Only its methods may be called from several threads.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.errors import StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, reply TEXT,
    cut INTEGER NOT NULL DEFAULT 0, said_model TEXT NOT NULL DEFAULT '', tokens_in INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL, cost REAL NOT NULL, at TEXT NOT NULL, seconds REAL
);
CREATE INDEX IF NOT EXISTS calls_by_key ON calls (key);
CREATE TABLE IF NOT EXISTS subjects (
    asker TEXT NOT NULL, record_id TEXT NOT NULL, text TEXT NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (asker, record_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS examples (
    asker TEXT NOT NULL, place INTEGER NOT NULL, record_id TEXT NOT NULL, inputs TEXT NOT NULL, targets TEXT NOT NULL,
    PRIMARY KEY (asker, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS adapters (
    name TEXT PRIMARY KEY, run TEXT NOT NULL, weights TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scales (model TEXT PRIMARY KEY, factor REAL NOT NULL) WITHOUT ROWID;
"""
_SENT, _ANSWERED, _LOST, _REFUSED, _SET_ASIDE = "sent", "answered", "lost", "refused", "set aside"
_PATIENCE_S = 60
"""Seconds to wait for another process that is writing."""


@dataclass(frozen=True)
class Reply:
    """What a model wrote."""

    text: str
    cut: bool
    """It ended at the maximum of tokens, or a filter ended it."""
    model: str
    """The model as the server names it."""
    tokens_in: int
    tokens_out: int
    seconds: float | None = None
    """From the request to its answer; None if nobody measured."""


@dataclass(frozen=True)
class Subject:
    """A record whose text a model was asked about."""

    record_id: str
    text: str
    """A digest of the inputs."""
    key: str
    """Of the question, under which the ledger has its calls."""


@dataclass(frozen=True)
class Spent:
    """What all calls together have used."""

    calls: int = 0
    lost: int = 0
    """Of them, sent without an answer that came; they count with the most that they can have used."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.tokens_in + self.tokens_out


class Ledger:
    """The ledger of one dataset, as a context; several processes may read it, and one asks at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        with self._explained():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, timeout=_PATIENCE_S, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            self._add_seconds()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        with self._turn:
            self._db.close()

    def _add_seconds(self) -> None:
        """Ledgers of an older Goldleaf did not say how long a call took."""
        if "seconds" not in [row[1] for row in self._db.execute("PRAGMA table_info(calls)")]:
            # Another process may be faster.
            with suppress(sqlite3.OperationalError):
                self._db.execute("ALTER TABLE calls ADD COLUMN seconds REAL")

    # --- calls --------------------------------------------------------------------------------
    def enter(self, key: str, model: str, tokens_in: int, tokens_out: int, cost: float) -> int:
        """Enter a call that is about to be sent, with the most that it can use; returns its number."""
        values = (key, model, _SENT, tokens_in, tokens_out, cost, datetime.now(UTC).isoformat())
        with self._explained():
            cursor = self._db.execute(
                "INSERT INTO calls (key, model, state, tokens_in, tokens_out, cost, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            return int(cursor.lastrowid or 0)

    def complete(self, call: int, reply: Reply, cost: float) -> None:
        """Write down the answer to a call, and what it really used."""
        used = (reply.tokens_in, reply.tokens_out, cost, reply.seconds)
        self._run(
            "UPDATE calls SET state = ?, reply = ?, cut = ?, said_model = ?, tokens_in = ?, tokens_out = ?, "
            "cost = ?, seconds = ? WHERE id = ?",
            *(_ANSWERED, reply.text, reply.cut, reply.model, *used, call),
        )

    def strike(self, call: int) -> None:
        """Take out a call that no server took."""
        self._run("DELETE FROM calls WHERE id = ?", call)

    def refuse(self, call: int) -> None:
        """Mark a call that the server has not carried out: it has used nothing."""
        self._run("UPDATE calls SET state = ?, tokens_in = 0, tokens_out = 0, cost = 0 WHERE id = ?", _REFUSED, call)

    def lose(self, call: int | None = None) -> None:
        """Mark a call whose answer did not come; without a number, all that killed runs have left."""
        where, which = ("id = ?", call) if call is not None else ("state = ?", _SENT)
        self._run(f"UPDATE calls SET state = ? WHERE {where}", _LOST, which)  # noqa: S608 (our own words)

    def replies(self, key: str) -> list[Reply]:
        """The answers to a question so far, oldest first."""
        rows = self._run(
            "SELECT reply, cut, said_model, tokens_in, tokens_out, seconds FROM calls WHERE key = ? AND state = ? "
            "ORDER BY id",
            *(key, _ANSWERED),
        )
        return [Reply(text, bool(cut), *more) for text, cut, *more in rows]

    def heard(self, key: str) -> int:
        """How many answers to a question ever came, those that were set aside included."""
        return self._count(key, _ANSWERED, _SET_ASIDE)

    def set_aside(self, keys: Iterable[str]) -> None:
        """Let some questions be asked anew: their answers stay paid, and count no longer."""
        values = [(_SET_ASIDE, key, _ANSWERED) for key in keys]
        self._run_all(("UPDATE calls SET state = ? WHERE key = ? AND state = ?", values))

    def unanswered(self, key: str) -> int:
        """How many calls about a question were lost or refused."""
        return self._count(key, _LOST, _REFUSED)

    def _count(self, key: str, *states: str) -> int:
        [(count,)] = self._run("SELECT COUNT(*) FROM calls WHERE key = ? AND state IN (?, ?)", key, *states)
        return int(count)

    def spent(self) -> Spent:
        """The sums over all calls of all runs that a server may have carried out."""
        [row] = self._run(
            "SELECT COUNT(*), COALESCE(SUM(state = ?), 0), COALESCE(SUM(tokens_in), 0), "
            "COALESCE(SUM(tokens_out), 0), COALESCE(SUM(cost), 0.0) FROM calls WHERE state != ?",
            *(_LOST, _REFUSED),
        )
        return Spent(*row)

    def scale(self, model: str, seen: float = 1.0) -> float:
        """By how much a server's count of a prompt was at most above ours, at least 1; ``seen`` adds one."""
        self._run(
            "INSERT INTO scales VALUES (?, MAX(1.0, ?)) "
            "ON CONFLICT (model) DO UPDATE SET factor = MAX(factor, excluded.factor)",
            *(model, seen),
        )
        [(factor,)] = self._run("SELECT factor FROM scales WHERE model = ?", model)
        return float(factor)

    # --- subjects -----------------------------------------------------------------------------
    def link(self, asker: str, subjects: Iterable[Subject]) -> None:
        """Note under which keys an asker has the answers about some records."""
        rows = [(asker, one.record_id, one.text, one.key) for one in subjects]
        self._run_all(("INSERT OR REPLACE INTO subjects VALUES (?, ?, ?, ?)", rows))

    def subjects(self, asker: str) -> dict[str, Subject]:
        """The records that an asker was asked about, by id."""
        rows = self._run("SELECT record_id, text, key FROM subjects WHERE asker = ?", asker)
        return {record_id: Subject(record_id, text, key) for record_id, text, key in rows}

    # --- examples -----------------------------------------------------------------------------
    def keep_examples(self, asker: str, rows: Sequence[tuple[str, str, str]]) -> None:
        """Remember which examples an asker shows from now on: record, inputs and targets, both as JSON."""
        placed = [(asker, place, *row) for place, row in enumerate(rows)]
        self._run_all(
            ("DELETE FROM examples WHERE asker = ?", [(asker,)]),
            ("INSERT INTO examples VALUES (?, ?, ?, ?, ?)", placed),
        )

    def examples(self, asker: str) -> list[tuple[str, str, str]]:
        """The same, in their order."""
        return self._run("SELECT record_id, inputs, targets FROM examples WHERE asker = ? ORDER BY place", asker)

    # --- adapters -----------------------------------------------------------------------------
    def keep_adapter(self, name: str, run: str, weights: str) -> None:
        """Remember which adapter a name, such as ``latest``, stands for: what it has said outlasts its folder."""
        self._run("INSERT OR REPLACE INTO adapters VALUES (?, ?, ?)", name, run, weights)

    def adapter(self, name: str) -> tuple[str, str] | None:
        """The same: its run, and the key of its weights; None if it was never asked."""
        return next(iter(self._run("SELECT run, weights FROM adapters WHERE name = ?", name)), None)

    # --- statements ---------------------------------------------------------------------------
    def _run(self, statement: str, *values: object) -> list[Any]:
        """What a statement gives, which is a transaction by itself."""
        with self._explained():
            return self._db.execute(statement, values).fetchall()

    def _run_all(self, *statements: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """Each statement for each of its rows, all in one transaction."""
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            for statement, rows in statements:
                self._db.executemany(statement, rows)
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """One thread at a time; what goes wrong is one line.

        Raises:
            StoreError: the file is damaged, or the disk full or read-only.
        """
        with self._turn:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                raise StoreError(
                    f"the ledger of calls {self._path} cannot be used ({error}); check the disk, or restore it from a "
                    "backup: without it every answer is asked and paid for again"
                ) from error


def spent_so_far(path: Path) -> Spent:
    """What all calls of a dataset have used; nothing if none was ever made."""
    if not path.exists():
        return Spent()
    with Ledger(path) as ledger:
        return ledger.spent()
