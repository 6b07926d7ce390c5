"""Renders rows as texts if their task leaves that to Goldleaf and has no conversations: no message is built."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.chat_rendering import user_text
from schemas.field import JsonValue
from schemas.task import Role, Task, system_text
from schemas.task_fields import tools_field, turn_fields

_RENDERING = ("task_messages", "task_prompt")


@dataclass(frozen=True)
class PlainChats:
    """Chats of a system message, which is the same in all, a question and an answer."""

    system: str
    asked: list[str]
    answered: list[str]


def plain_chats(
    task: type[Task], rows: Iterable[tuple[Mapping[str, Any], Mapping[str, JsonValue]]]
) -> PlainChats | None:
    """What ``task_messages`` says of the inputs and targets of rows; None if only that can tell."""
    if turn_fields(task) or any(
        getattr(task, name).__func__ is not getattr(Task, name).__func__ for name in _RENDERING
    ):
        return None
    names = [name for name in task.task_names(Role.INPUT) if name != tools_field(task)]
    asked, answered = [], []
    for inputs, targets in rows:
        asked.append(user_text(inputs, names))
        answered.append(task.task_answer(targets))
    return PlainChats(system_text(task), asked, answered)
