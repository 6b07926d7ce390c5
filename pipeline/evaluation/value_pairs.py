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
_MOST_COMPARED = 40_000
"""The same for pairs of objects of lists within them, which are matched in each pair: they take some 3 µs each."""


def value_pairs(targets: Mapping[str, JsonValue]) -> Pairs:
    """Every value with its field; a list yields one pair per element, an absent value none."""
    return Counter((name, (places, value) if places else value) for name, places, value in _placed(targets, "", ()))


def matched_pairs(answer: Mapping[str, JsonValue], gold: Mapping[str, JsonValue]) -> tuple[Pairs, Pairs]:
    """The pairs of both; each object of a list stands in the place of the gold object that it shares most with."""
    return value_pairs(_matched_object(answer, gold)), value_pairs(gold)


def _placed(
    values: Mapping[str, JsonValue], above: str, places: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...], Hashable]]:
    """Every value with its field, and the places of the objects of lists that it is in."""
    for name, value in values.items():
        path = f"{above}{name}"
        parts = value if isinstance(value, list) else [] if value is None else [value]
        for place, part in enumerate(parts):
            if isinstance(part, dict):
                yield from _placed(part, f"{path}.", (*places, place) if isinstance(value, list) else places)
            elif part is not None:
                yield path, places, comparable(part)


def _values(one: Mapping[str, JsonValue]) -> list[tuple[str, Hashable]]:
    """Every value with its field once, without its places; in order, by which equally good matches are told apart."""
    return list(dict.fromkeys((name, value) for name, _, value in _placed(one, "", ())))


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
    place_of = _equal(given, gold)
    taken = set(place_of.values())
    rows = [row for row in range(len(given)) if row not in place_of]
    columns = [column for column in range(len(gold)) if column not in taken]
    ours, theirs = [given[row] for row in rows], [gold[column] for column in columns]
    compared = sum(map(_line_items, ours)) * sum(map(_line_items, theirs))
    is_much = max(len(rows), len(columns)) > _MOST_MATCHED or compared > _MOST_COMPARED
    found = (_greedily if is_much else _best)(ours, theirs)
    place_of |= {rows[row]: columns[column] for row, column in found.items()}
    placed: list[JsonValue] = [None] * max(len(gold), len(given))
    for row, column in place_of.items():
        placed[column] = _matched_object(given[row], gold[column])
    left = (one for place, one in enumerate(given) if place not in place_of)
    return [one if one is not None else next(left, None) for one in placed]


def _equal(given: Sequence[JsonValue], gold: Sequence[JsonValue]) -> dict[int, int]:
    """The gold place of each given object that is equal to one: no other could share more with it."""
    waiting: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place in reversed(range(len(gold))):
        waiting[comparable(gold[place])].append(place)
    same = ((row, waiting[comparable(one)]) for row, one in enumerate(given))
    return {row: places.pop() for row, places in same if places}


def _line_items(value: JsonValue) -> int:
    """How many objects of lists are in an object."""
    if not isinstance(value, dict):
        return 0
    lists = [part for part in value.values() if isinstance(part, list)]
    found = sum(isinstance(inner, dict) + _line_items(inner) for one in lists for inner in one)
    return found + sum(map(_line_items, value.values()))


def _best(given: Sequence[dict[str, JsonValue]], gold: Sequence[dict[str, JsonValue]]) -> dict[int, int]:
    """The gold place of each given object, so that all of them together share most.

    scipy is imported here, since few answers have lists of objects.
    """
    from scipy.optimize import linear_sum_assignment

    if any(map(_line_items, (*given, *gold))):
        pairs = [[matched_pairs(one, other) for other in gold] for one in given]
    else:
        ours, theirs = ([value_pairs(one) for one in side] for side in (given, gold))
        pairs = [[(one, other) for other in theirs] for one in ours]
    shared = np.array([[(one & other).total() for one, other in row] for row in pairs])
    rows, columns = linear_sum_assignment(shared.reshape(len(given), len(gold)), maximize=True)
    return dict(zip(rows.tolist(), columns.tolist(), strict=True))


def _greedily(given: Sequence[dict[str, JsonValue]], gold: Sequence[dict[str, JsonValue]]) -> dict[int, int]:
    """The gold place of each given object: of the free one that it shares most values with, wherever they stand."""
    ours, theirs = ([_values(one) for one in side] for side in (given, gold))
    found: dict[int, int] = {}
    free = set(range(len(theirs)))
    having: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, one in enumerate(theirs):
        for pair in one:
            having[pair].append(place)
    for row, one in enumerate(ours):
        telling = (having[pair] for pair in one if len(having[pair]) <= _MOST_MATCHED)
        shared = Counter(place for places in telling for place in places if place in free)
        if shared:
            found[row], _ = shared.most_common(1)[0]
            free.remove(found[row])
    return found
