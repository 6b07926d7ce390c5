"""Selects the rows that a run has to look at: what has changed, and all that is related to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
import polars as pl

from pipeline.curation.found_changes import Changes
from pipeline.curation.prepare import Prepared
from pipeline.curation.relations import RELATED, TEXT_COLUMNS, VIEWS, Links, Names, hashed
from pipeline.curation.standing import PLACED, Others, Standing
from pipeline.similarity.signatures import INPUTS, SPELLING, WHOLE, Identities
from pipeline.similarity.text_columns import Rows
from pipeline.state.mapped_rows import read_rows
from pipeline.state.snapshot import BY_AGE

_IDS = ["record_id", "revision"]


@dataclass(frozen=True)
class Selection:
    """The rows that a run looks at."""

    rows: pl.DataFrame
    """With the columns of ``PLACED``, and ``order``; by age."""
    others: Others
    """The rows that stand as they are."""
    past: pl.DataFrame
    """Rows of versions that are no current record any more, and that nothing has touched."""
    gone: frozenset[str]
    """The records whose published rows may matter."""


def related_rows(
    prepared: Sequence[Prepared], answered: Sequence[str], met: Mapping[str, Sequence[Identities]]
) -> pl.DataFrame:
    """What new rows and new answers are related by, in their order: the columns of ``RELATED``, with ids.

    Args:
        prepared: the new rows.
        answered: the records of the new answers.
        met: their identities: of the inputs and their letters first those of ``prepared``, file by file, and of the
            whole texts likewise, those of the new answers in the file after them.
    """
    parts = [read_rows(part.path, [*_IDS, "key", "group_keys", "has_free_text"]) for part in prepared]
    frames, wholes = [], iter(met[WHOLE])
    for part, rows, texts, letters in zip(prepared, parts, met[INPUTS], met[SPELLING], strict=False):
        whole = np.zeros_like(texts)
        if part.texts[WHOLE].exists():
            whole[rows["has_free_text"].to_numpy()] = next(wholes)
        identities = {INPUTS: texts, WHOLE: whole, SPELLING: letters}
        frames.append(rows.select(_IDS).hstack(related(rows["key"], rows["group_keys"], identities)))
    if answered:
        whole = next(wholes)
        ids = pl.DataFrame({"record_id": answered, "revision": ""})
        empty = pl.Series([""] * len(answered))
        identities = {view: whole if view == WHOLE else np.zeros_like(whole) for view in VIEWS}
        frames.append(ids.hstack(related(empty, pl.Series(["[]"] * len(answered)), identities)))
    return pl.concat([pl.DataFrame(schema=dict.fromkeys(_IDS, pl.String) | dict(RELATED)), *frames])


def related(keys: pl.Series, group_keys: pl.Series, texts: Mapping[str, Identities]) -> pl.DataFrame:
    """The columns of ``RELATED`` of some rows, whose texts are given by view."""
    ties = [[] if shared == "[]" else hashed(orjson.loads(shared)).tolist() for shared in group_keys]
    columns = {name: texts[view][:, half] for view, names in TEXT_COLUMNS.items() for half, name in enumerate(names)}
    return pl.DataFrame({"key": hashed(keys), "ties": ties, **columns}, schema=RELATED)


def select(
    standing: Standing,
    changes: Changes,
    delivered: pl.DataFrame,
    new: pl.DataFrame,
    links: dict[str, Links],
) -> Selection:
    """Select what has changed, and all that is related to it, directly or through others.

    Args:
        standing: the rows as the last run left them.
        changes: since then.
        delivered: the new rows, with the columns of ``PLACED`` but the state.
        new: what they are related by: the columns of ``RELATED``, with ids.
        links: by view, the pairs of similar texts that are known, new ones included.
    """
    touched = pl.concat([changes.components, *_touched(standing, new, links)]).unique().implode()
    # What has changed is replaced by what it is now, or is gone.
    is_selected = pl.col("component").is_in(touched) | pl.col("record_id").is_in(list(changes.records))
    columns = [name for name in PLACED if name != "state"]
    before = standing.columns("record_id", "component", "order", *BY_AGE[:2])
    is_replaced = before["record_id"].is_in([*changes.withdrawn, *delivered["record_id"]])
    chosen = before.select(is_selected).to_series()
    stays = ~is_replaced
    orders, delivered = _by_age(before.filter(stays), delivered.select(columns), before)
    again, others = (_those(standing, stays, mine, orders) for mine in (chosen, ~chosen))
    return Selection(
        rows=pl.concat([again.columns(*columns, "order"), delivered]).sort("order"),
        others=others,
        past=standing.past.filter(~is_selected),
        gone=frozenset(standing.past.filter(is_selected)["record_id"]) | changes.records,
    )


def _those(standing: Standing, stays: pl.Series, mine: pl.Series, orders: Rows | None) -> Others:
    """Some of the rows that stay, whose orders are given if they are others now."""
    now = None if orders is None else orders[mine.filter(stays).to_numpy()]
    return Others(standing, (stays & mine).to_numpy(), now)


def _by_age(stand: pl.DataFrame, delivered: pl.DataFrame, before: pl.DataFrame) -> tuple[Rows | None, pl.DataFrame]:
    """The new rows with their order by age: an edited row keeps its place, a new one comes last, one that has returned
    makes all others move. Then also the order of these; None if they stay.
    """
    placed = delivered.join(before.select("record_id", "order"), on="record_id", how="left", maintain_order="left")
    new = placed.filter(pl.col("order").is_null())
    if before.is_empty() or new.is_empty() or str(new["since"].min()) > str(before["since"].max()):
        last = int(before["order"].max() or 0) if before.height else -1  # type: ignore[arg-type]
        ranks = new.sort(BY_AGE).select("record_id", rank=pl.int_range(pl.len(), dtype=pl.Int64) + last + 1)
        placed = placed.join(ranks, on="record_id", how="left", maintain_order="left")
        return None, placed.with_columns(order=pl.coalesce("order", "rank")).drop("rank")
    aged = pl.concat([stand.select(BY_AGE), delivered.select(BY_AGE)]).sort(BY_AGE)
    ranks = aged.select("record_id", order=pl.int_range(pl.len(), dtype=pl.Int64))
    orders = stand.select("record_id").join(ranks, on="record_id", maintain_order="left")["order"].to_numpy()
    return orders, delivered.join(ranks, on="record_id", maintain_order="left")


def _touched(standing: Standing, new: pl.DataFrame, links: dict[str, Links]) -> list[pl.Series]:
    """The components of the rows that the new ones are related to."""
    if new.is_empty():
        return []
    is_near = pl.col("key").is_in(_nonzero(new["key"].to_numpy()))
    for view, column in VIEWS.items():
        is_near |= pl.col(column).is_in(_near(new[column].to_numpy(), links[view]))
    ties = new["ties"].explode().drop_nulls()
    if ties.len():
        is_near |= pl.col("ties").list.eval(pl.element().is_in(ties.implode())).list.any()
    rows = standing.columns("component", "key", *VIEWS.values(), "ties")
    return [frame.filter(is_near)["component"] for frame in (rows, standing.past)]


def _near(values: Names, links: Links) -> list[int]:
    """Some identities, and those of similar texts, by their first halves."""
    own = np.unique(values[values != 0])
    left, right = links.left[:, 0], links.right[:, 0]
    others = [right[np.isin(left, own)], left[np.isin(right, own)]]
    found: list[int] = np.unique(np.concatenate([own, *others])).tolist()
    return found


def _nonzero(values: Names) -> list[int]:
    found: list[int] = np.unique(values[values != 0]).tolist()
    return found
