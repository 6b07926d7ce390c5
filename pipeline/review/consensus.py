"""Combines the annotations of one record into one answer: each annotator's latest, then the majority.

An answer is about a text. It stays with the record as long as the text stays and the task asks for the same fields,
whatever else in the row or the task changes; the caller must compare it with a label that the source has changed since.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from pipeline.kinds.registry import kind_of
from pipeline.review.answers_told import told_apart, what_changed
from pipeline.review.asked_before import FROM_ANNOTATORS, is_about, questions_by_key
from pipeline.review.labeling_tasks import meant_by, read_result
from pipeline.review.same_answers import first_worded, vote_of
from pipeline.review.seats import IS_GOLD, with_runs, with_seats
from pipeline.review.weighing import Weight, deciding_group, weights_of
from pipeline.state.decisions import about, from_frame, latest, still_valid, with_reason
from pipeline.state.same_question import AskedNow, same_question
from pipeline.state.snapshot import Snapshot
from pipeline.text.normalize import inputs_key
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.field import JsonValue
from schemas.identity import what_is_asked
from schemas.repairs import repaired
from schemas.run_summary import Verb
from schemas.seat import FIRST, Seat, SeatKind
from schemas.task import Task

DECISIVE = frozenset({Verdict.LABELED, Verdict.UNUSABLE, Verdict.UNSURE})
"""A skip is not an answer, and an invalid answer must be corrected first."""


@dataclass(frozen=True)
class Said:
    """An annotator's answer about a record's current text."""

    annotation: Annotation
    asked: Decision
    """The decision about the record when it was asked about; an automatic one, if there is any."""
    is_present: bool
    """It was asked about what the record says now, not about the same text with another answer of its source."""
    known_since: str = ""
    """The run that first pulled the annotation in its current state."""
    sent_in: str = ""
    """The run that sent its task; empty if the tables do not say."""
    is_of_another: bool = False
    """It was given about a record that is gone, and whose source now has the same text in another one."""
    seat: Seat = FIRST
    """The one that its task was sent for."""
    against: Annotation | None = None
    """Another annotator's answer to the same question, if annotators contradict each other without a majority."""
    weight: Weight | None = None
    """What the votes of the whole dataset say of the answer, if there are enough to know."""
    is_alone: bool = False
    """Nobody else's answer has a part in what is decided."""
    was: Mapping[str, JsonValue] | None = None
    """What it said when it was collected, if that was valid."""
    free_texts: frozenset[str] = frozenset()
    """The targets in which case, whitespace and punctuation make no other answer."""

    @property
    def is_lapsed(self) -> bool:
        """Whether it was valid, and is not any more, since the task has changed."""
        invalid = self.annotation.verdict is Verdict.INVALID and not self.annotation.deleted
        return invalid and self.was is not None

    @property
    def reason(self) -> Reason | None:
        """Why the record has its fate by this answer; None for an answer that decides nothing."""
        return self.reason_for(self.asked.targets)

    def reason_for(self, own: Mapping[str, JsonValue] | None) -> Reason | None:
        """The same for a record with an answer of its own, which need not be that of the one that was asked about."""
        if self.against is not None:
            both = sorted((self.annotation, self.against), key=lambda one: one.annotation_id)
            texts = zip(both, told_apart(*both), strict=True)
            says = " and ".join(f"{one.whose} says {text}" for one, text in texts)
            return Reason(code=ReasonCode.DISAGREEMENT, detail=says)
        match self.annotation.verdict:
            case Verdict.LABELED:
                mended = repaired(self.asked.reasons) if own is None else ""
                detail = mended or what_changed(own, self.annotation.targets)
                refs = (self.asked.record_id,) if self.is_of_another else ()
                detail += f", in record {refs[0]}, which is gone" if refs else ""
                return Reason(code=ReasonCode.REVIEWED, detail=detail, refs=refs)
            case Verdict.UNUSABLE:
                return Reason(code=ReasonCode.UNUSABLE)
            case Verdict.UNSURE:
                return Reason(code=ReasonCode.UNSURE)
            case Verdict.SKIPPED | Verdict.UNREAD | Verdict.INVALID | Verdict.DISPUTED:
                return None


