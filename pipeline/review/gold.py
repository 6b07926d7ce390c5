"""Hidden gold items: questions whose answer is known, a copy for each annotator, mixed into their tasks."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.review.consensus import DECISIVE, Said, deciding, said_and_hidden
from pipeline.review.questions import has_known_answers
from pipeline.review.seating import Asked
from pipeline.review.seats import IS_GOLD, with_seats
from pipeline.state.decisions import from_frame
from pipeline.state.same_question import same_question
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.annotation import Annotation, Verdict
from schemas.fate import Fate, LabelSource
from schemas.identity import stable_hash
from schemas.seat import Seat, SeatKind
from schemas.task import Task


def trusted_records(snapshot: Snapshot, dataset: LoadedDataset) -> list[str]:
    """The records of gold sources."""
    sources = dataset.config.gold_sources
    return snapshot.records_of(sources).collect().to_series().to_list() if sources else []


def adjudicated_records(answers: Mapping[str, Said | None]) -> list[str]:
    """Those about which an adjudicator's label decides, by the deciding answer about each record."""
    return [
        record_id
        for record_id, answer in answers.items()
        if answer and answer.seat.kind is SeatKind.ADJUDICATOR and answer.annotation.verdict is Verdict.LABELED
    ]


def gold_items(
    snapshot: Snapshot,
    now: pl.LazyFrame,
    dataset: LoadedDataset,
    said: Mapping[str, Sequence[Said]],
    trusted: Iterable[str],
) -> pl.LazyFrame:
    """The decisions about the records of gold sources, and about those that an adjudicator has decided.

    Args:
        snapshot: the committed state.
        now: the decisions that count, or those about some records.
        dataset: has the task.
        said: the annotators' answers by record.
        trusted: the records of gold sources.
    """
    adjudicated = adjudicated_records({record_id: deciding(items) for record_id, items in said.items()})
    return known_items(snapshot, now, dataset, [*trusted, *adjudicated])


def known_items(snapshot: Snapshot, now: pl.LazyFrame, dataset: LoadedDataset, records: Iterable[str]) -> pl.LazyFrame:
    """The decisions about the records whose answer is known.

    Args:
        snapshot: the committed state.
        now: the decisions that count, or those about some records.
        dataset: has the task. Free texts and conversations cannot be compared, so a task that has nothing else has no
            gold items.
        records: those of gold sources, and those that an adjudicator has decided.
    """
    return now.filter(
        has_known_answers(dataset.task),
        pl.col("record_id").is_in(list(records)),
        pl.col("task_digest").is_in(list(same_question(snapshot, dataset.task))),
        pl.col("fate") == Fate.ACCEPTED.value,
        pl.col("label_source") == LabelSource.HUMAN.value,
    )


def with_gold(
    snapshot: Snapshot,
    dataset: LoadedDataset,
    said: Mapping[str, Sequence[Said]],
    asked: Sequence[Asked],
    known: pl.LazyFrame,
) -> list[Asked]:
    """The questions with open gold items in between: each annotator's share of the tasks that were or are theirs.

    Who has answered a question, or somebody else's copy of a gold item, does not get it as a gold item.

    Args:
        snapshot: the committed state.
        dataset: names the annotators and the share.
        said: the annotators' answers by record.
        asked: the open questions in all of their seats.
        known: the decisions about ``gold_items``.
    """
    records = known.select("record_id").collect().to_series().sort().to_list() if dataset.config.review.gold else []
    if not records:
        return list(asked)
    answered, by_others, done = _answered(snapshot)
    can_answer = {
        annotator: [
            one
            for one in records
            if one not in by_others[annotator.casefold()] and not _has_answered(annotator, said.get(one, ()))
        ]
        for annotator in dataset.config.review.annotators
    }
    picked = _picked(snapshot, dataset, can_answer, asked, done)
    # Only these are decoded: a gold source may have many rows.
    rows = known.filter(pl.col("record_id").is_in(list({record_id for _, record_id in picked})))
    items = {one.record_id: one for one in from_frame(rows.collect())}
    spelled = _spelled(snapshot)
    copies = []
    for name, record_id in picked:
        who = name.casefold()
        copies.append(Asked(items[record_id], _seat(spelled.get((who, record_id), who)), name))
    return _mixed(asked, [copy for copy in copies if copy.key(dataset.task) not in answered])


