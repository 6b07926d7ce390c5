"""Gold items whose known answer others contradict: it may be wrong, and is published as an annotator's."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
from pydantic import BaseModel

from pipeline.config.dataset_file import LoadedDataset
from pipeline.reporting.lookup import places_of
from pipeline.review.answers_told import Answer, apart_in_words
from pipeline.review.gold import known_items, trusted_records
from pipeline.review.opinions import Opinion, compared_fields, read_opinions, said_of
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.text.wording import counted
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.field import JsonValue
from schemas.seat import SeatKind

_ENOUGH = 2
"""Annotators and models who say the same against a known answer: a single one is mistaken more often than gold is."""


class DoubtedGold(BaseModel, frozen=True):
    """A row whose answer counts as known, and what others say."""

    record_id: str
    place: str
    """Of its row, as ``file:line``."""
    known: str
    said: str
    """What the others say, by the values in which it differs."""
    annotators: list[str]
    """Who says so, by e-mail address."""
    models: int
    """How many models do."""
    confirmed: int
    """Annotators who gave the known answer."""
    by_adjudicator: bool
    """An adjudicator's answer is what counts as known; else the row's own."""

    def __str__(self) -> str:
        who = [(len(self.annotators), "annotator"), (self.models, "model")]
        others = " and ".join(counted(count, what) for count, what in who if count)
        says = "says" if len(self.annotators) + self.models == 1 else "say"
        kept = f", {self.confirmed:,} confirmed it" if self.confirmed else ""
        mend = "let the adjudicator change the answer in Label Studio" if self.by_adjudicator else "correct the row"
        return (
            f"record {self.record_id} ({self.place}): the known answer is {self.known}, but {others} {says} "
            f"{self.said}{kept}; if they are right, {mend} and run goldleaf {self._verb}"
        )

    @property
    def _verb(self) -> str:
        return "collect" if self.by_adjudicator else "curate"


@dataclass
class _Voices:
    """Who gives one answer."""

    answer: Answer
    annotators: list[str] = field(default_factory=list)
    models: int = 0


def doubted_gold(snapshot: Snapshot, dataset: LoadedDataset, opinions: Sequence[Opinion]) -> list[DoubtedGold]:
    """The gold items that at least two annotators or models contradict alike, and more than confirm them.

    Free texts are left out: other words are no contradiction.

    Args:
        snapshot: the committed state.
        dataset: has the gold sources.
        opinions: what annotators say, oldest first.
    """
    adjudicated = {one.record_id for one in opinions if one.decides and one.seat is SeatKind.ADJUDICATOR}
    records = {*trusted_records(snapshot, dataset), *adjudicated}
    if not records:
        return []
    heard = pl.col("record_id").is_in(list({one.record_id for one in opinions} & records))
    # Two models are enough, too. Only what can be contradicted is decoded: a gold source may have many rows.
    asked = pl.col("suggestion").is_not_null() & pl.col("model_answer").is_not_null()
    among = pl.col("record_id").is_in(list(records)) & (heard | pl.col("heard"))
    known = known_items(snapshot, snapshot.current_decisions(among), dataset, records).filter(heard | asked)
    by_record: defaultdict[str, dict[str, Opinion]] = defaultdict(dict)
    for one in opinions:
        if one.record_id in records and one.annotation.verdict in (Verdict.LABELED, Verdict.UNUSABLE):
            by_record[one.record_id][one.annotator] = one
    fields = compared_fields(dataset.task)
    found = [
        doubt
        for one in from_frame(known.collect())
        if (doubt := _doubt(one, _voices(one, by_record[one.record_id].values(), fields), one.record_id in adjudicated))
    ]
    places = places_of(snapshot, [one.record_id for one in found])
    placed = (one.model_copy(update={"place": places.get(one.record_id, "gone")}) for one in found)
    return sorted(placed, key=lambda one: (-len(one.annotators) - one.models, one.record_id))


def doubted_in(snapshot: Snapshot, dataset: LoadedDataset) -> list[DoubtedGold]:
    """The same, for who has not read what annotators say; costs nothing where no answer is known."""
    has_gold = dataset.config.gold_sources or dataset.config.review.has_seats
    return doubted_gold(snapshot, dataset, read_opinions(snapshot, dataset)) if has_gold else []


def _doubt(gold: Decision, voices: Sequence[_Voices], by_adjudicator: bool) -> DoubtedGold | None:
    known, *others = voices
    against = max(others, key=lambda one: (len(one.annotators), one.models), default=None)
    if against is None or not _is_doubted(known, against):
        return None
    right, other = apart_in_words(known.answer, against.answer)
    return DoubtedGold(
        record_id=gold.record_id,
        place="",
        known=right,
        said=other,
        annotators=against.annotators,
        models=against.models,
        confirmed=len(known.annotators),
        by_adjudicator=by_adjudicator,
    )


def _is_doubted(known: _Voices, against: _Voices) -> bool:
    people, others = len(against.annotators), len(known.annotators)
    if people >= _ENOUGH and people > others:
        return True
    return people + against.models >= _ENOUGH and people >= others and against.models > known.models


def _voices(gold: Decision, said: Iterable[Opinion], fields: Sequence[str]) -> list[_Voices]:
    """Each different answer to a gold item in some fields, and who gives it; first the known one."""
    found: dict[Hashable, _Voices] = {}

    def voices(verdict: Verdict, targets: Mapping[str, JsonValue] | None) -> _Voices:
        answer = {name: (targets or {}).get(name) for name in fields} if verdict is Verdict.LABELED else verdict.value
        return found.setdefault(said_of(verdict, targets, fields), _Voices(answer))

    voices(Verdict.LABELED, gold.targets)
    for one in said:
        voices(one.annotation.verdict, one.annotation.targets).annotators.append(one.annotator)
    for heard in (gold.suggestion, gold.model_answer):
        if heard is not None:
            voices(Verdict.LABELED, heard).models += 1
    return list(found.values())