def said_about(snapshot: Snapshot, task: type[Task], now: pl.LazyFrame | None = None) -> dict[str, list[Said]]:
    """All annotations about records' current texts, including deleted ones; without those of hidden gold items.

    Args:
        snapshot: the committed state.
        task: parses the answers; those to other fields, or about other inputs, are left out.
        now: ``record_id``, ``revision``, ``content`` and ``inputs`` (JSON) of the current records; default: as decided.
    """
    return said_and_hidden(snapshot, task, now)[0]


def said_and_hidden(
    snapshot: Snapshot, task: type[Task], now: pl.LazyFrame | None = None
) -> tuple[dict[str, list[Said]], dict[str, list[Said]]]:
    """The same, and the annotations of hidden gold items, which decide nothing."""
    rows = with_runs(snapshot, snapshot.latest_annotations()).collect()
    records = rows["record_id"].unique().to_list()
    if not records:
        return {}, {}
    snapshot = snapshot.answered
    current = snapshot.current_decisions() if now is None else now.filter(pl.col("record_id").is_in(records))
    mine = current.select("record_id", "revision", "content", "inputs").collect()
    texts = {
        record_id: ((revision, content), _text(task, inputs))
        for record_id, revision, content, inputs in mine.iter_rows()
    }
    questions, asks = questions_by_key(snapshot, task, records), AskedNow.of(snapshot, task)
    same_text = {what_is_asked(key): decision for key, decision in questions.items()}
    free = frozenset(kind_of(task).free_texts(task))
    panel, hidden = (defaultdict[str, list[Said]](list) for _ in range(2))
    for row in rows.iter_rows(named=True):
        key = row["push_key"]
        # A rebuilt home does not know the revision that was asked about, but knows what it asked.
        asked = questions.get(key) or same_text.get(what_is_asked(key))
        if asked is None or asked.record_id not in texts:
            continue
        (revision, content), text = texts[asked.record_id]
        if inputs_key(task, asked.inputs) == text and is_about(asks, asked, row):
            said = Said(
                annotation=_annotation(row, asked, task),
                asked=asked,
                is_present=key in questions
                and (asked.content == content if asked.content else asked.revision == revision),
                known_since=row["known_since"],
                sent_in=row["sent_in"] or "",
                seat=Seat.read(row["seat"]),
                was=orjson.loads(row["targets"] or "null"),
                free_texts=free,
            )
            (hidden if said.seat.kind is SeatKind.GOLD else panel)[asked.record_id].append(said)
    for items in panel.values():
        items[:] = _left_by(items)
    model = _model_answers(snapshot, task, {record_id: text for record_id, (_, text) in texts.items()})
    weight = _weighed(task, panel, hidden, model)
    weighed = {name: [replace(one, weight=weight(one.annotation)) for one in items] for name, items in panel.items()}
    return weighed, dict(hidden)


def _left_by(items: list[Said]) -> list[Said]:
    """The same without answers that an annotator or a majority has overruled whose answer the task does not have any
    more, or that waited for an adjudicator beside such a one: nobody has decided for them, so the row is asked again.
    """
    gone = [one for one in items if one.is_lapsed]
    asked_then = {one.asked.task_digest for one in gone}
    # What was asked since, in a question of its own, is about the task as it is now; nobody overruled what came later.
    sent = min((one.sent_in for one in items if one.sent_in and one.asked.task_digest not in asked_then), default="~")
    then = [one for one in items if one.asked.task_digest in asked_then and one.known_since < sent]
    valid = [one for one in then if one.annotation.verdict in DECISIVE]
    labeled = {"verdict": Verdict.LABELED}
    said = [replace(one, annotation=one.annotation.model_copy(update=labeled | {"targets": one.was})) for one in gone]
    had = deciding([*said, *valid]) if gone else None
    decided_by = {(one.server, one.annotation_id) for one in (had.annotation, had.against) if one} if had else set()
    is_open = any((one.annotation.server, one.annotation.annotation_id) in decided_by for one in gone)
    return [one for one in items if one not in valid] if is_open else items


