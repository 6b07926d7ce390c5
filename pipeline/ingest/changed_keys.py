"""Keeps the records of a source whose ``key`` is another one now: a row that says what it said is the record it was.

A record's id follows from the first key that it had. Rows under another one are recognized by what they say, and
appended once more with their new key, by which later runs find the record.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import polars as pl

from pipeline.ingest.row_index import Index
from pipeline.state.tables import SCHEMAS, Table
from pipeline.state.work_files import read_work
from schemas.dataset import Source
from schemas.identity import stable_hash

_RECORD = SCHEMAS[Table.RECORDS]
_SAME = ["record_id", "revision"]
_SAYS = ["source", "revision"]
_MOVED = ["position", "source", "key", "ingested_at"]
_MANY = 20
_LAST = [*_SAME, "source", "withdrawn", "batch", "position", "ingested_at"]


@dataclass(frozen=True)
class Recognized:
    """The rows of all sources, each with the id of its record, whatever its key was before."""

    index: Index
    rows: pl.DataFrame
    """Those of current records that have another key now: ``position``, ``record_id``, ``source``, the key of rows by
    content, and when the record said this first (``ingested_at``)."""
    merged: pl.DataFrame
    """``record_id`` of the records of which no row is left, since others with the same key now say the same."""
    is_as_read: bool = True
    """Whether all rows have the ids that they were read with."""


@dataclass(frozen=True)
class Respelled:
    """Rows of a source under new keys that say what rows under others said: a spreadsheet may write `007` as 7."""

    source: str
    rows: int
    among: int
    """New rows of the source."""
    before: str
    now: str
    """The keys of one of them."""


def ids_by_key(records: pl.LazyFrame) -> dict[str, str]:
    """The ids of records by those that follow from their keys, where these are others."""
    rows = records.select("record_id", "source", "key", "batch", "position")
    changed = rows.filter(pl.col("key").n_unique().over("record_id") > 1).collect()
    last = changed.sort("batch", "position").unique("record_id", keep="last")
    ids = {stable_hash(source, key): record for record, source, key in last.drop("batch", "position").iter_rows()}
    taken = set(last["record_id"])
    return {record: _free(record, taken) for record in taken} | ids


def _free(record_id: str, taken: set[str]) -> str:
    """The id of a row whose key gives one that another record has."""
    while record_id in taken:
        record_id = stable_hash(record_id)
    return record_id


def recognize(index: Index, present: pl.LazyFrame) -> Recognized:
    """Recognize the rows that are records under another key.

    Args:
        index: the rows of all records, or of some: these were read by the same keys as before. Under the same key, no
            row says the same as a record of another id.
        present: the table's rows.
    """
    none = pl.DataFrame(schema={name: _RECORD[name] for name in (*_MOVED, "record_id")})
    if not index.is_whole:
        return Recognized(index, none, none.select("record_id"))
    # A row that could not be read has no key.
    ever = present.filter(pl.col("error") == "").select(_LAST).collect().sort("batch", "position")
    # Current records come before those that were withdrawn.
    last = ever.unique("record_id", keep="last", maintain_order=True).sort("withdrawn", maintain_order=True)
    rows, number = index.now.filter("final", ~pl.col("has_error")), pl.int_range(pl.len()).over(_SAYS)
    free = last.join(rows, on=_SAME, how="anti", maintain_order="left").with_columns(number=number)
    others = rows.join(last, on=_SAME, how="anti", maintain_order="left").with_columns(number=number)
    columns = [*_SAYS, "number", "withdrawn", "ingested_at", pl.col("record_id").alias("was")]
    found = others.join(free.select(columns), on=[*_SAYS, "number"])
    if found.is_empty():
        return Recognized(index, none, none.select("record_id"))
    now = _with_ids(index.now, dict(found.select("record_id", "was").iter_rows()))
    of_same = last.filter(~pl.col("withdrawn"), pl.col("source").is_in(found["source"].unique().implode()))
    merged = of_same.join(now, on=_SAYS, how="semi").join(now, on="record_id", how="anti").select("record_id")
    moved = found.filter(~pl.col("withdrawn")).select(*_MOVED, record_id="was")
    return Recognized(replace(index, now=now), moved, merged, is_as_read=False)


def _with_ids(rows: pl.DataFrame, ids: Mapping[str, str]) -> pl.DataFrame:
    taken = set(ids.values())
    others = rows.filter(pl.col("record_id").is_in(list(taken - ids.keys())))["record_id"].unique()
    ids = {**ids, **{record: _free(record, taken) for record in others}}
    return rows.with_columns(pl.col("record_id").replace(ids))


def rows_with_new_keys(rows: pl.DataFrame, chunks: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """These rows with all columns of the table, to be appended.

    Args:
        rows: those of ``Recognized``.
        chunks: files with the rows that were read, by position.
    """
    ids = rows.select("position", "record_id", "ingested_at", by_content_key="key")
    for chunk in chunks if rows.height else ():
        found = read_work(chunk).drop("record_id", "ingested_at").join(ids, on="position", maintain_order="left")
        if found.height:
            yield found.with_columns(key=pl.coalesce("by_content_key", "key")).select(_RECORD.names())


def respelled(
    sources: Iterable[Source], came: pl.DataFrame, gone: pl.DataFrame, records: pl.LazyFrame
) -> Iterator[Respelled]:
    """The sources of which many rows came under new keys that say what rows say that are gone from their files.

    Args:
        sources: all that are read.
        came: ``source`` and ``record_id`` of the first, at least.
        gone: the same of the others.
        records: the table's rows.
    """
    named = records.filter(pl.col("error") == "", ~pl.col("withdrawn"))
    for source in sources:
        ids = [rows.filter(source=source.name)["record_id"] for rows in (gone, came)]
        if source.key is None or min(map(len, ids)) < _MANY:
            continue
        rows = (named.filter(pl.col("record_id").is_in(some.implode())).select("raw").collect() for some in ids)
        then, now = ([_parted(raw, source.key) for raw in some["raw"]] for some in rows)
        keys = {rest: key for key, rest in then if key}
        found = [(keys[rest], key) for key, rest in now if rest in keys]
        if len(found) >= _MANY:
            yield Respelled(source.name, len(found), len(ids[1]), *found[0])


def _parted(raw: bytes, key: str) -> tuple[str, bytes]:
    """The key of a row, and all else that it says; no key if it is not a field of the row itself."""
    row = orjson.loads(raw)
    return str(row.pop(key, "")), orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
