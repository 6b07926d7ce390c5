"""What a run takes from an earlier one changes nothing: it ends like a run that reads everything."""

import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from ingest_home import Home
from polars.testing import assert_frame_equal
from tried_examples import examples

import pipeline.state.file_stamps
from pipeline.errors import ConfigError, SourceError
from pipeline.ingest.ingest_sources import Ingested
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.state.work_files import read_work
from schemas.dataset import Mode, Source

SOURCES = (
    Source(name="log", path="log-*.jsonl", most_unreadable=1),
    Source(name="updates", path="updates-*.jsonl", key="id", most_unreadable=1),
    Source(name="export", path="export-*.jsonl", key="id", mode=Mode.SNAPSHOT),
    Source(name="texts", path="texts-*.jsonl", mode=Mode.SNAPSHOT),
    Source(name="sheet", path="sheet-*.csv", key="id", mode=Mode.SNAPSHOT, most_unreadable=1),
)
OTHERWISE = {
    "key": Source(name="log", path="log-*.jsonl", key="x"),
    "mode": Source(name="export", path="export-*.jsonl", key="id"),
    "path": Source(name="texts", path="texts-[ab].jsonl", mode=Mode.SNAPSHOT),
}
"""Changes of dataset.yaml."""
FILES = tuple(source.path.replace("*", letter) for source in SOURCES for letter in "abc")
LINES = (
    *(f'{{"id": {key}, "x": {value}}}' for key in range(4) for value in range(2)),
    *('{"x": 0}', '{"x": 1}', '{"x": 2}', "not json", "[1]", "", "  ", '{"id": "", "x": 1}', '{"id":'),
)
CELLS = ("0,a", "1,a", "1,b", "2,a", ",a", ",b", '3,"a\nb"', "1,a,b", '2,"a"b', '"', "")


@dataclass(frozen=True)
class Change:
    """What happens to a file."""

    file: str
    what: str
    rows: tuple[int, ...]
    seed: int


CHANGES = st.builds(
    Change,
    st.sampled_from(FILES),
    st.sampled_from(("write", "write", "grow", "grow", "cut", "mix", "edit", "delete", "rename", "touch", "mark")),
    st.lists(st.integers(0, 99), max_size=5).map(tuple),
    st.integers(0, 99),
)


@dataclass
class Folder:
    """Files that change, each change with a time of its own."""

    place: Path
    changes: int = 0
    _times: dict[str, int] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        path, rng = self.place / change.file, random.Random(change.seed)
        pool = CELLS if path.suffix == ".csv" else LINES
        rows = [pool[number % len(pool)] for number in change.rows]
        before = path.read_bytes() if path.exists() else b""
        head, lines = self._lines(path, before)
        match change.what:
            case "write":
                self.write(path, head, rows)
            case "grow":
                self._put(path, (before or head) + _joined(rows))
            case "cut":
                self._put(path, before[: rng.randint(0, len(before))] or head)
            case "mix":
                self.write(path, head, rng.sample(lines, len(lines)))
            case "edit" if lines:
                lines[rng.randrange(len(lines))] = pool[change.seed % len(pool)]
                self.write(path, head, lines)
            case "delete":
                path.unlink(missing_ok=True)
            case "rename" if path.exists():
                path.rename(path.with_stem(path.stem[:-1] + rng.choice("abc")))
            case "touch" if path.exists():
                self._put(path, before)
            case "mark" if path.exists():
                self._put(path, b"\xef\xbb\xbf" + before)

    def _lines(self, path: Path, data: bytes) -> tuple[bytes, list[str]]:
        # A cut may go through a mark.
        lines = data.decode(errors="surrogateescape").split("\n")[:-1]
        return (b"id,text\n", lines[1:]) if path.suffix == ".csv" else (b"", lines)

    def write(self, path: Path, head: bytes, rows: Sequence[str]) -> None:
        self._put(path, head + _joined(rows))

    def _put(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.changes += 1
        os.utime(path, (1e9 + self.changes, 1e9 + self.changes))


def _joined(rows: Sequence[str]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode(errors="surrogateescape")


Outcome = Ingested | tuple[type[Exception], str]


def outcome(home: Home, sources: Sequence[Source], run: str) -> Outcome:
    try:
        return home.ingest(*sources, run=run)
    except (SourceError, ConfigError) as error:
        return type(error), str(error)


def records(home: Home) -> pl.DataFrame:
    return home.store.scan(Table.RECORDS).drop("ingested_at").sort("batch", "position").collect()


def places(home: Home) -> pl.DataFrame:
    schema = {"record_id": pl.String, "revision": pl.String, "file": pl.String, "line": pl.Int64, "gone": pl.Boolean}
    return read_work(home.store.moved) if home.store.moved.exists() else pl.DataFrame(schema=schema)


def sources_of(changed: str) -> list[Source]:
    if changed in OTHERWISE:
        other = OTHERWISE[changed]
        return [other if source.name == other.name else source for source in SOURCES]
    if changed == "order":
        return list(reversed(SOURCES))
    return [source for source in SOURCES if source.name != changed]


DAYS = st.lists(
    st.tuples(
        st.lists(CHANGES, max_size=4),
        st.sampled_from((*[""] * 20, "order", "log", "export", *OTHERWISE)),
        st.sampled_from((*[""] * 10, "killed", "forgotten")),
    ),
    min_size=2,
    max_size=8,
)


@given(DAYS, st.lists(CHANGES, min_size=5, max_size=15), st.booleans())
@examples(20)
def test_a_run_that_goes_on_from_an_earlier_one_ends_like_one_that_reads_everything(
    tmp_path_factory: pytest.TempPathFactory,
    days: list[tuple[list[Change], str, str]],
    first: list[Change],
    are_settled: bool,
) -> None:
    folder = Folder(tmp_path_factory.mktemp("again"))
    home, beside = Home(folder.place), Home(folder.place)
    beside.store = Store(folder.place / "beside", "toy")
    for file in FILES:
        folder.apply(Change(file, "write", (0, 1, 2, 8), 0))
    with pytest.MonkeyPatch.context() as patch:
        if are_settled:
            patch.setattr(pipeline.state.file_stamps, "_SETTLED_NS", 0)
        for number, (changes, changed, lost) in enumerate([(first, "", ""), *days]):
            for change in changes:
                folder.apply(change)
            sources, run = sources_of(changed), f"20270101T00000{number}.000000Z"
            kept = folder.place / f"kept-{number}"
            if home.store.read.exists():
                shutil.copytree(home.store.read, kept)
            read = home.read
            found = outcome(home, sources, run)
            shutil.rmtree(beside.store.read, ignore_errors=True)
            assert found == outcome(beside, sources, run)
            assert_frame_equal(records(home), records(beside))
            assert_frame_equal(places(home), places(beside))
            if isinstance(found, Ingested):
                event("goes on" if home.read - read < found.lines else "reads all")
            if lost:
                shutil.rmtree(home.store.read, ignore_errors=True)
                if lost == "killed" and kept.exists():
                    shutil.copytree(kept, home.store.read)
