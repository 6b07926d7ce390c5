"""Turns accepted records into the columns of a published version, and digests their content."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from pipeline.errors import ReleaseError
from schemas.field import JsonValue, UnsupportedType, ValueType, target_field
from schemas.task import Task

ROWS_AT_ONCE = 50_000
"""Rows of a batch, and of a Parquet row group: fixed, because a file's bytes depend on it."""

_TEXT = pa.string()  # not large_string: datasets would refuse to concatenate it with ordinary data
_MESSAGES = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One accepted record, as a release needs it."""

    record_id: str
    inputs: Mapping[str, Any]
    targets: Mapping[str, JsonValue]
    source: str
    license: str
    label_source: str
    group: str
    tokens: int | None


def rows_schema(task: type[Task]) -> pa.Schema:
    """The columns of a published row; the task's own fields are one struct, with the types of the task."""
    return pa.schema(
        [
            ("id", _TEXT),
            ("prompt", _MESSAGES),
            ("completion", _MESSAGES),
            ("fields", pa.struct([(name, _arrow_type(task, name)) for name in task.model_fields])),
            ("source", _TEXT),
            ("license", _TEXT),
            ("label_source", _TEXT),
            ("group", _TEXT),
            ("tokens", pa.int64()),
        ]
    )


def _arrow_type(task: type[Task], name: str) -> pa.DataType:
    try:
        field = target_field(name, task.model_fields[name].annotation)
    except UnsupportedType:
        # An input may have any type; one without a column type is published as its JSON text.
        return _TEXT
    return pa.list_(_TEXT) if field.many else _scalar_type(field.type)


def _scalar_type(value: ValueType) -> pa.DataType:
    match value:
        case ValueType.CHOICE | ValueType.TEXT | ValueType.DATE:
            return _TEXT
        case ValueType.INTEGER:
            return pa.int64()
        case ValueType.NUMBER:
            return pa.float64()
        case ValueType.BOOLEAN:
            return pa.bool_()


def is_as_json(task: type[Task], name: str) -> bool:
    """Whether a field has no column type, so that anything but text is published as its JSON text."""
    try:
        target_field(name, task.model_fields[name].annotation)
    except UnsupportedType:
        return True
    return False


def rows_table(task: type[Task], rows: Iterable[PublishedRow]) -> pa.Table:
    """The rows of one split, sorted by id: equal rows give an equal table, in any order.

    Raises:
        ReleaseError: a value does not fit its column, such as an integer of more than 64 bits.
    """
    schema = rows_schema(task)
    ordered = sorted(rows, key=lambda row: row.record_id)
    try:
        pieces = [
            pa.RecordBatch.from_pylist([_as_dict(task, schema, row) for row in ordered[at : at + ROWS_AT_ONCE]], schema)
            for at in range(0, len(ordered), ROWS_AT_ONCE)
        ]
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ReleaseError(
            f"A value does not fit the columns of {task.__name__}: {error}; fix the row or the field's type."
        ) from error
    return pa.Table.from_batches(pieces, schema)


def _as_dict(task: type[Task], schema: pa.Schema, row: PublishedRow) -> dict[str, Any]:
    *prompt, answer = task.task_messages(row.inputs, row.targets)
    values = {**row.inputs, **row.targets}
    return {
        "id": row.record_id,
        "prompt": [message.as_json() for message in prompt],
        "completion": [answer.as_json()],
        "fields": {field.name: _fitting(field.type, values.get(field.name)) for field in schema.field("fields").type},
        "source": row.source,
        "license": row.license,
        "label_source": row.label_source,
        "group": row.group,
        "tokens": row.tokens,
    }


def _fitting(column: pa.DataType, value: Any) -> Any:
    if column == _TEXT and value is not None and not isinstance(value, str):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return value


def content(pieces: Iterable[pa.RecordBatch]) -> tuple[int, str]:
    """Number of rows, and a sha256 over the sorted sha256 of the rows' canonical JSON.

    It depends only on the rows: not on their order, the chunks, the Parquet writer or its version.
    """
    hashes = [
        hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).digest()
        for batch in pieces
        for row in batch.to_pylist()
    ]
    return len(hashes), hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def version_digest(splits: Mapping[str, tuple[int, str]]) -> str:
    """``sha256:`` and 64 hex digits over each split's name, number of rows and content."""
    lines = [f"{split} {rows} {content}\n" for split, (rows, content) in sorted(splits.items())]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def content_digest(tables: Mapping[str, pa.Table]) -> str:
    """The digest that a version with these rows by split would have, without publishing it."""
    return version_digest({split: content(batches(table)) for split, table in tables.items() if table.num_rows})


def batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """The table's rows in chunks of at most ``ROWS_AT_ONCE``."""
    return iter(table.to_batches(max_chunksize=ROWS_AT_ONCE))
