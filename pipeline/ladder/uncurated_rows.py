"""The rows as their sources have them, to train on beside the curated ones."""

from typing import Any

import orjson
import polars as pl

from pipeline.finetuning.examples import Example
from pipeline.releases.published_rows import before_and_after
from pipeline.state.snapshot import Snapshot
from schemas.fate import Fate, LabelSource
from schemas.field import JsonValue
from schemas.task import Task
from schemas.task_fields import row_of, tools_field


def raw_examples(snapshot: Snapshot, task: type[Task], train: str) -> list[Example]:
    """Every current record that can be read and has an answer, with its source's own answer.

    Duplicates, conflicts, doubted and rejected rows are among them, and rows that repeat a test row; only the rows of
    the other splits themselves are not.

    Args:
        snapshot: the committed state.
        task: of the dataset.
        train: the name of the split that is trained on.
    """
    # A copy of a test row has its split, too, but is no test row: whoever curates nothing trains on it.
    copies = snapshot.latest_decisions().filter(pl.col("fate") == Fate.DUPLICATE.value).select("record_id")
    elsewhere = snapshot.splits().filter(pl.col("split") != train).join(copies, on="record_id", how="anti")
    # What an annotator has corrected was replaced; nobody but its source has answered a gold row.
    answered = snapshot.latest_annotations().select(pl.col("record_id").unique(), answered=True)
    is_own = (pl.col("label_source") == LabelSource.SOURCE.value) | pl.col("answered").is_null()
    rows = (
        snapshot.committed_decisions()
        .join(answered, on="record_id", how="left", maintain_order="left")
        .with_columns(targets=pl.when(is_own).then("targets").otherwise("replaced"))
        .filter(pl.col("targets").is_not_null())
        .unique("record_id", keep="last", maintain_order=True)
        .join(snapshot.current_records().select("record_id"), on="record_id", how="semi")
        .join(elsewhere, on="record_id", how="anti")
        .select("record_id", "inputs", "targets")
        .sort("record_id")
        .collect()
    )
    return [
        _example(task, record_id, orjson.loads(inputs), orjson.loads(targets))
        for record_id, inputs, targets in rows.iter_rows()
    ]


def _example(task: type[Task], record_id: str, inputs: dict[str, Any], targets: dict[str, JsonValue]) -> Example:
    prompt, completion = before_and_after(task.task_messages(inputs, targets))
    tools = inputs.get(tools_field(task))
    return Example(
        id=record_id,
        prompt=tuple(prompt),
        completion=tuple(completion),
        fields=row_of(task, inputs, targets),
        tools=tuple(tools) if isinstance(tools, list) and tools else None,
    )
