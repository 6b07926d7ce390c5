"""What is known about the records that a run looks at before any of them becomes a case: in columns, and what
annotators have said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.heard_answers import Heard, hear
from pipeline.curation.history import ROW_COLUMNS, of_answers, read_known
from pipeline.curation.judge import GROWN, Judge
from pipeline.curation.look import Look
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
    labeled: int
    """How many of all records have an answer."""
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
    others = look.others.columns("was_wrong", "labeled")
    corrections = rows.corrections + int(others["was_wrong"].sum())
    labeled = rows.labeled + int(others["labeled"].sum())
    scoring, anew = Scoring.now(corrections) if facts is None else Scoring(facts.scores, facts.corrections), GROWN
    is_rescored = rescore or (may_rescore and is_due(corrections, labeled, facts, dataset))
    if is_rescored:
        scoring, judge, anew = Scoring.now(corrections), None, CORRECTED
    elif judge is not None and judge.is_due(labeled, kind.least_labeled):
        judge = None
    # How rare something is among others says nothing any more.
    forgets = is_rescored or (judge is None and not kind.learns_labels)
    is_learned = judge is None and not kind.judges_alone
    return Opened(heard, rows.free_texts, rows.repairable, scoring, labeled, judge, forgets, anew if is_learned else "")


@dataclass(frozen=True)
class _Read:
    labeled: int
    corrections: int
    free_texts: Mapping[int, str]
    repairable: pl.Series


def _read(look: Look, heard: Heard, dataset: LoadedDataset) -> _Read:
    """Count the rows with an answer, and those whose answer an annotator corrected."""
    answers, past = Answers(dataset.task), of_answers(heard)
    labeled = corrections = start = 0
    free_texts: dict[int, str] = {}
    repairable = [pl.Series("repairable", [], dtype=pl.Boolean)]
    for part in look.prepared:
        given = read_rows(part.path, ["record_id", "targets", "draft"])
        rows = given.select("record_id", labeled=pl.col("targets").is_not_null(), draft=pl.col("draft").is_not_null())
        repairable.append(rows["draft"].alias("repairable"))
        labeled += int(rows["labeled"].sum())
        if past:
            places = rows["record_id"].is_in(list(past)).arg_true()
            records = read_known(
                read_rows(part.path, ROW_COLUMNS, places.cast(pl.Int64).to_numpy()), past, dataset.task
            )
            labeled += sum(known.targets is not None for known in records) - int(rows["labeled"][places].sum())
            corrections += sum(known.was_wrong for known in records)
            for place, known in zip(places, records, strict=True):
                if known.human is Verdict.LABELED:
                    free_texts[start + place] = answers.free_text(known.targets)
        start += part.rows
    return _Read(labeled, corrections, free_texts, pl.concat(repairable))
