"""A life in a world that moves: files are written while a run reads them, clocks are wrong, sources leave, return, move
to a server that may fail and change their format and their key's type, files of a log are removed once they were read,
dataset.yaml is now and then one with which a curate fails, and labels get other names or are divided.
"""

import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, tzinfo
from functools import partial
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import orjson
import polars as pl
import pytest
from chances import CHOICES, FAILURES, KEEPING, MOVES, USERS, WAYS, Chance, Edit
from fake_studio import Row
from full_runs import must_agree_with_a_full_run
from lives import Life
from loopback import CUT, Reply, serving
from support import state
from themes import Theme

from flows import turns
from flows.curate import curate
from flows.engines.engine import Inline
from pipeline.errors import GoldleafError
from pipeline.ingest import new_rows, returned_sources
from pipeline.ingest import sources as ingested_sources
from pipeline.ingest.checked_file import CheckedFile
from pipeline.review import pushing
from pipeline.state import snapshot, store
from pipeline.state.tables import Table
from schemas.fate import Fate, LabelSource
from schemas.identity import stable_hash

_CLOCKS = (turns, new_rows, returned_sources, ingested_sources, pushing, snapshot, store)
"""The modules whose time is kept."""
_REFUSED = ("keeps on", "cuts")
_NEW_NAMES = {"shipping": "shipping", "divided": ["by post", "by van"]}


