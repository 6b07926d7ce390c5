"""Compares new or returned texts with those of all rows that stand, of which only the similar ones are read again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from pipeline.curation.compared_texts import compared_texts
from pipeline.curation.derived_rows import DerivedRows
from pipeline.curation.relations import TEXT_COLUMNS, VIEWS, Links, Names
from pipeline.curation.standing import Standing
from pipeline.similarity.index import StoredIndex, index_for, take_in
from pipeline.similarity.search import Map, search
from pipeline.similarity.signatures import INPUTS, NO_IDENTITIES, WHOLE, Identities, Scheme, of_entries
from pipeline.similarity.spelling import spelled
from pipeline.similarity.text_columns import Texts
from pipeline.state.store import Store
from pipeline.text.answer_keys import Answers
from pipeline.text.normalize import compared_text
from schemas.field import JsonValue
from schemas.task import Task


class _Elsewhere:
    """The texts of the rows that stand, and of those that versions have, by identity."""

    def __init__(
        self,
        view: str,
        standing: Standing,
        met: Identities,
        kept: DerivedRows,
        answers: Mapping[str, str],
        task: type[Task],
    ) -> None:
        """Take those of them that are in an index (``met``, by identity)."""
        self._view, self._kept, self._task, self._answers = view, kept, task, answers
        one, other = TEXT_COLUMNS[view]
        names = {one: "one", other: "other"}
        rows = standing.columns("record_id", "file", "row", *names)
        past = standing.past.select("record_id", "inputs", *names.keys())
        is_met = pl.col(one).is_in(pl.Series(met[:, 0]).implode()) & (pl.col(one) != 0)
        self._rows = pl.concat([some.filter(is_met) for some in (rows, past)], how="diagonal").rename(names)

    def identities(self) -> Identities:
        """Texts x 2."""
        return self._rows.select("one", "other").to_numpy()

    def texts(self, identities: Identities) -> Texts:
        """Some of them, in the given order."""
        wanted = pl.DataFrame(identities, schema={"one": pl.UInt64, "other": pl.UInt64})
        first = self._rows.unique(["one", "other"], keep="first", maintain_order=True)
        places = wanted.join(first, on=["one", "other"], maintain_order="left").with_row_index("at")
        derived = self._kept.take(places.drop_nulls("file"), ["inputs", "targets"])
        known = places.drop_nulls("file").select("at").hstack(derived)
        rows = places.join(known, on="at", how="left", suffix="_kept", maintain_order="left")
        asked = [
            compared_text(self._task, orjson.loads(kept or past))
            for kept, past in rows.select("inputs_kept", "inputs").iter_rows()
        ]
        if self._view != WHOLE:
            return Texts.of(asked if self._view == INPUTS else spelled(asked))
        answers = Answers(self._task)
        answered = [
            self._answers.get(record_id) or answers.free_text(_loaded(targets))
            for record_id, targets in rows.select("record_id", "targets").iter_rows()
        ]
        return Texts.of(asked, answered)


def _loaded(targets: str | None) -> dict[str, JsonValue] | None:
    return None if targets is None else orjson.loads(targets)


def meet(
    files: Mapping[str, Sequence[Path]],
    standing: Standing,
    kept: DerivedRows,
    answers: Mapping[str, str],
    store: Store,
    task: type[Task],
    threshold: float,
    folder: Path,
    each: Map,
) -> dict[str, list[Identities]]:
    """Compare new texts with all others, and add them to the index.

    Returns by view, and then by file, the identities of its texts, in their order; zeros for one without words.

    Args:
        files: by view, those of the new texts, and of the evaluation rows.
        standing: the rows that are there already.
        kept: what was derived from these.
        answers: by record, the free text of an annotator's answer that replaces the row's own.
        store: has the index.
        task: of the dataset.
        threshold: minimum Jaccard similarity.
        folder: for files.
        each: runs a step for every item.
    """
    found: dict[str, list[Identities]] = {}
    for view in VIEWS:
        shards = list(files[view])
        if not shards:
            found[view] = []
            continue
        work = folder / f"meet-{view}"
        work.mkdir()
        scheme = Scheme.of(view, threshold)
        snapshot = store.snapshot()
        index = index_for(shards, snapshot, scheme, compared_texts(standing, snapshot, scheme))
        others = _Elsewhere(view, standing, index.identities(), kept, answers, task)
        result = search(shards, work, scheme, index, each, others)
        take_in(store, scheme, result)
        identities = result.identities()
        found[view] = [of_entries(identities, result.entries(shard)) for shard in range(len(shards))]
    return found


def links(store: Store, view: str, threshold: float, texts: Names) -> Links:
    """The pairs of similar texts that the index knows of some, given by the first halves of their identities."""
    if not texts.any():
        return Links(NO_IDENTITIES, NO_IDENTITIES)
    identities = np.stack([texts, texts], axis=1)
    scheme = Scheme.of(view, threshold)
    left, right, pairs = StoredIndex(store.snapshot(), scheme).pairs_with(identities)
    similar = pairs.similarity >= scheme.similar
    return Links(left[similar], right[similar])
