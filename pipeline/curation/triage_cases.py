"""Decides about the records that a run looks at, once they were compared, and triages all records.

Chunk by chunk: rows of different chunks have nothing to do with each other. What all of them say together (what labels
are learned from, how much a model's word counts) is gathered while they are compared; meanwhile their cases wait in
files, if there are several chunks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.chunk_cases import ChunkCases
from pipeline.curation.compare_rows import Comparison
from pipeline.curation.decided import (
    as_triaged,
    changed_verdicts,
    looked_at,
    settled_before,
    standing_pieces,
)
from pipeline.curation.judge import Judge, rules_of
from pipeline.curation.kept_cases import remove_cases
from pipeline.curation.known_fields import notes_about_fields
from pipeline.curation.look import Look
from pipeline.curation.open_cases import Opened
from pipeline.curation.open_questions import open_questions_of
from pipeline.curation.pasts import Pasts
from pipeline.curation.relations import hashed
from pipeline.curation.repairable_rows import Repairs
from pipeline.curation.score_labels import Scoring
from pipeline.curation.second_voice import SecondVoice
from pipeline.curation.settle_chunks import Chunk, ChunkSettled, Rules, forget_rules, settle_cases, settle_chunk
from pipeline.curation.standing import STANDING, Others, write_standing_rows
from pipeline.curation.triage import VERDICT, decisions, triage
from pipeline.label_errors.text_languages import forget_languages
from pipeline.releases.frozen_sources import frozen_sources
from pipeline.state.decisions import changed_decisions
from pipeline.state.mapped_rows import MappedRows, read_rows, values_of
from pipeline.state.memory import let_go, let_go_of_files
from pipeline.state.snapshot import Snapshot
from pipeline.steps import Steps
from schemas.run_summary import BudgetUse, CurateFacts, Proof

_MANY_ROWS = 100_000
"""From so many on, memory that the next step does not need is worth the time to read it again."""


@dataclass(frozen=True)
class Triaged:
    """The decisions of a run that is not committed yet."""

    rows: MappedRows
    """What stands of every current record, by age: the columns of ``STANDING``."""
    past: pl.DataFrame
    """What stands of rows that versions have, and no current record."""
    fresh: Iterator[pl.DataFrame]
    """The decisions that differ from those that counted before, as rows of their table; they can be read once."""
    note: str
    """Notes on label errors and fields, a line each; empty if there are none."""
    use: BudgetUse
    judge: Judge | None
    """What judges labels from now on."""
    proof: Proof | None = None
    """Of ``review.error_rate``, if it is set."""
    past_proof: Proof | None = None
    """The last one, if it is not set any more."""
    is_same: bool = False
    """Whether all records stand as before."""

    @property
    def judged_by(self) -> str:
        """The run that trained the judge; empty if there is none."""
        return self.judge.run if self.judge else ""


def triage_cases(
    opened: Opened,
    look: Look,
    compared: Comparison,
    snapshot: Snapshot,
    focus: Snapshot,
    dataset: LoadedDataset,
    run: str,
    folder: Path,
    steps: Steps,
) -> Triaged:
    """Decide about all current records.

    Args:
        opened: what is known about those that the run looks at.
        look: the same records, in the same order; and what stands of the others.
        compared: what relates them.
        snapshot: the committed past.
        focus: that of the records that the run looks at.
        dataset: configuration and task.
        run: the deciding run.
        folder: for files.
        steps: runs the steps of several chunks.
    """
    config = dataset.config
    pasts = Pasts(focus, look.places["record_id"], compared.chunks, folder)
    questions = open_questions_of(snapshot, dataset) if config.review.error_rate is not None else None
    decided = _Decided(look, opened, compared, ChunkCases(look, opened, compared, pasts, focus, dataset, folder))
    judge, notes = decided.decide(snapshot, dataset, steps, folder, run)
    last = snapshot.last_run(CurateFacts)
    last_proof = last.summary.last_proof if last else None
    rows = decided.rows() if questions is None else questions.noted(decided.rows())
    everything = as_triaged(look.others, rows, () if questions is None else ("state",))
    everything = everything if questions is None else questions.noted(everything)
    orders = everything["order"].to_numpy()
    result = triage(everything, config.review, proof=last_proof)
    del everything
    let_go()
    places, stood = (
        np.searchsorted(orders, some["order"].to_numpy()) for some in (look.places, look.others.columns("order"))
    )
    before, changed = changed_verdicts(look.others, result.verdicts, stood)
    is_same = look.standing is not None and changed.is_empty()
    stands = look.standing.mapped if look.standing and is_same else _left(snapshot, look, rows, result.verdicts, run)
    # Decisions need only these; those of all rows are let go before the run is committed.
    looked, use, proof = result.verdicts[places], result.use, result.proof
    del result

    def fresh() -> Iterator[pl.DataFrame]:
        for chunk, mine in enumerate(compared.chunks):
            made = decisions(decided.settled(chunk), looked[mine], config.review, run)
            yield changed_decisions(made, pasts.of(chunk).latest_decisions().collect())
        of_others = settled_before(snapshot, before, changed, config.review)
        yield decisions(of_others, changed, config.review, run)

    notes += notes_about_fields(look.facts, dataset)
    note = "\n".join(filter(None, [*notes, *_not_whole(snapshot, stands, dataset)]))
    proofs = (proof, None if proof else last_proof)
    gone = pl.concat([look.past.select(compared.past.columns), compared.past])
    return Triaged(stands, gone, fresh(), note, use, judge, *proofs, is_same)


def _not_whole(snapshot: Snapshot, stands: MappedRows, dataset: LoadedDataset) -> list[str]:
    """What is missing of frozen sources."""
    rows = stands.read(("record_id", "source", "fate", "first")).lazy()
    return [str(source) for source in frozen_sources(snapshot, dataset.config.sources, rows) if not source.is_whole]


def _left(snapshot: Snapshot, look: Look, rows: pl.DataFrame, verdicts: pl.DataFrame, run: str) -> MappedRows:
    """Write what stands from now on."""
    values = _values(look.others, rows, verdicts)
    let_go()
    return write_standing_rows(snapshot.store, run, standing_pieces(look.others, rows, verdicts), values)


def _values(others: Others, rows: pl.DataFrame, verdicts: pl.DataFrame) -> dict[str, pl.Series]:
    """What all rows have in categorical columns."""
    names = [name for name, kind in STANDING.items() if kind == pl.Categorical]
    found = values_of(verdicts)
    for name in names:
        if name not in VERDICT:
            # Those of rows that are gone do no harm; without them, each column would be copied.
            found |= values_of(others.unfiltered(name), rows.select(name))
            let_go_of_files()
    # What was decided is the past of the next run.
    return found | {"past_route": pl.concat([found["past_route"], found["routed"]]).unique().sort()}


class _Decided:
    """What is decided about the rows that a run looks at, as far as the budget has no part in it."""

    def __init__(self, look: Look, opened: Opened, compared: Comparison, cases: ChunkCases) -> None:
        self._look, self._opened, self._compared, self._cases = look, opened, compared, cases
        self._paths: list[Path] = []
        self._told: list[pl.DataFrame] = []
        self._settled: pl.DataFrame | None = None
        self._judge: Judge | None = None

    def decide(
        self,
        snapshot: Snapshot,
        dataset: LoadedDataset,
        steps: Steps,
        folder: Path,
        run: str,
    ) -> tuple[Judge | None, list[str]]:
        """Decide chunk by chunk; returns what judges labels from now on, and notes."""
        config, task, judge = dataset.config, dataset.task, self._opened.judge
        scoring = Scoring(task, config.on_conflict, config.doubts.off, judge.kept if judge else None)
        voice = SecondVoice(dataset, snapshot.store.calls)
        with steps.progress.step("comparing rows", self._look.places.height, "rows") as advance:
            for chunk, rows in enumerate(self._compared.chunks):
                self._cases.compare(chunk, scoring, voice)
                let_go()
                advance(len(rows))
        if scoring.learns:
            with steps.progress.step("learning what labels are usual"):
                kept = scoring.learn(self._cases.read)
            judge = Judge(run, self._opened.labeled, rules_of(dataset), kept)
            judge.write(snapshot.store)
        self._judge = judge
        sources = self._look.places.select("source")
        mine = sources.with_columns(repairable=self._opened.repairable)
        repairs = Repairs(mine, self._look.others.columns("source", "repairable")) if config.review.repair else None
        rules = Rules(scoring.scores, voice.voice(), repairs)
        notes, waits = self._settle(rules, sources["source"], dataset, steps, folder)
        if self._look.places.height + self._look.others.height > _MANY_ROWS:
            forget_languages()
        told = "; ".join(filter(None, dict.fromkeys([scoring.note, *notes])))
        return judge, [told, *(repairs.notes if repairs is not None and waits else [])]

    def _settle(
        self, rules: Rules, sources: pl.Series, dataset: LoadedDataset, steps: Steps, folder: Path
    ) -> tuple[list[str], bool]:
        """Score and settle all chunks; returns what limits the scores, and whether rows wait for a repair."""
        chunks = self._compared.chunks
        with steps.progress.step("scoring labels", len(sources), "rows") as advance:
            if len(chunks) == 1:
                found = settle_cases(self._cases.here(), sources[chunks[0]], rules, dataset)
                self._told, self._settled = [found.told], found.decided
                return sorted(found.notes), found.waits
            self._paths = [folder / f"settled-{chunk:05}.rows" for chunk in range(len(chunks))]
            files = [
                Chunk(self._cases.path(chunk), sources[rows], folder / f"told-{chunk:05}.rows", self._paths[chunk])
                for chunk, rows in enumerate(chunks)
            ]
            rules.write(folder / "rules")
            settling = partial(settle_chunk, rules=folder / "rules", dataset=dataset)

            def done(one: ChunkSettled) -> None:
                remove_cases(one.cases)
                advance(one.rows)

            results = steps.map_in_processes(settling, files, done)
        forget_rules()
        self._told = [read_rows(one.told) for one in files]
        return sorted({note for one in results for note in one.notes}), any(one.waits for one in results)

    def rows(self) -> pl.DataFrame:
        """The rows with the columns of ``STANDING`` but for verdicts."""
        at = pl.Series("at", np.concatenate(self._compared.chunks))
        told, self._told = pl.concat(self._told).with_columns(at), []
        told = told.sort("at").drop("at")
        unlearned = _unlearned(self._look.places["record_id"], told, self._judge)
        told = told.with_columns(unlearned=unlearned, repairable=self._opened.repairable)
        return looked_at(self._look.places, self._compared.relations, told)

    def settled(self, chunk: int) -> pl.DataFrame:
        """The decisions about a chunk's rows, before the budget was looked at."""
        return read_rows(self._paths[chunk]) if self._settled is None else self._settled


def _unlearned(records: pl.Series, told: pl.DataFrame, judge: Judge | None) -> pl.Series:
    """What of each row the judge does not know; nothing if it has no answer, or if there is no judge."""
    found = np.zeros(told.height, dtype=np.uint8)
    if judge is not None:
        is_labeled = told["labeled"]
        records, states = records.filter(is_labeled), told["state"].filter(is_labeled)
        found[is_labeled.to_numpy()] = judge.rows.unlearned(hashed(records), hashed(states))
    return pl.Series(found)
