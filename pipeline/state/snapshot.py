"""The committed state of a dataset at one moment: every table is read at a pinned version."""

import functools
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.errors import StoreError
from pipeline.state.memory import let_go
from pipeline.state.outline import kept_outline, outlined, renewed
from pipeline.state.runs import CommittedRun, Summary, with_possible_times
from pipeline.state.tables import SCHEMAS, Table
from schemas.fate import Fate
from schemas.manifest import Funnel
from schemas.run_summary import CurateFacts, CurateSummary, ReleaseSummary, RunSummary, Verb

if TYPE_CHECKING:
    # Stores create snapshots.
    from pipeline.state.store import Store

BY_AGE = ["since", "turn", "record_id"]
"""What the age of a record is told by."""
_BY = ["record_id", "run"]
"""What a decision is known by."""
_BITS = pl.col("record_id").hash() ^ pl.col("run").hash(seed=1)
_OF_RECORDS = frozenset({Table.DECISIONS, Table.SPLITS, Table.RECORDS})
_END_OF_TIME = "9"
"""Sorts after every run."""


@dataclass(frozen=True)
class Snapshot:
    """The committed state at one moment; every table is read at a pinned version."""

    store: "Store"
    versions: dict[Table, int]
    _frames: dict[Table, pl.LazyFrame] = field(default_factory=dict)
    _whole: "Snapshot | None" = None
    _only: frozenset[str] | None = None
    """The records of the whole that it is about; None for all."""

    def scan(self, table: Table) -> pl.LazyFrame:
        """The table's rows at the pinned version, including those of uncommitted runs."""
        if table not in self._frames:
            self._frames[table] = self._scanned(table)
        return self._frames[table]

    def _scanned(self, table: Table) -> pl.LazyFrame:
        if self._only is None or self._whole is None or table not in _OF_RECORDS:
            return self.store.scan(table, self.versions[table])
        wanted = pl.col("record_id").is_in(list(self._only)) if self._only else pl.lit(value=False)
        rows = self._whole.scan(table).filter(wanted)
        if table is not Table.RECORDS:
            return rows.collect().lazy()
        narrow = rows.select(pl.exclude("raw", "error")).collect().with_columns(raw=pl.lit(b""), error=pl.lit(""))
        return narrow.select(SCHEMAS[table].names()).lazy()

    def pieces(self, table: Table, *columns: str) -> Iterator[pl.DataFrame]:
        """Some columns of a table's rows at the pinned version, a piece at a time, in the order of ``scan``."""
        return self.store.pieces(table, self.versions[table], columns)

    def added_since(self, table: Table, version: int) -> pl.LazyFrame:
        """The rows that a table has at the pinned version, and did not have at an earlier one."""
        return self.store.scan_added(table, version, self.versions[table])

    def of_records(self, record_ids: Collection[str]) -> "Snapshot":
        """The same state without all other records: their rows, decisions and splits.

        What the rows say is left out: of these, only ids, places and times are read. A table is read once, when it is
        first asked for.
        """
        return Snapshot(self.store, self.versions, {}, self, frozenset(record_ids))

    @functools.cached_property
    def answered(self) -> "Snapshot":
        """The same state of the records that annotators have answered, for all that asks about answers."""
        if self._whole is not None:
            return self
        found = self.scan(Table.ANNOTATIONS).select(pl.col("record_id").unique()).collect().to_series()
        return self.of_records(found.to_list())

    def with_decisions(self, rows: pl.DataFrame) -> "Snapshot":
        """The same state with some of the decisions only."""
        return Snapshot(self.store, self.versions, self._frames | {Table.DECISIONS: rows.lazy()}, self.everything)

    @property
    def everything(self) -> "Snapshot":
        """The same state with all records."""
        return self._whole or self

    @functools.cached_property
    def runs(self) -> pl.DataFrame:
        """The committed runs, oldest first; their times are put right where a clock was ahead."""
        return with_possible_times(self.store.runs(self.versions[Table.RUNS]), datetime.now(UTC))

    def runs_that_did(self, verb: Verb) -> pl.DataFrame:
        """The committed runs that did the work of a verb, oldest first: a curate with which collect, release or suggest
        only follows answers has read no source.
        """
        mine = self.runs.filter(pl.col("verb") == verb.value)
        if verb is not Verb.CURATE:
            return mine
        reads = pl.col("summary").str.json_path_match("$.reads")
        return mine.filter(reads.ne_missing("false"))

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
        """The same, first arrivals first: by the batch that a record first came with (``since``), then by source in the
        order of dataset.yaml (``turn``). A row's line number makes no difference.
        """
        ever = self.scan(Table.RECORDS).filter(~pl.col("withdrawn"))
        age = ever.group_by("record_id").agg(pl.col("batch").min().alias("since"))
        turn = ever.group_by("source", pl.col("batch").alias("since")).agg(pl.col("position").min().alias("turn"))
        aged = self.current_records().join(age, on="record_id").join(turn, on=["source", "since"])
        return aged.sort(BY_AGE)

    def committed_decisions(self, verb: Verb | None = None) -> pl.LazyFrame:
        """All decisions of committed runs (of a verb), oldest first."""
        runs = self.runs if verb is None else self.runs.filter(pl.col("verb") == verb.value)
        # As a condition: what the others say is not read.
        rows = self.scan(Table.DECISIONS).filter(pl.col("run").is_in(runs["run"].implode()))
        return rows.sort("run", maintain_order=True)

    def latest_decisions(self, verb: Verb | None = None) -> pl.LazyFrame:
        """The newest committed decision (of a verb's runs) about every record ever decided."""
        return self.committed_decisions(verb).unique("record_id", keep="last", maintain_order=True)

    def current_decisions(self, where: pl.Expr | None = None) -> pl.LazyFrame:
        """The decision that counts for each current record.

        Args:
            where: a condition over the columns of ``outline``: of a million records few may meet it, and only what
                these say is read.
        """
        mine = self.outline if where is None else self.outline.filter(where)
        rows, which = self.scan(Table.DECISIONS), mine.lazy().select(_BY)
        if where is not None:
            rows = rows.filter(pl.col("record_id").is_in(mine["record_id"].implode()))
        found = rows.join(which, on=_BY, how="semi", maintain_order="left")
        return found.sort("run", maintain_order=True).unique("record_id", keep="last", maintain_order=True)

    def in_batches(self, where: pl.Expr, *columns: str) -> Iterator[pl.DataFrame]:
        """Columns of these decisions, some ten thousand rows at a time: what a million rows say is more than memory
        should hold.
        """
        # 64 bits of each: a join of each piece with a million of them takes 2.5 s in all.
        which = self.outline.lazy().filter(where).select(_BITS).collect().to_series().sort()
        let_go()
        for piece in self.pieces(Table.DECISIONS, *dict.fromkeys([*_BY, *columns])):
            bits = piece.select(_BITS).to_series()
            at = which.search_sorted(bits).clip(0, max(len(which) - 1, 0))
            found = piece.filter(which.gather(at) == bits) if len(which) else piece.clear()
            yield found.unique(_BY, keep="last", maintain_order=True).select(columns)

    @functools.cached_property
    def outline(self) -> pl.DataFrame:
        """A few columns of these decisions (``OUTLINE``), in their order."""
        if (kept := self._kept_outline()) is not None:
            return kept
        return outlined(self.latest_decisions(), self.current_records())

    def _kept_outline(self) -> pl.DataFrame | None:
        """The outline of the last curate with what was decided since; None if it is not known for these records."""
        if self._only is not None and self._whole is not None:
            whole, later = self._whole.last_outline()
            if whole is None or later is not None:
                # With later decisions, all rows would be copied for the few.
                return None
            return whole.filter(pl.col("record_id").is_in(list(self._only)))
        kept, later = self.last_outline()
        if kept is None or later is None:
            return kept
        return renewed(kept, later, kept.lazy(), self.committed_decisions()).whole

    def last_outline(self) -> tuple[pl.DataFrame | None, pl.LazyFrame | None]:
        """The outline of the last curate, if it is known for these records; and what was decided since, if anything
        was: the newest decision of each record.
        """
        last = self._last_curate()
        if last is None or last["tables"] is None:
            return None, None
        kept = kept_outline(self.store.standing / last["run"], last["funnel"])
        later = self.runs.filter(pl.col("run") > last["run"]).select("run")
        if kept is None or later.is_empty():
            return kept, None
        added = self.added_since(Table.DECISIONS, json.loads(last["tables"])[Table.DECISIONS.value])
        added = added.join(later.lazy(), on="run", how="semi", maintain_order="left")
        return kept, added.sort("run", maintain_order=True).unique("record_id", keep="last", maintain_order=True)

    def _last_curate(self) -> dict[str, Any] | None:
        """The row of the last committed curate, if these are the records that it decided about."""
        rows = self._runs_of(CurateSummary)
        if not rows.height or self._whole is not None:
            return None
        last = rows.row(-1, named=True)
        return last if json.loads(last["inputs"]).get(Table.RECORDS.value) == self.versions[Table.RECORDS] else None

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
        last = self._last_curate()
        known = Funnel.model_validate_json(last["funnel"]) if last and last["funnel"] else self.rows_read()
        fates = dict(self.outline["fate"].value_counts().iter_rows())
        return known.model_copy(update={fate.value: fates.get(fate.value, 0) for fate in Fate})

    def rows_read(self) -> Funnel:
        """Count every row ever read, without looking at what became of current ones."""
        records = self.scan(Table.RECORDS)
        raw = records.filter(~pl.col("withdrawn")).select(pl.len()).collect().item()
        latest = self.latest_records().select("withdrawn").collect()
        withdrawn = int(latest["withdrawn"].sum())
        return Funnel(raw=raw, superseded=raw - latest.height, withdrawn=withdrawn, **{fate.value: 0 for fate in Fate})

    def rows_read_since_last(self) -> Funnel:
        """The same by what the last curate has counted, and by the rows of records that came in since."""
        runs = self._runs_of(CurateSummary)
        last = runs.row(-1, named=True) if runs.height else None
        if last is None or last["funnel"] is None:
            return self.rows_read()
        known, seen = Funnel.model_validate_json(last["funnel"]), json.loads(last["inputs"])[Table.RECORDS.value]
        added = self.added_since(Table.RECORDS, seen).select("record_id", "batch", "position", "withdrawn").collect()
        ids = added["record_id"].unique()
        rows = self.scan(Table.RECORDS).filter(pl.col("record_id").is_in(ids.implode()))
        ever = rows.select(added.columns).collect().sort("batch", "position")
        before = ever.join(added, on=["record_id", "batch", "position"], how="anti")
        was, now = (some.unique("record_id", keep="last", maintain_order=True) for some in (before, ever))
        raw = int((~added["withdrawn"]).sum())
        return known.model_copy(
            update={
                "raw": known.raw + raw,
                "superseded": known.superseded + raw - (now.height - was.height),
                "withdrawn": known.withdrawn + int(now["withdrawn"].sum()) - int(was["withdrawn"].sum()),
            }
        )


def _count_upto(runs: pl.Series, column: str) -> pl.Expr:
    """How many of some runs, given oldest first, are not later than the one in a column."""
    return pl.lit(runs).search_sorted(pl.col(column), side="right")
