"""Assigns the rows of a release to splits: a group is never torn apart, and no row ever moves."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import ReleaseError
from pipeline.releases.balance import Lack, Unit, spread
from schemas.identity import stable_hash

_DRAW_DIGITS = 13
"""Bits of a hash that are used: as many as a float holds."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row as splitting sees it."""

    record_id: str
    group: str
    """Rows of one group go to one split; with an empty text, the row is a group by itself."""
    labels: tuple[str, ...] = ()
    """What is stratified over the splits; an absent label is ``""``."""
    split: str | None = None
    """The split that the row already has (from an earlier release, or its source); None for a new row."""
    published: bool = True
    """False for a row that this release leaves out (a duplicate of a better row, a row in review): its
    earlier split still pins its group if no published row does, and it is not counted."""
    content: tuple[str, ...] = ()
    """What its group's hash is computed from, such as a contract that it shares with others; else the row's id."""

    @property
    def unit(self) -> str:
        """What moves as one: the group, or the single row."""
        return self.group or self.record_id


@dataclass(frozen=True)
class Division:
    """Rows assigned to splits."""

    splits: Mapping[str, str]
    """By record_id, for the published rows."""
    lacks: list[Lack]
    """Labels missing from splits, and why."""


def divide(rows: Iterable[SplitRow], fractions: Mapping[str, float], salt: str = "") -> Division:
    """Give every published row its split.

    A row that has a split keeps it and pins its group. Each remaining group draws a split by a hash of
    its content, and keeps it unless sizes or labels would be too far from the fractions. While there are enough groups,
    no split with a fraction above 0 stays empty, nor without a label if an assignment with all labels is found. The
    result depends only on the set of rows.

    Args:
        rows: rows with distinct ids.
        fractions: shares of all rows by split, which sum to 1; an earlier split that is not named keeps its rows.
        salt: makes the draws of one dataset differ from those of another, such as its name.

    Raises:
        ReleaseError: a group already has published rows in two splits.
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
        # The MinHash of its content: mostly unchanged when a group loses or gains some rows.
        own = min(stable_hash(salt, content) for content in row.content or (row.record_id,))
        least[row.unit] = min(own, least.get(row.unit, own))
        if row.published:
            labels[row.unit].update(row.labels or [""])
    # Hashed again, since minimum hashes are small numbers.
    return [Unit(name, _draw(stable_hash("draw", least[name])), found) for name, found in labels.items()]


def _draw(digest: str) -> float:
    return float(int(digest[:_DRAW_DIGITS], 16) / 16**_DRAW_DIGITS)


def _pinned_units(rows: Iterable[SplitRow], splits: Mapping[str, str | None]) -> dict[str, str]:
    """The split of every unit that has one; the same error for the same rows, in any order."""
    first: dict[str, tuple[str, str]] = {}
    for row in sorted(rows, key=lambda row: row.record_id):
        split = splits.get(row.record_id)
        if split is None:
            continue
        other, known = first.setdefault(row.unit, (row.record_id, split))
        if known != split:
            raise ReleaseError(
                f"Rows '{other}' ({known}) and '{row.record_id}' ({split}) are too similar to be in different splits: "
                f"the release would leak; run curate again, which leaves one of them out."
            )
    return {unit: split for unit, (_, split) in first.items()}
