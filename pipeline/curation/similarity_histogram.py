"""How similar the records are to each other: a histogram, and the pairs nearest to the threshold."""

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.curation.look import Look
from pipeline.curation.relations import Names
from pipeline.similarity.index import StoredIndex
from pipeline.similarity.signatures import NEAR_MISS, Scheme
from pipeline.sorted_places import places_of
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import Table
from schemas.fate import Fate
from schemas.run_summary import CurateSummary
from schemas.similarities import BIN, NearPair, Similarities

_VIEWS = {"inputs": "text_one", "whole": "whole_one"}
"""Those whose pairs may be duplicates, and the columns with their identities."""
_NEAREST = 50
"""Pairs of kept records to remember above the threshold, and as many below it."""


def count_similarities(rows: pl.DataFrame, store: Store, threshold: float) -> Similarities:
    """Count the similar pairs among the records.

    Records with equal words count once.

    Args:
        rows: ``record_id``, ``fate``, ``order`` and the identities of the texts of every current record, in any order.
        store: has the pairs of similar texts.
        threshold: of near-duplicates.
    """
    if not rows["order"].is_sorted():
        rows = rows.select("record_id", "fate", *_VIEWS.values(), "order").sort("order")
    record_ids = rows["record_id"]
    kept = _is_kept(rows).to_numpy()
    texts = rows["text_one"].to_numpy()
    found = pl.concat(
        [_rows_of(view, rows[column].to_numpy(), kept, store, threshold) for view, column in _VIEWS.items()]
    )
    best = _most_similar(found)
    start = round(max(threshold - NEAR_MISS, 0), 4)
    bins = int(np.floor((1 - start) / BIN + 1e-9)) + 1
    places = ((best["similarity"].to_numpy() - start) / BIN + 1e-9).astype(np.int64).clip(0, bins - 1)
    both = best.filter(kept[best["one"].to_numpy()] & kept[best["other"].to_numpy()])
    both = _most_similar(pl.concat([both, _of_equal_words(texts, kept)]))
    both = both.with_columns(cluster=_clusters(both, rows.height))
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
    # By sorting: groups would take several times the memory of the pairs.
    ordered = pairs.sort("one", "other", "similarity")
    is_another = [(pl.col(end) != pl.col(end).shift(-1)).fill_null(value=True) for end in ("one", "other")]
    return ordered.filter(pl.any_horizontal(is_another)).sort("similarity", "one", "other")


def _of_equal_words(texts: Names, kept: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """Kept rows with equal words but different answers or signs: the first of each text with the others."""
    rows = pl.DataFrame({"other": np.arange(len(texts), dtype=np.uint32), "text": texts, "kept": kept})
    same = rows.filter(pl.col("kept"), pl.col("text") != 0).with_columns(one=pl.col("other").first().over("text"))
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


def _rows_of(view: str, texts: Names, kept: npt.NDArray[np.bool_], store: Store, threshold: float) -> pl.DataFrame:
    """Pairs of texts as pairs of rows that have them: the first kept row of each text, else the first."""
    schema = {"one": pl.UInt32, "other": pl.UInt32, "similarity": pl.Float64}
    left, right, pairs = StoredIndex(store.snapshot(), Scheme(threshold, view)).pairs()
    paired = pl.Series(np.concatenate([left[:, 0], right[:, 0]])).unique().implode()
    rows = pl.DataFrame({"text": texts, "row": np.arange(len(texts), dtype=np.uint32), "kept": kept})
    rows = rows.filter(pl.col("text").is_in(paired), pl.col("text") != 0)
    first = rows.sort(~pl.col("kept"), "row").unique("text", keep="first").sort("text")
    names, places = first["text"].to_numpy(), first["row"].to_numpy()
    at = [places_of(side[:, 0], names) for side in (left, right)]
    # Texts of evaluation rows, of earlier versions and of rows that are gone are not records.
    present = (at[0] >= 0) & (at[1] >= 0)
    ends = [places[side[present]] for side in at]
    one, other = np.minimum(*ends), np.maximum(*ends)
    return pl.DataFrame({"one": one, "other": other, "similarity": pairs.similarity[present]}, schema=schema)


def _is_kept(rows: pl.DataFrame) -> pl.Series:
    return rows["fate"].is_in([Fate.ACCEPTED.value, Fate.REVIEW.value])


def similarities_stand(look: Look, rows: pl.DataFrame, store: Store) -> bool:
    """Whether what the last run has counted holds: no row came or went, and of each the texts, and whether it is kept,
    are as they were. So it is after most answers.

    Args:
        look: what the run has looked at.
        rows: as for ``count_similarities``, by age.
        store: has the pairs of similar texts.
    """
    before = look.others.standing
    if before is None or look.told.changed or look.told.withdrawn:
        return False
    pairs = Table.SIMILARITIES
    if store.snapshot().versions[pairs] != before.header.versions[pairs.value] or before.height != rows.height:
        return False
    stood = before.columns("fate", *_VIEWS.values())
    same_texts = all(stood[name].equals(rows[name]) for name in _VIEWS.values())
    return same_texts and _is_kept(stood).equals(_is_kept(rows))


def last_similarities(snapshot: Snapshot) -> Similarities | None:
    """The counts of the latest committed curate run; None before the first one."""
    last = snapshot.last_run(CurateSummary)
    return last.summary.similarities if last else None
