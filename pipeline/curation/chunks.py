"""Divides the rows that a run looks at into chunks of whole components: rows of different chunks never matter to each
other, so a chunk at a time is compared and decided, and memory holds the cases of one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from pipeline.curation.prepare import Prepared
from pipeline.curation.relations import Names
from pipeline.similarity.text_columns import Rows
from pipeline.state.mapped_rows import read_rows

CHUNK_ROWS = 50_000
"""A chunk ends with the component that makes it so large; most components are single rows."""


def chunk_of_each(components: Names) -> Rows:
    """The chunk of each row, given its component; the components stay in the order of their first rows."""
    distinct, first, inverse, counts = np.unique(components, return_index=True, return_inverse=True, return_counts=True)
    turns = np.argsort(first, kind="stable")
    starts = np.cumsum(counts[turns]) - counts[turns]
    numbers = np.empty(len(distinct), dtype=np.int64)
    # A large component makes the chunks after it empty: these have no number.
    _, numbers[turns] = np.unique(starts // CHUNK_ROWS, return_inverse=True)
    found: Rows = numbers[inverse]
    return found


def rows_of_chunks(chunk_of: Rows) -> list[Rows]:
    """The rows of each chunk, in ascending order; one empty chunk if there are no rows."""
    order = np.argsort(chunk_of, kind="stable")
    count = int(chunk_of.max(initial=0)) + 1
    return np.split(order, np.searchsorted(chunk_of[order], np.arange(1, count)))


def read_prepared(prepared: Sequence[Prepared], rows: Rows, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Some columns of prepared rows, given their numbers in ascending order."""
    bounds = np.cumsum([0, *(part.rows for part in prepared)])
    parts = [pl.DataFrame(schema=dict(schema))]
    for part, start, mine in zip(prepared, bounds, np.split(rows, np.searchsorted(rows, bounds[1:])), strict=False):
        if len(mine):
            is_whole = len(mine) == part.rows
            parts.append(read_rows(part.path, list(schema), None if is_whole else mine - start))
    return pl.concat(parts)
