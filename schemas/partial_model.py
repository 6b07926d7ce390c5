"""A model of some of another model's fields: a task's inputs without its targets, or the reverse."""

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, PlainValidator, WrapValidator, create_model

from schemas.roles import Role

_VALIDATORS: dict[str, Callable[[Any], Any]] = {
    "after": AfterValidator,
    "before": BeforeValidator,
    "plain": PlainValidator,
    "wrap": WrapValidator,
}


def partial_model(model: type[BaseModel], names: Iterable[str], title: str, parted: str = "") -> type[BaseModel]:
    """Make a model of some fields, with their field validators; validators over several fields are dropped.

    A field validator that looks at an excluded field must expect it to be absent from
    ``info.data``, as pydantic requires of every validator.

    Args:
        model: the whole one.
        names: of the fields.
        title: of the new model.
        parted: a field that holds only a part of its value, of which its own validators and limits expect all.
    """
    definitions: dict[str, Any] = {}
    for name in names:
        info = copy.copy(model.model_fields[name])
        # As annotations they stay bound to the model, so that ``cls`` is what their author expects.
        is_parted = name == parted
        own = [one for one in info.metadata if isinstance(one, Role)] if is_parted else info.metadata
        info.metadata = [*own, *_field_validators(model, name, is_parted=is_parted)]
        definitions[name] = (info.annotation, info)
    return create_model(title, __config__=model.model_config, **definitions)


def _field_validators(model: type[BaseModel], name: str, *, is_parted: bool) -> Iterator[Any]:
    for decorator in model.__pydantic_decorators__.field_validators.values():
        if (name in decorator.info.fields and not is_parted) or "*" in decorator.info.fields:
            yield _VALIDATORS[decorator.info.mode](decorator.func)
