"""Answers as annotators read them, beside each other."""

import functools
import itertools
import json
import operator
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from schemas.conversation import turn_texts
from schemas.field import JsonValue, TargetField, ValueType, comparable
from schemas.field_values import leaves
from schemas.task import Task
from schemas.task_fields import conversation_target, turns_of

NO_LABEL = "none of these"
"""What an empty set of labels is called."""
_NOTHING = "nothing"


def answers_in_words(
    task: type[Task], answers: Sequence[Mapping[str, JsonValue]], *, beside: bool = False
) -> list[str]:
    """Each answer by its values: of several fields, with their names, only those in which the answers differ.

    Where all are shown ``beside`` each other, lists of objects are without those that all answers have. A conversation
    is what the assistant says in the end, or all of its turns if that is the same in two answers.

    Raises:
        Exception: the task's own code fails.
    """
    if conversation_target(task):
        said = [task.task_answer(answer) or _NOTHING for answer in answers]
        return said if len(set(said)) == len(said) else [answer_in_words(task, answer) for answer in answers]
    fields = task.task_targets()
    if len(fields) == 1:
        return _column(fields[0], answers, beside)
    differing = [field for field in fields if len({comparable(answer.get(field.name)) for answer in answers}) > 1]
    shown = differing or fields
    columns = [[f"{field.name}: {text}" for text in _column(field, answers, beside)] for field in shown]
    return ["; ".join(row) for row in zip(*columns, strict=True)]


def answer_in_words(task: type[Task], answer: Mapping[str, JsonValue]) -> str:
    """A whole answer: a conversation turn by turn, any other by its values.

    What an older form of the task asked for is JSON: the task no longer says what the fields are.
    """
    if set(answer) != {field.name for field in task.task_targets()}:
        return json.dumps(answer, ensure_ascii=False)
    if chat := conversation_target(task):
        turns = (turn for turn in turns_of(answer, chat) if isinstance(turn, dict))
        return "\n".join(turn_texts(turns)) or _NOTHING
    return answers_in_words(task, [answer])[0]


def value_as_json(value: str | float | bool) -> str:
    """A single value without quotes, and with *true* and *false* as JSON writes them."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _column(field: TargetField, answers: Sequence[Mapping[str, Any]], beside: bool) -> list[str]:
    return _values_beside(field, answers) if beside else [_values(field, answer) for answer in answers]


def _values_beside(field: TargetField, answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The values of a field in several answers; of lists of objects, without those that all answers have."""
    lists = [answer.get(field.name) or [] for answer in answers]
    if len(answers) < 2 or not field.many or field.type is not ValueType.OBJECT:
        return [_values(field, answer) for answer in answers]
    shared = functools.reduce(operator.and_, (Counter(map(comparable, parts)) for parts in lists))
    if not shared or all(len(parts) == shared.total() for parts in lists):
        return [_values(field, answer) for answer in answers]
    rest = [_without(parts, shared) for parts in lists]
    all_have = f"{shared.total()} that all have"
    return [f"{_values(field, {field.name: own})}, and {all_have}" if own else f"only the {all_have}" for own in rest]


def _without(parts: Sequence[Any], shared: Counter[Hashable]) -> list[Any]:
    left = shared.copy()
    left.subtract(map(comparable, parts))
    # What is there more often than in the other answers is below zero; its last occurrences remain.
    found = []
    for part in reversed(parts):
        if left[comparable(part)] < 0:
            left[comparable(part)] += 1
            found.append(part)
    return found[::-1]


def _values(field: TargetField, answer: Mapping[str, Any]) -> str:
    """The values of a field; those of an object with their names, and each object of a list in parentheses."""
    name = field.name
    found = list(leaves([field], answer))
    if field.type is not ValueType.OBJECT:
        return _listed(field, [value_as_json(leaf.value) for leaf in found])
    objects = [
        ", ".join(f"{leaf.path.removeprefix(f'{name}.')} {value_as_json(leaf.value)}" for leaf in leaves_of_one)
        for _, leaves_of_one in itertools.groupby(found, key=lambda leaf: leaf.objects[:1])
    ]
    return ", ".join(f"({one})" for one in objects) if field.many and objects else "".join(objects) or _NOTHING


def _listed(field: TargetField, texts: Sequence[str]) -> str:
    if not texts:
        return NO_LABEL if field.is_label_set else _NOTHING
    # Two values must not look like one with a comma in it.
    is_clear = not field.many or not any("," in text for text in texts)
    return ", ".join(texts if is_clear else (json.dumps(text, ensure_ascii=False) for text in texts))
