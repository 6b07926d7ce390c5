"""Assigns the rows of a release to splits: a group is never torn apart, and no row ever moves.

Groups that have a split are counted in columns; objects exist for those only that need one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from pipeline.errors import ReleaseError
from pipeline.releases.balance import ANYTHING, Lack, Taken, Unit, spread
from schemas.identity import stable_hash, stable_hashes

_DRAW_DIGITS = 13
"""Bits of a hash that are used: as many as a float holds."""
SPLIT_ROWS = pl.Schema(
    {
        "record_id": pl.String(),
        # Rows of one group go to one split; with an empty text, the row is a group by itself.
        "group": pl.String(),
        # What is stratified over the splits; an absent label is "".
        "labels": pl.List(pl.String()),
        # The split that the row already has (from an earlier release, or its source); null for a new row.
        "split": pl.String(),
        # False for a row that this release leaves out (a duplicate of a better row, a row in review): its earlier
        # split still pins its group if no published row does, and it is not counted.
        "published": pl.Boolean(),
    }
)
"""The columns of rows as splitting sees them."""
Shared = Callable[[list[str]], Mapping[str, tuple[str, ...]]]
"""Takes ids of rows, and says what each has in common with others of its group, such as a contract; rows without
anything may be left out."""


@dataclass(frozen=True)
class Division:
    """Rows assigned to splits."""

    splits: pl.DataFrame
    """``record_id`` and ``split`` of the published rows, by id."""
    lacks: list[Lack]
    """Labels missing from splits, and why."""


def divide(rows: pl.DataFrame, fractions: Mapping[str, float], salt: str, shared: Shared) -> Division:
    """Give every published row its split.

    A row that has a split keeps it and pins its group. Each remaining group draws a split by a hash of
    its content, and keeps it unless sizes or labels would be too far from the fractions. While there are enough groups,
    no split with a fraction above 0 stays empty, nor without a label if an assignment with all labels is found. The
    result depends only on the set of rows.

    Args:
        rows: rows with distinct ids and the columns of ``SPLIT_ROWS``.
        fractions: shares of all rows by split, which sum to 1; an earlier split that is not named keeps its rows.
        salt: makes the draws of one dataset differ from those of another, such as its name.
        shared: is asked about the rows of groups that have no split: the hash of a group is computed from what its
            rows share, else from their ids.

    Raises:
        ReleaseError: a group already has published rows in two splits.
    """
    rows = rows.sort("record_id").with_columns(unit=pl.when(pl.col("group") == "").then("record_id").otherwise("group"))
    published = rows.filter("published")
    pinned = _pinned_units(rows)
    labeled = pl.when(pl.col("labels").list.len() > 0).then("labels").otherwise(pl.lit([""]))
    # The first label of a unit stays the first: sums of fractions depend on the order.
    labels = published.select("unit", label=labeled).explode("label")
    counts = labels.group_by("unit", "label", maintain_order=True).len()
    new = _new_units(rows, counts.join(pinned, on="unit", how="anti", maintain_order="left"), salt, shared)
    found = spread(new, _taken(counts.join(pinned, on="unit")), fractions)
    drawn = pl.DataFrame(list(found.split_of.items()), schema=pinned.schema, orient="row")
    splits = published.select("record_id", "unit").join(pl.concat([pinned, drawn]), on="unit", maintain_order="left")
    return Division(splits.select("record_id", "split"), found.lacks)


def _pinned_units(rows: pl.DataFrame) -> pl.DataFrame:
    """The ``unit`` and ``split`` of all that have one; the same error for the same rows, in any order.

    A published row speaks for its unit before all others.
    """
    placed = rows.filter(pl.col("split").is_not_null())
    published = placed.filter("published")
    first = published.unique("unit", keep="first", maintain_order=True)
    torn = published.join(first.select("unit", other="record_id", known="split"), on="unit", maintain_order="left")
    for row in torn.filter(pl.col("split") != pl.col("known")).head(1).iter_rows(named=True):
        raise ReleaseError(
            f"Rows '{row['other']}' ({row['known']}) and '{row['record_id']}' ({row['split']}) are too similar to be "
            f"in different splits: the release would leak; run curate again, which leaves one of them out."
        )
    speaking = placed.sort("published", descending=True, maintain_order=True)
    return speaking.unique("unit", keep="first", maintain_order=True).select("unit", "split")


def _taken(pinned: pl.DataFrame) -> Taken:
    """What the splits hold already, of ``unit``, ``label``, ``len`` and ``split``."""
    of_labels = pinned.group_by("label", "split").agg(rows=pl.col("len").sum(), units=pl.len())
    units = pinned.select("unit", "split").unique().group_by("split").len()
    return Taken(
        rows={(label, split): rows for label, split, rows, _ in of_labels.iter_rows()},
        units={(label, split): units for label, split, _, units in of_labels.iter_rows()}
        | {(ANYTHING, split): count for split, count in units.iter_rows()},
    )


def _new_units(rows: pl.DataFrame, counts: pl.DataFrame, salt: str, shared: Shared) -> list[Unit]:
    """The units that have published rows and no split, from the ``unit``, ``label`` and ``len`` of each."""
    mine = rows.join(counts, on="unit", how="semi").select("record_id", "unit")
    ids = mine["record_id"].to_list()
    own = pl.Series(stable_hashes(salt, ids))
    if contents := shared(ids):
        found = zip(ids, own, strict=True)
        own = pl.Series(
            min((stable_hash(salt, content) for content in contents.get(record_id, ())), default=alone)
            for record_id, alone in found
        )
    # The MinHash of its content: mostly unchanged when a group loses or gains some rows.
    least = dict(mine.select("unit", own=own).group_by("unit").agg(pl.col("own").min()).iter_rows())
    labels: dict[str, dict[str, int]] = {}
    for unit, label, count in counts.iter_rows():
        labels.setdefault(unit, {})[label] = count
    # Hashed again, since minimum hashes are small numbers.
    draws = stable_hashes("draw", (least[name] for name in labels))
    units = zip(labels.items(), draws, strict=True)
    return [Unit(name, _draw(draw), found, sum(found.values())) for (name, found), draw in units]


def _draw(digest: str) -> float:
    return float(int(digest[:_DRAW_DIGITS], 16) / 16**_DRAW_DIGITS)
