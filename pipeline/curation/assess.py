"""Compares, measures and scores prepared records, and passes everything known to triage."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case, as_chat, is_kept
from pipeline.curation.history import build_cases, read_histories, verdict_of
from pipeline.curation.mark_duplicates import mark_duplicates
from pipeline.curation.prepare import Prepared, target_texts
from pipeline.curation.score_labels import score_labels
from pipeline.curation.similar_texts import SimilarTexts
from pipeline.curation.triage import triage
from pipeline.errors import ConfigError
from pipeline.ingest.row_fields import Seen, misspelled, together, ungrouped, unmapped
from pipeline.releases.frozen_sources import frozen_sources
from pipeline.state.decisions import from_frame, latest, to_frame
from pipeline.state.snapshot import Snapshot
from pipeline.state.work_files import write_work
from pipeline.text.screening import screen
from pipeline.text.tokens import count_tokens
from schemas.annotation import Verdict
from schemas.dataset import Action, Dataset, Screen
from schemas.fate import Reason, ReasonCode
from schemas.run_summary import Verb
from schemas.task import Task


def screen_answers(cases: list[Case], config: Screen) -> None:
    """Reject answers typed by annotators that no row may contain, such as a chat template's control tokens."""
    for case in cases:
        if case.human is Verdict.LABELED and case.targets:
            findings = screen(target_texts(case.targets), config)
            new = [finding.reason for finding in findings if finding.action is Action.REJECT]
            case.rejection_reasons += [reason for reason in new if reason not in case.rejection_reasons]


def reject_long(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Reject rows over ``measure.max_tokens``, before they can replace shorter copies."""
    limit = config.measure.max_tokens
    if limit is None:
        return
    _count([case for case in cases if case.human is Verdict.LABELED and not case.rejection_reasons], task, config)
    for case in cases:
        if not case.rejection_reasons and case.tokens is not None and case.tokens > limit:
            case.rejection_reasons.append(Reason(code=ReasonCode.TOO_LONG, detail=f"{case.tokens} of at most {limit}"))


def measure(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Count the prompt and answer tokens of kept cases; others have none, except those that are too long."""
    _count([case for case in cases if is_kept(case)], task, config)
    for case in cases:
        if not is_kept(case) and not any(reason.code is ReasonCode.TOO_LONG for reason in case.rejection_reasons):
            case.tokens = None


def _count(cases: list[Case], task: type[Task], config: Dataset) -> None:
    """Count the tokens of those cases whose answer was not counted with the row.

    Raises:
        ConfigError: the task's own code fails.
    """
    uncounted = [case for case in cases if case.tokens is None]
    counts = count_tokens([as_chat(case, task) for case in uncounted], config.measure.encoding)
    for case, tokens in zip(uncounted, counts, strict=True):
        case.tokens = tokens


@dataclass(frozen=True)
class Assessed:
    """The decisions of a run that is not committed yet."""

    path: Path
    note: str
    """Notes on label errors and fields, a line each; empty if there are none."""
    budget: int
    used: int
    beyond_budget: int
    beyond: dict[ReasonCode, int]
    """The same by first reason."""


def open_cases(prepared: list[Prepared], snapshot: Snapshot, dataset: LoadedDataset, rescore: bool) -> list[Case]:
    """All current records with what is known about them, in the order of ``prepared``.

    Args:
        prepared: every current record.
        snapshot: the committed past.
        dataset: configuration and task.
        rescore: score all labels again, not only those that no run has scored.

    Raises:
        ConfigError: no row has a field that splits are grouped by, or that a source's field map names.
    """
    config, task = dataset.config, dataset.task
    _check_grouping(prepared, config)
    _check_mapping(prepared, config)
    cases = build_cases(prepared, read_histories(snapshot, prepared, task), task)
    if rescore:
        for case in cases:
            case.scored, case.label_error_score, case.label_error_reasons = False, None, []
    screen_answers(cases, config.screen)
    reject_long(cases, task, config)
    return cases


def assess(
    cases: list[Case],
    prepared: list[Prepared],
    similar: SimilarTexts,
    snapshot: Snapshot,
    dataset: LoadedDataset,
    run: str,
    folder: Path,
) -> Assessed:
    """Decide about all current records and write the decisions to a Parquet file in ``folder``.

    Args:
        cases: what is known about the records.
        prepared: the same records, in the same order.
        similar: which texts are similar.
        snapshot: the committed past.
        dataset: configuration and task.
        run: the deciding run.
        folder: for the file.
    """
    config, task = dataset.config, dataset.task
    mark_duplicates(cases, prepared, similar, snapshot, dataset)
    notes = [score_labels(cases, task, config.on_conflict), stale_answers(snapshot, task)]
    measure(cases, task, config)
    result = triage(cases, config.review, run=run, task=task)
    decisions = to_frame(result.decisions)
    path = folder / "decisions.parquet"
    write_work(decisions, path)
    notes += _unmapped(prepared, dataset)
    frozen = frozen_sources(snapshot, config.sources, decisions.lazy())
    notes += [str(source) for source in frozen if not source.is_whole]
    note = "\n".join(filter(None, notes))
    return Assessed(path, note, result.budget, result.used, result.waiting, result.waiting_for)


def stale_answers(snapshot: Snapshot, task: type[Task]) -> str:
    """Say how many annotators' answers no longer count because the task now asks for something else; empty if all do.

    Only while there are decisions by the earlier task: it is reported once, by the run that finds the change.
    *Unusable* is included: whether a row is usable is another question if the answers are different.
    """
    is_another = pl.col("task_digest") != task.task_digest()
    if snapshot.current_decisions().filter(is_another).head(1).collect().is_empty():
        return ""
    current = snapshot.current_records().select("record_id", "revision")
    said = latest(snapshot.committed_decisions(Verb.COLLECT).join(current, on=["record_id", "revision"], how="semi"))
    stale = said.filter(is_another).collect()
    count = sum(verdict_of(decision) is not None for decision in from_frame(stale))
    if not count:
        return ""
    return f"{task.__name__} has changed what it asks for, so {count:,} answers of annotators no longer count"


def _check_grouping(prepared: list[Prepared], config: Dataset) -> None:
    """Refuse a misspelled field: it would group nothing, and the card would make a false promise."""
    seen = Seen()
    for part in prepared:
        seen |= part.grouping
    problem = ungrouped(config.split.group_by, seen)
    if problem and any(part.readable for part in prepared):
        raise ConfigError(f"split.group_by: {problem}")


def _check_mapping(prepared: list[Prepared], config: Dataset) -> None:
    """Refuse a misspelled target: it would only produce blank questions."""
    seen = together(part.seen for part in prepared)
    found = {source.name: misspelled(source, seen[source.name]) for source in config.sources if source.name in seen}
    if problems := [f"source '{name}': {problem}" for name, problem in found.items() if problem]:
        raise ConfigError("\n".join(problems))


def _unmapped(prepared: list[Prepared], dataset: LoadedDataset) -> list[str]:
    """Report fields that are absent, possibly because of their name."""
    seen = together(part.seen for part in prepared)
    sources = [source for source in dataset.config.sources if source.name in seen]
    found = {source.name: unmapped(source, seen[source.name], dataset.task) for source in sources}
    return [f"source '{name}': {note}" for name, note in found.items() if note]
