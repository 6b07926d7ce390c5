"""Takes the secrets of URLs out of a home of before they were left out: its tables and places name files."""

import json
import shutil
from functools import partial

import polars as pl

from pipeline.ingest.read_cache import ReadCache
from pipeline.state.store import Store
from pipeline.state.tables import Table
from pipeline.state.work_files import read_work, write_work
from schemas.fetched import without_credentials

_NAMING = {Table.DECISIONS: "reasons", Table.EVALUATIONS: "place", Table.RECORDS: "file"}
"""The columns that name files."""


def clean(store: Store) -> None:
    """Name all files of a dataset without secrets; the caller keeps other writers away.

    Raises:
        StoreError: a table is damaged.
    """
    files = store.scan(Table.RECORDS).select("file").unique().collect()["file"].to_list()
    places = pl.col("place").str.replace(r":\d+$", "").alias("file")
    files += store.scan(Table.EVALUATIONS).select(places).unique().collect()["file"].to_list()
    # The longest first: it may begin with another one.
    told = {file: without_credentials(file) for file in sorted(files, key=len, reverse=True)}
    told = {file: shown for file, shown in told.items() if file != shown}
    if not told:
        return
    # Caches, and a page that `goldleaf report` writes anew.
    shutil.rmtree(store.standing, ignore_errors=True)
    ReadCache(store.read).forget()
    store.report.unlink(missing_ok=True)
    if store.moved.exists():
        write_work(_renamed(read_work(store.moved), "file", told), store.moved)
    # The tables that tell what to look for are the last, so that a run that is killed is repeated.
    for table, column in _NAMING.items():
        store.rewrite(table, column, partial(_renamed, column=column, told=told))


def _renamed(rows: pl.DataFrame, column: str, told: dict[str, str]) -> pl.DataFrame:
    text = pl.col(column)
    for file, shown in told.items():
        # Reasons are JSON.
        for one in dict.fromkeys((file, json.dumps(file)[1:-1], json.dumps(file, ensure_ascii=False)[1:-1])):
            text = text.str.replace_all(one, shown, literal=True)
    return rows.with_columns(text)
