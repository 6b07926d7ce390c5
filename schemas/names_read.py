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
    decorators, known = model.__pydantic_decorators__, getattr(base, "__pydantic_decorators__", None)
    fields, wholes = decorators.field_validators, decorators.model_validators
    seen = {name, "*"}
    return any(
        one.info.mode != "after" and not seen.isdisjoint(one.info.fields)
        for key, one in fields.items()
        if known is None or key not in known.field_validators
    ) or any(one.info.mode != "after" for one in wholes.values())
