"""Turns what people said about one record into one answer: the latest valid annotation decides."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
import polars as pl

from pipeline.dataset_file import LoadedDataset
from pipeline.decisions import about, from_frame, latest, question_key, still_valid
from pipeline.labeling import read_result
from pipeline.store import Snapshot
from pipeline.tables import Verb
from schemas.annotation import Annotation, Verdict
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.field import JsonValue
from schemas.record import Decision
from schemas.task import Task

DECISIVE = frozenset({Verdict.LABELED, Verdict.UNUSABLE, Verdict.UNSURE})
"""A skip is no answer, and an invalid one waits for its correction."""
_OF_PEOPLE = (ReasonCode.REVIEWER, ReasonCode.UNSURE)
"""What curate says after people, in whose decisions the row's own label stays the source's."""


def deciding(annotations: Iterable[Annotation]) -> Annotation | None:
    """The annotation that decides; None where no valid one stands."""
    valid = [item for item in annotations if not item.deleted and item.verdict in DECISIVE]
    return max(valid, key=lambda item: (item.updated_at, item.annotation_id), default=None)


def human_decisions(snapshot: Snapshot, dataset: LoadedDataset, run: str) -> list[Decision]:
    """The decisions that follow from people's answers and are not committed yet.

    A record whose answer was taken back gets its last automatic decision again.
    """
    task, now = dataset.task, snapshot.current_decisions()
    annotations = _by_record(snapshot, task)
    current = {d.record_id: d for d in from_frame(_of(now, annotations))}
    collected = still_valid(snapshot.committed_decisions(Verb.COLLECT), snapshot, task.task_digest())
    said = {d.record_id: d for d in from_frame(_of(latest(about(collected, now, task)), annotations))}
    asked = {d.record_id: d for d in origins(snapshot, now, task, annotations)}
    decisions = []
    for record_id, items in annotations.items():
        if record_id not in current or record_id not in asked:
            continue
        told, answer = said.get(record_id), deciding(items)
        if answer is not None:
            decision = _decided(asked[record_id], current[record_id], answer, dataset, run)
        elif told is not None:
            decision = asked[record_id].model_copy(update={"run": run})
        else:
            continue
        if told is None or _meaning(told) != _meaning(decision):
            decisions.append(decision)
    return decisions


def origins(snapshot: Snapshot, asked: pl.LazyFrame, task: type[Task], records: Iterable[str]) -> Iterator[Decision]:
    """The last decision about each of some records, as it is now, that no person had a part in.

    Args:
        snapshot: the committed state.
        asked: ``record_id`` and ``inputs`` of the records as they are now.
        task: the dataset's task.
        records: their ids.
    """
    automatic = snapshot.committed_decisions(Verb.CURATE).filter(
        pl.col("label_source").is_null() | (pl.col("label_source") != LabelSource.HUMAN.value),
        ~pl.col("reasons").str.contains_any([f'"code":"{code}"' for code in _OF_PEOPLE]),
    )
    present = about(still_valid(automatic, snapshot, task.task_digest()), asked, task)
    yield from from_frame(_of(latest(present), records))


def had_people(decision: Decision) -> bool:
    """Whether people had a part in an automatic decision."""
    return decision.label_source is LabelSource.HUMAN or any(r.code in _OF_PEOPLE for r in decision.reasons)


def deciding_state(snapshot: Snapshot, task: type[Task]) -> dict[str, Verdict]:
    """What the newest standing annotation of every record amounts to, skips and invalid ones included."""
    found = {}
    for record_id, items in _by_record(snapshot, task).items():
        standing = [item for item in items if not item.deleted]
        if standing:
            found[record_id] = max(standing, key=lambda item: (item.updated_at, item.annotation_id)).verdict
    return found


def invalid_annotations(snapshot: Snapshot, task: type[Task]) -> list[Annotation]:
    """Annotations that break the task's schema, where no valid one decides: people must correct them."""
    undecided = [items for items in _by_record(snapshot, task).values() if deciding(items) is None]
    return [item for items in undecided for item in items if item.verdict is Verdict.INVALID and not item.deleted]


def _by_record(snapshot: Snapshot, task: type[Task]) -> dict[str, list[Annotation]]:
    """The annotations that answer the records' present questions: of this revision, these inputs and this task."""
    said = snapshot.latest_annotations().collect()
    asked = {
        question_key(decision, task): decision
        for decision in from_frame(_of(snapshot.current_decisions(), said["record_id"].unique()))
        if decision.task_digest == task.task_digest()
    }
    found: dict[str, list[Annotation]] = defaultdict(list)
    for row in said.iter_rows(named=True):
        if decision := asked.get(row["push_key"]):
            found[decision.record_id].append(_annotation(row, decision, task))
    return found


def _annotation(row: dict[str, Any], decision: Decision, task: type[Task]) -> Annotation:
    """A row of the ``annotations`` table, its result read with the task as it is now: a validator may be mended."""
    values = {name: value for name, value in row.items() if name != "run"}
    values |= {"targets": orjson.loads(row["targets"] or "null"), "result": orjson.loads(row["result"])}
    annotation = Annotation.model_validate(values)
    if annotation.verdict is Verdict.SKIPPED:
        return annotation
    answer = read_result(task, annotation.result, was_cancelled=False, inputs=decision.inputs)
    return annotation.model_copy(update=answer.model_dump())


def _of(decisions: pl.LazyFrame, records: Iterable[str]) -> pl.DataFrame:
    return decisions.filter(pl.col("record_id").is_in(list(records))).collect()


def _decided(origin: Decision, current: Decision, answer: Annotation, dataset: LoadedDataset, run: str) -> Decision:
    changes: dict[str, object] = {
        "run": run,
        "routed": origin.routed or current.routed,
        "duplicate_of": "",
        "similarity": None,
    }
    match answer.verdict:
        case Verdict.UNUSABLE:
            changes |= {"fate": Fate.REJECTED, "reasons": [Reason(code=ReasonCode.REVIEWER)]}
        case Verdict.UNSURE:
            changes |= {"fate": Fate.REVIEW, "routed": Routed.ADJUDICATE, "reasons": [Reason(code=ReasonCode.UNSURE)]}
        case _:
            detail = what_changed(origin.targets, answer.targets, dataset.task)
            changes |= {
                "fate": Fate.ACCEPTED,
                "reasons": [Reason(code=ReasonCode.REVIEWED, detail=detail)],
                "targets": answer.targets,
                "label_source": LabelSource.HUMAN,
                "tokens": None if answer.targets != origin.targets else origin.tokens,
            }
    return origin.model_copy(update=changes)


def what_changed(
    before: Mapping[str, JsonValue] | None, after: Mapping[str, JsonValue] | None, task: type[Task]
) -> str:
    """Say in words how a person's answer differs from what stood there."""
    if before is None or after is None:
        return "answered"
    changed = [field.name for field in task.task_targets() if before[field.name] != after[field.name]]
    if not changed:
        return "confirmed"
    return "; ".join(f"{name}: '{before[name]}' became '{after[name]}'" for name in changed)


def _meaning(decision: Decision) -> object:
    return decision.fate, decision.routed, decision.reasons, decision.targets, decision.revision
