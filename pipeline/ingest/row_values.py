"""The values that a raw row has for a task's fields: by name or path, conversations in whichever layout, cleaned."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import orjson

from pipeline.ingest.chat_layouts import Chat, read_chat
from pipeline.ingest.chat_turns import NO_ROLES
from pipeline.ingest.tool_call_texts import NotAChat
from pipeline.text.field_paths import field_value
from pipeline.text.normalize import normalize_row, normalize_text
from schemas.dataset import Layout, Normalize
from schemas.task import Task
from schemas.task_fields import tools_field, turn_fields, whole_conversation
from schemas.task_rows import list_fields


def row_values(
    raw: dict[str, Any],
    task: type[Task],
    names: Iterable[str],
    paths: Mapping[str, str],
    layout: Layout,
    roles: Mapping[str, str] = NO_ROLES,
    list_delimiter: str | None = None,
) -> tuple[dict[str, Any], Chat | None]:
    """Find the values of some fields, and the conversation that was read for them.

    Args:
        raw: the row.
        task: whose fields they are.
        names: of the fields.
        paths: the row's fields by the task's, where they differ.
        layout: of a conversation.
        roles: its speakers by the names of the turns, where they are not the usual ones.
        list_delimiter: what separates the items of a list that is a text; None if such a text is JSON.

    Raises:
        NotAChat: the row has no conversation where the task needs one.
    """
    row = {name: field_value(raw, paths.get(name, name)) for name in names}
    if list_delimiter is not None:
        row |= {name: _items(row[name], list_delimiter) for name in list_fields(task) & row.keys() - turn_fields(task)}
    chat = None
    if (whole := whole_conversation(task)) in row:
        tools = tools_field(task)
        chat = _read(whole, raw, layout, paths.get(whole), paths.get(tools), roles)
        row[whole] = chat.messages
        if tools in row:
            row[tools] = chat.tools or []
    for name in turn_fields(task):
        if name != whole and row.get(name) is not None:
            row[name] = _read(name, {name: row[name]}, layout, name, None, roles).messages
    return row, chat


def _items(value: Any, delimiter: str) -> Any:
    """The items of a text; one that is a JSON list is read as such later."""
    if not isinstance(value, str):
        return value
    with suppress(orjson.JSONDecodeError):
        if value.startswith("[") and isinstance(orjson.loads(value), list):
            return value
    return [item for part in value.split(delimiter) if (item := part.strip())]


def _read(
    field: str, raw: dict[str, Any], layout: Layout, turns: str | None, tools: str | None, roles: Mapping[str, str]
) -> Chat:
    try:
        return read_chat(raw, layout, turns, tools, roles)
    except NotAChat as error:
        error.field = field
        raise


def cleaned(row: Mapping[str, Any], task: type[Task], config: Normalize) -> dict[str, Any]:
    """The same values with their texts cleaned, except calls and definitions of tools, whose bytes matter."""
    turns, tools = turn_fields(task), tools_field(task)
    clean = normalize_row(row, row.keys() - {*turns, tools}, config)
    for name in (name for name in turns if name in row):
        clean[name] = [_cleaned_turn(turn, config) for turn in row[name]] if row[name] is not None else None
    return clean


def _cleaned_turn(turn: Mapping[str, Any], config: Normalize) -> dict[str, Any]:
    texts = ("content", "reasoning_content")
    return {
        part: normalize_text(value, config) if part in texts and isinstance(value, str) else value
        for part, value in turn.items()
    }
