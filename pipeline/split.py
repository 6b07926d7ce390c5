"""Divides the rows of a release into splits: a group is never divided, and no row ever moves."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import ReleaseError
from schemas.record import stable_hash


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row as far as splits are concerned."""

    record_id: str
    group: str
    """Rows of one group go to one split; an empty text is a group of its own."""
    label: str = ""
    """What the splits should hold in equal shares, such as the class; empty: nothing."""
    split: str | None = None
    """Where the row lies already (an earlier release, or its source says so); None for a new row."""
    published: bool = True
    """False for a row that this release leaves out (a duplicate of a better row, a row in review): its
    earlier split still binds its group where no published row does, and it is not counted."""

    @property
    def unit(self) -> str:
        """What moves as one: the group, or the row alone."""
        return self.group or self.record_id


@dataclass(slots=True)
class _Room:
    """How many rows each split still lacks, in all and by label; negative where it has too many."""

    total: dict[str, float]
    by_label: dict[str, dict[str, float]]

    def take(self, split: str, labels: Mapping[str, int]) -> None:
        """Count a unit's rows into a split."""
        self.total[split] -= sum(labels.values())
        for label, count in labels.items():
            self.by_label[label][split] -= count

    def need(self, split: str, labels: Mapping[str, int]) -> float:
        """How much a split lacks rows, and among them rows of these labels."""
        of_labels = sum(self.by_label[label][split] * count for label, count in labels.items())
        return self.total[split] + of_labels / sum(labels.values())


def assign_splits(rows: Iterable[SplitRow], fractions: Mapping[str, float], salt: str = "") -> dict[str, str]:
    """Give every published row its split.

    A row that has a split stays there and pulls its group after it. The groups that are left go, the
    largest first, to the split that lacks most rows and most of the group's labels; while there are
    groups, no split with a fraction above 0 stays empty. The result does not depend on the rows' order.

    Args:
        rows: rows with distinct ids.
        fractions: shares of all rows by split, which sum to 1; an earlier split that is not named keeps its rows.
        salt: decides between groups of one size, such as the dataset's name.

    Returns:
        The split by record_id, of the published rows.

    Raises:
        ReleaseError: a group has published rows in two splits already.
    """
    rows = sorted(rows, key=lambda row: row.record_id)
    published = [row for row in rows if row.published]
    split_of = _bound_units(published, {row.record_id: row.split for row in published})
    for row in rows:
        if row.split is not None:
            split_of.setdefault(row.unit, row.split)
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for row in published:
        labels[row.unit][row.label] += 1
    _assign_new(labels, split_of, fractions, salt)
    return {row.record_id: split_of[row.unit] for row in published}


def _assign_new(
    labels: Mapping[str, Counter[str]], split_of: dict[str, str], fractions: Mapping[str, float], salt: str
) -> None:
    """Give the units that have none a split, one by one."""
    room = _room(labels, split_of, fractions)
    new = [unit for unit in labels if unit not in split_of]
    new.sort(key=lambda unit: (-labels[unit].total(), stable_hash(salt, unit)))
    filled = {split_of[unit] for unit in labels if unit in split_of}
    open_splits = [split for split, share in fractions.items() if share > 0]
    empty = [split for split in open_splits if split not in filled]
    for position, unit in enumerate(new):
        # The last groups, which are the smallest, go to the splits that would otherwise stay empty.
        choices = empty if len(new) - position <= len(empty) else open_splits
        split = max(choices, key=lambda split: room.need(split, labels[unit]))
        room.take(split, labels[unit])
        split_of[unit] = split
        if split in empty:
            empty.remove(split)


def _bound_units(rows: Iterable[SplitRow], splits: Mapping[str, str | None]) -> dict[str, str]:
    """The split of every unit that has one; the same error for the same rows, in whatever order they come."""
    first: dict[str, tuple[str, str]] = {}
    for row in sorted(rows, key=lambda row: row.record_id):
        split = splits.get(row.record_id)
        if split is None:
            continue
        other, known = first.setdefault(row.unit, (row.record_id, split))
        if known != split:
            raise ReleaseError(
                f"Rows '{other}' ({known}) and '{row.record_id}' ({split}) are too alike to lie in two splits: "
                f"the release would leak; run curate again, which leaves one of them out."
            )
    return {unit: split for unit, (_, split) in first.items()}


def _room(labels: Mapping[str, Counter[str]], split_of: Mapping[str, str], fractions: Mapping[str, float]) -> _Room:
    """What every split lacks before a new unit is placed."""
    count: Counter[str] = Counter()
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    for unit, found in labels.items():
        count.update(found)
        if unit in split_of:
            for label, rows in found.items():
                taken[label][split_of[unit]] += rows
    in_all = sum(taken.values(), Counter[str]())
    return _Room(
        total=_lacking(count.total(), in_all, fractions),
        by_label={label: _lacking(rows, taken[label], fractions) for label, rows in count.items()},
    )


def _lacking(rows: int, taken: Mapping[str, int], fractions: Mapping[str, float]) -> dict[str, float]:
    """By split, its share of the rows less those it has; what one has too much is missing in all others alike."""
    open_splits = {split: share for split, share in fractions.items() if share > 0}
    while True:
        rest = rows - sum(count for split, count in taken.items() if split not in open_splits)
        whole = sum(open_splits.values())
        lacking = {split: rest * share / whole - taken.get(split, 0) for split, share in open_splits.items()}
        if not (full := [split for split, rows_lacking in lacking.items() if rows_lacking < -1e-6]):
            return dict.fromkeys(fractions, 0.0) | lacking
        for split in full:
            del open_splits[split]
