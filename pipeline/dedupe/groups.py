"""Forms groups of kept rows that move together between splits, and finds the rows that would link two splits."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.dedupe.candidates import Candidate, Kept
from pipeline.dedupe.neighbors import Neighbors


class PublishedTexts:
    """Texts of earlier versions whose rows are left out: what is similar to them still must not go to another split."""

    def __init__(self) -> None:
        self._of_cell: defaultdict[int, set[str]] = defaultdict(set)
        self._of_key: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, cell: int, rows: Iterable[Candidate]) -> None:
        """Remember the splits of rows of a cell that are left out, where a version has their texts."""
        for row in rows:
            if row.told and row.split:
                self._of_cell[cell].add(row.split)
                self._of_key[row.key].add(row.split)

    def splits(self, key: str, similar: Iterable[int]) -> set[str]:
        """The splits of those with this key, which all rows of a cell share, or of these similar cells."""
        if not self._of_key:
            return set()
        found = [self._of_cell[cell] for cell in similar if cell in self._of_cell]
        return set().union(*found, self._of_key.get(key, ()))


class Groups:
    """Sets of kept cells that move together, each pinned to at most one split."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._split: dict[int, str | None] = {}
        self._first_of_key: dict[str, int] = {}
        """The cell that was placed first for each key."""
        self._first_with_key: dict[str, int] = {}

    def root(self, number: int) -> int:
        """The representative cell of the number's group."""
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def split(self, number: int) -> str | None:
        """The split that the number's group is pinned to."""
        return self._split[self.root(number)]

    def place(
        self, number: int, head: Candidate, pinned_splits: list[str], similar: Iterable[int]
    ) -> tuple[str, str] | None:
        """Add a cell to its neighboring groups, unless they, or it, are pinned to two splits: return those.

        ``pinned_splits`` has the cell's own splits, distinct and in order.
        """
        related = [other for other in similar if other in self._parent]
        if head.key in self._first_of_key:
            related.append(self._first_of_key[head.key])
        for value in head.group_keys:
            if value in self._first_with_key:
                related.append(self._first_with_key[value])
        around = {self.root(other) for other in related}
        # Most cells have no neighbors.
        splits = (
            sorted({split for root in around if (split := self._split[root])}.union(pinned_splits))
            if around
            else pinned_splits
        )
        if len(splits) > 1:
            return splits[0], splits[1]
        self._parent[number] = number
        for root in around:
            self._parent[root] = number
        self._split[number] = splits[0] if splits else None
        self._first_of_key.setdefault(head.key, number)
        for value in head.group_keys:
            self._first_with_key.setdefault(value, number)
        return None

    def link(self, one: int, other: int) -> None:
        """Merge two groups, unless they are pinned to two splits."""
        roots = sorted({self.root(one), self.root(other)})
        splits = {split for root in roots if (split := self._split[root])}
        if len(splits) <= 1:
            self._parent |= dict.fromkeys(roots, roots[0])
            self._split[roots[0]] = splits.pop() if splits else None


def place(
    kept: Mapping[int, Kept], neighbors: Neighbors, left_out: PublishedTexts
) -> tuple[Groups, dict[int, tuple[str, str]]]:
    """Place the cells one by one: those pinned by themselves (by a release that has their text, by one that has their
    record, as an evaluation set, by their source), then by their duplicates, then the others.

    Returns:
        The groups, and the two splits of each cell that is a bridge and therefore in no group.
    """

    pinned_splits = {number: one.pinned_splits() for number, one in kept.items()}

    def turn(number: int) -> tuple[bool, bool, bool, bool, bool, bool, int, str]:
        head = kept[number].head
        return (
            *(not head.split, not head.published, not head.told),
            *(not head.frozen, not head.evaluates, not pinned_splits[number]),
            *(head.order, head.record_id),
        )

    groups = Groups()
    bridges: dict[int, tuple[str, str]] = {}
    turns = sorted(kept, key=turn)
    for number in turns:
        head, similar, own = kept[number].head, neighbors.get(number, ()), pinned_splits[number]
        if not head.told and (published := left_out.splits(head.key, similar)):
            own = sorted(published.union(own))
        splits = groups.place(number, head, own, similar)
        if splits is not None:
            bridges[number] = splits
    if not bridges:
        _link_through_duplicates(kept, turns, neighbors, groups)
    return groups, bridges


def connected(
    rows: Sequence[Sequence[Candidate]], neighbors: Neighbors, numbers: Iterable[int], start: Iterable[int]
) -> set[int]:
    """The cells that are linked to others by anything that forms groups: similarity, keys, group keys.

    ``rows`` has those of each cell, any of which may become its head.
    """
    ties: defaultdict[str, list[int]] = defaultdict(list)
    allowed = set(numbers)
    for number in allowed:
        for name in _ties(rows[number]):
            ties[name].append(number)
    found: set[int] = set()
    new = set(start)
    while new:
        found |= new
        linked = {other for number in new for other in neighbors.get(number, ())}
        names = {name for number in new for name in _ties(rows[number])}
        for name in names:
            linked.update(ties.pop(name, ()))
        new = (linked & allowed) - found
    return found


def _ties(rows: Sequence[Candidate]) -> set[str]:
    group_keys = {f"group key {value}" for row in rows for value in row.group_keys}
    return {f"key {rows[0].key}"} | group_keys


def _link_through_duplicates(
    kept: Mapping[int, Kept], turns: Iterable[int], neighbors: Neighbors, groups: Groups
) -> None:
    """Rows that are similar only to each other's duplicates also move together, unless splits forbid it.

    The duplicates are not published, so such a link is not a leak that justifies dropping a row.
    """
    keeper = {cell: number for number, one in kept.items() for cell in (number, *one.joined)}
    for number in turns:
        for cell in kept[number].joined:
            # Whichever comes first may determine the split.
            for other in sorted(neighbors[cell]):
                if other in keeper:
                    groups.link(number, keeper[other])
