"""Keeps the records of a source whose ``key`` is another one now: what a row said last tells the key that it has now.

A record's id follows from the first key that it had. With another one it is appended once more, by which later runs
find it, whether its row was edited or not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from pipeline.ingest.row_index import Index
from pipeline.ingest.row_keys import BY_CONTENT, content_key
from pipeline.ingest.sources import SourceReading
from schemas.identity import stable_hash

_SAME = ["record_id", "revision"]
_SAYS = ["source", "revision"]
_KEY = {"record_id": pl.String(), "key": pl.String()}
_CLAIM = ["source", "now"]
_AT_ONCE = 50_000
"""Rows that are held in memory with what they say."""
_OWN_KEY = pl.when(BY_CONTENT).then("key").otherwise(pl.col("revision") + content_key("", 1))
"""That of a row which has none from the user, or may not have it."""
_LATER = "~"
"""Sorts after every run."""


@dataclass(frozen=True)
class Recognized:
    """The rows of all sources, each with the id of its record, whatever its key was before."""

    index: Index
    keys: pl.DataFrame
    """``record_id`` and ``key`` of the records that have another key now."""
    merged: pl.DataFrame
    """``record_id`` of those that are no row of their own any more, since a later one has the same key."""

    def with_keys(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of records with the keys of now."""
        now = self.keys.rename({"key": "now"})
        named = rows.join(now, on="record_id", how="left", maintain_order="left")
        return named.with_columns(key=pl.coalesce("now", "key")).drop("now")


def ids_by_key(records: pl.LazyFrame) -> dict[str, str]:
    """The ids of records by those that follow from their keys, where these are others."""
    rows = records.select("record_id", "source", "key", "batch", "position")
    changed = rows.filter(pl.col("key").n_unique().over("record_id") > 1).collect()
    last = changed.sort("batch", "position").unique("record_id", keep="last", maintain_order=True)
    ids = {stable_hash(source, key): record for record, source, key in last.drop("batch", "position").iter_rows()}
    taken = set(last["record_id"])
    # No key leads to an id that ``_free`` made: it would be the id of what another key leads to as well.
    of_keys = {stable_hash(source, key) for source, key in changed.select("source", "key").unique().iter_rows()}
    return {record: _free(record, taken) for record in taken & of_keys} | ids


def _free(record_id: str, taken: set[str]) -> str:
    """The id of a row whose key gives one that another record has."""
    while record_id in taken:
        record_id = stable_hash(record_id)
    return record_id


def recognize(
    index: Index, known: pl.DataFrame, present: pl.LazyFrame, readings: Iterable[SourceReading]
) -> Recognized:
    """Recognize the rows that are records under another key.

    Args:
        index: the rows of all records, or of some: these were read by the same keys as before.
        known: all rows of the table, or those of the same records, oldest first, without what they say.
        present: the table's rows.
        readings: of all sources.
    """
    nothing = pl.DataFrame(schema=_KEY)
    as_read = Recognized(index, nothing, nothing.select("record_id"))
    if not index.is_whole:
        return as_read
    by_name = {reading.source.name: reading for reading in readings}
    # A row that could not be read has no key.
    last = known.filter(pl.col("error") == "", pl.col("source").is_in(list(by_name))).unique(
        "record_id", keep="last", maintain_order=True
    )
    moved = _moved(last.join(index.now, on=_SAME, how="anti"), present, by_name)
    if moved.is_empty():
        return as_read
    claims = _claims(last, moved, index.now, by_name)
    held = claims.unique(_CLAIM, keep="last", maintain_order=True)
    others = claims.join(held, on="record_id", how="anti").with_columns(now=_OWN_KEY)
    changed = pl.concat([held, others]).filter(pl.col("now") != pl.col("key"))
    ids = known.select("record_id", "source", "key", "batch", "position")
    later = changed.select("record_id", "source", pl.lit(_LATER).alias("batch"), "position", key="now")
    ids_now = ids_by_key(pl.concat([ids, later.select(ids.columns)]).lazy())
    index = _renamed(index, ids_by_key(ids.lazy()), ids_now)
    merged = others.join(index.now, on=_SAYS, how="semi").join(index.now, on="record_id", how="anti")
    return Recognized(index, changed.select("record_id", key="now"), merged.select("record_id"))


def _moved(rows: pl.DataFrame, present: pl.LazyFrame, readings: Mapping[str, SourceReading]) -> pl.DataFrame:
    """Those of the rows whose key is another one by what they say, with it as ``now``."""
    found = [rows.clear().with_columns(now="key")]
    for part in rows.iter_slices(_AT_ONCE):
        ids = part["record_id"].implode()
        said = present.filter(~pl.col("withdrawn"), pl.col("record_id").is_in(ids)).select(*_SAME, "raw").collect()
        whole = part.join(said.unique(_SAME), on=_SAME, maintain_order="left")
        now = [readings[source].key_of(raw) for source, raw in whole.select("source", "raw").iter_rows()]
        named = whole.drop("raw").with_columns(pl.Series("now", now, dtype=pl.String).replace("", None))
        found.append(named.with_columns(pl.col("now").fill_null(_OWN_KEY)).filter(pl.col("now") != pl.col("key")))
    return pl.concat(found)


def _claims(
    last: pl.DataFrame, moved: pl.DataFrame, rows: pl.DataFrame, readings: Mapping[str, SourceReading]
) -> pl.DataFrame:
    """All records that may have the keys that some have ``now``, those last which say what the row of it says."""
    stay = last.join(moved, on="record_id", how="anti").with_columns(now="key")
    claims = pl.concat([stay.join(moved, on=_CLAIM, how="semi"), moved])
    at = [readings[source].record_id(now) for source, now in claims.select(_CLAIM).iter_rows()]
    final = rows.filter("final").select("revision", at="record_id", is_said=pl.lit(True))
    claims = claims.with_columns(at=pl.Series(at, dtype=pl.String)).join(final, on=["at", "revision"], how="left")
    # A record that has the key keeps it, or two of which no file has a row would take it from each other in turns.
    order = pl.col("is_said").fill_null(False), ~pl.col("withdrawn"), pl.col("key") == pl.col("now")
    return claims.sort(*order, "ingested_at", "batch", "position")


def _renamed(index: Index, before: Mapping[str, str], now: Mapping[str, str]) -> Index:
    """The same rows, whose ids follow from other keys of records."""
    ids = {before.get(one, one): now.get(one, one) for one in before.keys() | now.keys()}
    return replace(index, now=index.now.with_columns(pl.col("record_id").replace(ids)))
