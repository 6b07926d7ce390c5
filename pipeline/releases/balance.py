"""Assigns new groups to splits: first by hashes of their content, then so that sizes and label shares are right.

A group goes where its hash says unless that would make a split too large or too small, make a label too rare or too
frequent in one, or leave a split without a label. So different rows beside it, or another home, only move groups near
a border.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from operator import attrgetter

import numpy as np

from schemas.manifest import Absence

_SLACK = 0.05
"""How far, relative to its share, a split's size may be off before groups are moved."""
_ROUNDING = 0.5
"""A deviation of this many rows is unavoidable."""
_NEXT_TO_NOTHING = 1e-6
_STEPS = 30
"""Steps of the search for an assignment with all labels in all splits, per label missing from a split."""
_FEW = 100
"""Added to the number of missing labels: if few are missing, each takes the longest to search for."""
_TRIED_UNITS = 64
"""Units with a label that are tried in a step of the search."""
_BARRED = 8
"""Minimum number of steps before a moved unit may go back."""
ANYTHING = "\0any"
"""A pseudo-label of every group: no split stays empty while there are enough groups."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A group of rows that moves as one."""

    name: str
    draw: float
    """A hash of its content, from 0 to 1: where it goes by default."""
    labels: Mapping[str, int]
    """How many of its rows have each label."""
    size: int
    """The sum of these."""

    def has(self) -> Iterator[str]:
        """Its labels, and the pseudo-label of all units."""
        yield from self.labels
        yield ANYTHING


@dataclass(frozen=True, slots=True)
class Taken:
    """What the splits hold already: the groups that have one."""

    rows: Mapping[tuple[str, str], int]
    """By label and split."""
    units: Mapping[tuple[str, str], int]
    """The groups that have the label, by label and split; under the pseudo-label all of them."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A split that has rows, but none with a label."""

    label: str
    split: str
    groups: int
    """Number of units with the label."""
    reason: Absence


@dataclass(frozen=True, slots=True)
class Spread:
    """The split of each unit."""

    split_of: Mapping[str, str]
    """Of the new units."""
    lacks: list[Lack]
    """In the order of the labels."""


def spread(units: Iterable[Unit], taken: Taken, fractions: Mapping[str, float]) -> Spread:
    """Give every new unit a split.

    Args:
        units: those that have none, in any order.
        taken: what the others hold.
        fractions: shares of all rows by split, which sum to 1.
    """
    new = sorted(units, key=attrgetter("draw", "name"))
    division = _Division(new, taken, fractions)
    most = division.most_unseen
    small, large = [unit for unit in new if unit.size <= most], [unit for unit in new if unit.size > most]
    for unit in sorted(large, key=lambda unit: -unit.size):
        division.put(unit, division.neediest(unit))
    for label, members in division.strata(small):
        division.put_all(members, division.by_draw(label, members))
    division.complete(new)
    division.balance(small)
    return Spread(division.split_of, list(division.lacks()))


