"""Answers as pairs of field and value, with the objects of lists matched to those of the gold answer."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np

from schemas.field import JsonValue, comparable

Pairs = Counter[tuple[str, Hashable]]
"""How often a field has a value. The name of a field within an object has dots: ``items.price``. Its value comes with
the places of the objects that it is in, so that a price counts only in the right line item.
"""
_MOST_MATCHED = 200
"""Objects that are matched so that all of them together share most, which takes cubic time.

More are matched one by one, and a value that more of them have tells none of them from the others.
"""


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
                yield path, (places, comparable(part)) if places else comparable(part)


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
    """The given objects, each in the place of its gold one, and those without one at the end."""
    ours, theirs = ([value_pairs(one) for one in side] for side in (given, gold))
    match = _greedily if max(len(given), len(gold)) > _MOST_MATCHED else _best
    place_of = match(ours, theirs)
    placed: list[JsonValue] = [None] * max(len(gold), len(given))
    for row, column in place_of.items():
        placed[column] = _matched_object(given[row], gold[column])
    left = (one for place, one in enumerate(given) if place not in place_of)
    return [one if one is not None else next(left, None) for one in placed]


def _best(ours: Sequence[Pairs], theirs: Sequence[Pairs]) -> dict[int, int]:
    """The gold place of each given object, so that all of them together share most.

    scipy is imported here, since few answers have lists of objects.
    """
    from scipy.optimize import linear_sum_assignment

    shared = np.array([[(a & b).total() for b in theirs] for a in ours])
    rows, columns = linear_sum_assignment(shared, maximize=True)
    return dict(zip(rows.tolist(), columns.tolist(), strict=True))


def _greedily(ours: Sequence[Pairs], theirs: Sequence[Pairs]) -> dict[int, int]:
    """The gold place of each given object: of an equal one, or else of the free one that it shares most with."""
    waiting: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place in reversed(range(len(theirs))):
        waiting[frozenset(theirs[place].items())].append(place)
    same = ((row, waiting[frozenset(one.items())]) for row, one in enumerate(ours))
    found = {row: places.pop() for row, places in same if places}
    free = set(range(len(theirs))) - set(found.values())
    having: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place in sorted(free):
        for pair in theirs[place]:
            having[pair].append(place)
    for row, one in enumerate(ours):
        telling = (having[pair] for pair in one if row not in found and len(having[pair]) <= _MOST_MATCHED)
        shared = Counter(place for places in telling for place in places if place in free)
        if shared:
            found[row], _ = shared.most_common(1)[0]
            free.remove(found[row])
    return found
