"""Puts what a run has looked at together with what stands, and decides about all of it."""

from collections.abc import Sequence

import numpy as np
import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case
from pipeline.curation.look import Look
from pipeline.curation.mark_duplicates import past_group_keys
from pipeline.curation.relations import Links, components
from pipeline.curation.selection import related
from pipeline.curation.settled_columns import ASKING
from pipeline.curation.similar_texts import SimilarTexts
from pipeline.curation.standing import PAST, STANDING
from pipeline.curation.triage import TRIAGED, VERDICT, unreviewed
from pipeline.similarity.search import SearchResult
from pipeline.similarity.signatures import NO_IDENTITIES, Identities
from pipeline.state.decisions import json_of, json_of_reasons
from pipeline.state.snapshot import Snapshot
from pipeline.state.work_files import read_work
from pipeline.text.normalize import inputs_key
from schemas.dataset import Review
from schemas.fate import Routed

_SETTLED = {"settled_fate": "fate", "settled_routed": "routed"}
_IS_AUDIT = (pl.col("routed") == Routed.AUDIT.value) | (pl.col("past_route") == Routed.AUDIT.value)
_FIRST_ASKED = pl.when(pl.col("routed") != Routed.ADJUDICATE.value).then("routed")
_PAST_FROM_NOW_ON = {
    "past_route": pl.when(_IS_AUDIT)
    .then(pl.lit(Routed.AUDIT.value))
    .otherwise(pl.coalesce("past_route", _FIRST_ASKED)),
    "past_stratum": pl.col("audit_stratum"),
    "past_probability": pl.col("audit_probability"),
}
"""What verdicts make of the past, as ``history`` reads it from the decisions: a question that was asked remains asked,
and a chance to be audited stays.
"""


def looked_at(look: Look, cases: Sequence[Case], settled: pl.DataFrame, similar: SimilarTexts) -> pl.DataFrame:
    """The rows that a run has looked at, with the columns of ``STANDING`` but for components and verdicts."""
    prepared = pl.concat(
        [pl.DataFrame(schema={"key": pl.String, "group_keys": pl.String})]
        + [read_work(part.path, ["key", "group_keys"]) for part in look.prepared]
    )
    whole = _identities(similar.whole, similar.free_text)
    relations = related(prepared["key"], prepared["group_keys"], _identities(similar.inputs, similar.texts), whole)
    known = [
        pl.Series("state", [case.content or case.revision for case in cases], dtype=pl.String),
        pl.Series("labeled", [case.targets is not None for case in cases], dtype=pl.Boolean),
        pl.Series("repairable", [case.draft is not None for case in cases], dtype=pl.Boolean),
    ]
    return (
        look.places.drop("order")
        .hstack(relations)
        .hstack(settled.select(*ASKING, "group", "label_error_score", pinned=pl.col("pinned_split") != "", **_SETTLED))
        .with_columns(known)
    )


def _identities(found: SearchResult | None, entries: Sequence[int]) -> Identities:
    places = np.array(entries, dtype=np.int64)
    known = NO_IDENTITIES if found is None else found.identities()
    if not len(known):
        return np.zeros((len(places), 2), dtype=np.uint64)
    return np.where(places[:, None] >= 0, known[places], np.uint64(0))


def past_rows(similar: SimilarTexts, snapshot: Snapshot, dataset: LoadedDataset) -> pl.DataFrame:
    """The rows of versions that are no current record any more, with the columns of ``PAST`` but for components."""
    gone = similar.gone
    ids = {"record_id": [one.record_id for one in gone], "revision": [one.revision for one in gone]}
    inputs = {"inputs": [json_of(one.inputs) for one in gone]}
    schema = {name: kind for name, kind in PAST.items() if name in {*ids, *inputs}}
    frame = pl.DataFrame(ids | inputs, schema=schema)
    shared = past_group_keys(frame, snapshot, dataset.config.split.group_by)
    keys = pl.Series([inputs_key(dataset.task, one.inputs) for one in gone], dtype=pl.String)
    group_keys = pl.Series(
        [orjson.dumps(shared.get(row, ())).decode() for row in frame.select(*ids).iter_rows()], dtype=pl.String
    )
    texts = _identities(similar.inputs, [similar.past[row] for row in frame.select(*ids).iter_rows()])
    return frame.hstack(related(keys, group_keys, texts, np.zeros_like(texts)))


def with_components(
    rows: pl.DataFrame, past: pl.DataFrame, similar: SimilarTexts, threshold: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that a run has looked at, and those of versions that are no current record, with their components."""
    texts = Links.of(similar.inputs.pairs, similar.inputs.identities(), threshold)
    wholes = texts
    if similar.whole is not None:
        wholes = Links.of(similar.whole.pairs, similar.whole.identities(), threshold)
    both = pl.concat([rows.select(past.columns[:1] + _RELATED), past.select(past.columns[:1] + _RELATED)])
    # Rows of a record that is gone, or was another one, have its name, too.
    names = both["record_id"].str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64).to_numpy()
    found = pl.Series("component", components(both, names, texts, wholes), dtype=pl.UInt64)
    return rows.with_columns(found[: rows.height]), past.with_columns(found[rows.height :])


_RELATED = [name for name in PAST if name not in ("record_id", "revision", "inputs", "component")]


def as_triaged(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of ``STANDING`` as triage takes them."""
    settled = [pl.col(old).alias(new) for old, new in _SETTLED.items()]
    return rows.select(*(name for name in TRIAGED if name not in _SETTLED.values()), *settled)


def standing_rows(rows: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """The same rows once triage has spoken, with their past as the next run will find it."""
    fresh = rows.drop([name for name in VERDICT if name != "record_id"], strict=False)
    found = fresh.join(verdicts, on="record_id", maintain_order="left")
    return found.with_columns(**_PAST_FROM_NOW_ON).select(STANDING.names())


def changed_verdicts(others: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Those of rows that a run has not looked at, and of which triage says something else than before."""
    columns = list(VERDICT)
    before = others.select(columns)
    return verdicts.join(before.select("record_id"), on="record_id", how="semi").join(
        before, on=columns, how="anti", nulls_equal=True
    )


def settled_before(snapshot: Snapshot, others: pl.DataFrame, changed: pl.DataFrame, review: Review) -> pl.DataFrame:
    """The decisions about some of these rows as they were before triage spoke."""
    ids = changed["record_id"]
    found = snapshot.latest_decisions().filter(pl.col("record_id").is_in(ids.implode())).collect()
    was = others.select("record_id", "unreviewed", **{name: pl.col(old) for old, name in _SETTLED.items()})
    rows = found.drop("fate", "routed").join(was, on="record_id", maintain_order="left")
    # As it was written: another configuration looks at everything.
    first = json_of_reasons([unreviewed(review)])[:-1] + ","
    stripped = pl.concat_str(pl.lit("["), pl.col("reasons").str.strip_prefix(first))
    return rows.with_columns(reasons=pl.when("unreviewed").then(stripped).otherwise("reasons"))
