"""Answers as pairs of field and value, with the objects of lists matched to those of the gold answer."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np

from schemas.field import JsonValue

Pairs = Counter[tuple[str, Hashable]]
"""How often a field has a value. The name of a field within an object has dots: ``items.price``. Its value comes with
the places of the objects that it is in, so that a price counts only in the right line item.
"""
_MOST_MATCHED = 200
"""Objects that are matched; with more, every object is compared with the one in its place."""


def value_pairs(targets: Mapping[str, JsonValue]) -> Pairs:
    """Every value with its field; a list yields one pair per element, an absent value none."""
    return Counter(_pairs(targets, "", ()))


def matched_pairs(answer: Mapping[str, JsonValue], gold: Mapping[str, JsonValue]) -> tuple[Pairs, Pairs]:
    """The pairs of both; each object of a list stands in the place of the gold object that it shares most with."""
    return value_pairs(_matched_object(answer, gold)), value_pairs(gold)


def _pairs(values: Mapping[str, JsonValue], above: str, places: tuple[int, ...]) -> Iterator[tuple[str, Hashable]]:
    for name, value in values.items():
        path = f"{above}{name}"
        parts = value if isinstance(value, list) else [] if value is None else [value]
        for place, part in enumerate(parts):
            if isinstance(part, dict):
                yield from _pairs(part, f"{path}.", (*places, place) if isinstance(value, list) else places)
            elif part is not None:
                yield path, (places, part) if places else _hashable(part)


def _hashable(value: JsonValue) -> Hashable:
    return repr(value) if isinstance(value, list | dict) else value


def _matched_object(given: Mapping[str, JsonValue], gold: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: _matched(value, gold.get(name)) for name, value in given.items()}


def _matched(given: JsonValue, gold: JsonValue) -> JsonValue:
    if isinstance(given, dict) and isinstance(gold, dict):
        return _matched_object(given, gold)
    if not (isinstance(given, list) and isinstance(gold, list)):
        return given
    ours, theirs = ([part for part in side if isinstance(part, dict)] for side in (given, gold))
    if not ours or not theirs or len(ours) != len(given):
        return given
    return _in_places(ours, theirs)


def _in_places(given: Sequence[dict[str, JsonValue]], gold: Sequence[dict[str, JsonValue]]) -> list[JsonValue]:
    """The given objects, each in the place of its gold one, and those without one at the end.

    scipy is imported here, since few answers have lists of objects.
    """
    if max(len(given), len(gold)) > _MOST_MATCHED:
        return list(given)
    from scipy.optimize import linear_sum_assignment

    ours, theirs = ([value_pairs(one) for one in side] for side in (given, gold))
    shared = np.array([[(a & b).total() for b in theirs] for a in ours])
    rows, columns = linear_sum_assignment(shared, maximize=True)
    placed: list[JsonValue] = [None] * max(len(gold), len(given))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        placed[column] = _matched_object(given[row], gold[column])
    left = (one for place, one in enumerate(given) if place not in set(rows.tolist()))
    return [one if one is not None else next(left, None) for one in placed]