class MovingLife(Life):
    """One dataset in a world that does not wait for it."""

    def __init__(self, folder: Path, theme: Theme) -> None:
        self.ending, self.texts, self.logs, self.part = "jsonl", False, True, 0
        """The format of the source that comes and goes, whether its keys are texts, whether the log is named, and how
        many files of it were removed."""
        self.delivery = ""
        """What became of the label: a key of the new names, or nothing."""
        self.skew = timedelta()
        self.key, self.log_files = "id", "log*.jsonl"
        """The key of the table, and the files of the log."""
        self.server = ""
        """How the server of the source that comes and goes answers; "" if it is a file."""
        super().__init__(folder, theme)
        self._url = self._exit.enter_context(serving(self._reply)).url
        clock = self._clock()
        for module in _CLOCKS:
            self._exit.enter_context(patch.object(module, "datetime", clock))

    def _clock(self) -> type[datetime]:
        life = self

        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + life.skew

        return Clock

    def check(self) -> None:
        super().check()
        if self.read is not None:
            self.check_rows()
            self.check_heard()

    def check_rows(self) -> None:
        """What was there and its source did not take away is there, as the record that it was."""
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for row in self.snapshot.current_records().collect().iter_rows(named=True):
            found[row["source"]][row["record_id"]] = self.theme.text(orjson.loads(row["raw"]))
        for name, rows in (self.read or {}).items():
            if name == "log":
                assert self._logged <= found[name].keys()
                assert Counter(found[name].values()) == Counter(row["text"] for row in rows)
                self._logged |= found[name].keys()
            else:
                assert found[name] == {stable_hash(name, f"int:{row['id']}"): row["text"] for row in rows}

    def check_heard(self) -> None:
        """What was collected and its author did not take away is there."""
        kept = self.snapshot.latest_annotations().filter(~pl.col("deleted")).select("annotation_id").collect()
        assert {number for number, _ in self._heard & self._said()} <= set(kept["annotation_id"])

    # --- files ------------------------------------------------------------------------------------
    def task(self) -> str:
        if not (self.delivery and self.theme.has_choices):
            return super().task()
        names = [name for one in self.choices for name in (self._names if one == "delivery" else [one])]
        return f"{self.theme.source(names)}    renamed = {{'delivery': {_NEW_NAMES[self.delivery]!r}}}\n"

    @property
    def _names(self) -> list[str]:
        new = _NEW_NAMES[self.delivery]
        return [new] if isinstance(new, str) else new

    def targets(self, label: str) -> dict[str, Any]:
        return self._named(super().targets(label))

    def _named(self, targets: Any) -> Any:
        """An answer with the first of the names that the label has."""
        if not (self.delivery and self.theme.has_choices):
            return targets
        return orjson.loads(orjson.dumps(targets).replace(b'"delivery"', orjson.dumps(self._names[0])))

    def sources(self) -> dict[str, str]:
        place = f"{self._url}/" if self.server else ""
        named = {
            "table": f"path: table.jsonl, key: {self.key}, mode: snapshot",
            "log": f"path: '{self.log_files}'",
            "visiting": f"path: '{place}visiting.{self._format}', key: id",
        }
        named_too = {"table": True, "log": self.logs, "visiting": self.visits}
        return {name: more for name, more in named.items() if named_too[name]}

    def _reply(self, method: str, path: str, body: bytes) -> Reply:
        """Of the server that has the source that comes and goes."""
        file = self.folder / path.removeprefix("/")
        is_there = file.exists()
        data = file.read_bytes() if is_there else b""
        return {
            "well": (200, {}, data),
            "busy": (503, {}, data),
            "forbidden": (403, {}, data),
            "breaks off": (CUT, {}, data),
            "asks to log in": (200, {"content-type": "text/html"}, b"<!doctype html><p>Please log in</p>" + data),
            "sends us away": (302, {"location": "/elsewhere"}, b""),
        }[self.server if is_there else "forbidden"]

    @property
    def _format(self) -> str:
        # Without rows, no other format has the key; in a cell there are no lists.
        is_odd = not self.visiting or (self.ending == "csv" and not self.theme.is_flat)
        return "jsonl" if is_odd else self.ending

    def write_rows(self) -> None:
        for row in self.log:
            row.setdefault("part", self.part)
        visiting = self.raw(self.visiting.values())
        for row in visiting if self.texts else []:
            row["id"] = str(row["id"])
        self._put("table.jsonl", self.lines(self.table.values()))
        self._put(f"log{self.part}.jsonl", self.lines(row for row in self.log if row["part"] == self.part))
        self._put(f"visiting.{self._format}", _written(visiting, self._format))

    def edit(self, edits: list[Edit]) -> None:
        named = self.sources()
        super().edit(edits)
        # A source's file has another format, and name, while it has no rows.
        self.edited |= self.sources() != named

    def _put(self, name: str, data: bytes) -> None:
        """Files that stay the same are not touched; those that change are written in place."""
        path = self.folder / name
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)

    def remove_log(self) -> None:
        """Remove the file of the log that was read; the next rows are in another one."""
        if self.logs and self.read and "log" in self.read and self.read["log"] == self.rows()["log"]:
            (self.folder / f"log{self.part}.jsonl").unlink()
            self.part += 1
            self.write()

    # --- what happens in the middle of a run ------------------------------------------------------
    def curate_meanwhile(self, way: str, edits: list[Edit]) -> None:
        """Curate while somebody writes: in place once or with every reading, cuts a file, lets another one take its
        place, or appends to the log.
        """
        name = f"log{self.part}.jsonl" if way == "appends" else "table.jsonl"
        if way == "cuts":
            # A file is only refused for its last line if a row that it had would be gone.
            self.curate()
        self.edit([("copy", 0, "", "same"), ("touch", 0)])
        before = self.rows()
        if way in _REFUSED:
            kept, table = state(self.context.store) if self.read else None, dict(self.table)
            with self._writer(name, way, edits), pytest.raises(GoldleafError):
                curate(self.context, Inline())
            assert kept is None or state(self.context.store) == kept
            self.table = table
            self.write()
            return
        with self._writer(name, way, edits) as written:
            curate(self.context, Inline())
        assert written or (way == "appends" and not self.logs)
        self.ran()
        if way in ("renames", "appends"):
            self.read = before

    @contextmanager
    def _writer(self, name: str, way: str, edits: list[Edit]) -> Iterator[list[str]]:
        """Let a file be changed after the first block of it was read."""
        written: list[str] = []
        readinto = CheckedFile.readinto

        def after_block(file: CheckedFile, buffer: Any) -> int:
            count = readinto(file, buffer)
            if Path(str(file.name)).name == name and file.passed() == count and (not written or way == "keeps on"):
                written.append(way)
                self._write_meanwhile(way, edits, len(written))
            return count

        with patch.object(CheckedFile, "readinto", after_block):
            yield written

    def _write_meanwhile(self, way: str, edits: list[Edit], times: int) -> None:
        path = self.folder / "table.jsonl"
        if way == "cuts":
            path.write_bytes(path.read_bytes()[:-5])
            return
        if way == "renames":
            # Who reads the file that was there has it still.
            (new := path.with_stem("new")).write_bytes(path.read_bytes())
            new.replace(path)
        self.edit(edits if way == "appends" else [*edits, *[("touch", 0)] * times])

    # --- what leaves, and what fails --------------------------------------------------------------
    def fail(self, how: Mapping[str, Any], edits: list[Edit]) -> None:
        """A curate with which nothing comes in, nothing leaves, and nothing is decided; without edits, the next one has
        nothing to do.
        """
        if not edits:
            self.curate()
        self.edit(edits)
        before, edited = state(self.context.store), self.edited
        kept = {name: getattr(self, name) for name in how}
        self.change(**how)
        with pytest.raises(GoldleafError):
            curate(self.context, Inline())
        assert state(self.context.store) == before
        self.change(**kept)
        self.edited = edited
        if not edits:
            again = self.curate()
            assert (again.added, again.withdrawn, again.decided, again.looked.why) == (0, 0, 0, "")
            assert again.funnel == before["funnel"]

    def leave_and_return(self, what: str) -> None:
        """A source leaves, and is back, once the others were read."""
        self.change(**{what: True})
        self.curate()
        self.remove_log()
        self.change(**{what: False})
        self.curate()
        self.check()
        self.change(**{what: True})
        self.curate()

    def keep_answers(self, move: Mapping[str, Any]) -> None:
        """A change after which every answer counts that did before, by the names that its labels have then."""
        self.curate()
        before = self._answered(Fate.ACCEPTED)
        new = [orjson.dumps(label) for label in set(move.get("choices", ())) - set(self.choices)]
        self.change(**move)
        self.curate()
        # The source's own label could not be read before, and contradicts the answer: annotators are asked once more.
        for one in self.decisions():
            if one.fate is Fate.REVIEW and any(label in orjson.dumps(one.targets) for label in new):
                before.pop(one.record_id, None)
        # Of rows with one text and one answer, any may stand for the others.
        now = self._answered(Fate.ACCEPTED, Fate.DUPLICATE)
        said = self.context.store.snapshot().scan(Table.ANNOTATIONS).select("record_id", "targets").collect()
        for record, targets in before.items():
            # Or a later one, which says a label that is back.
            others = [orjson.loads(one) for name, one in said.iter_rows() if name == record and one]
            assert now.get(record) in (self._named(targets), *others), (move, record)

    def _answered(self, *fates: Fate) -> dict[str, Any]:
        found = [one for one in self.decisions() if one.fate in fates]
        return {one.record_id: one.targets for one in found if one.label_source is LabelSource.HUMAN}

    def jump(self, days: int) -> None:
        """From now on the clock is wrong by so many days."""
        self.skew = timedelta(days=days)


