"""Which keys of an object a model reads: those of its fields only, or whichever its author's code takes."""

from pydantic import BaseModel, BeforeValidator, PlainValidator, WrapValidator

_FIRST = BeforeValidator | PlainValidator | WrapValidator
"""These see a value before its type does."""


def takes_other_names(model: type[BaseModel]) -> bool:
    """Whether a model reads or keeps other keys than the names of its fields."""
    aliased = any(info.alias or info.validation_alias for info in model.model_fields.values())
    # A validator of the whole object may read any key.
    return aliased or model.model_config.get("extra") == "allow" or bool(model.__pydantic_decorators__.model_validators)


def is_read_by_code(model: type[BaseModel], name: str, base: type[BaseModel] = BaseModel) -> bool:
    """Whether a validator sees a field before its type does, and so may read any keys; those of ``base`` do not."""
    if any(isinstance(one, _FIRST) for one in model.model_fields[name].metadata):
        return True
    decorators, of_base = model.__pydantic_decorators__, base.__pydantic_decorators__.field_validators
    own = [one.info for key, one in decorators.field_validators.items() if key not in of_base]
    if any(one.mode != "after" and not {name, "*"}.isdisjoint(one.fields) for one in own):
        return True
    return any(one.info.mode != "after" for one in decorators.model_validators.values())
