"""Compares records with each other: duplicates, conflicts, and the groups that move together."""

from collections import defaultdict
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import NOT_MATCHED, SHOWN_ANSWERS, Matched
from pipeline.curation.known import Known, in_words
from pipeline.curation.prepare import PREPARED
from pipeline.dedupe.candidates import Candidate, Resolution
from pipeline.dedupe.neighbors import Compared, SimilarRows
from pipeline.dedupe.resolve import resolve
from pipeline.kinds.registry import kind_of
from pipeline.similarity.signatures import INPUTS, SPELLING, WHOLE
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.text.answer_keys import Answers
from pipeline.text.field_paths import group_keys
from schemas.annotation import Verdict
from schemas.dataset import OnConflict
from schemas.fate import Reason, ReasonCode
from schemas.field import same_targets
from schemas.row_problems import label_before, may_mean
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
    letters: int
    """The number of its letters; -1 for none."""


@dataclass(frozen=True)
class Related:
    """What is known of some rows that no row outside them is related to."""

    rows: pl.DataFrame
    """With the columns ``COMPARED``."""
    numbers: Mapping[str, Sequence[int]]
    """By view, the number of each row's text; -1 for none."""
    compared: Mapping[str, Compared]
    """By view, all texts that are compared with theirs; there may be no whole ones."""
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


def mark_duplicates(
    records: Sequence[Known], related: Related, published: Published, dataset: LoadedDataset
) -> list[Matched]:
    """What comparing finds about each record: duplicates, conflicts and groups among those that are not rejected.

    They come in the order of the related rows.
    """
    config, task = dataset.config, dataset.task
    record_ids = [known.record_id for known in records]
    splits = published.splits([*record_ids, *(row.record_id for row in related.gone)])
    # Rejected ones among them are past rows, too.
    revisions = published.revisions(record_ids)
    candidates = [
        *_candidates(records, related, splits, revisions, task),
        *_past_candidates(records, related, splits, revisions),
    ]
    rule = config.duplicates
    similar_rows = SimilarRows(rule.threshold, related.compared, rule.answers)
    resolved = resolve(candidates, similar_rows, config.on_conflict, answers_repeat=kind_of(task).answers_repeat)
    by_id = dict(zip(record_ids, records, strict=True))

    divided = _with_divided_labels(records) if config.on_conflict is not OnConflict.ANY_OF else {}

    def matched(known: Known) -> Matched:
        found = compared(known)
        others = [one for one in divided.get(known.text_key, ()) if _contradicts(one, known)]
        if not others or not found.is_kept or found.conflicting_answers or known.human is Verdict.LABELED:
            return found
        said = tuple(label_before(_divided(one)[0]) for one in others[:SHOWN_ANSWERS])
        rows = tuple(one.record_id for one in others[:SHOWN_ANSWERS])
        return replace(found, conflicting_answers=len(others), conflict_answers=said, conflict_rows=rows)

    def compared(known: Known) -> Matched:
        row = resolved.get(known.record_id)
        if row is None:
            return NOT_MATCHED
        split = splits.get(known.record_id)
        return Matched(
            duplicate_of=row.duplicate_of,
            exact=row.exact,
            similarity=row.similarity,
            threshold=rule.threshold,
            conflicting_answers=row.conflicting_answers,
            conflict_answers=_conflict_answers(known, row, by_id, task) if row.conflict else (),
            conflict_rows=row.conflict[:SHOWN_ANSWERS],
            overridden_by=row.overridden_by,
            bridges=row.bridges,
            corrected_elsewhere=_corrected(by_id[row.corrected], task) if row.corrected else None,
            group=row.group,
            # Once a version gave the record a split, it is pinned; but that is not reported if its source sets the same
            # split.
            pinned_split=row.split if split in (None, known.fixed_split) else None,
        )

    return [matched(known) for known in records]


def _with_divided_labels(records: Sequence[Known]) -> Mapping[str, Sequence[Known]]:
    """By inputs, the rows whose label the task has divided: they are no candidates, but still contradict others."""
    found: defaultdict[str, list[Known]] = defaultdict(list)
    for known in records:
        if known.human is None and _divided(known):
            found[known.text_key].append(known)
    return found


