"""Turns accepted records into the columns of a published version."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from pipeline.errors import ReleaseError
from pipeline.releases.exact_json import exact_json
from schemas.chat_rendering import user_text
from schemas.field import JsonValue, TargetField, UnsupportedType, ValueType, target_field
from schemas.message import Message, Speaker
from schemas.task import Role, Task, system_text
from schemas.task_fields import parts_of, row_of, tools_field, turn_fields

ROWS_AT_ONCE = 50_000
"""Rows of a batch, and of a Parquet row group: fixed, because a file's bytes depend on it."""

_TEXT = pa.string()  # not large_string: datasets would refuse to concatenate it with ordinary data
_MESSAGES = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))
_CALL = pa.struct([("id", _TEXT), ("type", _TEXT), ("function", pa.struct([("name", _TEXT), ("arguments", _TEXT)]))])
_TURNS = pa.list_(
    pa.struct(
        [
            ("role", _TEXT),
            ("content", _TEXT),
            ("reasoning_content", _TEXT),
            ("tool_calls", pa.list_(_CALL)),
            ("tool_call_id", _TEXT),
            ("name", _TEXT),
            ("weight", pa.float64()),
        ]
    )
)
"""The same with all that a message may have, for the task's own fields."""
JSONS = pa.list_(pa.json_(_TEXT))
"""Messages and tools as trainers take them, one JSON text each, which `datasets` gives back as objects. In a struct
every message would have every key, most of them null, and there are chat templates that take such a key for a call.
"""

_RENDERING = ("task_messages", "task_prompt")


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
    """The columns of a published row; the task's own fields are one struct, with the types of the task.

    Conversations, and the tools that they call, are JSON: their parts have no common type.
    """
    turns = turns_type(task)
    return pa.schema(
        [
            ("id", _TEXT),
            ("prompt", turns),
            ("completion", turns),
            *tools_columns(task),
            ("fields", pa.struct([(name, _arrow_type(task, name)) for name in task.model_fields])),
            ("source", _TEXT),
            ("license", _TEXT),
            ("label_source", _TEXT),
            ("group", _TEXT),
            ("tokens", pa.int64()),
        ]
    )


def turns_type(task: type[Task]) -> pa.DataType:
    """The type of a column of messages."""
    return JSONS if turn_fields(task) else _MESSAGES


def tools_columns(task: type[Task]) -> list[tuple[str, pa.DataType]]:
    """The column of the tools that a conversation may call, if the task has any."""
    return [("tools", JSONS)] if tools_field(task) else []


def _arrow_type(task: type[Task], name: str) -> pa.DataType:
    try:
        field = target_field(name, task.model_fields[name].annotation)
    except UnsupportedType:
        # An input may have any type; one without a column type is published as JSON.
        return _TEXT
    return _column_type(field)


def _column_type(field: TargetField) -> pa.DataType:
    return pa.list_(_single_type(field)) if field.many else _single_type(field)


def _single_type(field: TargetField) -> pa.DataType:
    match field.type:
        case ValueType.CHOICE | ValueType.TEXT | ValueType.DATE | ValueType.DATETIME | ValueType.TIME:
            return _TEXT
        case ValueType.DECIMAL:
            # A column of decimals has the same number of digits behind the point in all rows.
            return _TEXT
        case ValueType.INTEGER:
            return pa.int64()
        case ValueType.NUMBER:
            return pa.float64()
        case ValueType.BOOLEAN:
            return pa.bool_()
        case ValueType.OBJECT:
            return pa.struct([(inner.name, _column_type(inner)) for inner in field.fields])
        case ValueType.MESSAGES:
            return _TURNS


@functools.cache
def is_as_json(task: type[Task], name: str) -> bool:
    """Whether a field has no column type, so that it is published as JSON."""
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
        pieces = [_batch(task, schema, ordered[at : at + ROWS_AT_ONCE]) for at in range(0, len(ordered), ROWS_AT_ONCE)]
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, orjson.JSONEncodeError) as error:
        raise ReleaseError(
            f"A value does not fit the columns of {task.__name__}: {error}; fix the row or the field's type."
        ) from error
    return pa.Table.from_batches(pieces, schema)


