"""Error texts for failures in a task's own code: its validators, serializers and checks."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from schemas.user_code_errors import described, no_json, own

_OURS = {"schemas.task", BaseModel.__module__, "builtins"}
"""Modules whose classes are not the author's."""


class Unwritten(ValueError):
    """A serializer of the task drops or breaks values; the text says which."""


def written(model: BaseModel, names: Iterable[str]) -> dict[str, Any]:
    """The fields of a validated model in JSON form.

    Raises:
        Unwritten: the task's own code does not write all of them; values must not be lost silently.
    """
    try:
        values: Any = model.model_dump(mode="json")
    except BaseException as error:
        # pydantic wraps everything that a serializer raises, even Ctrl-C.
        raise Unwritten(own_fault(type(model), "a serializer", own(error.__cause__ or error))) from error
    written = values if isinstance(values, dict) else {}
    if lost := [name for name in names if name not in written]:
        raise Unwritten(
            f"a serializer, an alias or exclude_if leaves out '{lost[0]}'; write every field under its name"
        )
    for name in names:
        if problem := no_json(written[name]):
            raise Unwritten(f"a validator or serializer turns '{name}' into {problem}")
    return written


def own_fault(task: type[BaseModel], what: str, error: BaseException, author: Any = None) -> str:
    """What failed, with its error and the place in the author's file."""
    theirs = {base.__module__ for base in task.__mro__ if base.__module__ not in _OURS}
    return f"{what} itself failed: {described(error, *theirs, author=author or _author(task, error))}"


def _author(task: type[BaseModel], error: BaseException) -> Any:
    """The function that the error names, as when it was called with the wrong arguments; else the class."""
    said = described(error)
    methods = (value for base in task.__mro__ if base.__module__ not in _OURS for value in vars(base).values())
    return next((method for method in methods if f"{getattr(method, '__qualname__', None)}()" in said), task)
