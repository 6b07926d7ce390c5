"""What several test modules share: toy datasets, settings without servers, and the state of a store as values."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from flows.context import Context
from flows.settings import Settings
from pipeline.state.decisions import from_frame
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.steps import Advance
from schemas.decision import Decision

SAMPLES = Path(__file__).parent.parent / "data" / "samples"


class Steps:
    """Progress that notes its steps, with their units where they have some."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    @contextmanager
    def step(self, label: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        done: list[int] = []
        try:
            yield lambda units, note="": done.append(units)
        finally:
            self.steps.append(f"{label} {sum(done)} {unit}" if unit else label)

    def say(self, text: str) -> None:
        """Nothing is said."""


def offline(home: Path) -> Settings:
    """Settings that name no server."""
    return Settings(goldleaf_home=str(home), label_studio_url="", prefect_api_url="")


def current(context: Context) -> dict[str, Decision]:
    """The decision that counts for every current record."""
    snapshot = context.store.snapshot().at_last_commit()
    return {decision.record_id: decision for decision in from_frame(snapshot.current_decisions().collect())}


def state(store: Store) -> dict[str, Any]:
    """Everything that a store says, without times and run ids: equal after equal histories."""
    snapshot = store.snapshot().at_last_commit()
    decisions = snapshot.current_decisions().drop("run").sort("record_id").collect()
    records = snapshot.latest_records().drop("batch", "ingested_at", "position").sort("record_id").collect()
    pushes = snapshot.scan(Table.PUSHES).select("push_key", "record_id", "routed").unique().sort("push_key").collect()
    answers = snapshot.latest_annotations().select("record_id", "verdict", "targets", "deleted")
    splits = snapshot.splits().drop("run").sort("record_id").collect()
    versions = snapshot.runs.filter(pl.col("verb") == "release")["summary"].unique().sort().to_list()
    return {
        "funnel": snapshot.funnel(),
        "decisions": decisions.to_dicts(),
        "records": records.to_dicts(),
        "pushes": pushes.to_dicts(),
        "answers": answers.collect().sort(pl.all()).to_dicts(),
        "splits": splits.to_dicts(),
        "versions": versions,
    }


def row(key: int, question: str, topic: str | None) -> dict[str, object]:
    return {"id": key, "question": question, "topic": topic}


def write_rows(folder: Path, rows: list[dict[str, object]], file: str = "data.jsonl") -> None:
    (folder / file).write_text("".join(json.dumps(item) + "\n" for item in rows), encoding="utf-8")


def write_dataset(folder: Path, rows: list[dict[str, object]], more: str = "") -> None:
    """A small classification dataset whose rows have ids."""
    (folder / "task.py").write_text(
        "from typing import Literal\n"
        "from schemas.task import Input, Target, Task\n\n"
        "class Question(Task):\n"
        '    """Name the topic of this question."""\n\n'
        "    question: Input[str]\n"
        '    topic: Target[Literal["billing", "delivery", "returns"]]\n',
        encoding="utf-8",
    )
    (folder / "dataset.yaml").write_text(
        "name: questions\ntask: task.py:Question\n"
        "sources:\n  - {name: examples, path: data.jsonl, key: id, license: MIT}\n" + more,
        encoding="utf-8",
    )
    write_rows(folder, rows)
