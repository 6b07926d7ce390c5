"""Hidden gold items: questions whose answer is known, a copy for each annotator, mixed into their tasks."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.kinds.registry import kind_of
from pipeline.review.consensus import DECISIVE, Said
from pipeline.review.seating import Asked
from pipeline.review.seats import IS_GOLD, with_seats
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource
from schemas.identity import stable_hash
from schemas.seat import Seat, SeatKind


def gold_items(snapshot: Snapshot, dataset: LoadedDataset, said: Mapping[str, Sequence[Said]]) -> list[Decision]:
    """The records whose answer is known: those of gold sources, and those that an adjudicator has decided.

    Args:
        snapshot: the committed state.
        dataset: names the gold sources. An answer in free words cannot be compared with another, so a task that has
            nothing else has no gold items.
        said: the annotators' answers by record.
    """
    names = [source.name for source in dataset.config.sources if source.gold]
    trusted = snapshot.current_records().filter(pl.col("source").is_in(names)).select("record_id").collect().to_series()
    adjudicated = {record_id for record_id, items in said.items() if any(map(_adjudicates, items))}
    if set(kind_of(dataset.task).free_texts(dataset.task)) >= {one.name for one in dataset.task.task_targets()}:
        return []
    known = snapshot.current_decisions().filter(
        pl.col("record_id").is_in([*trusted, *adjudicated]),
        pl.col("task_digest") == dataset.task.task_digest(),
        pl.col("fate") == Fate.ACCEPTED.value,
        pl.col("label_source") == LabelSource.HUMAN.value,
    )
    return list(from_frame(known.sort("record_id").collect()))


def with_gold(
    snapshot: Snapshot, dataset: LoadedDataset, said: Mapping[str, Sequence[Said]], asked: Sequence[Asked]
) -> list[Asked]:
    """The questions with open gold items in between: each annotator's share of the tasks that were ever for them.

    Who has answered a question, or somebody else's copy of a gold item, does not get it as a gold item.

    Args:
        snapshot: the committed state.
        dataset: names the annotators and the share.
        said: the annotators' answers by record.
        asked: the open questions in all of their seats.
    """
    share, task = dataset.config.review.gold, dataset.task
    items = gold_items(snapshot, dataset, said) if share else []
    if not items:
        return list(asked)
    dealt, sent = _sent(snapshot)
    dealt |= {one.key(task): one.annotator for one in asked}
    counts = Counter(dealt.values())
    answered, by_others = _answered(snapshot)
    found: list[Asked] = []
    for annotator in dataset.config.review.annotators:
        seat = Seat(kind=SeatKind.GOLD, annotator=annotator)
        seen = by_others.get(annotator.casefold(), set())
        ours = [one for one in items if not (one.record_id in seen or _has_answered(annotator, said, one.record_id))]
        # Those that were sent stay, whatever has become gold since.
        ours.sort(key=lambda item: ((annotator, item.record_id) not in sent, _draw(annotator, item.record_id)))
        most = math.ceil(round(counts[annotator] * share / (1 - share), 6))
        found += [copy for item in ours[:most] if (copy := Asked(item, seat, annotator)).key(task) not in answered]
    return _mixed(asked, found)


def _mixed(asked: Sequence[Asked], gold: Sequence[Asked]) -> list[Asked]:
    """Spread evenly, in an order that tells nothing."""
    drawn = sorted(gold, key=lambda one: stable_hash("order", str(one.seat), one.decision.record_id))
    places = [((i + 0.5) / len(part), one) for part in (asked, drawn) for i, one in enumerate(part)]
    return [one for _, one in sorted(places, key=lambda place: place[0])]


def _sent(snapshot: Snapshot) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """For whom each task is that is no gold item, by push key; and annotator and record of those that are."""
    rows = snapshot.scan(Table.PUSHES).filter(pl.col("annotator").fill_null("") != "").sort("pushed_at")
    dealt: dict[str, str] = {}
    gold: set[tuple[str, str]] = set()
    for key, seat, annotator, record_id in (
        rows.select("push_key", "seat", "annotator", "record_id").collect().iter_rows()
    ):
        if Seat.read(seat).kind is SeatKind.GOLD:
            gold.add((annotator, record_id))
        else:
            dealt[key] = annotator
    return dealt, gold


def _answered(snapshot: Snapshot) -> tuple[set[str], dict[str, set[str]]]:
    """The push keys of gold items with a valid answer; and the records of somebody else's items that each answered."""
    rows = with_seats(snapshot, snapshot.latest_annotations()).filter(IS_GOLD, ~pl.col("deleted"))
    valid = rows.filter(pl.col("verdict").is_in([verdict.value for verdict in DECISIVE]))
    keys: set[str] = set()
    by_others: defaultdict[str, set[str]] = defaultdict(set)
    for key, seat, record_id, email in valid.select("push_key", "seat", "record_id", "email").collect().iter_rows():
        keys.add(key)
        who = (email or "").casefold()
        if Seat.read(seat).annotator.casefold() != who:
            by_others[who].add(record_id)
    return keys, by_others


def _has_answered(annotator: str, said: Mapping[str, Sequence[Said]], record_id: str) -> bool:
    return any(one.annotation.email.casefold() == annotator.casefold() for one in said.get(record_id, ()))


def _adjudicates(said: Said) -> bool:
    return said.seat.kind is SeatKind.ADJUDICATOR and said.annotation.verdict is Verdict.LABELED


def _draw(annotator: str, record_id: str) -> str:
    return stable_hash("gold", annotator.casefold(), record_id)
