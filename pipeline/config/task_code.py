"""Guards a task's overridden methods: when they raise, or return something unusable, the error is attributed to them.

All verbs call them, on rows, answers and models' texts. A method that exits the program, raises something other
than an ``Exception`` or returns nonsense would otherwise stop a run far from the cause, or let it seem done.
"""

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from pydantic import ValidationError

from pipeline.errors import ConfigError, GoldleafError, TaskCodeError
from pipeline.kinds.registry import KIND_NAMES
from schemas.fate import Reason, ReasonCode
from schemas.field import TargetField, ValueType, shown
from schemas.message import Message
from schemas.parsed import Parsed
from schemas.task import Role, Task, TaskDefinitionError
from schemas.user_code_errors import described, no_json, own, place_of


def guard(task: type[Task]) -> None:
    """Guard every ``task_`` method that the class, or a base of it, overrides; those of ``Task`` stay as they are.

    Raises:
        ConfigError: one of them is not a classmethod.
    """
    for base in task.__mro__:
        if issubclass(base, Task) and base is not Task:
            for name, method in list(vars(base).items()):
                if name in _RETURNS and not hasattr(method, "is_guarded"):
                    setattr(base, name, _guarded(base, name, method))


def _guarded(base: type[Task], name: str, method: Any) -> Any:
    if not isinstance(method, classmethod | staticmethod):
        raise ConfigError(f"{base.__name__}.{name} is not a classmethod; write @classmethod above it")
    inner, is_static = method.__func__, isinstance(method, staticmethod)

    @functools.wraps(inner)
    def call(cls: type[Task], /, *args: Any, **kwargs: Any) -> Any:
        try:
            found = inner(*args, **kwargs) if is_static else inner(cls, *args, **kwargs)
            if not _RETURNS[name].fits(cls, found):
                raise _Nonsense(f"it returned {shown(found)}, which is not a {_RETURNS[name].what}")
            return found
        except BaseException as error:
            return _fail(cls, name, own(error), inner)

    guarded: Any = classmethod(call)
    guarded.is_guarded = True
    return guarded


class _Nonsense(TypeError):
    """A method returned something unusable; the text says what."""


def _fail(cls: type[Task], name: str, error: BaseException, method: Callable[..., Any]) -> Any:
    """What to return for a method that failed: an invalid row or answer; otherwise raise an error of the run."""
    if isinstance(error, _PASSED.get(name, GoldleafError)):
        raise error
    if isinstance(error, _Nonsense):
        said = f"{error} ({place_of(method)})"
    else:
        theirs = {base.__module__ for base in cls.__mro__ if base not in Task.__mro__}
        said = described(error, *theirs, author=method)
    if name in _INSTEAD:
        return _INSTEAD[name](f"{name} itself failed: {said}")
    raise TaskCodeError(f"{cls.__name__}.{name} failed: {said}; fix it") from error


def _invalid(text: str) -> list[Reason]:
    return [Reason(code=ReasonCode.INVALID, detail=text)]


def _no_answer(text: str) -> NoReturn:
    raise ValueError(text)


_PASSED: dict[str, tuple[type[Exception], ...]] = {
    "task_check": (GoldleafError, TaskDefinitionError),
    "task_validate_targets": (GoldleafError, ValidationError, ValueError),
}
"""What a method may raise, apart from the failures of other methods that it calls."""
_INSTEAD: dict[str, Callable[[str], Any]] = {
    "task_parse": lambda text: Parsed(problems=_invalid(text), faults=_invalid(text)),
    "task_problems": _invalid,
    "task_validate_targets": _no_answer,
}
"""The methods that judge a single row or answer: if one fails, that row is invalid, and the others go on."""


# --- what they must return --------------------------------------------------------------------------
class _Return:
    """What a method must return: in words, and as a test of a value."""

    def __init__(self, what: str, fits: Callable[[type[Task], Any], bool]) -> None:
        self.what = what
        self.fits = fits


