"""How the user's key of a row is written down, so that keys of two types are never one."""

_TYPES = ("bool", "int", "float", "list", "dict", "str")
"""Of all that a row can hold."""
_MARKS = tuple(f"{name}:" for name in _TYPES)


def typed_key(value: object) -> str:
    """The type is part of the key: 1, "1" and "int:1" are three keys. Most texts stay as they are."""
    is_plain = isinstance(value, str) and not value.startswith(_MARKS)
    return str(value) if is_plain else f"{type(value).__name__}:{value}"


def keys_written_so(text: str) -> list[str]:
    """All keys that people would write like this, whatever their type."""
    return [text, *(f"{mark}{text}" for mark in _MARKS)]
