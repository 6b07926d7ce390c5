"""Sees raw records through their task: normalised, validated, screened, and ready to be compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipeline.dataset_file import LoadedDataset
from pipeline.dedupe.texts import Texts
from pipeline.ingest import field_value
from pipeline.normalise import input_texts, inputs_key, match_key, normalise_row
from pipeline.screen import screen
from schemas.dataset import Action, Source
from schemas.fate import Reason
from schemas.field import JsonValue

PREPARED = pl.Schema(
    {
        "record_id": pl.String(),
        "revision": pl.String(),
        "order": pl.Int64(),
        # The form in which equal inputs are equal.
        "key": pl.String(),
        "inputs": pl.String(),
        "targets": pl.String(),
        # What it shares with others of its group, one entry a field of split.group_by.
        "partitions": pl.List(pl.String()),
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
    texts: Path
    """The inputs of each row, as texts to compare."""
    rows: int
    readable: int
    """Rows that are objects with fields."""
    grouping: frozenset[str]
    """The fields of ``split.group_by`` that some row has."""


def prepare_shard(shard: Path, out: Path, dataset: LoadedDataset) -> Prepared:
    """Prepare the records of one Parquet shard (``records`` columns plus ``order``) and write them to ``out``."""
    records = pl.read_parquet(shard, columns=["record_id", "revision", "order", "source", "raw", "error"])
    sources = {source.name: source for source in dataset.config.sources}
    rows, grouping, readable = [], set[str](), 0
    for record in records.iter_rows(named=True):
        raw = None if record["error"] else orjson.loads(record["raw"])
        if raw is not None:
            readable += 1
            grouping |= {name for name in dataset.config.split.group_by if field_value(raw, name) is not None}
        rows.append(_prepare(record, raw, sources.get(record["source"]), dataset))
    frame = pl.DataFrame(rows, schema=PREPARED | {"text": pl.String()}, orient="row")
    frame.drop("text").write_parquet(out, compression="zstd", compression_level=1)
    texts = out.with_suffix(".arrow")
    Texts.of(frame["text"]).write(texts)
    return Prepared(out, texts, len(rows), readable, frozenset(grouping))


def _prepare(
    record: dict[str, Any], raw: dict[str, Any] | None, source: Source | None, dataset: LoadedDataset
) -> tuple[Any, ...]:
    place = (record["record_id"], record["revision"], record["order"])
    # A source that was taken out of the file keeps its records until the next curate.
    split = source.split if source else None
    if raw is None:
        return (*place, "", None, None, [], split, f"[{record['error']}]", "[]", "")
    partitions = partitions_of(raw, dataset.config.split.group_by)
    parsed = dataset.task.task_parse(task_fields(raw, source, dataset))
    if parsed.problems:
        return (*place, "", None, None, partitions, split, _json(parsed.problems), "[]", "")
    texts = {name: "\n".join(_texts_in(value)) for name, value in parsed.inputs.items()}
    findings = screen(texts | target_texts(parsed.targets or {}), dataset.config.screen)
    rejects = [finding.reason for finding in findings if finding.action is Action.REJECT]
    holds = [finding.reason for finding in findings if finding.action is Action.REVIEW]
    return (
        *place,
        inputs_key(dataset.task, parsed.inputs),
        orjson.dumps(parsed.inputs).decode(),
        orjson.dumps(parsed.targets).decode() if parsed.targets is not None else None,
        partitions,
        split,
        _json(rejects),
        _json([*parsed.doubts, *holds]),
        "\n".join(input_texts(dataset.task, parsed.inputs)),
    )


def target_texts(targets: Mapping[str, JsonValue]) -> dict[str, str]:
    """The texts of an answer as screening names them."""
    return {f"target {name}": "\n".join(_texts_in(value)) for name, value in targets.items()}


def _texts_in(value: Any) -> Iterator[str]:
    """Every text in a value, inside lists and objects too; an object's keys are texts like others."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts_in(item)


def task_fields(raw: dict[str, Any], source: Source | None, dataset: LoadedDataset) -> dict[str, Any]:
    """The task's fields of a raw row, found by the source's field map and with their texts normalised."""
    names = source.fields if source else {}
    row = {name: field_value(raw, names.get(name, name)) for name in dataset.task.model_fields}
    return normalise_row(row, row.keys(), dataset.config.normalise)


def partitions_of(raw: dict[str, Any], group_by: list[str]) -> list[str]:
    """What the row of some fields shares with others of its group: a field with its value, for every one it has."""
    values = {name: _group_value(field_value(raw, name)) for name in group_by}
    return [orjson.dumps(pair).decode() for pair in values.items() if pair[1]]


def _group_value(value: Any) -> str:
    """The same for 7, 7.0 and "7 ", and for an empty cell and none: one source says it so, another otherwise."""
    if value is None or isinstance(value, str):
        return match_key(value or "")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _json(reasons: list[Reason]) -> str:
    return orjson.dumps([reason.model_dump(mode="json") for reason in reasons]).decode()
