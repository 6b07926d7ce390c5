"""How similar the records are to each other: a histogram, and the pairs nearest to the threshold."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.curation.similar_texts import SimilarTexts
from pipeline.similarity.pairs import Pairs
from pipeline.similarity.signatures import NEAR_MISS
from pipeline.state.snapshot import Snapshot
from schemas.fate import Fate
from schemas.run_summary import CurateSummary
from schemas.similarities import BIN, NearPair, Similarities

_NEAREST = 50
"""Pairs of kept records to remember above the threshold, and as many below it."""


def count_similarities(similar: SimilarTexts, decisions: pl.DataFrame, threshold: float) -> Similarities:
    """Count the similar pairs among the records, whose decisions come in the order of ``similar.texts``.

    Records with equal words count once.
    """
    record_ids, kept = (
        decisions["record_id"],
        decisions["fate"].is_in([Fate.ACCEPTED.value, Fate.REVIEW.value]).to_numpy(),
    )
    views = [(similar.inputs.pairs, similar.texts)]
    if similar.whole is not None:
        views.append((similar.whole.pairs, similar.free_text))
    found = pl.concat([_rows_of(pairs, texts, kept) for pairs, texts in views])
    best = _most_similar(found)
    start = round(max(threshold - NEAR_MISS, 0), 4)
    bins = int(np.floor((1 - start) / BIN + 1e-9)) + 1
    places = ((best["similarity"].to_numpy() - start) / BIN + 1e-9).astype(np.int64).clip(0, bins - 1)
    both = best.filter(kept[best["one"].to_numpy()] & kept[best["other"].to_numpy()])
    both = _most_similar(pl.concat([both, _of_equal_words(similar.texts, kept)]))
    both = both.with_columns(cluster=_clusters(both, decisions.height))
    # Most similar first: those just below the threshold, and similar rows with other answers.
    both = both.reverse()
    below, above = both.filter(pl.col("similarity") < threshold), both.filter(pl.col("similarity") >= threshold)
    near = pl.concat([_telling(above), _telling(below)]).reverse()
    return Similarities(
        threshold=threshold,
        start=start,
        counts=np.bincount(places, minlength=bins).tolist(),
        near=[
            NearPair(one=record_ids[one], other=record_ids[other], similarity=similarity)
            for one, other, similarity in near.iter_rows()
        ],
        below=below.height,
        above=above.height,
    )


def _most_similar(pairs: pl.DataFrame) -> pl.DataFrame:
    """Distinct pairs, least similar first: two records may be similar by their inputs and as a whole."""
    return pairs.group_by("one", "other").agg(pl.col("similarity").max()).sort("similarity", "one", "other")


def _of_equal_words(texts: Sequence[int], kept: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """Kept rows with equal words but different answers or signs: the first of each text with the others."""
    rows = pl.DataFrame({"other": np.arange(len(texts)), "text": np.array(texts, dtype=np.int64), "kept": kept})
    same = rows.filter(pl.col("kept"), pl.col("text") >= 0).with_columns(one=pl.col("other").first().over("text"))
    pairs = same.filter(pl.col("one") != pl.col("other")).with_columns(similarity=pl.lit(1.0))
    return pairs.select("one", "other", "similarity")


def _clusters(pairs: pl.DataFrame, rows: int) -> pl.Series:
    """For each pair, the rows connected by pairs, such as those of one template."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(pairs.height, dtype=np.bool_)
    _, dense_clusters = connected_components(
        coo_array((ones, (pairs["one"], pairs["other"])), shape=(rows, rows)), False
    )
    return pl.Series(dense_clusters)[pairs["one"]]


def _telling(pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs to remember, most informative first; one of every dense cluster before a second of any."""
    order = pl.int_range(pl.len())
    chosen = pairs.with_columns(order=order, turn=order.over("cluster")).sort("turn", "order").head(_NEAREST)
    return chosen.sort("order").select("one", "other", "similarity")


def _rows_of(pairs: Pairs, texts: Sequence[int], kept: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """Pairs of texts as pairs of rows that have them: the first kept row of each text, else the first."""
    schema = {"one": pl.Int64, "other": pl.Int64, "similarity": pl.Float64}
    numbers = np.array(texts, dtype=np.int64)
    rows = np.full(max(int(numbers.max(initial=-1)), int(pairs.right.max(initial=-1))) + 1, -1, dtype=np.int64)
    worded = np.flatnonzero(numbers >= 0)[::-1]
    rows[numbers[worded]] = worded
    still = worded[kept[worded]]
    rows[numbers[still]] = still
    left, right = rows[pairs.left], rows[pairs.right]
    # Texts of evaluation rows and of earlier versions are not records.
    present = (left >= 0) & (right >= 0)
    one, other = np.minimum(left, right)[present], np.maximum(left, right)[present]
    return pl.DataFrame({"one": one, "other": other, "similarity": pairs.similarity[present]}, schema=schema)


def last_similarities(snapshot: Snapshot) -> Similarities | None:
    """The counts of the latest committed curate run; None before the first one."""
    last = snapshot.last_run(CurateSummary)
    return last.summary.similarities if last else None
