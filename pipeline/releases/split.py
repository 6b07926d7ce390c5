"""Divides the rows of a release into splits: a group is never divided, and no row ever moves."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import ReleaseError
from pipeline.releases.balance import Lack, Unit, spread
from schemas.identity import stable_hash

_DRAW_DIGITS = 13
"""Of a hash: as many bits as a float holds."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row as far as splits are concerned."""

    record_id: str
    group: str
    """Rows of one group go to one split; an empty text is a group of its own."""
    labels: tuple[str, ...] = ()
    """What the splits should hold in equal shares; an absent label is ``""``."""
    split: str | None = None
    """Where the row lies already (an earlier release, or its source says so); None for a new row."""
    published: bool = True
    """False for a row that this release leaves out (a duplicate of a better row, a row in review): its
    earlier split still binds its group where no published row does, and it is not counted."""
    content: tuple[str, ...] = ()
    """What its group draws a split by, such as the contract that it has in common with others; else the row's id."""

    @property
    def unit(self) -> str:
        """What moves as one: the group, or the row alone."""
        return self.group or self.record_id


@dataclass(frozen=True)
class Division:
    """Rows in splits."""

    splits: Mapping[str, str]
    """By record_id, of the published rows."""
    lacks: list[Lack]
    """Labels that splits lack, and why."""


def divide(rows: Iterable[SplitRow], fractions: Mapping[str, float], salt: str = "") -> Division:
    """Give every published row its split.

    A row that has a split stays there and pulls its group after it. Each group that is left draws a split by a hash of
    its content, and keeps it unless sizes or labels would be too far from the fractions; while there are groups, no
    split with a fraction above 0 stays empty, nor without a label where a division with all labels is found. The
    result depends on nothing but the set of rows.

    Args:
        rows: rows with distinct ids.
        fractions: shares of all rows by split, which sum to 1; an earlier split that is not named keeps its rows.
        salt: makes the draws of one dataset others than those of the next, such as its name.

    Raises:
        ReleaseError: a group has published rows in two splits already.
    """
    rows = sorted(rows, key=lambda row: row.record_id)
    published = [row for row in rows if row.published]
    split_of = _pinned_units(published, {row.record_id: row.split for row in published})
    for row in rows:
        if row.split is not None:
            split_of.setdefault(row.unit, row.split)
    units = _units(rows, salt)
    pinned = {unit.name: split_of[unit.name] for unit in units if unit.name in split_of}
    found = spread(units, pinned, fractions)
    split_of |= found.split_of
    return Division({row.record_id: split_of[row.unit] for row in published}, found.lacks)


def _units(rows: Iterable[SplitRow], salt: str) -> list[Unit]:
    """The units that have published rows."""
    labels: defaultdict[str, Counter[str]] = defaultdict(Counter)
    least: dict[str, str] = {}
    for row in rows:
        # The least hash of all: the same for a group that has lost or gained some rows, as often as can be.
        own = min(stable_hash(salt, content) for content in row.content or (row.record_id,))
        least[row.unit] = min(own, least.get(row.unit, own))
        if row.published:
            labels[row.unit].update(row.labels or [""])
    # Hashed again, since least hashes are small numbers.
    return [Unit(name, _draw(stable_hash("draw", least[name])), found) for name, found in labels.items()]


def _draw(digest: str) -> float:
    return float(int(digest[:_DRAW_DIGITS], 16) / 16**_DRAW_DIGITS)


def _pinned_units(rows: Iterable[SplitRow], splits: Mapping[str, str | None]) -> dict[str, str]:
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