def _picked(
    snapshot: Snapshot,
    dataset: LoadedDataset,
    can_answer: Mapping[str, Sequence[str]],
    asked: Iterable[Asked],
    done: Collection[tuple[str, str]],
) -> list[tuple[str, str]]:
    """Annotators, and the records of which each has a copy, answered or not."""
    share, dealt, sent = dataset.config.review.gold, _worked_on(snapshot, dataset), _spelled(snapshot)
    dealt |= {one.key(dataset.task): one.annotator for one in asked}
    counts = Counter(annotator.casefold() for annotator in dealt.values())
    takers: defaultdict[str, set[str]] = defaultdict(set)
    for who, record_id in sent:
        takers[record_id].add(who)
    found: list[tuple[str, str]] = []
    for annotator, records in can_answer.items():
        who = annotator.casefold()
        most = math.ceil(round(counts[who] * share / (1 - share), 6))
        # Those that were sent stay, whatever has become gold since; the answered ones first, as there may be too many
        # if questions were withdrawn. Two tasks about one row show that it is gold, so others' rows come last.
        order = sorted(
            records,
            key=lambda one: (
                (who, one) not in done,
                (who, one) not in sent,
                0 if (who, one) in sent else len(takers[one] - {who}),
                _draw(annotator, one),
            ),
        )
        for record_id in order[:most]:
            takers[record_id].add(who)
            found.append((annotator, record_id))
    return found


def _mixed(asked: Sequence[Asked], gold: Sequence[Asked]) -> list[Asked]:
    """Spread evenly, in an order that tells nothing."""
    drawn = sorted(gold, key=lambda one: stable_hash("order", str(one.seat), one.decision.record_id))
    places = [((i + 0.5) / len(part), one) for part in (asked, drawn) for i, one in enumerate(part)]
    return [one for _, one in sorted(places, key=lambda place: place[0])]


def _worked_on(snapshot: Snapshot, dataset: LoadedDataset) -> dict[str, str]:
    """For whom each task with an answer is that is no gold item, by push key.

    Those of another form of the task do not count, nor those whose question was withdrawn: in the place of either
    another one is asked, and a share of both would be too many.
    """
    digest = pl.col("task_digest").is_in(list(same_question(snapshot, dataset.task)))
    others = _pushes(snapshot).filter(digest, ~IS_GOLD.fill_null(value=False)).select("push_key", "annotator")
    answered = snapshot.latest_annotations().filter(~pl.col("deleted")).select("push_key")
    return dict(others.join(answered, on="push_key", how="semi", maintain_order="left").collect().iter_rows())


def invalid_gold_answers(snapshot: Snapshot, task: type[Task]) -> list[Annotation]:
    """The answers to hidden gold items that break the task's schema, and are the last ones to their tasks."""
    given = with_seats(snapshot, snapshot.latest_annotations()).filter(IS_GOLD, ~pl.col("deleted"))
    records = given.select(pl.col("record_id").unique()).collect().to_series().to_list()
    if not records:
        return []
    now = snapshot.current_decisions(pl.col("record_id").is_in(records))
    _, hidden = said_and_hidden(snapshot, task, now)
    here = [one for items in hidden.values() for one in items if one.is_present and not one.annotation.deleted]
    here.sort(key=lambda one: (one.annotation.updated_at, one.annotation.annotation_id))
    last = {one.annotation.push_key: one.annotation for one in here if one.annotation.verdict is not Verdict.SKIPPED}
    return [one for one in last.values() if one.verdict is Verdict.INVALID]


def _spelled(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    """The gold items that were sent, by annotator and record: the address as their seats spell it."""
    gold = _pushes(snapshot).filter(IS_GOLD).select("seat", "record_id")
    seats = [(Seat.read(seat).annotator, record_id) for seat, record_id in gold.collect().iter_rows()]
    # The first one is the one that was answered, if another spelling was asked again.
    return {(name.casefold(), record_id): name for name, record_id in reversed(seats)}


def _pushes(snapshot: Snapshot) -> pl.LazyFrame:
    return snapshot.scan(Table.PUSHES).filter(pl.col("annotator").fill_null("") != "").sort("pushed_at")


def _seat(annotator: str) -> Seat:
    return Seat(kind=SeatKind.GOLD, annotator=annotator)


def _answered(snapshot: Snapshot) -> tuple[set[str], defaultdict[str, set[str]], set[tuple[str, str]]]:
    """The push keys of gold items with a valid answer; the records of somebody else's items that each answered; and the
    annotators whose items have one, each with its record.
    """
    rows = with_seats(snapshot, snapshot.latest_annotations()).filter(IS_GOLD, ~pl.col("deleted"))
    valid = rows.filter(pl.col("verdict").is_in([verdict.value for verdict in DECISIVE]))
    keys: set[str] = set()
    by_others: defaultdict[str, set[str]] = defaultdict(set)
    done: set[tuple[str, str]] = set()
    for key, seat, record_id, email in valid.select("push_key", "seat", "record_id", "email").collect().iter_rows():
        keys.add(key)
        who, whose = (email or "").casefold(), Seat.read(seat).annotator.casefold()
        done.add((whose, record_id))
        if whose != who:
            by_others[who].add(record_id)
    return keys, by_others, done


def _has_answered(annotator: str, said: Sequence[Said]) -> bool:
    return any(one.annotation.email.casefold() == annotator.casefold() for one in said)


def _draw(annotator: str, record_id: str) -> str:
    return stable_hash("gold", annotator.casefold(), record_id)
