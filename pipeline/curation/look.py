"""What a run looks at: every current record, or only those that something has changed for."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.config.workspace import Workspace
from pipeline.curation.answered import NewAnswers, answers_before, new_answers
from pipeline.curation.compared_texts import compared_texts
from pipeline.curation.comparing_steps import comparing
from pipeline.curation.derived_rows import DerivedRows, NotDerived, derivation_digest
from pipeline.curation.earlier_run import LOST, Earlier, holds_all
from pipeline.curation.found_changes import Changes, read_changes
from pipeline.curation.heard_answers import ASKED
from pipeline.curation.judge import LEARNED_ANEW, Judge
from pipeline.curation.labeled_rows import LabeledRows
from pipeline.curation.meeting import links, meet
from pipeline.curation.prepare import STATE, Prepared, prepare_again
from pipeline.curation.relations import VIEWS
from pipeline.curation.repairable_rows import IS_REPAIRABLE, offered_otherwise
from pipeline.curation.row_facts import Facts
from pipeline.curation.selection import Selection, related_rows, select
from pipeline.curation.shards import SHARD_ROWS, prepare, shard_records, shard_size, write_shards
from pipeline.curation.similar_texts import Compared
from pipeline.curation.standing import PAST, PLACED, Others, Standing
from pipeline.kinds.registry import kind_of
from pipeline.similarity.signatures import INPUTS, SPELLING, WHOLE
from pipeline.similarity.text_columns import Texts
from pipeline.state.mapped_rows import read_rows
from pipeline.state.memory import let_go
from pipeline.state.runs import Run
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.steps import Steps
from schemas.run_summary import Looked

PLACES = [name for name in PLACED if name != "state"]
_AGED = ["record_id", "revision", "source", "since", "turn"]
"""What ``PLACED`` says of a current record before it is derived, but its state."""


@dataclass(frozen=True)
class Look:
    """The records that a run looks at, and what stands of the others."""

    prepared: list[Prepared]
    """The current rows that it looks at, by age."""
    places: pl.DataFrame
    """Where they are, in the same order: the columns of ``PLACED`` but the state, and ``order``."""
    facts: Facts
    """What all rows are like."""
    told: Looked
    """How many it looks at, and why."""
    records: frozenset[str] | None = None
    """The records whose past matters; None if it is that of all."""
    others: Others = field(default_factory=Others)
    """The rows that stand as they are."""
    past: pl.DataFrame = field(default_factory=PAST.to_frame)
    """Rows of versions that are no current record any more, and that it does not look at."""
    beside: pl.DataFrame | None = None
    """The rows of others that annotators have answered: ``record_id``, ``revision``, ``inputs`` and ``content``."""
    standing: Standing | None = None
    """The same as ``others``, if nothing has changed."""
    compared: Compared | None = None
    """The texts that need not be compared with each other again; None if those of the index need not."""

    def focus(self, snapshot: Snapshot) -> Snapshot:
        """The state of the records that it looks at."""
        return snapshot if self.records is None else snapshot.of_records(self.records)


def look_at_everything(
    workspace: Workspace, steps: Steps, run: Run, why: str, last: Standing | None, *, anew: bool
) -> Look:
    """Look at all current rows; says why. What stands of the last run tells which texts were compared, and, unless
    everything is derived ``anew``, where what follows from the rows is kept.
    """
    store, dataset = workspace.store, workspace.dataset
    kept = DerivedRows(store.derived(derivation_digest(dataset)))
    snapshot, folder = store.snapshot(), store.work(run.id)
    records = snapshot.by_age().select(*_AGED, "batch", "position")
    aged = records.with_row_index("order").with_columns(pl.col("order").cast(pl.Int64)).collect()
    aged = aged.cast(pl.Schema({name: PLACED[name] for name in ("source", "since")}))
    found = None
    if not anew and last is not None and holds_all(kept, last):
        with suppress(NotDerived):
            found = _derived_before(steps, snapshot, aged, last, kept, dataset, folder)
    if found is None:
        kept.renew()
        shards = steps.run(shard_records, snapshot, aged, folder, dataset.config.engine.workers)
        prepared = _derived(steps, shards, aged.height, kept, dataset)
        found = prepared, aged.select(*_AGED, "order").hstack(_kept_at(prepared))
    prepared, places = found
    told = Looked(changed=0, withdrawn=0, answered=0, related=places.height, untouched=0, why=why)
    return Look(
        prepared,
        places.select(*PLACES, "order"),
        Facts.of_all(kept.facts(places["file"])),
        told,
        compared=partial(compared_texts, last, snapshot),
    )


def _derived_before(
    steps: Steps,
    snapshot: Snapshot,
    aged: pl.DataFrame,
    last: Standing,
    kept: DerivedRows,
    dataset: LoadedDataset,
    folder: Path,
) -> tuple[list[Prepared], pl.DataFrame] | None:
    """All current rows and their places, of which only those are derived that no run has; None if these are most, or
    what was derived of the others is damaged.

    Raises:
        NotDerived: a file that this run has derived is.
    """
    # What came in since may have the same bytes, and be broken for another reason.
    came = snapshot.added_since(Table.RECORDS, last.header.versions[Table.RECORDS.value]).select("record_id")
    there = last.columns("record_id", "revision", "file", "row").join(came.collect(), on="record_id", how="anti")
    places = aged.join(there, on=["record_id", "revision"], how="left", maintain_order="left")
    missing = places.filter(pl.col("file").is_null()).select(*_AGED, "order")
    if missing.height > places.height / 2:
        return None
    # Most often the same run derived them, before it found that it has to look at everything.
    delivered = missing.join(kept.of_run(folder.name), on=["record_id", "revision"], maintain_order="left")
    if delivered.height < missing.height:
        _, delivered = _derive_new(steps, snapshot, missing, kept, dataset, folder)
    names = [*_AGED, "order", "file", "row"]
    places = pl.concat([places.drop_nulls("file").select(names), delivered.select(names)]).sort("order")
    size = shard_size(places.height, dataset.config.engine.workers)
    parts = [(f"{number:05}", part) for number, part in enumerate(places.iter_slices(size))]
    again = partial(prepare_derived, kept=kept, dataset=dataset, folder=folder)
    with steps.progress.step("reading checked rows", places.height, "rows") as advance:
        prepared = steps.map_in_processes(again, parts, lambda part: advance(part.rows if part else 0))
    sound = [part for part in prepared if part is not None]
    return (sound, places) if len(sound) == len(parts) else None


def prepare_derived(
    part: tuple[str, pl.DataFrame], *, kept: DerivedRows, dataset: LoadedDataset, folder: Path
) -> Prepared | None:
    """Prepare some rows again, given a number for their file; None if a file of what was derived is gone or damaged."""
    number, places = part
    try:
        kept.facts(places["file"])
        rows = kept.take(places).with_columns(order=places["order"])
    except NotDerived:
        return None
    return prepare_again(rows, folder / f"again-{number}.rows", dataset)


def _derived(
    steps: Steps, shards: Sequence[Path], rows: int, kept: DerivedRows, dataset: LoadedDataset
) -> list[Prepared]:
    with steps.progress.step("checking rows", rows, "rows") as advance:
        deriving = partial(prepare, kept=kept.folder, dataset=dataset)
        return steps.map_in_processes(deriving, shards, lambda part: advance(part.rows))


def _kept_at(prepared: Sequence[Prepared]) -> pl.DataFrame:
    """Where what follows from some rows is kept, in their order: ``file`` and ``row``."""
    schema = pl.Schema({name: PLACED[name] for name in ("file", "row")})
    parts = [
        pl.select(file=pl.repeat(part.derived, part.rows), row=pl.int_range(part.rows)).cast(schema)
        for part in prepared
    ]
    return pl.concat([pl.DataFrame(schema=schema), *parts])


_MOST_ARE_NEW = "more rows came in than were there"


def look_at_changes(
    workspace: Workspace, steps: Steps, run: Run, before: Earlier, of_evaluation: Sequence[str]
) -> Look | str:
    """Look at what has changed since the last curate, and at all that is related to it; or why that is not enough."""
    if before.standing is None:
        return before.why
    try:
        return _look_at_changes(workspace, steps, run, before.standing, before.judge, of_evaluation)
    except NotDerived:
        return LOST


def _look_at_changes(
    workspace: Workspace,
    steps: Steps,
    run: Run,
    standing: Standing,
    judge: Judge | None,
    of_evaluation: Sequence[str],
) -> Look | str:
    store, dataset, folder = workspace.store, workspace.dataset, workspace.store.work(run.id)
    snapshot, task = store.snapshot(), dataset.task
    kept = DerivedRows(store.derived(derivation_digest(dataset)))
    changes = read_changes(snapshot, standing, dataset)
    if changes.are_none:
        return _look_at_nothing(standing, Facts.of_all(kept.facts(standing.files)))
    if changes.rows.height > standing.height:
        return _MOST_ARE_NEW
    new, delivered = _derive_new(steps, snapshot, changes.rows, kept, dataset, folder)
    if judge is not None and _is_due(judge, standing, changes, new, kind_of(task).least_labeled):
        # Rows without a score may be judged otherwise than by what was kept.
        return LEARNED_ANEW
    annotated = snapshot.scan(Table.ANNOTATIONS).select(pl.col("record_id").unique()).collect().to_series()
    if dataset.config.review.repair:
        changes = _with_other_repairs(changes, standing, new)
    said = snapshot.answered
    answers = _new_answers(said, changes, delivered, standing, kept, dataset, folder)
    evaluation = folder / "met-evaluation.arrow"
    Texts.of(list(of_evaluation)).write(evaluation)
    files = {
        # An earlier run has compared these with all others.
        INPUTS: [*(part.texts[INPUTS] for part in new), evaluation] if new else [],
        WHOLE: [path for part in new if (path := part.texts[WHOLE]).exists()] + [answers.path] * bool(answers.records),
        SPELLING: [part.texts[SPELLING] for part in new],
    }
    threshold, known_answers = dataset.config.duplicates.threshold, answers_before(said, task)
    with comparing(steps, len(new), "comparing new texts") as each:
        met = meet(files, standing, kept, known_answers, store, task, threshold, folder, each)
    fresh = related_rows(new, answers.records, met)
    known = {view: links(store, view, threshold, fresh[column].to_numpy()) for view, column in VIEWS.items()}
    let_go()
    selection = select(standing, changes, delivered, fresh, known)
    let_go()
    beside = selection.others.columns("record_id", "file", "row").filter(pl.col("record_id").is_in(annotated.implode()))
    return Look(
        prepared=_prepared_again(selection.rows, kept, dataset, folder),
        places=selection.rows,
        facts=Facts.of_all(kept.facts([*standing.files, *(part.derived for part in new)])),
        told=_told(selection, changes),
        records=frozenset([*selection.rows["record_id"], *selection.gone, *annotated]),
        others=selection.others,
        past=selection.past,
        beside=kept.take(beside).select(ASKED),
    )


def _is_due(judge: Judge, standing: Standing, changes: Changes, new: Sequence[Prepared], least: int) -> bool:
    """Whether labels are to be learned anew, but for what annotators have said since: that is heard later, and may be
    another reason to look at everything.
    """
    stands = standing.columns("record_id", "labeled", "unlearned").filter("labeled", ~changes.is_replaced)
    parts = [read_rows(part.path, ["record_id", "revision", "content", "targets"]) for part in new]
    came = [part.filter(pl.col("targets").is_not_null()).select("record_id", state=STATE) for part in parts]
    labeled = LabeledRows.together([LabeledRows.of(rows["record_id"], rows["state"]) for rows in came])
    unlearned = int(stands["unlearned"].sum()) + int(judge.rows.unlearned(labeled.records, labeled.states).sum())
    return judge.is_due(stands.height + labeled.height, unlearned, least)


def _with_other_repairs(changes: Changes, standing: Standing, new: Sequence[Prepared]) -> Changes:
    """The same with the broken rows of sources whose rows are offered for repair now, and were not, or the other way:
    that depends on the share of them.
    """
    before = standing.columns("record_id", "source", "repairable", "component")
    came = [read_rows(part.path, ["source", "draft", "rejection_reasons"]) for part in new]
    now = [before.filter(~changes.is_replaced).select("source", "repairable")]
    now += [rows.select(pl.col("source").cast(PLACED["source"]), repairable=IS_REPAIRABLE) for rows in came]
    sources = offered_otherwise(before, pl.concat(now))
    touched = before.filter("repairable", pl.col("source").is_in(sources))["component"]
    return replace(changes, components=pl.concat([changes.components, touched]).unique())


def _look_at_nothing(standing: Standing, facts: Facts) -> Look:
    """All rows stand as they are."""
    others = Others(standing, np.ones(standing.height, dtype=np.bool_))
    told = Looked(changed=0, withdrawn=0, answered=0, related=0, untouched=others.height)
    places = pl.DataFrame(schema={name: PLACED[name] for name in PLACES} | {"order": pl.Int64()})
    return Look(
        prepared=[],
        places=places,
        facts=facts,
        told=told,
        records=frozenset(),
        others=others,
        past=standing.past,
        standing=standing,
    )


def _told(selection: Selection, changes: Changes) -> Looked:
    changed = changes.rows.height
    others = set(selection.rows["record_id"]) - set(changes.rows["record_id"])
    answered = len(others & changes.answered)
    return Looked(
        changed=changed,
        withdrawn=len(changes.withdrawn),
        answered=answered,
        related=selection.rows.height - changed - answered,
        untouched=selection.others.height,
    )


def _new_answers(
    said: Snapshot,
    changes: Changes,
    delivered: pl.DataFrame,
    standing: Standing,
    kept: DerivedRows,
    dataset: LoadedDataset,
    folder: Path,
) -> NewAnswers:
    """The whole texts that answers have changed, of rows that are there."""
    path = folder / "answered-whole.arrow"
    ids = said.scan(Table.DECISIONS).select("record_id").collect().to_series()
    if ids.is_empty():
        return NewAnswers([], path)
    stand = standing.columns(*PLACES).filter(~changes.is_replaced)
    rows = pl.concat([stand, delivered.select(PLACES)]).filter(pl.col("record_id").is_in(ids.implode()))
    is_new = pl.col("record_id").is_in(list(changes.records))
    answered = _prepared_again(rows.filter(is_new).with_row_index("order"), kept, dataset, folder, "answered")
    others = kept.take(rows.filter(~is_new)).select(ASKED)
    return new_answers(answered, said, others, dataset.task, path)


def _derive_new(
    steps: Steps, snapshot: Snapshot, rows: pl.DataFrame, kept: DerivedRows, dataset: LoadedDataset, folder: Path
) -> tuple[list[Prepared], pl.DataFrame]:
    """Derive and prepare rows that no run has derived; returns their places, too."""
    ids = ["record_id", "revision"]
    if rows.is_empty():
        return [], rows.hstack(_kept_at([]))
    is_one = pl.col("record_id").is_in(rows["record_id"].implode())
    raws = snapshot.scan(Table.RECORDS).filter(is_one, ~pl.col("withdrawn"))
    delivered = rows.lazy().select(ids).with_row_index("order")
    read = raws.join(delivered, on=ids).unique(ids, keep="last").collect()
    shards = write_shards([read], read["order"].cast(pl.Int64).to_numpy(), folder, dataset.config.engine.workers)
    prepared = _derived(steps, shards, read.height, kept, dataset)
    return prepared, rows.hstack(_kept_at(prepared))


def _prepared_again(
    places: pl.DataFrame, kept: DerivedRows, dataset: LoadedDataset, folder: Path, name: str = "selected"
) -> list[Prepared]:
    parts: list[Prepared] = []
    for start in range(0, places.height, SHARD_ROWS):
        some = places.slice(start, SHARD_ROWS)
        rows = kept.take(some).with_columns(order=some["order"].cast(pl.Int64))
        parts.append(prepare_again(rows, folder / f"{name}-{len(parts):05}.rows", dataset))
    return parts
