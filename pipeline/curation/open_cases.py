"""What is known about the records that a run looks at before any of them becomes a case: in columns, and what
annotators have said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.heard_answers import Heard, hear
from pipeline.curation.history import ROW_COLUMNS, of_answers, read_known
from pipeline.curation.judge import LEARNED_ANEW, Judge
from pipeline.curation.labeled_rows import LabeledRows
from pipeline.curation.look import Look
from pipeline.curation.prepare import STATE
from pipeline.curation.repairable_rows import IS_REPAIRABLE
from pipeline.curation.rescoring import CORRECTED, Scoring, is_due
from pipeline.kinds.registry import kind_of
from pipeline.state.mapped_rows import read_rows
from pipeline.state.snapshot import Snapshot
from pipeline.text.answer_keys import Answers
from schemas.annotation import Verdict
from schemas.run_summary import CurateFacts


@dataclass(frozen=True)
class Opened:
    """What is known about the records that a run looks at."""

    heard: Heard
    """What annotators have said about them."""
    free_texts: Mapping[int, str]
    """By row, the free text of an annotator's answer, which replaces the row's own; "" if it has none."""
    repairable: pl.Series
    """Of each row, whether a person could repair a broken answer."""
    scoring: Scoring
    labeled: LabeledRows
    """Those that have an answer."""
    judge: Judge | None
    """What judges those that no run has scored; None if it is trained anew."""
    forgets: bool
    """Whether what earlier runs have scored counts no more."""
    anew: str
    """Why labels are learned anew, empty if they are not; rows keep the scores that they have, unless these are
    forgotten."""


def open_cases(
    look: Look, snapshot: Snapshot, dataset: LoadedDataset, judge: Judge | None, rescore: bool, may_rescore: bool
) -> Opened:
    """Find out what is known about the records that a run looks at.

    Args:
        look: the records.
        snapshot: their committed past.
        dataset: configuration and task.
        judge: what judged the labels so far.
        rescore: score all labels again, not only those that no run has scored.
        may_rescore: do so as well if enough was corrected since the last time.
    """
    task, kind = dataset.task, kind_of(dataset.task)
    heard = hear(snapshot, look.prepared, task, look.beside)
    rows = _read(look, heard, dataset)
    last = snapshot.last_run(CurateFacts)
    facts = last.summary if last else None
    others = look.others.columns("was_wrong", "labeled", "unlearned")
    corrections = rows.corrections + int(others["was_wrong"].sum())
    labeled = rows.labeled.height + int(others["labeled"].sum())
    unlearned = int(others["unlearned"].sum())
    if judge is not None:
        unlearned += int(judge.rows.unlearned(rows.labeled.records, rows.labeled.states).sum())
    scoring = Scoring.now(corrections) if facts is None else Scoring(facts.scores, facts.corrections)
    is_rescored = rescore or (may_rescore and is_due(corrections, labeled, facts, dataset))
    if is_rescored:
        scoring, judge = Scoring.now(corrections), None
    elif judge is not None and judge.is_due(labeled, unlearned, kind.least_labeled):
        judge = None
    # How rare something is among others says nothing any more.
    forgets = is_rescored or (judge is None and not kind.learns_labels)
    is_anew = judge is None and not kind.judges_alone
    anew = (CORRECTED if is_rescored else LEARNED_ANEW) if is_anew else ""
    return Opened(heard, rows.free_texts, rows.repairable, scoring, rows.labeled, judge, forgets, anew)


@dataclass(frozen=True)
class _Read:
    labeled: LabeledRows
    corrections: int
    free_texts: Mapping[int, str]
    repairable: pl.Series


def _read(look: Look, heard: Heard, dataset: LoadedDataset) -> _Read:
    """Find the rows with an answer, and count those whose answer an annotator corrected."""
    answers, past = Answers(dataset.task), of_answers(heard)
    corrections = start = 0
    labeled: list[LabeledRows] = []
    free_texts: dict[int, str] = {}
    repairable = [pl.Series("repairable", [], dtype=pl.Boolean)]
    for part in look.prepared:
        given = read_rows(part.path, ["record_id", "revision", "content", "targets", "draft", "rejection_reasons"])
        is_labeled = given["targets"].is_not_null()
        repairable.append(given.select(repairable=IS_REPAIRABLE).to_series())
        if past:
            places = given["record_id"].is_in(list(past)).arg_true()
            records = read_known(
                read_rows(part.path, ROW_COLUMNS, places.cast(pl.Int64).to_numpy()), past, dataset.task
            )
            is_labeled = is_labeled.scatter(places, [known.targets is not None for known in records])
            corrections += sum(known.was_wrong for known in records)
            for place, known in zip(places, records, strict=True):
                if known.human is Verdict.LABELED:
                    free_texts[start + place] = answers.free_text(known.targets)
        rows = given.filter(is_labeled).select("record_id", state=STATE)
        labeled.append(LabeledRows.of(rows["record_id"], rows["state"]))
        start += part.rows
    return _Read(LabeledRows.together(labeled), corrections, free_texts, pl.concat(repairable))
