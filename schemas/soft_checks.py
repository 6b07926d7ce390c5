"""Soft checks: methods of a task that return what is odd about a row, which then goes to annotators."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from schemas.fate import Reason, ReasonCode
from schemas.field import shown
from schemas.parsed import Parsed
from schemas.task_faults import own_fault
from schemas.user_code_errors import own

Check = TypeVar("Check", bound=Callable[..., str | None])


def soft_check(method: Check) -> Check:
    """Mark a method that, if it returns a text, sends the record to review instead of rejecting it."""
    vars(method)["is_soft_check"] = True
    return method


def run_soft_checks(task: BaseModel, parsed: Parsed) -> None:
    """Add the results of the soft checks to what is known of a valid row."""
    for name in _soft_checks(type(task)):
        try:
            said = _said(getattr(task, name)(), name)
        except BaseException as error:
            said = own_fault(type(task), "the check", own(error), inspect.getattr_static(type(task), name))
            parsed.faults.append(Reason(code=ReasonCode.SOFT_CHECK, field=name, detail=said))
        if said:
            parsed.warnings.append(Reason(code=ReasonCode.SOFT_CHECK, field=name, detail=said))


def _said(found: Any, name: str) -> str:
    if found is None or isinstance(found, str):
        return str(found or "")
    raise TypeError(f"{name}() returned {shown(found)}; return a string that says what is odd, or None")


@functools.cache
def _soft_checks(task: type[BaseModel]) -> tuple[str, ...]:
    named = {name: value for base in reversed(task.__mro__) for name, value in vars(base).items()}
    return tuple(name for name, value in named.items() if getattr(value, "is_soft_check", False))
