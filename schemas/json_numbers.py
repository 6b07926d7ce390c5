"""Numbers that JSON may have and versions cannot hold: parsers round them, or refuse to read them."""

import math
from collections.abc import Iterator
from typing import Any

_LEAST = 1e-290
"""Below it, the parser of JSON columns may miss the last bit or fail."""


def unkept_numbers(value: Any) -> Iterator[int | float]:
    """The numbers within a JSON value that come back as others: whole ones of more than 64 bits, which many parsers
    read as floats, and those that are nearly 0.
    """
    match value:
        case bool():
            return
        case int() | float():
            if not is_kept(value):
                yield value
        case dict():
            yield from unkept_numbers(list(value.values()))
        case list() | tuple():
            for part in value:
                yield from unkept_numbers(part)
        case _:
            return


def is_kept(number: float) -> bool:
    """Whether a number comes back as it is."""
    if isinstance(number, float) and not (math.isfinite(number) and number.is_integer()):
        return math.isfinite(number) and abs(number) >= _LEAST
    return -(2**63) <= number < 2**64