class _Division:
    """Which unit is in which split, and what each split still lacks."""

    def __init__(self, units: Sequence[Unit], taken: Taken, fractions: Mapping[str, float]) -> None:
        self.split_of: dict[str, str] = {}
        self._fractions = fractions
        self._rows, by_label = Counter[str](), defaultdict[str, Counter[str]](Counter)
        self._holders = Counter[str]()
        """By label: the units that have it."""
        self._present = Counter[tuple[str, str]](taken.units)
        """The same by label and split."""
        for (label, split), rows in taken.rows.items():
            self._rows[label] += rows
            by_label[label][split] += rows
        for (label, _), count in taken.units.items():
            self._holders[label] += count
        self._fixed = frozenset(self._present)
        """Labels that pinned units bring into a split."""
        self._free = _holding(units)
        """By label: the units that may move."""
        self._holders.update(self._free)
        for unit in units:
            for label, rows in unit.labels.items():
                self._rows[label] += rows
        in_all = sum(by_label.values(), Counter[str]())
        self._lacks = lacking(self._rows.total(), in_all, fractions)
        self._label_lacks = {label: lacking(rows, by_label[label], fractions) for label, rows in self._rows.items()}
        wanting = [split for split, share in fractions.items() if share > 0 and self._lacks[split] > _NEXT_TO_NOTHING]
        self._open = wanting or [split for split, share in fractions.items() if share > 0]
        """The splits that accept new units; one that is already full, say with an evaluation set, does not."""
        self.most_unseen = max(1, min(self._lacks[split] for split in self._open) / 2)
        """The size of a unit that may be placed in a split without looking at the others."""
        self._borders = _borders([fractions[split] for split in self._open])

    # --- placing ------------------------------------------------------------------------------
    def neediest(self, unit: Unit) -> str:
        """The open split that lacks the most rows, and the most of the unit's labels."""
        return max(self._open, key=lambda split: self._need(unit, split))

    def _need(self, unit: Unit, split: str) -> float:
        of_labels = sum(self._label_lacks[label][split] * rows for label, rows in unit.labels.items())
        return self._lacks[split] + of_labels / unit.size

    def strata(self, units: Iterable[Unit]) -> Iterator[tuple[str, list[Unit]]]:
        """Units by the rarest of their labels, the rarest first."""

        def rarity(label: str) -> tuple[int, str]:
            return self._holders[label], label

        found: defaultdict[str, list[Unit]] = defaultdict(list)
        for unit in units:
            found[min(unit.labels, key=rarity)].append(unit)
        for label in sorted(found, key=rarity):
            yield label, found[label]

    def by_draw(self, label: str, members: Sequence[Unit]) -> list[str]:
        """The split of each unit by its hash; borders shift if a label would be further off than by chance."""
        sizes = np.array([unit.labels[label] for unit in members])
        draws = np.array([unit.draw for unit in members])
        wanted = [max(self._label_lacks[label][split], 0.0) for split in self._open]
        scale = int(sizes.sum()) / sum(wanted) if sum(wanted) > _NEXT_TO_NOTHING else 0.0
        ends, end = [], 0.0
        for place, border in enumerate(self._borders[1:-1]):
            end += wanted[place] * scale
            drawn = float(sizes[draws < border].sum())
            chance = math.sqrt(min(self._share(label, split) for split in self._open[place : place + 2]))
            ends.append(min(max(drawn, end - chance), end + chance) if scale else drawn)
        middles = np.cumsum(sizes) - sizes / 2
        places = sum((middles >= end).astype(np.int64) for end in ends) + np.zeros(len(members), dtype=np.int64)
        return [self._open[place] for place in places.tolist()]

    def _share(self, label: str, split: str) -> float:
        return self._rows[label] * self._fractions[split]

    def put(self, unit: Unit, split: str) -> None:
        """Place a unit, or move it."""
        before = self.split_of.get(unit.name)
        self.split_of[unit.name] = split
        for place, sign in ((before, -1), (split, 1)):
            if place is not None:
                self._present.update({(label, place): sign for label in unit.has()})
                self._lacks[place] -= sign * unit.size
                for label, rows in unit.labels.items():
                    self._label_lacks[label][place] -= sign * rows

    def put_all(self, units: Sequence[Unit], splits: Sequence[str]) -> None:
        """Place units that have no split yet, as ``put`` would one by one: sums of fractions depend on the order."""
        of_split: defaultdict[str, list[Unit]] = defaultdict(list)
        for unit, split in zip(units, splits, strict=True):
            self.split_of[unit.name] = split
            of_split[split].append(unit)
        for split, mine in of_split.items():
            self._present.update({(label, split): count for label, count in _holding(mine).items()})
            lacks = self._lacks[split]
            for unit in mine:
                lacks -= unit.size
                for label, rows in unit.labels.items():
                    self._label_lacks[label][split] -= rows
            self._lacks[split] = lacks

    # --- labels -------------------------------------------------------------------------------
    def complete(self, new: Sequence[Unit]) -> None:
        """Bring every label that has enough units into every open split, if new units make it possible.

        First by moves that reduce the number of missing labels, then by a search.
        """
        absent = {label for label in self._holders if self._is_missing_somewhere(label)}
        if not absent:
            return
        holders: defaultdict[str, list[Unit]] = defaultdict(list)
        for unit in new:
            for label in filter(self.is_enough, unit.has()):
                holders[label].append(unit)
        rarest_first = sorted(holders.keys() & absent, key=lambda label: (self._holders[label], label))
        moved = True
        while moved:
            moved = False
            for label in rarest_first:
                for split in self._open:
                    moved |= self._bring(label, split, holders[label])
        _Search(self, {label: found for label, found in holders.items() if self._is_possible(label)}).run()

    def _is_possible(self, label: str) -> bool:
        """Whether a label could be in all open splits if it were the only one."""
        return self._free[label] >= sum((label, split) not in self._fixed for split in self._open)

    def missing(self, labels: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Which of some labels are missing from which open splits."""
        return (pair for pair in product(labels, self._open) if not self._present[pair])

    def _is_missing_somewhere(self, label: str) -> bool:
        return self.is_enough(label) and not all(self._present[label, split] for split in self._open)

    def is_enough(self, label: str) -> bool:
        """Whether a label has as many units as there are splits that need it."""
        return self._holders[label] >= len(self._open)

    def _bring(self, label: str, split: str, holders: Sequence[Unit]) -> bool:
        if self._present[label, split]:
            return False
        gain, _, at = max((self.gain(unit, split), -self.distance(unit, split), -at) for at, unit in enumerate(holders))
        if gain > 0:
            self.put(holders[-at], split)
        return gain > 0

    def gain(self, unit: Unit, split: str) -> int:
        """How many fewer labels are missing from a split if a unit moves there."""
        old = self.split_of[unit.name]
        brought = sum(self.is_enough(label) and not self._present[label, split] for label in unit.has())
        return brought - sum(self._would_lack(label, old) for label in unit.has())

    def _would_lack(self, label: str, split: str) -> bool:
        return self.is_enough(label) and self._present[label, split] == 1

    def distance(self, unit: Unit, split: str) -> float:
        """The distance of a unit's hash from those of a split."""
        place = self._open.index(split)
        return max(self._borders[place] - unit.draw, unit.draw - self._borders[place + 1], 0.0)

    def lacks(self) -> Iterator[Lack]:
        """The labels that splits lack, and why; splits without any unit are skipped."""
        filled = [split for split, share in self._fractions.items() if share > 0 and self._present[ANYTHING, split]]
        for label in sorted(self._rows):
            for split in filled:
                if not self._present[label, split]:
                    yield Lack(label, split, self._holders[label], self._reason(label, split))

    def _reason(self, label: str, split: str) -> Absence:
        if split not in self._open:
            return Absence.FULL
        if self._is_possible(label):
            return Absence.NO_DIVISION
        reachable = [place for place in self._fractions if place in self._open or (label, place) in self._fixed]
        few = self._holders[label] < len(reachable)
        return Absence.TOO_FEW_GROUPS if few else Absence.PINNED

    # --- sizes --------------------------------------------------------------------------------
    def balance(self, units: Sequence[Unit]) -> None:
        """Move units from splits that are too large to those too small, the nearest to a border first."""
        queues: dict[tuple[str, str], list[Unit]] = {}
        while (pair := self._most_uneven()) is not None:
            if pair not in queues:
                found = [unit for unit in units if self.split_of[unit.name] == pair[0]]
                queues[pair] = sorted(found, key=lambda unit: (self.distance(unit, pair[1]), unit.draw, unit.name))
            unit = next((unit for unit in queues[pair] if self._helps(unit, *pair)), None)
            if unit is None:
                return
            queues[pair].remove(unit)
            self.put(unit, pair[1])

    def _most_uneven(self) -> tuple[str, str] | None:
        """The split that exceeds its share most, and the one that lacks most; none if both are near their shares."""
        large = min(self._open, key=lambda split: self._lacks[split])
        small = max(self._open, key=lambda split: self._lacks[split])
        even = -self._lacks[large] <= self._slack(large) and self._lacks[small] <= self._slack(small)
        return None if even else (large, small)

    def _slack(self, split: str) -> float:
        return max(_ROUNDING, _SLACK * self._rows.total() * self._fractions[split]) + _NEXT_TO_NOTHING

    def _helps(self, unit: Unit, large: str, small: str) -> bool:
        """Whether moving a unit brings the sizes nearer to the shares without losing a label."""
        if self.split_of[unit.name] != large or any(self._would_lack(label, large) for label in unit.has()):
            return False
        before = abs(self._lacks[large]) + abs(self._lacks[small])
        return abs(self._lacks[large] + unit.size) + abs(self._lacks[small] - unit.size) < before - _NEXT_TO_NOTHING


def _holding(units: Sequence[Unit]) -> Counter[str]:
    """How many units have each label, and the pseudo-label."""
    found = Counter(chain.from_iterable(unit.labels for unit in units))
    found[ANYTHING] = len(units)
    return found


class _Search:
    """Looks for a better assignment by moves that may lose as many labels as they bring, or more.

    A moved unit does not soon go back, so that the search does not cycle (tabu search). The result is
    the first assignment with the fewest missing labels.
    """

    def __init__(self, division: _Division, holders: Mapping[str, Sequence[Unit]]) -> None:
        self._division = division
        self._holders = {label: units[:: len(units) // _TRIED_UNITS + 1] for label, units in holders.items()}
        """By label that could be in all splits: new units that have it; of many, some over the whole hash range."""
        self._missing = dict.fromkeys(division.missing(sorted(holders)))
        """Labels with the splits that lack them, in the order of their turns."""
        self._barred: dict[tuple[str, str], int] = {}
        """The step until which a unit may not go to a split."""

    def run(self) -> None:
        """Take as many steps as are worthwhile, and go back to the best assignment."""
        won, most = 0, 0
        since: list[tuple[Unit, str]] = []
        for step in range(_STEPS * (_FEW + len(self._missing))):
            if not self._missing:
                break
            unit, split = self._next_move(step)
            if unit is None:
                continue
            won += self._division.gain(unit, split)
            since.append((unit, self._move(unit, split, step)))
            if won > most:
                most, since = won, []
        for unit, split in reversed(since):
            self._division.put(unit, split)

    def _next_move(self, step: int) -> tuple[Unit | None, str]:
        """The cheapest unit that brings the label whose turn it is; none if all have just moved."""
        label, split = pair = next(iter(self._missing))
        self._missing[pair] = self._missing.pop(pair)
        free = [unit for unit in self._holders[label] if self._barred.get((unit.name, split), 0) <= step]

        def worth(unit: Unit) -> tuple[int, float, str]:
            return self._division.gain(unit, split), -self._division.distance(unit, split), unit.name

        return max(free, key=worth, default=None), split

    def _move(self, unit: Unit, split: str, step: int) -> str:
        """Move a unit; returns its previous split."""
        old = self._division.split_of[unit.name]
        self._division.put(unit, split)
        # Not for the same time each: two units could swap places forever.
        self._barred[unit.name, old] = step + _BARRED + step % _BARRED
        labels = [label for label in unit.has() if label in self._holders]
        for label in labels:
            self._missing.pop((label, split), None)
        self._missing |= dict.fromkeys(pair for pair in self._division.missing(labels) if pair[1] == old)
        return old


def _borders(shares: Sequence[float]) -> list[float]:
    """Where the hash range of each split begins, and where the last one ends."""
    return [0.0, *(sum(shares[: place + 1]) / sum(shares) for place in range(len(shares) - 1)), 1.0]


def lacking(rows: int, taken: Mapping[str, int], fractions: Mapping[str, float]) -> dict[str, float]:
    """By split, its share of the rows minus its rows; an excess is distributed over all others."""
    open_splits = {split: share for split, share in fractions.items() if share > 0}
    while True:
        rest = rows - sum(count for split, count in taken.items() if split not in open_splits)
        whole = sum(open_splits.values())
        found = {split: rest * share / whole - taken.get(split, 0) for split, share in open_splits.items()}
        if not (full := [split for split, rows_lacking in found.items() if rows_lacking < -1e-6]):
            return dict.fromkeys(fractions, 0.0) | found
        for split in full:
            del open_splits[split]
