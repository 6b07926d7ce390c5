"""Compares the cases with each other: duplicates, conflicts, and the groups that move together."""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import SHOWN_ANSWERS, Case, in_words, is_candidate
from pipeline.curation.prepare import PREPARED
from pipeline.dedupe.candidates import Candidate, Resolution
from pipeline.dedupe.neighbors import Compared, SimilarRows
from pipeline.dedupe.resolve import resolve
from pipeline.kinds.registry import kind_of
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.text.answer_keys import Answers
from pipeline.text.field_paths import group_keys
from schemas.annotation import Verdict
from schemas.fate import Reason, ReasonCode
from schemas.task import Task


@dataclass(frozen=True)
class PastRow:
    """What a version contains, and no current record any more: similar rows must not go to another split."""

    record_id: str
    revision: str
    text: int
    """The number of its inputs; -1 for none."""
    key: str
    group_keys: tuple[str, ...]


@dataclass(frozen=True)
class Related:
    """What is known of some rows that no row outside them is related to."""

    rows: pl.DataFrame
    """With the columns ``COMPARED``."""
    texts: Sequence[int]
    """The number of each row's inputs; -1 for none."""
    free_text: Sequence[int]
    """The number of each row's inputs with its answer; -1 without a free-text one."""
    inputs: Compared
    """All inputs that are compared with theirs."""
    whole: Compared | None
    """The same with free-text answers."""
    gone: Sequence[PastRow]
    """What versions contain and no current record has."""


COMPARED = {name: PREPARED[name] for name in ("group_keys", "answer", "closed")}
"""The columns of prepared rows that are compared beside their texts."""


class Published:
    """Which records versions have, in which revision and split."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Read it from the tables."""
        self._splits = snapshot.splits().select("record_id", "split").collect()
        self._rows = snapshot.released().select("record_id", "revision").collect()

    def splits(self, record_ids: Collection[str]) -> dict[str, str]:
        """By record, the split of those that have one."""
        wanted = pl.col("record_id").is_in(list(record_ids))
        return dict(self._splits.filter(wanted).iter_rows()) if self._splits.height else {}

    def revisions(self, record_ids: Collection[str]) -> set[tuple[str, str]]:
        """Those of some records that were published."""
        wanted = pl.col("record_id").is_in(list(record_ids))
        return set(self._rows.filter(wanted).iter_rows()) if self._rows.height else set()


def mark_duplicates(cases: list[Case], related: Related, published: Published, dataset: LoadedDataset) -> None:
    """Find duplicates, conflicts and groups among the cases that are not rejected; they come in the order of the
    related rows.
    """
    config, task = dataset.config, dataset.task
    record_ids = [case.record_id for case in cases]
    splits = published.splits([*record_ids, *(row.record_id for row in related.gone)])
    # Rejected ones among them are past rows, too.
    revisions = published.revisions(record_ids)
    candidates = [
        *_candidates(cases, related, splits, revisions, task),
        *_past_candidates(cases, related, splits, revisions),
    ]
    rule = config.duplicates
    similar_rows = SimilarRows(rule.threshold, related.inputs, rule.answers, related.whole)
    resolved = resolve(candidates, similar_rows, config.on_conflict, answers_repeat=kind_of(task).answers_repeat)
    by_id = {case.record_id: case for case in cases}
    for case in cases:
        if row := resolved.get(case.record_id):
            _take_over(case, row, splits.get(case.record_id))
            case.threshold = rule.threshold
            if row.corrected:
                case.label_error_reasons.append(_corrected(by_id[row.corrected], task))
            if not row.conflict:
                continue
            case.conflict_rows = row.conflict[:SHOWN_ANSWERS]
            answers = [by_id[record_id].targets for record_id in (case.record_id, *row.conflict[:SHOWN_ANSWERS])]
            is_labeled = case.targets is not None
            case.conflict_answers = in_words(case, [one for one in answers if one is not None], task)[is_labeled:]


def _candidates(
    cases: list[Case],
    related: Related,
    splits: Mapping[str, str],
    revisions: Container[tuple[str, str]],
    task: type[Task],
) -> Iterator[Candidate]:
    rows = related.rows.select(list(COMPARED)).iter_rows()
    answers = Answers(task)
    for case, (shared, answer, closed), text, free_text in zip(
        cases, rows, related.texts, related.free_text, strict=True
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
            group_keys=_shared(shared),
            split=splits.get(case.record_id, case.fixed_split),
            published=case.record_id in splits,
            # It has a split, maybe for a different text than the current one, or as the copy of another row.
            told=case.record_id in splits and (case.record_id, case.revision) in revisions,
            frozen=case.published_as_is,
        )


def _shared(group_keys: str) -> tuple[str, ...]:
    return tuple(orjson.loads(group_keys)) if group_keys != "[]" else ()


def _past_candidates(
    cases: list[Case], related: Related, splits: Mapping[str, str], revisions: Container[tuple[str, str]]
) -> Iterator[Candidate]:
    """What versions contain but no current case has: withdrawn, changed or rejected since."""
    left_out = [
        PastRow(case.record_id, case.revision, text, case.text_key, _shared(shared))
        for case, shared, text in zip(cases, related.rows["group_keys"], related.texts, strict=True)
        # A row may be current, with only the reason for leaving it out being new.
        if case.inputs and (case.record_id, case.revision) in revisions and not is_candidate(case)
    ]
    for row in (*related.gone, *left_out):
        if row.record_id in splits:
            yield Candidate(
                record_id=f"{row.record_id}@{row.revision}",
                text=row.text,
                key=row.key,
                answer=None,
                human=False,
                # They are older than all others; among themselves, their names decide.
                order=-1,
                group_keys=row.group_keys,
                split=splits[row.record_id],
                published=True,
                told=True,
                past=True,
            )


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