def _written(rows: list[Row], ending: str) -> bytes:
    if ending == "json":
        return orjson.dumps(rows)
    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    if ending == "jsonl.gz":
        return gzip.compress(lines, mtime=0)
    if ending == "jsonl":
        return lines
    frame = pl.DataFrame(rows, infer_schema_length=None)
    if ending == "csv":
        return frame.write_csv().encode()
    frame.write_parquet(file := BytesIO())
    return file.getvalue()


def moving_life(folder: Path, theme: Theme, seed: int, most: int) -> None:
    """Live through what can happen in such a world, in an order that a seed draws; all laws hold throughout."""
    draw, chance = Random(seed), Chance(seed)
    with closing(MovingLife(folder, theme)) as life:
        copies: list[Edit] = [("copy", pick, "", label) for pick, label in enumerate(("same", "delivery", "other"))]
        life.compares = False
        life.edit([*chance.texts(6), *chance.talks(), *copies])
        life.curate()
        for happen in draw.sample(events := _events(life, chance), len(events))[:most]:
            life.say([("answer", pick, draw.choice(CHOICES), USERS[0]) for pick in range(0, 30, 3)])
            life.say(chance.sayings(3))
            life.collect()
            life.check()
            happen()
            life.check()
            life.edit(chance.edits(2))
            if draw.random() < 0.15:
                life.release()
        life.curate()
        life.check()
        must_agree_with_a_full_run(life.context)


def _events(life: MovingLife, chance: Chance) -> list[Callable[[], object]]:
    def renamed() -> None:
        life.change(delivery="")
        life.keep_answers({"delivery": "shipping"})

    def moved(move: Mapping[str, Any]) -> None:
        life.change(**move)
        life.curate()

    return [
        renamed,
        *(partial(life.keep_answers, move) for move in KEEPING),
        *(partial(moved, move) for move in MOVES),
        *(partial(life.fail, how, edits) for how in FAILURES for edits in ([], chance.edits(3))),
        *(partial(life.curate_meanwhile, way, _edits(way, chance)) for way in WAYS),
        *(partial(life.jump, days) for days in (-20_000, -400, 400)),
        *(partial(life.leave_and_return, what) for what in ("logs", "visits")),
    ]


def _edits(way: str, chance: Chance) -> list[Edit]:
    return [("copy", 1, "", "same")] if way == "appends" else chance.texts(4)
