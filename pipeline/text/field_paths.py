"""Finds the fields of a raw row by name or path, and the values that group rows."""

import json
import re
from contextlib import suppress
from typing import Any

import orjson

from pipeline.text.normalize import match_key

_INDEX = re.compile(r"-?[0-9]{1,9}")
_ABSENT = object()


def field_value(row: dict[str, Any], path: str) -> Any:
    """A field by its name or by a dotted path into nested objects and lists; None if it is absent.

    A number indexes a list: from 0, or from the end if negative. A path goes on into a text that is JSON, as a CSV has.
    """
    found = _find(row, path)
    return None if found is _ABSENT else found


def has_field(row: dict[str, Any], path: str) -> bool:
    """Whether a row has a field, even an empty one; a path into an empty object or list is not called misspelled."""
    return _find(row, path) is not _ABSENT


def _find(row: dict[str, Any], path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for depth, part in enumerate(path.split(".")):
        if depth and value in (None, [], {}):
            return None
        value = _step(value, part)
        if value is _ABSENT:
            return _ABSENT
    return value


def _step(value: Any, part: str) -> Any:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    if isinstance(value, dict):
        return value.get(part, _ABSENT)
    if isinstance(value, list) and _INDEX.fullmatch(part):
        index = int(part)
        return value[index] if -len(value) <= index < len(value) else _ABSENT
    return _ABSENT


def group_keys(raw: dict[str, Any], group_by: list[str]) -> list[str]:
    """What a row shares with the others of its group: each of the given fields that it has, with its value."""
    values = {name: _group_value(field_value(raw, name)) for name in group_by}
    return [_any_json(pair) for pair in values.items() if pair[1]]


def _group_value(value: Any) -> str:
    """The same for 7, 7.0 and "7 ", and for an empty cell and none, since sources differ in how they write these."""
    if value is None or isinstance(value, str):
        return match_key(value or "")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _any_json(value)


def _any_json(value: Any) -> str:
    """JSON of a value that no task has validated: it may be a huge number or hold half a surrogate pair."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return json.dumps(value, sort_keys=True)
