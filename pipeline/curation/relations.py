"""What relates rows to each other: equal inputs, similar texts, shared fields. Rows that nothing relates never matter
to each other, directly or through others; so a run only looks at rows that are related to something that has changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.similarity.search import SearchResult
from pipeline.similarity.signatures import INPUTS, SPELLING, WHOLE, Identities
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.sorted_places import places_of

Names = npt.NDArray[np.uint64]
TEXT_COLUMNS = {
    INPUTS: ("text_one", "text_other"),
    WHOLE: ("whole_one", "whole_other"),
    SPELLING: ("letters_one", "letters_other"),
}
"""By view, the columns with the identities of its texts in the index."""
VIEWS = {view: first for view, (first, _) in TEXT_COLUMNS.items()}
RELATED = pl.Schema(
    {
        # Zero where there is none: of the inputs, folded; of the values that it shares with others of its group.
        "key": pl.UInt64(),
        "ties": pl.List(pl.UInt64()),
    }
    | {name: pl.UInt64() for columns in TEXT_COLUMNS.values() for name in columns}
)
"""By what rows are related, as hashes: what they hash need not be read again. If two hashes are equal by chance, a run
looks at rows that it need not look at.
"""


def hashed(texts: Sequence[str] | pl.Series) -> Names:
    """64 bits over each text; zero for an empty one."""
    column = pl.Series(texts, dtype=pl.String)
    found = Texts.of(column).hashes()[:, 0]
    found[(column == "").to_numpy()] = 0
    return found


@dataclass(frozen=True)
class Links:
    """Pairs of texts that are similar, by identity."""

    left: Identities
    right: Identities

    @classmethod
    def of(cls, found: SearchResult) -> "Links":
        """Those of a search."""
        pairs, identities = found.pairs, found.identities()
        similar = pairs.similarity >= found.scheme.similar
        return cls(identities[pairs.left[similar]], identities[pairs.right[similar]])


def components(related: pl.DataFrame, names: Names, links: Mapping[str, Links]) -> Names:
    """The name of every row's component: the smallest name of its rows.

    Args:
        related: rows with the columns of ``RELATED``.
        names: of the rows.
        links: which texts are similar, by the column of their identities.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    tied = related.select("ties").with_row_index("row").filter(pl.col("ties").list.len() > 0).explode("ties")
    edges = _edges(tied["ties"].to_numpy(), tied["row"].cast(pl.Int64).to_numpy())
    edges += _edges(related["key"].to_numpy(), None)
    for column, similar in links.items():
        edges += _edges(related[column].to_numpy(), None, similar)
    left, right = (np.concatenate(side) for side in zip(*edges, strict=True))
    # Nothing relates most rows: they are no nodes of the graph.
    nodes, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    is_edge = np.ones(len(left), dtype=np.bool_)
    graph = coo_array((is_edge, np.split(ends, 2)), shape=(len(nodes), len(nodes)))
    count, labels = connected_components(graph, directed=False)
    smallest = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, labels, names[nodes])
    found: Names = names.copy()
    found[nodes] = smallest[labels]
    return found


def _edges(values: Names, rows: Rows | None, links: Links | None = None) -> list[tuple[Rows, Rows]]:
    """Edges between rows that have the same values, or linked ones; zeros are nothing.

    Args:
        values: what rows have.
        rows: of each value; None if each is the value of the row at its place.
        links: which values go together.
    """
    there = np.flatnonzero(values)
    order = there[np.argsort(values[there], kind="stable")]
    ordered = values[order]
    owners = order if rows is None else rows[order]
    # Each with the next one that has the same.
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    edges = [(owners[same], owners[same + 1])]
    if links is not None:
        left, right = (places_of(side[:, 0], ordered) for side in (links.left, links.right))
        both = (left >= 0) & (right >= 0)
        edges.append((owners[left[both]], owners[right[both]]))
    return edges
