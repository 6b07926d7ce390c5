"""Answers SQL over a dataset's tables with DuckDB, in memory: a query cannot change anything."""

import datetime
import re
from collections.abc import Iterator, Mapping

import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from pipeline.errors import StoreError
from pipeline.ingest.row_places import in_place
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.user_code_errors import writable

VIEWS = {
    "current": "the decision that counts for every current record",
    "latest": "the row of every current record, with its file, line and raw bytes",
    "records": "every row ever read, with its raw bytes",
    "decisions": "every committed decision, oldest first",
    "splits": "the split of every record ever released",
    "pushes": "every question sent to Label Studio",
    "annotations": "annotators' answers, the newest state of each annotation",
    "runs": "every committed run",
}
"""The tables that a query can name in FROM."""
LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    # A function or type that DuckDB only knows by name would be fetched, and run in this process.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "lock_configuration": "true",
}
"""What a query cannot undo."""
_WIDE = {"hugeint": pl.Int128, "uhugeint": pl.UInt128}
"""Integers of 128 bits: DuckDB passes them on as decimals of 38 digits, which not all of them have."""
_NOT_SHOWN = {"interval": "an interval", "union": "a union"}
_NESTED = ("list", "array", "struct", "map")
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)
"""Kinds of statements that only read: with, from, describe, show and summarize are SELECT, pivot is MULTI."""


def query(snapshot: Snapshot, sql: str) -> pl.DataFrame:
    """Run a query over the committed state.

    Raises:
        StoreError: the query is not a single valid statement, or would read or write anything else; the
            text is DuckDB's, with the available tables or their columns. Or the result contains an interval, a union,
            or a time outside Python's range.
    """
    frames = {
        "current": snapshot.current_decisions(),
        "latest": in_place(snapshot),
        "records": snapshot.scan(Table.RECORDS),
        "decisions": snapshot.committed_decisions(),
        "splits": snapshot.splits(),
        "pushes": snapshot.scan(Table.PUSHES),
        "annotations": snapshot.latest_annotations(),
        "runs": snapshot.scan(Table.RUNS),
    }
    with duckdb.connect(":memory:", config=LOCKED) as connection:
        try:
            for name, frame in frames.items():
                # Lazy: only the tables that a query names are read.
                connection.register(name, frame)
            statements = connection.extract_statements(writable(sql))
            if len(statements) != 1:
                raise StoreError(f"a query is one statement, not {len(statements)}; pass one")
            if (kind := statements[0].type) not in _READING:
                # It could only change this connection's memory, but to say that it succeeded would be a lie.
                raise StoreError(
                    f"this is a {kind.name} statement, but goldleaf sql only reads; begin with select, with, from, "
                    "describe, summarize or explain"
                )
            relation = connection.sql(statements[0])
            _require_shown(relation)
            answer = _answer(relation)
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            problem = str(error).strip().split("\n")[0]
            raise StoreError(f"the query failed: {problem}; {_there_is(problem, sql, frames)}") from error
    for column in answer:
        if not all(map(_has_values_in_python, _times(column))):
            raise StoreError(
                f"the column '{column.name}' of the result holds a time outside the years 1 to 9999; cast its times to "
                "text (::varchar)"
            )
    return answer


def _answer(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """The rows of a query; inside of other values, an integer of more than 38 digits is an error."""
    kinds = [kind.id for kind in relation.types]
    if not any(re.search(r"\bU?HUGEINT\b", str(kind)) for kind in relation.types):
        frame: pl.DataFrame = relation.pl()
        return frame
    parts = []
    for number, (name, kind) in enumerate(zip(relation.columns, relation.types, strict=True), 1):
        target = "VARCHAR" if kind.id in _WIDE else re.sub(r"\bU?HUGEINT\b", "DECIMAL(38,0)", str(kind))
        value = f"CAST(#{number} AS {target})" if target != str(kind) else f"#{number}"
        parts.append(value + ' AS "' + name.replace('"', '""') + '"')
    answer: pl.DataFrame = relation.project(", ".join(parts)).pl()
    wide = [(name, _WIDE[kind]) for name, kind in zip(answer.columns, kinds, strict=True) if kind in _WIDE]
    return answer.with_columns(pl.col(name).str.to_integer(dtype=kind) for name, kind in wide)


def _there_is(problem: str, sql: str, frames: Mapping[str, pl.LazyFrame]) -> str:
    """The columns of the tables that a query names, if it names an unknown one; otherwise the tables."""
    named = [name for name in frames if re.search(rf"\b{name}\b", sql, re.IGNORECASE)]
    if named and problem.startswith("Binder Error") and "column" in problem.lower():
        columns = (f"{name}: {', '.join(frames[name].collect_schema().names())}" for name in named)
        return f"columns of {'; of '.join(columns)}"
    return f"tables: {', '.join(VIEWS)}"


def _require_shown(relation: duckdb.DuckDBPyRelation) -> None:
    """Refuse a result with types that polars does not support; for some nested ones it panics.

    Raises:
        StoreError: a column holds such values; the text names it.
    """
    for name, kind in zip(relation.columns, relation.types, strict=True):
        if found := _not_shown(kind):
            raise StoreError(f"the column '{name}' of the result holds {found}; cast it to text (::varchar)")


def _not_shown(kind: DuckDBPyType) -> str:
    if kind.id in _NOT_SHOWN:
        return _NOT_SHOWN[kind.id]
    parts = [part for _, part in kind.children] if kind.id in _NESTED else []
    return next((found for part in parts if isinstance(part, DuckDBPyType) and (found := _not_shown(part))), "")


def _times(values: pl.Series) -> Iterator[pl.Series]:
    """All dates and times in a column, including those inside lists, objects and maps."""
    match values.dtype:
        case pl.Date() | pl.Datetime(time_unit="us" | "ms"):
            # Nanoseconds only reach from 1677 to 2262.
            yield values
        case pl.List() | pl.Array():
            yield from _times(values.explode())
        case pl.Struct():
            for name in values.struct.fields:
                yield from _times(values.struct.field(name))
        case pl.Map() as kind:
            yield from _times(values.cast(pl.List(pl.Struct({"key": kind.key, "value": kind.value}))))
        case _:
            return


def _has_values_in_python(times: pl.Series) -> bool:
    """Whether Python can represent all of them. For others polars panics: no exception, and a page on stderr."""
    bounds = pl.Series([datetime.datetime.min, datetime.datetime.max]).cast(times.dtype).to_physical()
    return bool(times.to_physical().is_between(bounds[0], bounds[1]).all())
