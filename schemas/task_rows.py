"""Raw rows as a task's model takes them, and what becomes of rows that it refuses."""

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from schemas.fate import Reason, ReasonCode
from schemas.field import admits_none, is_absent, without_metadata, without_none
from schemas.message import Speaker
from schemas.parsed import Parsed
from schemas.roles import Role
from schemas.row_problems import problems_of
from schemas.task_faults import Unwritten, own_fault
from schemas.task_fields import conversation_target, names_of, tools_field, whole_conversation

Model = TypeVar("Model", bound=BaseModel)
_LISTS = (list, set, frozenset, tuple)
_STRUCTURED = (*_LISTS, dict, BaseModel)


def given_values(model: type[BaseModel], names: Iterable[str], row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values for some fields; an absent one is left to the field's default, or None if allowed."""
    none, structured = _none_where_absent(model), _structured(model)
    given: dict[str, Any] = {}
    for name in names:
        if not is_absent(value := row.get(name)):
            given[name] = _from_json(value) if name in structured and isinstance(value, str) else value
        elif name in none:
            given[name] = None
    return given


@functools.cache
def _none_where_absent(model: type[BaseModel]) -> frozenset[str]:
    """The required fields that may be None."""
    return frozenset(n for n, i in model.model_fields.items() if i.is_required() and admits_none(i.annotation))


@functools.cache
def _structured(model: type[BaseModel]) -> frozenset[str]:
    """The fields whose values are lists or objects, so that a text can only be their JSON."""
    return frozenset(name for name, info in model.model_fields.items() if _is_structured(info.annotation))


@functools.cache
def list_fields(model: type[BaseModel]) -> frozenset[str]:
    """The fields whose values are lists or sets."""
    return frozenset(name for name, info in model.model_fields.items() if _is_structured(info.annotation, _LISTS))


def _is_structured(annotation: Any, kinds: tuple[type, ...] = _STRUCTURED) -> bool:
    bare, _ = without_none(without_metadata(annotation))
    kind = get_origin(bare) or bare
    return isinstance(kind, type) and issubclass(kind, kinds)


def _from_json(text: str) -> Any:
    """The list or object in a text, as CSV and published versions hold it; any other text stays as it is."""
    if text[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def instance(model: type[Model], row: Mapping[str, Any]) -> Model:
    """A validated row.

    Raises:
        TypeError: a validator of the model did not return it.
    """
    found = model.model_validate(row)
    if not isinstance(found, model):
        # An after-validator returns what replaces the model; a forgotten return gives None.
        raise TypeError(f"it gave {found!r} instead of the row; end it with `return self`")
    return found


def invalid(model: type[BaseModel], error: BaseException) -> Parsed:
    """An invalid row. The validators are the user's code: one odd row must not stop a run over all others."""
    if isinstance(error, ValidationError):
        return Parsed(problems=problems_of(model, error))
    said = str(error) if isinstance(error, Unwritten) else own_fault(model, "a validator", error)
    fault = Reason(code=ReasonCode.INVALID, detail=said)
    return Parsed(problems=[fault], faults=[fault])


def unasked(model: type[BaseModel], inputs: Mapping[str, Any], *, answered: bool) -> Parsed | None:
    """A row that asks nothing; None if it asks something.

    All of its inputs are absent or empty, or its conversation has no turn to answer, whatever tools it may call.
    """
    whole = whole_conversation(model)
    judged = {whole, tools_field(model)} if whole else set()
    others = [inputs[name] for name in names_of(model, Role.INPUT) if name not in judged]
    if not all(is_absent(value) or value in ([], {}) for value in others):
        return None
    detail = "all input is missing or empty"
    if whole:
        turns = inputs[whole] or []
        if turns and (answered or any(turn["role"] == Speaker.USER for turn in turns)):
            return None
        detail = "no turn comes before the assistant's" if answered else "no turn is the user's, so nothing is asked"
    return Parsed(problems=[Reason(code=ReasonCode.NO_INPUT, field=whole, detail=detail)])


def unanswered(model: type[BaseModel], targets: Mapping[str, Any] | None) -> Parsed | None:
    """A row whose answer has no turn of the assistant's; None if it has one, or if nothing is answered."""
    chat = conversation_target(model)
    if not chat or targets is None or any(turn["role"] == Speaker.ASSISTANT for turn in targets[chat]):
        return None
    detail = "no turn is the assistant's, so nothing is answered; give it one, or no turn at all"
    return Parsed(problems=[Reason(code=ReasonCode.INVALID, field=chat, detail=detail)])