def _weighed(
    task: type[Task],
    panel: Mapping[str, Sequence[Said]],
    hidden: Mapping[str, Sequence[Said]],
    model: Mapping[str, Mapping[str, JsonValue]],
) -> Callable[[Annotation], Weight | None]:
    """The weight of each answer; those to hidden gold items tell who is reliable.

    What adjudicators decided tells nothing: it is known of records that annotators find difficult, and only of them.
    """
    known: dict[str, Mapping[str, JsonValue]] = {
        record_id: one.asked.targets
        for record_id, items in hidden.items()
        for one in items
        if one.is_present and one.asked.label_source is LabelSource.HUMAN and one.asked.targets is not None
    }
    known = {record_id: targets for record_id, targets in known.items() if record_id not in panel}
    # Adjudicators have seen the others' answers.
    voters: dict[str, Sequence[Said]] = {
        record_id: [one for one in items if one.seat.kind is not SeatKind.ADJUDICATOR]
        for record_id, items in panel.items()
    }
    voters |= {record_id: hidden[record_id] for record_id in known}
    answers = {record_id: [one.annotation for one in items] for record_id, items in voters.items()}
    # Who saw the model's answer would confirm it, whatever it is worth.
    unseen = {record_id: model[record_id] for record_id in model if not any(map(_saw_model, voters.get(record_id, ())))}
    return weights_of(task, answers, known, unseen)


def _saw_model(said: Said) -> bool:
    is_audit = said.asked.routed is Routed.AUDIT and said.asked.fate is Fate.ACCEPTED
    return said.seat.kind is not SeatKind.GOLD and said.asked.model_answer is not None and not is_audit


def _model_answers(
    snapshot: Snapshot, task: type[Task], texts: Mapping[str, str]
) -> dict[str, Mapping[str, JsonValue]]:
    """What the model that `suggest` names says about some records, as long as they have the text that they have now."""
    heard = snapshot.current_decisions(pl.col("heard") & pl.col("record_id").is_in(list(texts)))
    rows = heard.select("record_id", "inputs", "model_answer").collect()
    return {
        record_id: orjson.loads(answer)
        for record_id, inputs, answer in rows.iter_rows()
        if _text(task, inputs) == texts[record_id]
    }


def said_before(snapshot: Snapshot, task: type[Task]) -> dict[tuple[str, str], list[Said]]:
    """Annotations of records that are gone about what these said last, by source and text: without a key, an edited
    row is a new record.
    """
    rows = with_seats(snapshot, snapshot.latest_annotations()).filter(~pl.col("deleted"), ~IS_GOLD).collect()
    mine = snapshot.latest_records().filter(pl.col("record_id").is_in(rows["record_id"].unique().implode()))
    gone = rows.join(mine.filter("withdrawn").select("record_id", "source").collect(), on="record_id")
    records = gone["record_id"].unique().to_list()
    if not records:
        return {}
    decided = snapshot.latest_decisions(Verb.CURATE).filter(pl.col("record_id").is_in(records))
    last = {name: _text(task, inputs) for name, inputs in decided.select("record_id", "inputs").collect().iter_rows()}
    questions, free = questions_by_key(snapshot, task, records), frozenset(kind_of(task).free_texts(task))
    asks = AskedNow.of(snapshot, task)
    found: defaultdict[tuple[str, str], list[Said]] = defaultdict(list)
    for row in gone.iter_rows(named=True):
        asked, text = questions.get(row["push_key"]), last.get(row["record_id"])
        if asked and text == inputs_key(task, asked.inputs) and is_about(asks, asked, row):
            answer, seat = _annotation(row, asked, task), Seat.read(row["seat"])
            said = Said(answer, asked, is_present=False, is_of_another=True, seat=seat, free_texts=free)
            found[row["source"], text].append(said)
    return found


