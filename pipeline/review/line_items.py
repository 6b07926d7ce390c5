"""A list of objects as a table in text, which annotators edit: one object a line, its values between bars.

Label Studio has no form in which a list of objects can grow. What bars, line ends and backslashes within a value
would mean is escaped, so that every list comes back as it was.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.field import JsonValue, TargetField, ValueType

YES, NO = "yes", "no"
"""How a boolean is written in a form."""
_BAR = " | "
_ESCAPES = {"\\": "\\\\", "|": "\\|", ";": "\\;", "\n": "\\n"}
_MEANT = {escape[1]: character for character, escape in _ESCAPES.items()}
_TOKEN = re.compile(r"\\(.)|([|;])|([^\\|;]+)|(\\)")

_EXAMPLES = {
    ValueType.DATE: "such as 2026-05-31",
    ValueType.DATETIME: "such as 2026-05-31 14:30",
    ValueType.TIME: "such as 14:30",
    ValueType.INTEGER: "such as 1200",
    ValueType.NUMBER: "such as 1234.5",
    ValueType.DECIMAL: "such as 1234.5",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A value of every object, by its path within it."""

    path: tuple[str, ...]
    field: TargetField

    @property
    def title(self) -> str:
        """Its name above the table."""
        return ".".join(self.path)


def columns(fields: Sequence[TargetField], above: tuple[str, ...] = ()) -> Iterator[Column]:
    """The columns of a list of objects; lists of objects within them are JSON in one column."""
    for field in fields:
        path = (*above, field.name)
        if field.type is ValueType.OBJECT and not field.many:
            yield from columns(field.fields, path)
        else:
            yield Column(path, field)


def heading(field: TargetField) -> str:
    """The names of the columns."""
    return _BAR.join(column.title for column in columns(field.fields))


def column_hints(field: TargetField) -> Iterator[str]:
    """A line for each column that not every text fits into."""
    for column in columns(field.fields):
        kind = column.field.type
        said = f"{YES} or {NO}" if kind is ValueType.BOOLEAN else ", ".join(column.field.choices) or _EXAMPLES.get(kind)
        if kind is ValueType.OBJECT:
            keys = ", ".join(f'"{inner.name}": …' for inner in column.field.fields)
            said = f"a list in JSON, such as [{{{keys}}}]"
        if said:
            yield f"{column.title}: {said}"


def table_text(field: TargetField, objects: Sequence[Mapping[str, Any]]) -> str:
    """Canonical objects as lines of text."""
    return "\n".join(_BAR.join(_cell(column, one) for column in columns(field.fields)).strip() for one in objects)


def read_table(field: TargetField, text: str) -> list[dict[str, Any]]:
    """The objects in lines of text, not validated yet.

    Raises:
        ValueError: a line has too few or too many values, or JSON in it cannot be read; the text says which.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            found.append(_read_line(field, line, number))
    return found


def _read_line(field: TargetField, line: str, number: int) -> dict[str, Any]:
    expected, cells = list(columns(field.fields)), _split(line)
    if len(cells) != len(expected):
        raise ValueError(
            f"line {number} has {len(cells)} values where {len(expected)} are expected ({heading(field)}); put a bar "
            "between them, also where one is missing, and write a bar within a value as \\|"
        )
    values: dict[str, Any] = {}
    for column, parts in zip(expected, cells, strict=True):
        _set(values, column.path, _value(column, parts, number))
    return _without_absent(field.fields, values)


def _cell(column: Column, one: Mapping[str, Any]) -> str:
    value: Any = one
    for name in column.path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if column.field.many and column.field.type is ValueType.OBJECT:
        return _escaped(json.dumps(value, ensure_ascii=False)) if value else ""
    return "; ".join(_escaped(plain(part)) for part in (value if isinstance(value, list) else [value]))


def plain(value: JsonValue) -> str:
    """A single value as annotators write it."""
    if isinstance(value, bool):
        return YES if value else NO
    if value is None:
        return ""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _split(line: str) -> list[list[str]]:
    """The cells of a line, each as the parts between its semicolons, without escapes."""
    cells = [[""]]
    for escaped, sign, text, stray in _TOKEN.findall(line):
        if sign == "|":
            cells.append([""])
        elif sign == ";":
            cells[-1].append("")
        else:
            cells[-1][-1] += _MEANT.get(escaped, f"\\{escaped}") if escaped else text or stray
    return cells


def _value(column: Column, parts: list[str], number: int) -> Any:
    if column.field.many and column.field.type is ValueType.OBJECT:
        text = ";".join(parts).strip()
        try:
            return json.loads(text) if text else []
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {column.title} is not JSON, got {text[:80]!r}") from error
    if column.field.many:
        return [part.strip() for part in parts if part.strip()]
    # In a single value a semicolon is an ordinary character, whether it is escaped or not.
    return ";".join(parts).strip() or None


def _set(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def _without_absent(fields: Sequence[TargetField], values: dict[str, Any]) -> dict[str, Any]:
    """The values that are there, and None where it may stand: of the others pydantic says that they are missing."""
    kept: dict[str, Any] = {}
    for field in fields:
        value = values.get(field.name)
        if field.type is ValueType.OBJECT and not field.many and isinstance(value, dict):
            value = _without_absent(field.fields, value)
            value = None if field.optional and all(part in (None, []) for part in value.values()) else value
        if value is not None or field.optional:
            kept[field.name] = value
    return kept
