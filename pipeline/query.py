"""Answers SQL over a dataset's tables with DuckDB, in memory: nothing can be changed by a query."""

import duckdb
import polars as pl

from pipeline.errors import StoreError
from pipeline.store import Snapshot, Table

VIEWS = {
    "current": "the decision that counts for every current record",
    "records": "every row ever ingested, with its raw bytes",
    "decisions": "every committed decision, oldest first",
    "splits": "the split of every record that was ever released",
    "pushes": "every question sent to Label Studio",
    "annotations": "what people said, newest state of each annotation",
    "runs": "every committed run",
}
"""What a query can name in FROM."""


def query(snapshot: Snapshot, sql: str) -> pl.DataFrame:
    """Run a query over the committed state.

    Raises:
        StoreError: the query is not valid; the text is DuckDB's, with the tables there are.
    """
    frames = {
        "current": snapshot.current_decisions(),
        "records": snapshot.scan(Table.RECORDS),
        "decisions": snapshot.committed_decisions(),
        "splits": snapshot.splits(),
        "pushes": snapshot.scan(Table.PUSHES),
        "annotations": snapshot.latest_annotations(),
        "runs": snapshot.scan(Table.RUNS),
    }
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        try:
            named = connection.get_table_names(sql)
            for name in named & frames.keys():
                # Only what is named is read.
                connection.register(name, frames[name].collect().to_arrow())
            answer: pl.DataFrame = connection.sql(sql).pl()
            return answer
        except (duckdb.Error, AttributeError) as error:
            raise StoreError(f"the query failed: {error}; tables: {', '.join(VIEWS)}") from error