def _batch(task: type[Task], schema: pa.Schema, rows: Sequence[PublishedRow]) -> pa.RecordBatch:
    """Rows as a batch, column by column: row by row, pyarrow takes several times as long."""
    prompts, completions = _chats(task, rows)
    values = [row_of(task, row.inputs, row.targets) for row in rows]
    columns = {
        "id": pa.array([row.record_id for row in rows], _TEXT),
        "prompt": prompts,
        "completion": completions,
        **{name: _tools(task, values) for name, _ in tools_columns(task)},
        "fields": _fields_column(task, schema.field("fields").type, values),
        "source": pa.array([row.source for row in rows], _TEXT),
        "license": pa.array([row.license for row in rows], _TEXT),
        "label_source": pa.array([row.label_source for row in rows], _TEXT),
        "group": pa.array([row.group for row in rows], _TEXT),
        "tokens": pa.array([row.tokens for row in rows], pa.int64()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _chats(task: type[Task], rows: Sequence[PublishedRow]) -> tuple[pa.ListArray, pa.ListArray]:
    """The columns of prompts and completions."""
    if _is_plain(task):
        names = [name for name in task.task_names(Role.INPUT) if name != tools_field(task)]
        system = system_text(task)
        asked = [text for row in rows for text in (system, user_text(row.inputs, names))]
        prompts = _messages([Speaker.SYSTEM, Speaker.USER] * len(rows), asked, [2] * len(rows))
        answered = [task.task_answer(row.targets) for row in rows]
        return prompts, _messages([Speaker.ASSISTANT] * len(rows), answered, [1] * len(rows))
    chats = [before_and_after(task.task_messages(row.inputs, row.targets)) for row in rows]
    return _turns(task, [prompt for prompt, _ in chats]), _turns(task, [completion for _, completion in chats])


def _is_plain(task: type[Task]) -> bool:
    """Whether a task leaves it to Goldleaf to render rows, and has no conversations: then no message is built."""
    own = any(getattr(task, name).__func__ is not getattr(Task, name).__func__ for name in _RENDERING)
    return not turn_fields(task) and not own


def _turns(task: type[Task], chats: Sequence[Sequence[Message]]) -> pa.ListArray:
    if turns_type(task) == JSONS:
        return _as_json(pa.array([written_turns(task, chat) for chat in chats], pa.list_(_TEXT)))
    # Without turns of its own a task asks and answers in texts: no call, and no key but role and content.
    turns = [turn for chat in chats for turn in chat]
    return _messages([turn.role for turn in turns], [turn.content for turn in turns], list(map(len, chats)))


def _messages(roles: Sequence[Speaker], contents: Sequence[str], turns: Sequence[int]) -> pa.ListArray:
    """Messages by chat, of which each has so many turns."""
    texts = [pa.array(roles, _TEXT), pa.array(contents, _TEXT)]
    messages = pa.StructArray.from_arrays(texts, fields=list(_MESSAGES.value_type))
    ends = np.cumsum([0, *turns], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), messages, type=_MESSAGES)


def _tools(task: type[Task], rows: Sequence[Mapping[str, Any]]) -> pa.ListArray:
    return _as_json(pa.array([written_tools(task, row) for row in rows], pa.list_(_TEXT)))


def _fields_column(task: type[Task], kind: pa.StructType, rows: Sequence[Mapping[str, Any]]) -> pa.StructArray:
    columns = []
    for field in kind:
        values, as_json = [row.get(field.name) for row in rows], is_as_json(task, field.name)
        if as_json or field.type == _TEXT:
            values = [
                value if type(value) is str and not as_json else _fitting(field.type, value, as_json)
                for value in values
            ]
        columns.append(pa.array(values, field.type))
    return pa.StructArray.from_arrays(columns, fields=list(kind))


def as_batch(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as a batch; pyarrow cannot make a column of JSON texts, but turn one of texts into it."""
    plain = pa.schema([(field.name, pa.list_(_TEXT) if field.type == JSONS else field.type) for field in schema])
    batch = pa.RecordBatch.from_pylist(rows, plain)
    columns = [
        _as_json(column) if field.type == JSONS else column for field, column in zip(schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _as_json(texts: pa.ListArray) -> pa.ListArray:
    return pa.ListArray.from_arrays(texts.offsets, pa.ExtensionArray.from_storage(JSONS.value_type, texts.values))


def written_turns(task: type[Task], turns: Iterable[Message]) -> list[Any]:
    """Messages as their column has them."""
    # Without turns of its own a task asks and answers in texts: no call, and no key but role and content.
    written = exact_json if turns_type(task) == JSONS else lambda message: message
    return [written(turn.for_template()) for turn in turns]


def written_tools(task: type[Task], values: Mapping[str, Any]) -> list[str]:
    """The tools of a row as their column has them."""
    return [exact_json(tool) for tool in values.get(tools_field(task)) or []]


def before_and_after(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """A chat up to the assistant's last turn, and that turn, which is what trainers learn from."""
    last = max((place for place, turn in enumerate(messages) if turn.role is Speaker.ASSISTANT), default=len(messages))
    return list(messages[:last]), list(messages[last : last + 1])


def published_inputs(task: type[Task], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a published row as they were before publication, from its ``fields``."""
    return _parts(task, fields)[0]


def published_targets(task: type[Task], fields: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Its targets in canonical form."""
    return task.task_canonical({**fields, **_parts(task, fields)[1]})


def _parts(task: type[Task], fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    turns = turn_fields(task)
    values = {
        name: [Message.model_validate(turn).as_json() for turn in fields[name]]
        if name in turns and fields.get(name) is not None
        else _unpacked(fields[name])
        if is_as_json(task, name) and isinstance(fields.get(name), str)
        else fields.get(name)
        for name in task.model_fields
    }
    return parts_of(task, values)


def _unpacked(text: str) -> Any:
    """What is published as JSON; any other text stands for itself."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _fitting(column: pa.DataType, value: Any, as_json: bool) -> Any:
    """A value as its column has it; of a text that is JSON, too, nobody could tell that it is a text."""
    if isinstance(value, str):
        stands_for_itself = not as_json or _unpacked(value) is value
    else:
        stands_for_itself = value is None or (not as_json and column != _TEXT)
    return value if stands_for_itself else orjson.dumps(value).decode()
