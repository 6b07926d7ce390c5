"""Compares the cases with each other: duplicates, conflicts, and the groups that move together."""

from collections.abc import Iterator

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import SHOWN_ANSWERS, Case, in_words, is_candidate
from pipeline.curation.prepare import Prepared
from pipeline.curation.similar_texts import SimilarTexts
from pipeline.dedupe.candidates import Candidate, Resolution
from pipeline.dedupe.neighbors import SimilarRows
from pipeline.dedupe.resolve import resolve
from pipeline.kinds.registry import kind_of
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.state.work_files import read_work
from pipeline.text.answer_keys import Answers
from pipeline.text.field_paths import group_keys
from pipeline.text.normalize import inputs_key
from schemas.annotation import Verdict
from schemas.fate import Reason, ReasonCode
from schemas.task import Task


def mark_duplicates(
    cases: list[Case], prepared: list[Prepared], similar: SimilarTexts, snapshot: Snapshot, dataset: LoadedDataset
) -> None:
    """Find duplicates, conflicts and groups among the cases that are not rejected.

    ``cases`` come in the order of ``prepared``.
    """
    splits = dict(snapshot.splits().select("record_id", "split").collect().iter_rows())
    config, task = dataset.config, dataset.task
    untold = _untold(cases, splits, snapshot)
    candidates = [
        *_candidates(cases, prepared, similar, splits, untold, task),
        *_past_candidates(cases, similar, snapshot, splits, dataset),
    ]
    rule = config.duplicates
    similar_rows = SimilarRows(rule.threshold, similar.inputs, rule.answers, similar.whole)
    resolved = resolve(candidates, similar_rows, config.on_conflict, answers_repeat=kind_of(task).answers_repeat)
    by_id = {case.record_id: case for case in cases}
    for case in cases:
        if row := resolved.get(case.record_id):
            _take_over(case, row, splits.get(case.record_id))
            case.threshold = rule.threshold
            if row.corrected:
                case.label_error_reasons.append(_corrected(by_id[row.corrected], task))
            case.conflict_rows = row.conflict[:SHOWN_ANSWERS]
            answers = [by_id[record_id].targets for record_id in (case.record_id, *row.conflict[:SHOWN_ANSWERS])]
            is_labeled = case.targets is not None
            case.conflict_answers = in_words(case, [one for one in answers if one is not None], task)[is_labeled:]


def _candidates(
    cases: list[Case],
    prepared: list[Prepared],
    similar: SimilarTexts,
    splits: dict[str, str],
    untold: set[str],
    task: type[Task],
) -> Iterator[Candidate]:
    columns = ["group_keys", "answer", "closed"]
    rows = [row for part in prepared for row in read_work(part.path, columns).iter_rows()]
    answers = Answers(task)
    for case, (shared, answer, closed), text, free_text in zip(
        cases, rows, similar.texts, similar.free_text, strict=True
    ):
        if not is_candidate(case):
            continue
        if case.human is Verdict.LABELED:
            answer, closed = answers.key(case.targets), answers.closed_key(case.targets)
        yield Candidate(
            record_id=case.record_id,
            text=text,
            key=case.text_key,
            answer=answer,
            free_text=free_text,
            closed=closed if free_text >= 0 else "",
            human=case.human is Verdict.LABELED,
            replaced=answers.key(case.replaced),
            order=case.order,
            disputed=case.contradicted or case.human in (Verdict.UNSURE, Verdict.DISPUTED),
            contradicted=case.contradicted,
            held=bool(case.review_reasons) and case.human is None,
            group_keys=tuple(orjson.loads(shared)) if shared != "[]" else (),
            split=splits.get(case.record_id, case.fixed_split),
            published=case.record_id in splits,
            told=case.record_id in splits and case.record_id not in untold,
            frozen=case.published_as_is,
        )


def _untold(cases: list[Case], splits: dict[str, str], snapshot: Snapshot) -> set[str]:
    """The records that have a split, but for a different text than the current one, or as the copy of another row."""
    rows = [(case.record_id, case.revision) for case in cases if case.record_id in splits]
    if not rows:
        return set()
    present = pl.LazyFrame(rows, schema={"record_id": pl.String, "revision": pl.String}, orient="row")
    released = snapshot.released().select("record_id", "revision")
    return set(present.join(released, on=["record_id", "revision"], how="anti").collect()["record_id"])


def _past_candidates(
    cases: list[Case], similar: SimilarTexts, snapshot: Snapshot, splits: dict[str, str], dataset: LoadedDataset
) -> list[Candidate]:
    """What versions contain but no current case has: withdrawn, changed or rejected since.

    Similar rows, and the rows of its group, must not go to another split.
    """
    task = dataset.task
    present = [(case.record_id, case.revision) for case in cases if is_candidate(case)]
    # A row may be current, with only the reason for leaving it out being new.
    texts = {
        (case.record_id, case.revision): text for case, text in zip(cases, similar.texts, strict=True)
    } | similar.past
    frame = pl.DataFrame(present, schema={"record_id": pl.String, "revision": pl.String}, orient="row").lazy()
    gone = snapshot.released().join(frame, on=["record_id", "revision"], how="anti", maintain_order="left").collect()
    group_keys = past_group_keys(gone, snapshot, dataset.config.split.group_by)
    return [
        Candidate(
            record_id=f"{decision.record_id}@{decision.revision}",
            text=texts[decision.record_id, decision.revision],
            key=inputs_key(task, decision.inputs),
            answer=None,
            human=False,
            order=order,
            group_keys=group_keys.get((decision.record_id, decision.revision), ()),
            split=splits[decision.record_id],
            published=True,
            told=True,
            past=True,
        )
        for order, decision in enumerate(from_frame(gone))
        if decision.record_id in splits
    ]


def past_group_keys(
    decisions: pl.DataFrame, snapshot: Snapshot, group_by: list[str]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """What published rows share with others of their groups, by record and revision."""
    if not group_by or decisions.is_empty():
        return {}
    wanted = decisions.lazy().select("record_id", "revision")
    rows = snapshot.everything.scan(Table.RECORDS).filter(~pl.col("withdrawn"), pl.col("error") == "")
    found = rows.join(wanted, on=["record_id", "revision"], how="semi").select("record_id", "revision", "raw").collect()
    return {
        (record_id, revision): tuple(group_keys(orjson.loads(raw), group_by))
        for record_id, revision, raw in found.iter_rows()
    }


def _corrected(twin: Case, task: type[Task]) -> Reason:
    before, after = in_words(twin, [twin.replaced or {}, twin.targets or {}], task)
    return Reason(
        code=ReasonCode.CORRECTED,
        detail=f"'{after}', not '{before}', in record {twin.record_id}",
        refs=(twin.record_id,),
    )


def _take_over(case: Case, row: Resolution, known: str | None) -> None:
    case.duplicate_of = row.duplicate_of
    case.exact = row.exact
    case.similarity = row.similarity
    case.conflicting_answers = row.conflicting_answers
    # Once a version gave the record a split, it is pinned; but that is not reported if its source sets the same split.
    case.pinned_split = row.split if known in (None, case.fixed_split) else None
    case.overridden_by = row.overridden_by
    case.bridges = row.bridges
    case.group = row.group or case.record_id
