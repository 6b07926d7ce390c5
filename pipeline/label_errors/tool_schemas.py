"""Turns the parameters of a function, as datasets write them, into a plain JSON schema."""

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, str | None] = {
    **{name: name for name in ("object", "array", "string", "integer", "number", "boolean", "null")},
    **dict.fromkeys(("dict", "dictionary", "map", "json"), "object"),
    **dict.fromkeys(("list", "tuple", "set", "sequence"), "array"),
    **dict.fromkeys(("str", "text", "char", "date", "datetime", "time", "enum", "file", "bytes"), "string"),
    **dict.fromkeys(("int", "long"), "integer"),
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    "bool": "boolean",
    "none": "null",
    # No constraint.
    **dict.fromkeys(("any", "union", "optional", "literal", "callable", "mixed", "unknown", "type"), None),
}
"""Names of types in the wild, of Python and other languages, and JSON schema's."""
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions")
_SINGLE = ("items", "not", "additionalProperties")
# `pattern` is left out: Python's regular expressions can take forever. `uniqueItems` takes the square of the items.
_PLAIN = (
    *("$ref", "enum", "const", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "exclusiveMinimum", "exclusiveMaximum"),
)
_OF_A_SCHEMA = frozenset({"type", "$ref", "properties", "required", "additionalProperties", *_LISTS, *_MAPS})


class BrokenSchema(ValueError):
    """A definition that no arguments can be checked by."""


def plain_schema(parameters: Any) -> dict[str, Any]:
    """A JSON schema of what is meant.

    Names of types are translated, what has no effect on the check is left out, and parameters without a frame are the
    properties of an object. Arguments that the object does not name are wrong, unless it says that others may be given.
    """
    if not isinstance(parameters, Mapping):
        raise BrokenSchema(f"its parameters are no object: {parameters!r:.60}")
    if parameters and not _OF_A_SCHEMA & parameters.keys() and all(isinstance(v, dict) for v in parameters.values()):
        parameters = {"type": "object", "properties": parameters}
    schema = _plain(parameters)
    named = schema.get("properties", {})
    closes = named and not {"additionalProperties", "$ref", *_LISTS} & schema.keys()
    # A definition that requires what it does not name has forgotten some.
    closes = closes and all(name in named for name in schema.get("required", []))
    return schema | {"additionalProperties": False} if closes else schema


def _inner(schema: Any) -> Any:
    """A schema inside of another, where true and false are schemas, too."""
    return schema if isinstance(schema, bool) else _plain(schema)


def _plain(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise BrokenSchema(f"{schema!r:.60} is no schema")
    found: dict[str, Any] = {}
    for key, value in schema.items():
        # Tables fill in absent keys with null.
        if value is None and key != "const":
            continue
        if key in _MAPS:
            found[key] = _each(value, key)
        elif key in _LISTS or (key == "items" and isinstance(value, list)):
            found["prefixItems" if key == "items" else key] = [_inner(inner) for inner in _list(value, key)]
        elif key in _SINGLE:
            found[key] = _inner({"type": value} if isinstance(value, str) else value)
        elif key in _PLAIN and not isinstance(value, bool):
            found[key] = value
    types = _types(schema.get("type"), nullable=schema.get("nullable") is True)
    required = _required(schema)
    return found | ({"type": types} if types else {}) | ({"required": required} if required else {})


def _each(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BrokenSchema(f"`{key}` is no object: {value!r:.60}")
    return {name: _inner(inner) for name, inner in value.items() if inner is not None}


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise BrokenSchema(f"`{key}` is no list: {value!r:.60}")
    return value


def _types(given: Any, nullable: bool) -> list[str]:
    """The types of JSON that are meant; none if any may be."""
    if given is None:
        return []
    names = given if isinstance(given, list) else [given]
    types = []
    for name in names:
        # As in "List[int]" and "str, optional".
        known = name.partition(",")[0].partition("[")[0].strip().lower() if isinstance(name, str) else ""
        if known not in _TYPES:
            raise BrokenSchema(f"{name!r:.60} is no type")
        if (type_ := _TYPES[known]) is None:
            return []
        types.append(type_)
    return list(dict.fromkeys([*types, "null"] if nullable else types))


def _required(schema: Mapping[str, Any]) -> list[str]:
    """The names that are required, also where a property says so itself."""
    given = schema.get("required")
    properties = schema.get("properties")
    if isinstance(given, list):
        return list(dict.fromkeys(given)) if all(isinstance(name, str) for name in given) else given
    inner = properties.items() if isinstance(properties, Mapping) else ()
    return [name for name, one in inner if isinstance(one, Mapping) and one.get("required") is True]
