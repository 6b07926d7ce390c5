"""Rows of a store's tables, as several test modules write them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.state.decisions import to_frame
from pipeline.state.store import Run, Snapshot, Store
from pipeline.state.tables import SCHEMAS, Table
from schemas.decision import Decision
from schemas.fate import Fate, Reason, ReasonCode
from schemas.run_summary import CollectSummary, CurateSummary, FinetuneSummary, ReleaseSummary, RunSummary, Verb

NOW = datetime(2026, 1, 2, tzinfo=UTC)
B0, B1, B2, B3, B4 = (f"20260101T00000{number}.000000Z" for number in range(5))
"""Batches, in the order of time."""


def records(batch: str, ids: Iterable[str], revision: str = "v1", withdrawn: bool = False) -> pl.DataFrame:
    rows = [
        (record_id, revision, "s", record_id, "f", 1, b"{}", "", withdrawn, batch, position, NOW)
        for position, record_id in enumerate(ids)
    ]
    return pl.DataFrame(rows, schema=SCHEMAS[Table.RECORDS], orient="row")


def decision(run: str, record_id: str, fate: Fate = Fate.ACCEPTED, revision: str = "v1", **more: Any) -> Decision:
    reasons = [Reason(code=ReasonCode.PASSED)]
    return Decision(
        run=run, record_id=record_id, revision=revision, task_digest="t", fate=fate, reasons=reasons, **more
    )


SUMMARIES: dict[Verb, RunSummary] = {
    Verb.CURATE: CurateSummary(file="dataset.yaml", curation="c"),
    Verb.COLLECT: CollectSummary(),
    Verb.RELEASE: ReleaseSummary(version="1.0.0"),
    Verb.FINETUNE: FinetuneSummary(version="1.0.0", path="models/a", tuned=0.5),
}


def commit(store: Store, run: Run, **inputs: int) -> None:
    store.commit(run, inputs=inputs, funnel=None, summary=SUMMARIES[run.verb])


def committed(folder: Path, decisions: Sequence[Decision]) -> Snapshot:
    """A dataset with these decisions, whose run they get."""
    store = Store(folder, "toy")
    run = store.new_run(Verb.CURATE, "c", "0")
    store.append(Table.RECORDS, records(run.id, [decision.record_id for decision in decisions]))
    store.append(Table.DECISIONS, to_frame(one.model_copy(update={"run": run.id}) for one in decisions))
    commit(store, run, records=store.version(Table.RECORDS))
    return store.snapshot().at_last_commit()


def pushed(at: int, record_id: str, key: str, task_id: int) -> pl.DataFrame:
    values = (key, record_id, "v1", "t", "conflict", "server", 7, task_id, B1, NOW + timedelta(hours=at), None, None)
    return pl.DataFrame([values], schema=SCHEMAS[Table.PUSHES], orient="row")
