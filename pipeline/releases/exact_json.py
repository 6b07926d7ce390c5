"""Writes JSON that ``load_dataset`` reads back as it was.

`datasets` reads columns of JSON with pandas' parser, which rounds some numbers to a neighbor: 0.7 comes back as
0.7000000000000001, but 0.700 as 0.7. So numbers are written in the first way that it reads exactly.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson

_MOST_DIGITS = 19
"""That the parser takes."""


def exact_json(value: Any) -> str:
    """A value as JSON text whose numbers that parser reads as the very same ones.

    Raises:
        orjson.JSONEncodeError: it has an integer of more than 64 bits, or a lone surrogate.
    """
    return orjson.dumps(_spelled(value)).decode()


def _spelled(value: Any) -> Any:
    match value:
        case dict():
            return {key: _spelled(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_spelled(inner) for inner in value]
        case float():
            return orjson.Fragment(_spelling(value))
        case _:
            return value


def _spelling(number: float) -> str:
    """The first of several ways to write a number that the parser reads exactly; there is one for all but the tiniest
    numbers, which tasks do not accept in what becomes JSON.
    """
    return next((text for text in spellings(number) if _reads(text, number)), repr(number))


def _reads(text: str, number: float) -> bool:
    from pandas.io.json import ujson_loads  # slow to import

    try:
        return bool(ujson_loads(text) == number)
    except ValueError:
        return False


def spellings(number: float) -> Iterator[str]:
    """Ways to write a finite number in JSON, the shortest first."""
    shortest = repr(number)
    yield shortest
    sign, digits, exponent = Decimal(shortest).as_tuple()
    paddings = ["0" * zeros for zeros in range(_MOST_DIGITS + 1 - len(digits))]
    if "e" not in shortest:
        yield from (shortest + padding for padding in paddings)
    for padding in paddings:
        padded = "".join(map(str, digits)) + padding
        for point in range(len(padded), 0, -1):
            fraction = f".{padded[point:]}" if padded[point:] else ""
            moved = int(exponent) - len(padding) + len(padded) - point
            yield f"{'-' * sign}{padded[:point]}{fraction}e{moved}"
