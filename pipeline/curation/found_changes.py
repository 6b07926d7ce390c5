"""Finds what has changed since the last curate: rows, answers, and what versions contain."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.relations import hashed
from pipeline.curation.standing import PLACED, Standing
from pipeline.state.snapshot import BY_AGE, Snapshot
from pipeline.state.tables import Table
from pipeline.suggestions.asker import Asker
from pipeline.text.normalize import inputs_key
from schemas.task import Task

_ROW = ["record_id", "revision", "source", "withdrawn", "batch", "position"]


@dataclass(frozen=True)
class Changes:
    """What a run has to look at, beside all that is related to it."""

    rows: pl.DataFrame
    """The current rows of new, edited and returned records, with the columns of ``PLACED`` that follow from
    the table of records."""
    records: frozenset[str]
    """Records that have changed, are gone, or whose answers have."""
    components: pl.Series
    """The components of these, as far as they stood."""
    withdrawn: frozenset[str]
    """Records that stood and have no current row any more."""
    answered: frozenset[str]
    """Records that answers came in about, were changed or taken back."""

    @property
    def is_replaced(self) -> pl.Expr:
        """Whether a row that stood is replaced by what came in, or gone, by its ``record_id``."""
        return pl.col("record_id").is_in([*self.withdrawn, *self.rows["record_id"]])

    @property
    def are_none(self) -> bool:
        """Whether nothing has changed."""
        return self.rows.is_empty() and not self.records and self.components.is_empty()


def read_changes(snapshot: Snapshot, standing: Standing, dataset: LoadedDataset) -> Changes:
    """What has changed since a standing."""
    task = dataset.task
    delivered = _delivered(snapshot, standing)
    changed = set(delivered["record_id"]) | set(_ids(snapshot, standing, Table.DECISIONS))
    answered = set(_answered(snapshot, standing, delivered))
    changed |= answered | _heard(snapshot, dataset)
    rows = _placed(delivered, snapshot, standing)
    stand = standing.columns("record_id", "key", "component")
    here = set(stand.filter(pl.col("record_id").is_in(list(answered)))["record_id"]) if answered else set()
    keys = _questions_of_gone(snapshot, answered - here, task)
    touched = _published(snapshot, standing, dataset)
    if changed or keys:
        is_changed = pl.col("record_id").is_in(list(changed)) | pl.col("key").is_in(keys)
        touched = pl.concat([stand.filter(is_changed)["component"], touched])
    withdrawn = set(delivered["record_id"]) - set(rows["record_id"])
    came = frozenset(_ids(snapshot, standing, Table.ANNOTATIONS))
    return Changes(rows, frozenset(changed), touched.unique(), frozenset(withdrawn), came)


def _ids(snapshot: Snapshot, standing: Standing, table: Table) -> pl.Series:
    added = snapshot.added_since(table, standing.header.versions.get(table.value, -1))
    if table is Table.DECISIONS:
        # What a killed run has decided never counts.
        added = added.join(snapshot.runs.lazy().select("run"), on="run", how="semi")
    return added.select(pl.col("record_id").unique()).collect().to_series()


# --- rows -----------------------------------------------------------------------------------------
def _delivered(snapshot: Snapshot, standing: Standing) -> pl.DataFrame:
    """All rows ever of the records that have a new one, or a mark that they are withdrawn."""
    ids = _ids(snapshot, standing, Table.RECORDS)
    if ids.is_empty():
        return pl.DataFrame(schema={name: snapshot.scan(Table.RECORDS).collect_schema()[name] for name in _ROW})
    return snapshot.scan(Table.RECORDS).select(_ROW).filter(pl.col("record_id").is_in(ids.implode())).collect()


def _placed(delivered: pl.DataFrame, snapshot: Snapshot, standing: Standing) -> pl.DataFrame:
    """The current ones of them, by age."""
    latest = delivered.sort("batch", "position").unique("record_id", keep="last", maintain_order=True)
    ever = delivered.filter(~pl.col("withdrawn"))
    since = ever.group_by("record_id").agg(since=pl.col("batch").min())
    current = latest.filter(~pl.col("withdrawn")).join(since, on="record_id")
    turns = _turns(current.select("source", "since").unique(), snapshot, standing)
    placed = current.join(turns, on=["source", "since"]).sort(BY_AGE)
    of_table = [name for name in PLACED if name not in ("file", "row", "state")]
    return placed.select(pl.col(name).cast(PLACED[name]) for name in of_table)


def _turns(batches: pl.DataFrame, snapshot: Snapshot, standing: Standing) -> pl.DataFrame:
    """The turn of each source in some batches; known ones are not looked for again."""
    known = standing.columns("source", "since", "turn")
    known = known.unique() if batches.height else known.clear()
    known = known.cast({"source": pl.String(), "since": pl.String()}).join(batches, on=["source", "since"], how="semi")
    missing = batches.join(known, on=["source", "since"], how="anti")
    rows = snapshot.scan(Table.RECORDS).filter(~pl.col("withdrawn"), pl.col("batch").is_in(missing["since"].implode()))
    found = rows.group_by("source", pl.col("batch").alias("since")).agg(turn=pl.col("position").min()).collect()
    return pl.concat([known, found.join(missing, on=["source", "since"], how="semi").select(known.columns)])


# --- versions -------------------------------------------------------------------------------------
def _published(snapshot: Snapshot, standing: Standing, dataset: LoadedDataset) -> pl.Series:
    """The components that a new version has changed: its rows pin the others, if these have no split yet, and come
    before them if some were given one by their source."""
    new = _ids(snapshot, standing, Table.SPLITS)
    if new.is_empty():
        return pl.Series("component", [], dtype=pl.UInt64)
    placed = snapshot.scan(Table.SPLITS).select(pl.col("record_id").unique()).collect().to_series()
    given = [source.name for source in dataset.config.sources if source.split or source.frozen]
    rows = standing.columns("record_id", "source", "component", "pinned").select(
        "component",
        is_new=pl.col("record_id").is_in(new.implode()),
        is_open=~pl.col("record_id").is_in(placed.implode()) | pl.col("source").is_in(given),
        was_pinned=pl.col("record_id").is_in(new.implode()) & pl.col("pinned"),
    )
    found = rows.group_by("component").agg(pl.col("is_new", "is_open", "was_pinned").any(), several=pl.len() > 1)
    return found.filter("is_new", pl.col("was_pinned") | (pl.col("is_open") & pl.col("several")))["component"]


# --- answers --------------------------------------------------------------------------------------
def _answered(snapshot: Snapshot, standing: Standing, delivered: pl.DataFrame) -> Iterator[str]:
    """The records that annotations came in about; and those that several annotators have answered: how much a vote
    weighs depends on all others of its annotator, which count as long as the texts stay."""
    new = _ids(snapshot, standing, Table.ANNOTATIONS)
    voters = snapshot.scan(Table.ANNOTATIONS).group_by("record_id").agg(pl.struct("server", "annotator").n_unique())
    changed = voters.join(delivered.lazy(), on="record_id", how="semi")
    if new.is_empty() and (delivered.is_empty() or changed.collect().is_empty()):
        return
    yield from new
    yield from voters.filter(pl.col("server") > 1).select("record_id").collect().to_series()


def _heard(snapshot: Snapshot, dataset: LoadedDataset) -> set[str]:
    """The records that a model was asked about: what its word counts depends on what annotators said of all of them."""
    from pipeline.suggestions.model_answers import ModelAnswers

    calls = snapshot.store.calls
    if not dataset.config.suggest.is_on or not calls.exists():
        return set()
    with ModelAnswers(Asker(dataset.config.suggest, dataset.task), calls) as answers:
        return set(answers.asked)


def _questions_of_gone(snapshot: Snapshot, records: set[str], task: type[Task]) -> list[int]:
    """What annotators were asked about records that are gone, as keys: another row may ask the same."""
    if not records:
        return []
    asked = snapshot.committed_decisions().filter(pl.col("record_id").is_in(list(records))).select("inputs").unique()
    keys = {inputs_key(task, orjson.loads(inputs)) for inputs in asked.collect().to_series()}
    found: list[int] = hashed(sorted(keys)).tolist()
    return found
