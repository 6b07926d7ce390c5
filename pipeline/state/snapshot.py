"""The committed state of a dataset at one moment: every table is read at a pinned version."""

import functools
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.errors import StoreError
from pipeline.state.runs import CommittedRun, Summary
from pipeline.state.tables import SCHEMAS, Table
from schemas.fate import Fate
from schemas.manifest import Funnel
from schemas.run_summary import CurateFacts, CurateSummary, ReleaseSummary, RunSummary, Verb

if TYPE_CHECKING:
    # Stores create snapshots.
    from pipeline.state.store import Store

_END_OF_TIME = "9"
"""Sorts after every run."""


@dataclass(frozen=True)
class Snapshot:
    """The committed state at one moment; every table is read at a pinned version."""

    store: "Store"
    versions: dict[Table, int]
    _frames: dict[Table, pl.LazyFrame] = field(default_factory=dict)

    def scan(self, table: Table) -> pl.LazyFrame:
        """The table's rows at the pinned version, including those of uncommitted runs."""
        if table not in self._frames:
            self._frames[table] = self.store.scan(table, self.versions[table])
        return self._frames[table]

    @functools.cached_property
    def runs(self) -> pl.DataFrame:
        """The committed runs, oldest first."""
        return self.store.runs(self.versions[Table.RUNS])

    def committed_runs(self, kind: type[Summary]) -> list[CommittedRun[Summary]]:
        """The committed runs of the verb with this kind of summary, oldest first.

        Raises:
            StoreError: a summary cannot be read.
        """
        return [self._read_run(row, kind) for row in self._runs_of(kind).iter_rows(named=True)]

    def committed_run(self, run: str, kind: type[Summary]) -> CommittedRun[Summary] | None:
        """The committed run with this id; None if the verb with this kind of summary has none."""
        rows = self._runs_of(kind).filter(pl.col("run") == run)
        return self._read_run(rows.row(0, named=True), kind) if rows.height else None

    def last_run(self, kind: type[Summary]) -> CommittedRun[Summary] | None:
        """The latest of them.

        Raises:
            StoreError: its summary cannot be read.
        """
        rows = self._runs_of(kind)
        return self._read_run(rows.row(-1, named=True), kind) if rows.height else None

    def _runs_of(self, kind: type[RunSummary]) -> pl.DataFrame:
        return self.runs.filter(pl.col("verb") == kind.verb.value)

    def _read_run(self, row: dict[str, Any], kind: type[Summary]) -> CommittedRun[Summary]:
        try:
            return CommittedRun(row["run"], json.loads(row["inputs"]), kind.model_validate_json(row["summary"]))
        except ValueError as error:
            raise StoreError(
                f"table 'runs' of '{self.store.dataset}' has no valid {kind.verb} summary of run {row['run']}; restore "
                f"{self.store.root / 'tables'} from a backup"
            ) from error

    def at_last_commit(self) -> "Snapshot":
        """The same, with the records that the latest committed curate run decided about.

        Rows ingested by a killed run are not included until a run has decided about them.
        """
        last = self.last_run(CurateSummary)
        seen = last.inputs[Table.RECORDS.value] if last else -1
        return Snapshot(self.store, self.versions | {Table.RECORDS: seen})

    def committed_versions(self) -> dict[Table, int]:
        """The version of each table when the latest run was committed; empty if no run has recorded it."""
        noted = self.runs["tables"].drop_nulls()
        found: dict[str, int] = json.loads(noted[-1]) if noted.len() else {}
        return {Table(name): version for name, version in found.items()}

    def latest_records(self) -> pl.LazyFrame:
        """The newest row of every record, including withdrawn ones, in order of ingestion."""
        return self.scan(Table.RECORDS).sort("batch", "position").unique("record_id", keep="last", maintain_order=True)

    def current_records(self) -> pl.LazyFrame:
        """The newest revision of every record that was not withdrawn, in order of ingestion."""
        return self.latest_records().filter(~pl.col("withdrawn"))

    def records_of(self, sources: Collection[str]) -> pl.LazyFrame:
        """``record_id`` of the current records of some sources."""
        return self.current_records().filter(pl.col("source").is_in(list(sources))).select("record_id")

    def by_age(self) -> pl.LazyFrame:
        """The same, first arrivals first: by the batch that a record first came with, then by source in the order of
        dataset.yaml. A row's line number makes no difference.
        """
        ever = self.scan(Table.RECORDS).filter(~pl.col("withdrawn"))
        age = ever.group_by("record_id").agg(pl.col("batch").min().alias("since"))
        turn = ever.group_by("source", pl.col("batch").alias("since")).agg(pl.col("position").min().alias("turn"))
        aged = self.current_records().join(age, on="record_id").join(turn, on=["source", "since"])
        return aged.sort("since", "turn", "record_id").drop("since", "turn")

    def committed_decisions(self, verb: Verb | None = None) -> pl.LazyFrame:
        """All decisions of committed runs (of a verb), oldest first."""
        runs = self.runs if verb is None else self.runs.filter(pl.col("verb") == verb.value)
        return self.scan(Table.DECISIONS).join(runs.lazy().select("run"), on="run", how="semi").sort("run")

    def latest_decisions(self, verb: Verb | None = None) -> pl.LazyFrame:
        """The newest committed decision (of a verb's runs) about every record ever decided."""
        return self.committed_decisions(verb).unique("record_id", keep="last", maintain_order=True)

    def current_decisions(self) -> pl.LazyFrame:
        """The decision that counts for each current record."""
        current = self.current_records().select("record_id", "revision")
        return self.latest_decisions().join(current, on=["record_id", "revision"], how="semi", maintain_order="left")

    def released(self) -> pl.LazyFrame:
        """The decision behind every row of every version: the last one about each revision."""
        releases = self.runs.filter(pl.col("verb") == Verb.RELEASE.value)["run"]
        if not releases.len():
            return pl.LazyFrame(schema=SCHEMAS[Table.DECISIONS])
        return (
            self.committed_decisions()
            .with_columns(until=pl.col("run").shift(-1).over("record_id", order_by="run").fill_null(_END_OF_TIME))
            .filter(pl.col("fate") == Fate.ACCEPTED.value)
            # It counted when a release began.
            .filter(_count_upto(releases, "run") < _count_upto(releases, "until"))
            .drop("until")
            .unique(["record_id", "revision"], keep="last", maintain_order=True)
        )

    def latest_annotations(self) -> pl.LazyFrame:
        """The last known state of every annotation, including deleted ones.

        Ordered by the runs that saw it, not by the server's times: a server may be restored from a backup.
        """
        return (
            self.scan(Table.ANNOTATIONS)
            .sort("run", "updated_at", "deleted")
            .unique(["server", "annotation_id", "push_key"], keep="last", maintain_order=True)
        )

    def tasks(self) -> pl.LazyFrame:
        """The last question recorded for every task id: on SQLite, Label Studio reuses ids."""
        return self.scan(Table.PUSHES).sort("pushed_at").unique(["server", "task_id"], keep="last", maintain_order=True)

    def splits(self) -> pl.LazyFrame:
        """The split of every record that ever had one: the first one recorded stays."""
        return self.scan(Table.SPLITS).sort("run").unique("record_id", keep="first", maintain_order=True)

    def published_versions(self) -> set[str]:
        """Versions whose release run is committed."""
        return {run.summary.version for run in self.committed_runs(ReleaseSummary)}

    def adopted_versions(self) -> set[str]:
        """Versions of this dataset, published from another home, whose splits were adopted."""
        return {version for run in self.committed_runs(CurateFacts) for version in run.summary.adopted}

    def settled_funnel(self) -> Funnel:
        """The funnel of a committed state, in which every current record has one fate.

        Raises:
            StoreError: it does not add up, so none of its numbers can be trusted.
        """
        funnel = self.funnel()
        if not funnel.adds_up():
            raise StoreError(
                f"the numbers of '{self.store.dataset}' do not add up ({funnel}): its tables records, decisions and "
                f"runs do not match each other; restore {self.store.root / 'tables'} from a backup"
            )
        return funnel

    def funnel(self) -> Funnel:
        """Count every row ever read by what became of it."""
        records = self.scan(Table.RECORDS)
        raw = records.filter(~pl.col("withdrawn")).select(pl.len()).collect().item()
        latest = self.latest_records().select("withdrawn").collect()
        withdrawn = int(latest["withdrawn"].sum())
        fates = dict(self.current_decisions().group_by("fate").len().collect().iter_rows())
        return Funnel(
            raw=raw,
            superseded=raw - latest.height,
            withdrawn=withdrawn,
            **{fate.value: fates.get(fate.value, 0) for fate in Fate},
        )


def _count_upto(runs: pl.Series, column: str) -> pl.Expr:
    """How many of some runs, given oldest first, are not later than the one in a column."""
    return pl.lit(runs).search_sorted(pl.col(column), side="right")