def _is_text(task: type[Task], value: Any) -> bool:
    return isinstance(value, str) and not no_json(value)


def _is_kind(task: type[Task], value: Any) -> bool:
    return isinstance(value, str) and value in ("", *KIND_NAMES)


def _are_names(task: type[Task], value: Any) -> bool:
    return isinstance(value, list | tuple) and all(name in task.model_fields for name in value)


def _are_targets(task: type[Task], value: Any) -> bool:
    known = isinstance(value, list | tuple) and all(isinstance(field, TargetField) for field in value)
    return known and bool(value) and all(field.name in task.model_fields for field in value)


def _is_chat(task: type[Task], value: Any) -> bool:
    said = value if isinstance(value, list | tuple) else []
    return bool(said) and all(isinstance(one, Message) and _is_text(task, one.content) for one in said)


def _are_reasons(task: type[Task], value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(reason, Reason) for reason in value)


def _is_answer(task: type[Task], value: Any) -> bool:
    if not isinstance(value, dict) or no_json(value):
        return False
    fields = task.task_targets()
    return value.keys() == {field.name for field in fields} and all(_suits(f, value[f.name]) for f in fields)


def _suits(field: TargetField, value: Any) -> bool:
    """Whether a value is in the canonical form of the field's values."""
    if field.many:
        return isinstance(value, list) and all(part is not None and _suits_one(field, part) for part in value)
    return value is None or _suits_one(field, value)


def _suits_one(field: TargetField, value: Any) -> bool:
    match field.type:
        case ValueType.CHOICE:
            return value in field.choices
        case ValueType.TEXT | ValueType.DATE | ValueType.DATETIME | ValueType.TIME | ValueType.DECIMAL:
            return isinstance(value, str)
        case ValueType.BOOLEAN:
            return isinstance(value, bool)
        case ValueType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case ValueType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ValueType.OBJECT:
            named = isinstance(value, dict) and value.keys() == {inner.name for inner in field.fields}
            return named and all(_suits(inner, value[inner.name]) for inner in field.fields)
        case ValueType.MESSAGES:
            return isinstance(value, list) and all(isinstance(turn, dict) and "role" in turn for turn in value)


def _is_parsed(task: type[Task], value: Any) -> bool:
    if not isinstance(value, Parsed):
        return False
    if not all(_are_reasons(task, reasons) for reasons in (value.problems, value.warnings, value.faults)):
        return False
    if value.problems:
        return True
    names = {*task.task_names(Role.INPUT), *task.task_names(Role.CONTEXT)}
    inputs = isinstance(value.inputs, dict) and names == value.inputs.keys() and not no_json(value.inputs)
    return inputs and (value.targets is None or _is_answer(task, value.targets))


_TEXT = _Return("string", _is_text)
_ANSWER = _Return("value for every target", _is_answer)
_REASONS = _Return("list of Reason", _are_reasons)
_RETURNS = {
    "task_names": _Return("list of the class's fields", _are_names),
    "task_targets": _Return("tuple of TargetField", _are_targets),
    "task_kind": _Return(
        f"name of a kind ({', '.join(KIND_NAMES)})",
        _is_kind,
    ),
    "task_instruction": _TEXT,
    "task_answer_form": _TEXT,
    "task_digest": _Return("string", lambda task, value: bool(value) and _is_text(task, value)),
    "task_check": _Return("result", lambda _, value: True),
    "task_parse": _Return("Parsed with a value for every input", _is_parsed),
    "task_canonical": _ANSWER,
    "task_messages": _Return("list of Message", _is_chat),
    "task_prompt": _Return("list of Message", _is_chat),
    "task_answer": _TEXT,
    "task_read_answer": _Return(
        "value for every target or None", lambda task, value: value is None or _is_answer(task, value)
    ),
    "task_validate_targets": _ANSWER,
    "task_problems": _REASONS,
    "task_labeling_config": _Return("string or None", lambda task, value: value is None or _is_text(task, value)),
}
