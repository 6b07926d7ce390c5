"""Nothing is lost silently: whatever is read in whatever order, every row is accounted for."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from ingest_home import Home
from tried_examples import examples

from schemas.dataset import Mode, Source


class Model:
    """What a source's records should be, kept as plain dicts."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.raw = 0
        self.current: dict[int, int] = {}
        self.withdrawn: set[int] = set()
        self.seen: set[tuple[int, int]] = set()

    def read(self, rows: Sequence[tuple[int, int]]) -> None:
        final = dict(rows)
        updates = {row for row in rows if row not in self.seen and final[row[0]] != row[1]}
        updated = {key for key, _ in updates}
        self.raw += len(updates)
        self.raw += sum(self.current.get(key) != value or key in updated for key, value in final.items())
        self.seen.update(rows)
        gone = self.current.keys() - final.keys() if self.mode is Mode.SNAPSHOT else set()
        self.withdrawn = (self.withdrawn | gone) - final.keys()
        self.current = {key: value for key, value in self.current.items() if key not in gone} | final


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=6)


@examples(12)
@given(st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=4))
def test_current_superseded_and_withdrawn_are_all_that_was_ever_ingested(
    reads: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]],
) -> None:
    models = {"a": Model(Mode.APPEND), "s": Model(Mode.SNAPSHOT)}
    sources = [Source(name=name, path=f"{name}.jsonl", key="id", mode=model.mode) for name, model in models.items()]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        for read in reads:
            for (name, model), rows in zip(models.items(), read, strict=True):
                home.write(f"{name}.jsonl", [{"id": key, "x": value} for key, value in rows])
                model.read(rows)
            home.ingest(*sources)
            funnel = home.store.snapshot().funnel()
            assert funnel.current + funnel.superseded + funnel.withdrawn == funnel.raw
            assert funnel.raw == sum(model.raw for model in models.values())
            assert funnel.withdrawn == sum(len(model.withdrawn) for model in models.values())
            found = {(row["source"], row["raw"]) for row in home.current().iter_rows(named=True)}
            assert found == {
                (name, json.dumps({"id": key, "x": value}).encode())
                for name, model in models.items()
                for key, value in model.current.items()
            }