def earlier_answers(
    snapshot: Snapshot, task: type[Task], asked: Iterable[Decision]
) -> dict[str, list[dict[str, JsonValue]]]:
    """By record: the latest answer of an annotator about its text, whatever has made it count no longer; several where
    the task has divided its label since, one for each that it can have meant.

    The source may have changed the label since, or the task what it asks for. An answer that breaks the task as it is
    now is left out, and one in which the task had other fields: nobody said anything about the new ones.
    """
    open_ones = {decision.record_id: decision for decision in asked}
    if not open_ones:
        return {}
    mine = snapshot.latest_annotations().filter(pl.col("record_id").is_in(list(open_ones)), ~pl.col("deleted"))
    rows = with_seats(snapshot, mine).filter(~IS_GOLD).sort("updated_at", "annotation_id").collect()
    if rows.is_empty():
        return {}
    questions = questions_by_key(snapshot, task, rows["record_id"].unique().to_list())
    asks = AskedNow.of(snapshot, task)
    latest_of: dict[tuple[str, str, str], list[dict[str, JsonValue]]] = {}
    for row in rows.iter_rows(named=True):
        before, now = questions.get(row["push_key"]), open_ones[row["record_id"]]
        if before is None or inputs_key(task, before.inputs) != inputs_key(task, now.inputs):
            continue
        said = _annotation(row, before, task)
        meant = meant_by(task, said.result) if said.verdict is Verdict.INVALID else []
        if said.verdict in DECISIVE or meant:
            who = (now.record_id, *said.who)
            latest_of.pop(who, None)  # to the end
            found = meant if said.targets is None else [said.targets]
            latest_of[who] = found if is_about(asks, before, row) else []
    return {record_id: several for (record_id, *_), several in latest_of.items() if several}


def _text(task: type[Task], inputs: str | None) -> str:
    return inputs_key(task, orjson.loads(inputs) if inputs is not None else {})


def lapsed(said: Iterable[Said]) -> Said | None:
    """The latest answer that was valid and is not any more, since the task has changed; None if there is none."""
    return max((one for one in said if one.is_lapsed), key=_age, default=None)


def deciding(said: Iterable[Said]) -> Said | None:
    """The deciding answer; None if there is no valid one.

    An annotator of the current revision saw the answers about an earlier one, if these were known when the question
    was sent, unless they were edited later. The latest answer of each annotator counts. *Unsure* defers to later
    answers; if these contradict each other, the likeliest decides, or more than half of them (``weighing``). An
    adjudicator decides whatever the others say, unless it is one of them: such an answer counts once all of them agree.
    """
    valid = [item for item in said if not item.annotation.deleted and item.annotation.verdict in DECISIVE]
    present = [item for item in valid if item.is_present]
    voters = {item.annotation.who for item in valid if item.seat.kind is not SeatKind.ADJUDICATOR}
    # Whoever adjudicates about their own answer takes nobody's place.
    replacing = [it for it in present if it.seat.kind is not SeatKind.ADJUDICATOR or it.annotation.who not in voters]
    counting = [item for item in valid if item.is_present or not any(_saw(later, item) for later in replacing)]
    panel = {item.annotation.who for item in counting if item.seat.kind is not SeatKind.ADJUDICATOR}
    agreed = _agreed(counting, panel)
    counting = [it for it in counting if it.seat.kind is not SeatKind.ADJUDICATOR or it.annotation.who not in panel]
    by_annotator = {item.annotation.who: item for item in sorted(counting, key=_age)}
    answers = sorted(by_annotator.values(), key=_age)
    votes = [item for item in answers if item.annotation.verdict is not Verdict.UNSURE]
    if adjudicated := [item for item in votes if item.seat.kind is SeatKind.ADJUDICATOR]:
        return adjudicated[-1]
    if agreed is not None:
        return agreed
    if not answers or answers[-1].annotation.verdict is Verdict.UNSURE:
        return answers[-1] if answers else None
    same: defaultdict[Hashable, list[Said]] = defaultdict(list)
    for item in votes:
        same[_vote(item)].append(item)
    groups = list(same.values())
    if (place := deciding_group([(len(group), group[-1].weight) for group in groups])) is not None:
        group = groups[place]
        return replace(group[first_worded([item.annotation for item in group])], is_alone=len(by_annotator) == 1)
    against = next(item for item in reversed(votes) if _vote(item) != _vote(votes[-1]))
    return replace(votes[-1], against=against.annotation)


