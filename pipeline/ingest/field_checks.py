"""Reports the task's fields that the rows of a source do not have.

A misspelled name would otherwise silently drop a label, and send blank questions to annotators.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.ingest.csv_rows import separated_otherwise
from pipeline.text.field_paths import field_value, has_field
from schemas.dataset import Source
from schemas.field import TargetField, ValueType, admits_none
from schemas.task import Role, Task
from schemas.task_fields import tools_field, whole_conversation

_DEPTH = 3
"""Levels of nested objects whose fields are listed."""
_NAMED_ROWS = 100
_NAMED = 20


@dataclass(frozen=True)
class Seen:
    """What the readable rows of a source have."""

    fields: frozenset[str] = frozenset()
    """The fields of the task, or of ``split.group_by``, that some row has."""
    names: tuple[str, ...] = ()
    """The field paths of the first rows, no more than are shown; empty if all fields were found."""
    unread: tuple[str, ...] = ()
    """Paths within objects that the task's models do not have, no more than are shown."""

    def __or__(self, other: "Seen") -> "Seen":
        unread = _first((*self.unread, *other.unread))
        return Seen(self.fields | other.fields, _first((*self.names, *other.names)), unread)

    @property
    def shown_names(self) -> str:
        """The names as text for the user, without ``separator_hint``."""
        more = ", …" if len(self.names) > _NAMED else ""
        return f"the rows have the fields {', '.join(map(repr, self.names[:_NAMED]))}{more}"

    @property
    def separator_hint(self) -> str:
        """What to do if the rows are those of a table that is separated otherwise; else empty."""
        return separated_otherwise(self.names)


def hinted(problem: str, seen: Seen) -> str:
    """A problem with fields, if there is one, and why it may be there."""
    return "; ".join(filter(None, [problem, seen.separator_hint])) if problem else ""


def see(rows: Sequence[dict[str, Any]], source: Source, task: type[Task]) -> Seen:
    """Look for the task's fields in some rows of a source."""
    paths = {name: source.fields.get(name, name) for name in task.model_fields}
    found = frozenset(name for name, path in paths.items() if any(has_field(row, path) for row in rows))
    unread = _first(_unread_by(task, paths, rows))
    if len(found) == len(paths):
        return Seen(found, unread=unread)
    return Seen(found, names_of(rows), unread)


def _unread_by(task: type[Task], paths: Mapping[str, str], rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    objects = [field for field in task.task_targets() if field.type is ValueType.OBJECT]
    return (name for field in objects for row in rows for name in _unread(field, field_value(row, paths[field.name])))


def _unread(field: TargetField, value: Any) -> Iterator[str]:
    """The paths within an object, or a list of objects, that its model does not have."""
    inner = {one.name: one for one in field.fields}
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict) and not field.takes_other_names:
            for name, below in part.items():
                if name not in inner:
                    yield f"{field.name}.{name}"
                elif inner[name].fields:
                    yield from (f"{field.name}.{path}" for path in _unread(inner[name], below))


def unread(seen: Seen) -> str:
    """What rows have within objects and no model of the task reads; empty if there is nothing."""
    if not seen.unread:
        return ""
    more = ", …" if len(seen.unread) > _NAMED else ""
    names = ", ".join(map(repr, seen.unread[:_NAMED]))
    return f"not read, as the task's models have no such field: {names}{more}; correct the name, or add the field"


def see_groups(rows: Sequence[dict[str, Any]], group_by: Sequence[str]) -> Seen:
    """Look for the fields of ``split.group_by``."""
    found = frozenset(name for name in group_by if any(field_value(row, name) is not None for row in rows))
    return Seen(found) if found.issuperset(group_by) else Seen(found, names_of(rows))


def names_of(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The field names of the first of some rows."""
    return _first(name for row in rows[:_NAMED_ROWS] for name in _names(row))


def _first(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct names; one more than are shown indicates that there are more."""
    return tuple(itertools.islice(dict.fromkeys(names), _NAMED + 1))


def together(parts: Iterable[Mapping[str, Seen]]) -> dict[str, Seen]:
    """Merge what was seen in parts of sources, by source."""
    whole: dict[str, Seen] = {}
    for part in parts:
        for source, seen in part.items():
            whole[source] = whole.get(source, Seen()) | seen
    return whole


def misspelled(source: Source, seen: Seen) -> str:
    """The mapped fields that no row has, and what to do about them; empty if there are none."""
    lacking = [
        f"'{path}', which is mapped to '{name}'" for name, path in source.fields.items() if name not in seen.fields
    ]
    if not lacking:
        return ""
    these = "it" if len(lacking) == 1 else "them"
    return f"no row has {', or '.join(lacking)}; correct `fields:` or leave {these} out; {seen.shown_names}"


def ungrouped(group_by: Sequence[str], seen: Seen) -> str:
    """The fields of ``split.group_by`` that no row has, and what to do; empty if there are none."""
    if not (absent := [name for name in group_by if name not in seen.fields]):
        return ""
    return f"no row has {' or '.join(map(repr, absent))}; correct it, use dots for nested fields; {seen.shown_names}"


def unmapped(source: Source, seen: Seen, task: type[Task]) -> str:
    """The targets and required inputs that are not mapped and that no row has; empty if there are none."""
    wanted = expected(source, task) - seen.fields - set(source.fields)
    if not (absent := [name for name in task.model_fields if name in wanted]):
        return ""
    which = " or ".join(map(repr, absent))
    return f"no row of it has {which}: map it with `fields:` if it has another name; {seen.shown_names}"


def expected(source: Source, task: type[Task]) -> set[str]:
    """The task's fields whose absence from all rows of a source is reported."""
    # A conversation has one of several names, and a row without any is rejected for it.
    chat = {whole_conversation(task), tools_field(task)}
    return {*source.fields, *{*task.task_names(Role.TARGET), *_required(task)} - chat}


def _required(task: type[Task]) -> Iterator[str]:
    for name in task.task_names(Role.INPUT):
        info = task.model_fields[name]
        if info.is_required() and not admits_none(info.annotation):
            yield name


def _names(row: Mapping[str, Any], depth: int = 1) -> Iterator[str]:
    """The paths of a row's fields: for an object those of its own fields, for a list of objects those of the first."""
    for name, value in row.items():
        inner, at = (value[0], f"{name}.0") if isinstance(value, list) and value else (value, name)
        if depth < _DEPTH and isinstance(inner, dict) and inner:
            yield from (f"{at}.{path}" for path in _names(inner, depth + 1))
        else:
            yield name
