"""Who is asked what: the open seats of every question, and for whom each is.

A question has one seat; several have a share of them, and two those whose answer nothing else speaks for. One more is
for an adjudicator where annotators contradict each other or one was unsure. Whoever answers in two seats counts once,
so that the question stays open for somebody else.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.review.asked_before import involved_annotators
from pipeline.review.consensus import DECISIVE, Said, origins
from pipeline.review.second_looks import is_surprising
from pipeline.state.decisions import from_frame, question_key
from pipeline.state.same_question import same_question
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.identity import stable_hash
from schemas.seat import FIRST, Seat, SeatKind
from schemas.task import Task
from schemas.team import Team

MOST_ATTEMPTS = 3
"""Tasks for one seat, if people answer whose answer does not count in it: then nobody else seems to be there.

Somebody who is named and has not answered is there, so that for them there is always another."""


@dataclass(frozen=True)
class Asked:
    """A question in one of its seats."""

    decision: Decision
    """The automatic one: what others answered since must not be seen."""
    seat: Seat = FIRST
    annotator: str = ""
    """For whom it is, by e-mail; empty if for anybody."""
    answers: tuple[Annotation, ...] = ()
    """What an adjudicator has to choose between, oldest first."""
    held: tuple[Reason, ...] = ()
    """Why an adjudicator is asked: annotators may also contradict each other about rows with the same input."""

    def key(self, task: type[Task]) -> str:
        """Its push key."""
        return question_key(self.decision, task, self.seat)


def seated(
    snapshot: Snapshot,
    dataset: LoadedDataset,
    waiting: Sequence[Decision],
    said: Mapping[str, Sequence[Said]],
    now: pl.LazyFrame,
) -> list[Asked]:
    """The open seats, those of an adjudicator first and second ones last.

    Args:
        snapshot: the committed state.
        dataset: names annotators and the share of questions for several of them.
        waiting: the decisions that no annotator's answer counts for, in the order in which to ask.
        said: the annotators' answers about the current texts, by record.
        now: the decisions that count for the records with answers.
    """
    review, task = dataset.config.review, dataset.task
    shown = {one.record_id: one for one in origins(snapshot, now, task, said)} if said else {}
    assigned = assignments(snapshot)
    found: list[Asked] = []
    settled = [(decision, False) for decision in _answered(now, same_question(snapshot, task), said, waiting)]
    for decision, is_open in (*settled, *((decision, True) for decision in waiting)):
        answers = _counting(said.get(decision.record_id, ()), is_open=is_open)
        asked = decision if is_open and not answers else shown.get(decision.record_id) or unanswered(decision)
        wanted = _wanted(decision, asked, answers, review, task)
        seats = _open_seats(decision, answers, wanted, has_free=bool(_free(review.annotators, answers)))
        before = {seat: assigned.get(question_key(asked, task, seat), "") for seat in seats}
        whose = _whose(asked.record_id, before, wanted, review.annotators, answers)
        panel = tuple(one.annotation for one in answers if one.seat.kind is not SeatKind.ADJUDICATOR)
        for seat in seats:
            is_last = seat.kind is SeatKind.ADJUDICATOR
            found.append(Asked(asked, seat, whose[seat], *((panel, tuple(decision.reasons)) if is_last else ())))
    return sorted(found, key=lambda one: (_TURNS.index(one.seat.kind), one.seat.attempt))


def unanswered(decision: Decision) -> Decision:
    """The same as if nobody had answered: its source has changed the row's own answer since, which nobody has judged.

    Whoever answers next must not see what the first one said, so it is asked about as an audit is.
    """
    if not involved_annotators(decision):
        return decision
    blind: dict[str, object] = {"reasons": [], "routed": Routed.AUDIT, "fate": Fate.ACCEPTED, "label_source": None}
    return decision.model_copy(update=blind | {"replaced": None, "suggestion": None})


_TURNS = (SeatKind.ADJUDICATOR, SeatKind.FIRST, SeatKind.SECOND)
"""If nobody is named, whoever answers one task after the other must not meet a question twice in a row."""


def _wanted(decision: Decision, asked: Decision, answers: Sequence[Said], review: Team, task: type[Task]) -> int:
    """How many annotators are to answer a question independently."""
    if is_overlapping(decision.record_id, review.overlap):
        return review.overlap_annotators
    is_open = review.has_second and not waits_for_adjudication(decision) and not _is_adjudicated(answers)
    return 2 if is_open and any(is_surprising(asked, one.annotation, task) for one in answers) else 1


def is_overlapping(record_id: str, share: float) -> bool:
    """Whether several annotators answer a record's question: drawn by its id, so that a larger share only adds some."""
    return int(stable_hash("overlap", record_id)[:16], 16) < share * 2**64