def _agreed(counting: Iterable[Said], panel: Collection[tuple[str, str]]) -> Said | None:
    """The latest answer if several annotators agree by now, one of whom has taken the adjudicator's task as well."""
    last = {item.annotation.who: item for item in sorted(counting, key=_age) if item.annotation.who in panel}
    if len(last) < 2 or not any(item.seat.kind is SeatKind.ADJUDICATOR for item in last.values()):
        return None
    is_sure = all(item.annotation.verdict is not Verdict.UNSURE for item in last.values())
    is_same = len({_vote(item) for item in last.values()}) == 1
    return max(last.values(), key=_age) if is_sure and is_same else None


def _saw(later: Said, said: Said) -> bool:
    """Whether an annotator knew the earlier answers: whoever answers in a second seat sees nobody's."""
    if later.seat.kind is SeatKind.SECOND:
        return False
    return _age(later) >= _age(said) and (not later.sent_in or said.known_since < later.sent_in)


def _age(said: Said) -> tuple[datetime, int]:
    return said.annotation.updated_at, said.annotation.annotation_id


def _vote(said: Said) -> Hashable:
    """The same for equal answers."""
    return vote_of(said.annotation, said.free_texts)


def origins(snapshot: Snapshot, asked: pl.LazyFrame, task: type[Task], records: Iterable[str]) -> Iterator[Decision]:
    """The last automatic decision about each of some records, in their current state.

    Args:
        snapshot: the committed state.
        asked: ``record_id``, ``revision``, ``content`` and ``inputs`` of the current records.
        task: the dataset's task.
        records: their ids.
    """
    # Only of these records: their reasons are decoded.
    mine = snapshot.committed_decisions(Verb.CURATE).filter(pl.col("record_id").is_in(list(records)))
    automatic = mine.filter(
        pl.col("label_source").is_null() | (pl.col("label_source") != LabelSource.HUMAN.value),
        ~with_reason(*FROM_ANNOTATORS),
    )
    present = about(still_valid(automatic, asked, same_question(snapshot, task)), asked, task)
    yield from from_frame(latest(present).collect())


def invalid_annotations(snapshot: Snapshot, task: type[Task]) -> list[Annotation]:
    """Annotations that break the task's schema, and are later than any valid one that decides, or that the same
    annotator gave: they must be corrected.
    """
    found = []
    for items in said_about(snapshot, task).values():
        present = [item for item in items if item.is_present and not item.annotation.deleted]
        answer = deciding(items)
        valid = [item for item in present if item.annotation.verdict in DECISIVE]
        # Where the task has changed since, the row is asked again.
        for item in (one for one in present if one.annotation.verdict is Verdict.INVALID and one.was is None):
            settling = [one for one in valid if one.annotation.who == item.annotation.who]
            settling += [answer] if answer else []
            if all(_age(one) < _age(item) for one in settling):
                found.append(item.annotation)
    return found


def _annotation(row: dict[str, Any], decision: Decision, task: type[Task]) -> Annotation:
    """A row of the ``annotations`` table, its result parsed with the current task: a validator may have been fixed."""
    values = {name: value for name, value in row.items() if name in Annotation.model_fields}
    values |= {"targets": orjson.loads(row["targets"] or "null"), "result": orjson.loads(row["result"])}
    values["email"] = row["email"] or ""
    annotation = Annotation.model_validate(values)
    if annotation.verdict in (Verdict.SKIPPED, Verdict.UNREAD):
        return annotation
    answer = read_result(task, annotation.result, was_cancelled=False, inputs=decision.inputs)
    return annotation.model_copy(update=answer.model_dump())
