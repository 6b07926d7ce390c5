"""Which questions are open: what annotators are asked now, and in which order."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.review.consensus import said_about
from pipeline.review.gold import gold_items, trusted_records, with_gold
from pipeline.review.seating import Asked, seated
from pipeline.state.decisions import begins_with, from_frame
from pipeline.state.same_question import asked_digest, same_question
from pipeline.state.snapshot import Snapshot
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Routed
from schemas.identity import stable_hash
from schemas.repairs import REPAIRABLE, awaits_repair
from schemas.seat import SeatKind

_OPEN_ROUTES = (Routed.UNCERTAIN, Routed.CONFLICT, Routed.AUDIT)
_OPEN_FATES = (Fate.REVIEW, Fate.ACCEPTED)


TASK = {"task_id": pl.Int64(), "push_key": pl.String()}
"""What identifies a task: an id alone may be reused."""


def marker(dataset: LoadedDataset) -> str:
    """What identifies a dataset's project; a task that asks for other fields gets another project."""
    return f"{markers(dataset)}{asked_digest(dataset.task)}"


def marks(snapshot: Snapshot, dataset: LoadedDataset) -> list[str]:
    """What may identify it: homes of before have named it by the whole class."""
    digests = same_question(snapshot, dataset.task) - {asked_digest(dataset.task)}
    return [marker(dataset), *(f"{markers(dataset)}{digest}" for digest in sorted(digests))]


def markers(dataset: LoadedDataset) -> str:
    """How what identifies the projects of a dataset begins, whatever its task asked."""
    return f"goldleaf:{dataset.config.name}:"


def _in_turn(rows: pl.LazyFrame) -> list[Decision]:
    """Open questions in the order in which they are asked, the most urgent first, audits in between."""
    waiting = list(from_frame(rows.collect()))
    audits = sorted((d for d in waiting if d.routed is Routed.AUDIT), key=lambda d: stable_hash(d.record_id))
    others = sorted((d for d in waiting if d.routed is not Routed.AUDIT), key=_urgency)
    places = [(i / len(part), d) for part in (others, audits) for i, d in enumerate(part)]
    return [decision for _, decision in sorted(places, key=lambda place: place[0])]


def asked_now(snapshot: Snapshot, dataset: LoadedDataset) -> list[Asked]:
    """The open questions under the current task in all of their seats, in the order in which annotators get them."""
    digest = pl.col("task_digest").is_in(list(same_question(snapshot, dataset.task)))
    # Another curate may have used a newer task since: its questions belong in another project.
    if not dataset.config.review.has_seats:
        return [Asked(decision) for decision in _in_turn(open_decisions(snapshot).filter(digest))]
    answered = snapshot.latest_annotations().select("record_id").unique().collect().to_series()
    trusted = trusted_records(snapshot, dataset) if dataset.config.review.gold else []
    # Read once: of a million records few are asked about, have answers or are trusted.
    asked = open_ones() | pl.col("record_id").is_in([*answered, *trusted])
    now = snapshot.current_decisions(asked).collect().lazy()
    waiting = _in_turn(now.filter(open_ones(), digest))
    said = said_about(snapshot, dataset.task, now)
    seats = seated(snapshot, dataset, waiting, said, now)
    return with_gold(snapshot, dataset, said, seats, gold_items(snapshot, now, dataset, said, trusted))


def in_vain(
    snapshot: Snapshot, dataset: LoadedDataset, gone: Mapping[str, str], asked: Iterable[Asked] | None
) -> list[Asked]:
    """One question for each record about which nobody is left to answer.

    Args:
        snapshot: the committed state.
        dataset: has the task.
        gone: the questions that annotators gave back, or a server refused: records by push key.
        asked: the open questions in all of their seats; None if they have one only.
    """
    if not gone:
        return []
    if asked is None:
        # Only these are decoded: many more may be open.
        rows = snapshot.current_decisions(open_ones() & pl.col("record_id").is_in(list(gone.values())))
        rows = rows.filter(pl.col("task_digest").is_in(list(same_question(snapshot, dataset.task))))
        asked = [Asked(decision) for decision in from_frame(rows.collect())]
    open_of: defaultdict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        if one.seat.kind is not SeatKind.GOLD:
            open_of[one.decision.record_id].append(one)
    return [mine[0] for mine in open_of.values() if all(one.key(dataset.task) in gone for one in mine)]


def open_keys(snapshot: Snapshot, record_id: str, dataset: LoadedDataset | None) -> set[str]:
    """The push keys of the questions about a record that are open, in all of their seats; none without a dataset."""
    asked = [(one, dataset.task) for one in asked_now(snapshot, dataset)] if dataset else []
    return {one.key(task) for one, task in asked if one.decision.record_id == record_id}


def open_decisions(snapshot: Snapshot) -> pl.LazyFrame:
    """Those decisions as rows of their table, in any order."""
    return snapshot.current_decisions(open_ones())


def open_ones() -> pl.Expr:
    """The same as ``is_open``, over the columns of the decisions or of their outline, in which they can be counted."""
    is_asked = pl.col("routed").is_in([route.value for route in _OPEN_ROUTES])
    waits = (is_asked & pl.col("fate").is_in([fate.value for fate in _OPEN_FATES])) | _awaits_repair()
    return waits & pl.col("label_source").ne_missing(LabelSource.HUMAN.value)


def _awaits_repair() -> pl.Expr:
    """The same as ``awaits_repair``, over the columns of the decisions."""
    is_asked = (pl.col("routed") == Routed.REPAIR.value) & (pl.col("fate") == Fate.REJECTED.value)
    return is_asked & begins_with(*REPAIRABLE)


def is_open(decision: Decision) -> bool:
    """Whether an annotator was asked and has not answered."""
    return awaits_repair(decision) or (
        decision.routed in _OPEN_ROUTES
        and decision.fate in _OPEN_FATES
        and decision.label_source is not LabelSource.HUMAN
    )


def _urgency(decision: Decision) -> tuple[bool, bool, float, str]:
    score = 0.5 if decision.label_error_score is None else decision.label_error_score
    return (decision.routed is Routed.REPAIR, decision.routed is not Routed.CONFLICT, -score, decision.record_id)