def all_seats(annotators: Iterable[str], attempts: int) -> list[Seat]:
    """The seats that tasks about a row can have, for some annotators; see ``attempts_so_far``."""
    kinds = (SeatKind.FIRST, SeatKind.SECOND, SeatKind.ADJUDICATOR)
    seats = [Seat(kind=kind, attempt=attempt) for kind in kinds for attempt in range(1, attempts + 1)]
    # Older seats have the address as it was spelled.
    spelled = {name for one in annotators for name in (one, one.casefold())}
    return seats + [Seat(kind=SeatKind.GOLD, annotator=name) for name in sorted(spelled - {""})]


def attempts_so_far(snapshot: Snapshot) -> int:
    """The most tasks for one seat that can have been sent: one more than is known, which a killed push may have."""
    seats = snapshot.scan(Table.PUSHES).select(pl.col("seat").unique()).collect().to_series()
    return max(MOST_ATTEMPTS, *(Seat.read(seat).attempt + 1 for seat in seats), 0)


def waits_for_adjudication(decision: Decision) -> bool:
    """Whether annotators contradict each other about a record, or one was unsure."""
    return decision.fate is Fate.REVIEW and decision.routed is Routed.ADJUDICATE


def assignments(snapshot: Snapshot) -> dict[str, str]:
    """For whom each task is that was sent for somebody, or is now, by push key."""
    sent = snapshot.scan(Table.PUSHES).select("push_key", "pushed_at", pl.col("annotator").fill_null(""))
    now = sent.group_by("push_key").agg(pl.col("annotator").sort_by("pushed_at").last())
    return dict(now.filter(pl.col("annotator") != "").select("push_key", "annotator").collect().iter_rows())


def redistributed(snapshot: Snapshot, run: str) -> str:
    """Who was given how many open tasks of whom when a run sent questions; empty if nobody was."""
    sent = snapshot.scan(Table.PUSHES).sort("pushed_at").with_columns(pl.col("annotator").fill_null(""))
    told = sent.with_columns(before=pl.col("annotator").shift(1).over("push_key"))
    moved = told.filter(pl.col("run") == run, pl.col("before") != pl.col("annotator")).collect()
    counts = moved.group_by("before", "annotator").len().sort("before", "annotator").iter_rows()
    each = [f"{count:,} of {before or 'anybody'} to {after or 'anybody'}" for before, after, count in counts]
    return f"open tasks were given to others: {', '.join(each)}" if each else ""


def _answered(
    now: pl.LazyFrame, digests: Collection[str], said: Mapping[str, Sequence[Said]], waiting: Sequence[Decision]
) -> Iterator[Decision]:
    """The decisions that follow from annotators' answers to what they were asked, in the order of their ids."""
    others = set(said) - {decision.record_id for decision in waiting}
    if not others:
        return
    rows = now.filter(pl.col("record_id").is_in(list(others)), pl.col("task_digest").is_in(list(digests)))
    for decision in from_frame(rows.sort("record_id").collect()):
        is_labeled = decision.fate is Fate.ACCEPTED and decision.label_source is LabelSource.HUMAN
        is_unusable = decision.fate is Fate.REJECTED and decision.reasons[0].code is ReasonCode.UNUSABLE
        if decision.routed and (is_labeled or is_unusable or waits_for_adjudication(decision)):
            yield decision


