"""What relates rows to each other: equal inputs, similar texts, shared fields. Rows that nothing relates never matter
to each other, directly or through others; so a run only looks at rows that are related to something that has changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.similarity.pairs import Pairs
from pipeline.similarity.signatures import Identities
from pipeline.similarity.text_columns import Rows, Texts

Names = npt.NDArray[np.uint64]
RELATED = pl.Schema(
    {
        # Zero where there is none: of the inputs, folded; of the values that it shares with others of its group.
        "key": pl.UInt64(),
        "ties": pl.List(pl.UInt64()),
        # Identities in the index: of the words of the inputs, and of these with the words of a free-text answer.
        "text_one": pl.UInt64(),
        "text_other": pl.UInt64(),
        "whole_one": pl.UInt64(),
        "whole_other": pl.UInt64(),
    }
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
    def of(cls, pairs: Pairs, identities: Identities, threshold: float) -> "Links":
        """Those of numbered texts that reach a threshold."""
        similar = pairs.similarity >= threshold
        return cls(identities[pairs.left[similar]], identities[pairs.right[similar]])


def components(related: pl.DataFrame, names: Names, texts: Links, wholes: Links) -> Names:
    """The name of every row's component: the smallest name of its rows.

    Args:
        related: rows with the columns of ``RELATED``.
        names: of the rows.
        texts: which texts are similar.
        wholes: which texts with their answers are similar.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(related.height, dtype=np.int64)
    nodes = _Nodes(related.height)
    edges = [nodes.of(rows, related[column].to_numpy(), name) for column, name in _COLUMNS.items()]
    tied = related.select("ties").with_row_index("row").explode("ties").drop_nulls()
    edges.append(nodes.of(tied["row"].cast(pl.Int64).to_numpy(), tied["ties"].to_numpy(), "tie"))
    edges += [nodes.between(links, name) for links, name in ((texts, "text"), (wholes, "whole"))]
    left, right = (np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(left), dtype=np.bool_), (left, right)), shape=(nodes.count, nodes.count))
    _, labels = connected_components(graph, directed=False)
    smallest = np.full(labels.max(initial=-1) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, labels[rows], names)
    found: Names = smallest[labels[rows]]
    return found


_COLUMNS = {"key": "key", "text_one": "text", "whole_one": "whole"}


class _Nodes:
    """Numbers what rows have in common, after the rows."""

    def __init__(self, rows: int) -> None:
        self.count = rows
        self._known: dict[str, tuple[Names, int]] = {}

    def of(self, rows: Rows, values: Names, name: str) -> tuple[Rows, Rows]:
        """The edges between rows and what they have; zeros are nothing."""
        there = values != 0
        distinct, places = np.unique(values[there], return_inverse=True)
        first = self.count
        self._known[name] = distinct, first
        self.count += len(distinct)
        return rows[there], first + places

    def between(self, links: Links, name: str) -> tuple[Rows, Rows]:
        """The edges between what rows have, where some row has both."""
        distinct, first = self._known[name]
        left, right = (_found(distinct, side[:, 0]) for side in (links.left, links.right))
        both = (left >= 0) & (right >= 0)
        return first + left[both], first + right[both]


def _found(distinct: Names, values: Names) -> Rows:
    """The place of each value among distinct ones, which are sorted; -1 where it is not one of them."""
    if not len(distinct):
        return np.full(len(values), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(distinct, values), len(distinct) - 1)
    return np.where(distinct[at] == values, at, -1)
