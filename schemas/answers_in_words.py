"""Answers as annotators read them, beside each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.field import JsonValue, comparable
from schemas.field_values import leaves
from schemas.task import Task
from schemas.task_fields import conversation_target

NO_LABEL = "none of these"
"""What an empty set of labels is called."""
_NOTHING = "nothing"


def answers_in_words(task: type[Task], answers: Sequence[Mapping[str, JsonValue]]) -> list[str]:
    """Each answer by its values: of several fields, with their names, only those in which the answers differ.

    A conversation is what the assistant says in the end.

    Raises:
        Exception: the task's own code fails.
    """
    if conversation_target(task):
        return [task.task_answer(answer) or _NOTHING for answer in answers]
    names = [field.name for field in task.task_targets()]
    if len(names) == 1:
        return [_values(task, answer, names[0]) for answer in answers]
    differing = [name for name in names if len({comparable(answer.get(name)) for answer in answers}) > 1]
    shown = differing or names
    return ["; ".join(f"{name}: {_values(task, answer, name)}" for name in shown) for answer in answers]


def _values(task: type[Task], answer: Mapping[str, Any], name: str) -> str:
    fields = [field for field in task.task_targets() if field.name == name]
    found = list(leaves(fields, answer))
    nested = any(leaf.path != name for leaf in found)
    texts = (f"{leaf.path.removeprefix(f'{name}.')} {leaf.value}" if nested else str(leaf.value) for leaf in found)
    return ", ".join(texts) or (NO_LABEL if fields[0].is_label_set else _NOTHING)
