"""Sees raw records through their task: normalised, validated, screened, and ready to be compared."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipeline.dataset_file import LoadedDataset
from pipeline.ingest import field_value
from pipeline.normalise import match_key, normalise_row
from pipeline.screen import screen
from schemas.dataset import Action, Source
from schemas.fate import Reason
from schemas.task import Parsed, Role

PREPARED = pl.Schema(
    {
        "record_id": pl.String(),
        "revision": pl.String(),
        "order": pl.Int64(),
        # All inputs joined, as people read them, and the form in which equal inputs are equal.
        "text": pl.String(),
        "key": pl.String(),
        "inputs": pl.String(),
        "targets": pl.String(),
        "partition": pl.String(),
        "fixed_split": pl.String(),
        # JSON lists of reasons: why it is rejected, why a person must look.
        "rejects": pl.String(),
        "holds": pl.String(),
    }
)


@dataclass(frozen=True)
class Prepared:
    """A shard of prepared rows on disk."""

    path: Path
    rows: int


def prepare_shard(
    shard: Path, out: Path, dataset: LoadedDataset, on_rows: Callable[[int], None] = lambda rows: None
) -> Prepared:
    """Prepare the records of one Parquet shard (``records`` columns plus ``order``) and write them to ``out``."""
    records = pl.read_parquet(shard, columns=["record_id", "revision", "order", "source", "raw", "error"])
    sources = {source.name: source for source in dataset.config.sources}
    rows = []
    for record in records.iter_rows(named=True):
        rows.append(_prepare(record, sources.get(record["source"]), dataset))
        if len(rows) % 1000 == 0:
            on_rows(1000)
    on_rows(len(rows) % 1000)
    pl.DataFrame(rows, schema=PREPARED, orient="row").write_parquet(out, compression="zstd", compression_level=1)
    return Prepared(out, len(rows))


def _prepare(record: dict[str, Any], source: Source | None, dataset: LoadedDataset) -> tuple[Any, ...]:
    place = (record["record_id"], record["revision"], record["order"])
    # A source that was taken out of the file keeps its records, and no longer fixes their split.
    split = source.split if source else None
    if record["error"]:
        return (*place, "", "", None, None, "", split, f"[{record['error']}]", "[]")
    raw = orjson.loads(record["raw"])
    partition = _partition(raw, dataset.config.split.group_by)
    parsed = dataset.task.task_parse(task_fields(raw, source, dataset))
    if parsed.problems:
        return (*place, "", "", None, None, partition, split, _json(parsed.problems), "[]")
    texts = {name: value for name, value in parsed.inputs.items() if isinstance(value, str)}
    texts |= {f"target {name}": value for name, value in (parsed.targets or {}).items() if isinstance(value, str)}
    findings = screen(texts, dataset.config.screen)
    rejects = [finding.reason for finding in findings if finding.action is Action.REJECT]
    holds = [finding.reason for finding in findings if finding.action is Action.REVIEW]
    text = joined_inputs(parsed, dataset)
    return (
        *place,
        text,
        match_key(text),
        orjson.dumps(parsed.inputs).decode(),
        orjson.dumps(parsed.targets).decode() if parsed.targets is not None else None,
        partition,
        split,
        _json(rejects),
        _json([*parsed.doubts, *holds]),
    )


def joined_inputs(parsed: Parsed, dataset: LoadedDataset) -> str:
    """All inputs as one text, in the order of the task's fields."""
    values = (parsed.inputs[name] for name in dataset.task.task_names(Role.INPUT))
    return "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values)


def task_fields(raw: dict[str, Any], source: Source | None, dataset: LoadedDataset) -> dict[str, Any]:
    """The task's fields of a raw row, found by the source's field map and with their texts normalised."""
    names = source.fields if source else {}
    row = {name: field_value(raw, names.get(name, name)) for name in dataset.task.model_fields}
    return normalise_row(row, row.keys(), dataset.config.normalise)


def _partition(raw: dict[str, Any], group_by: list[str]) -> str:
    values = [field_value(raw, name) for name in group_by]
    return orjson.dumps(values).decode() if any(value is not None for value in values) else ""


def _json(reasons: list[Reason]) -> str:
    return orjson.dumps([reason.model_dump(mode="json") for reason in reasons]).decode()