def _counting(said: Sequence[Said], *, is_open: bool) -> list[Said]:
    """The valid answers to a question, oldest first; to one that is open again those to its present form only."""
    valid = [one for one in said if not one.annotation.deleted and one.annotation.verdict in DECISIVE]
    return sorted(
        (one for one in valid if one.is_present or not is_open),
        key=lambda one: (one.annotation.updated_at, one.annotation.annotation_id),
    )


def _open_seats(decision: Decision, answers: Sequence[Said], wanted: int, *, has_free: bool) -> list[Seat]:
    """The tasks that are still to be answered.

    Args:
        decision: what is asked about.
        answers: those that count.
        wanted: how many annotators are to answer independently.
        has_free: somebody who is named has not answered.
    """
    # By seat: the keys of answers to an earlier form of the question differ.
    answered = {one.seat for one in answers}
    missing = wanted - len(_voters(answers))
    if missing > 0:
        # Where somebody has answered in two seats, one more is asked about.
        seats = chain([FIRST], _attempts(SeatKind.SECOND)) if wanted > 1 else _attempts(SeatKind.FIRST)
    elif waits_for_adjudication(decision) and not _is_adjudicated(answers):
        missing, seats = 1, _attempts(SeatKind.ADJUDICATOR)
    else:
        return []
    left = (seat for seat in seats if seat not in answered)
    most = MOST_ATTEMPTS + max(wanted - 2, 0)
    return [seat for seat in islice(left, missing) if has_free or seat.attempt <= most]


def _attempts(kind: SeatKind) -> Iterator[Seat]:
    return (Seat(kind=kind, attempt=attempt) for attempt in count(1))


def _voters(answers: Sequence[Said]) -> set[tuple[str, str]]:
    return {one.annotation.who for one in answers if one.seat.kind is not SeatKind.ADJUDICATOR}


def _is_adjudicated(answers: Sequence[Said]) -> bool:
    """Whether somebody has decided who is none of those that the question was for at first."""
    voters = _voters(answers)
    return any(
        one.seat.kind is SeatKind.ADJUDICATOR
        and one.annotation.verdict is not Verdict.UNSURE
        and one.annotation.who not in voters
        for one in answers
    )


def _whose(
    record_id: str, before: Mapping[Seat, str], wanted: int, annotators: Sequence[str], answers: Sequence[Said]
) -> dict[Seat, str]:
    """For whom each task about a record is: nobody who has answered, nor anybody twice; whoever has one keeps it.

    The order is drawn for each record, so that more questions move nothing, and a new annotator only gets a share.

    Args:
        record_id: the record.
        before: for whom each task was sent; empty if it was not, or for anybody.
        wanted: how many annotators are to answer independently.
        annotators: those who are named.
        answers: those that count.
    """
    free = _free(annotators, answers)
    kept = {seat: name for seat, name in before.items() if name in free}
    taken, found = set(kept.values()), dict(kept)
    order = sorted(annotators, key=lambda one: stable_hash("annotator", one.casefold(), record_id))
    for seat in (one for one in before if one not in kept):
        turn = {SeatKind.FIRST: 0, SeatKind.SECOND: seat.attempt}.get(seat.kind, max(wanted, 2))
        turns = [order[(place + turn) % len(order)] for place in range(len(order))]
        found[seat] = next((one for one in turns if one in free and one not in taken), "")
        taken.add(found[seat])
    return found


def _free(annotators: Sequence[str], answers: Sequence[Said]) -> list[str]:
    """Those who have not answered."""
    done = {one.annotation.email.casefold() for one in answers}
    return [one for one in annotators if one.casefold() not in done]