def _divided(known: Known) -> list[Reason]:
    return [reason for reason in (*known.rejection_reasons, *known.review_reasons) if label_before(reason)]


def _contradicts(divided: Known, known: Known) -> bool:
    """Whether a row whose label was divided has another answer than one with the same inputs, whatever it means now."""
    if divided.record_id == known.record_id or known.targets is None:
        return False
    reasons = _divided(divided)
    values = [one for value in known.targets.values() for one in (value if isinstance(value, list) else [value])]
    if not all(any(may_mean(reason, one) for one in values) for reason in reasons):
        return True
    parts = {reason.field.partition(".")[0] for reason in reasons}
    rest = {name: value for name, value in known.targets.items() if name not in parts and value not in (None, [])}
    sure = {name: value for name, value in (divided.draft or {}).items() if name not in parts}
    return divided.draft is not None and not same_targets(rest, sure)


def _candidates(
    records: Sequence[Known],
    related: Related,
    splits: Mapping[str, str],
    revisions: Container[tuple[str, str]],
    task: type[Task],
) -> Iterator[Candidate]:
    rows = related.rows.select(list(COMPARED)).iter_rows()
    answers = Answers(task)
    numbers = zip(*(related.numbers[view] for view in (INPUTS, WHOLE, SPELLING)), strict=True)
    for known, (shared, answer, closed), (text, free_text, letters) in zip(records, rows, numbers, strict=True):
        if not known.is_candidate:
            continue
        said = known.answered
        if said.human is Verdict.LABELED:
            answer, closed = answers.key(known.targets), answers.closed_key(known.targets)
        yield Candidate(
            record_id=known.record_id,
            text=text,
            letters=letters,
            key=known.text_key,
            answer=answer,
            free_text=free_text,
            closed=closed if free_text >= 0 else "",
            human=said.human is Verdict.LABELED,
            replaced=answers.key(said.replaced),
            order=known.order,
            disputed=said.contradicted or said.human in (Verdict.UNSURE, Verdict.DISPUTED),
            contradicted=said.contradicted,
            held=bool(known.review_reasons) and said.human is None,
            group_keys=_shared(shared),
            split=splits.get(known.record_id, known.fixed_split),
            published=known.record_id in splits,
            # It has a split, maybe for a different text than the current one, or as the copy of another row.
            told=known.record_id in splits and (known.record_id, known.revision) in revisions,
            frozen=known.published_as_is,
        )


def _shared(group_keys: str) -> tuple[str, ...]:
    return tuple(orjson.loads(group_keys)) if group_keys != "[]" else ()


def _past_candidates(
    records: Sequence[Known], related: Related, splits: Mapping[str, str], revisions: Container[tuple[str, str]]
) -> Iterator[Candidate]:
    """What versions contain but no current candidate has: withdrawn, changed or rejected since."""
    left_out = [
        PastRow(known.record_id, known.revision, text, known.text_key, _shared(shared), letters)
        for known, shared, text, letters in zip(
            records, related.rows["group_keys"], related.numbers[INPUTS], related.numbers[SPELLING], strict=True
        )
        # A row may be current, with only the reason for leaving it out being new.
        if known.inputs and (known.record_id, known.revision) in revisions and not known.is_candidate
    ]
    for row in (*related.gone, *left_out):
        if row.record_id in splits:
            yield Candidate(
                record_id=f"{row.record_id}@{row.revision}",
                text=row.text,
                letters=row.letters,
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


def _conflict_answers(known: Known, row: Resolution, by_id: Mapping[str, Known], task: type[Task]) -> tuple[str, ...]:
    """The first answers that a record is in conflict with, as shown to people."""
    others = [by_id[record_id].targets for record_id in row.conflict[:SHOWN_ANSWERS]]
    answers = [one for one in (known.targets, *others) if one is not None]
    return tuple(in_words(known, answers, task)[known.targets is not None :])


def _corrected(twin: Known, task: type[Task]) -> Reason:
    before, after = in_words(twin, [twin.answered.replaced or {}, twin.targets or {}], task)
    return Reason(
        code=ReasonCode.CORRECTED,
        detail=f"'{after}', not '{before}', in record {twin.record_id}",
        refs=(twin.record_id,),
    )
