"""Reads what each annotator has said: the votes from which agreement, reliability and consensus are computed."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.kinds.registry import kind_of
from pipeline.review.consensus import deciding, said_and_hidden
from pipeline.review.gold import adjudicated_records, known_items, trusted_records
from pipeline.review.label_studio_models import AS_FILLED_IN
from pipeline.review.questions import FilledIn, filled_in
from pipeline.review.seating import is_overlapping
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.annotation import Annotation, Verdict
from schemas.fate import LabelSource
from schemas.field import JsonValue, comparable, same_targets
from schemas.seat import SeatKind
from schemas.task import Task

UNUSABLE = "!unusable"
"""Stands for the label of every field in a vote that the row should not be in the dataset; no JSON begins so."""
VOTES = pl.Schema(
    {
        "item": pl.String(),
        "annotator": pl.String(),
        "field": pl.String(),
        "label": pl.String(),
        "known": pl.String(),
        "comparable": pl.Boolean(),
    }
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """An annotation about the current text of a record that was not deleted."""

    annotator: str
    """By e-mail address, or ``user 3`` where the server does not know it."""
    seat: SeatKind
    annotation: Annotation
    proposal: FilledIn | None = None
    """What was filled in; None for nothing, and where an adjudicator had to choose."""
    known: Mapping[str, JsonValue] | None = None
    """Of a gold item: the answer that it is compared with."""
    given: Mapping[str, JsonValue] | None = None
    """The source's answer, when it was asked about; None if it had none, or an annotator's counted."""
    decides: bool = False
    """Whether it is the one that counts for its record."""
    is_drawn: bool = False
    """Its row was drawn for two annotators, whatever the first of them says."""

    @property
    def is_independent(self) -> bool:
        """Whether it was given without seeing the others', about a question whose answer is not known."""
        return self.seat in (SeatKind.FIRST, SeatKind.SECOND)

    @property
    def tells_agreement(self) -> bool:
        """Whether it says how far annotators agree: independent, and its row not chosen because somebody disagreed."""
        return self.is_independent and self.is_drawn

    @property
    def is_unchanged(self) -> bool:
        """Whether the form was submitted as it was filled in.

        Label Studio says of each part of an answer where it came from; of one that a program entered it says nothing.
        Who typed or picked the same again has looked at it, and who emptied a field has changed the answer.
        """
        if self.proposal is None:
            return False
        origins = {region["origin"] for region in self.annotation.result if region.get("origin")}
        return origins <= {AS_FILLED_IN} and same_targets(self.annotation.targets, self.proposal.targets)

    @property
    def record_id(self) -> str:
        """The record that it is about."""
        return self.annotation.record_id


def read_opinions(snapshot: Snapshot, dataset: LoadedDataset) -> list[Opinion]:
    """All of them, oldest first: valid answers, skips and invalid ones, and those to gold items."""
    task = dataset.task
    said, gold = said_and_hidden(snapshot, task)
    answers = {record_id: deciding(items) for record_id, items in said.items()}
    known = _known(snapshot, dataset, adjudicated_records(answers), gold) if gold else {}
    names = _names_of(snapshot)
    drawn = _drawn_for_two(snapshot, dataset.config.review.overlap, said)
    decisive = {id(one.annotation) for one in answers.values() if one and one.against is None}
    found = [
        Opinion(
            annotator=names.get((one.annotation.server, one.annotation.annotator), f"user {one.annotation.annotator}"),
            seat=one.seat.kind,
            annotation=one.annotation,
            proposal=filled_in(one.asked, task) if one.seat.kind in (SeatKind.FIRST, SeatKind.SECOND) else None,
            known=known.get(one.annotation.record_id) if one.seat.kind is SeatKind.GOLD else None,
            given=None if one.asked.label_source is LabelSource.HUMAN else one.asked.targets,
            decides=id(one.annotation) in decisive,
            is_drawn=one.annotation.record_id in drawn,
        )
        for items in (*said.values(), *gold.values())
        for one in items
        if not one.annotation.deleted
    ]
    return sorted(found, key=lambda one: (one.annotation.updated_at, one.annotation.annotation_id))


def _drawn_for_two(snapshot: Snapshot, share: float, records: Iterable[str]) -> set[str]:
    """Those of some records that two annotators answer whatever the first of them says.

    Second looks follow from what the first one said, so that how far two agree about them tells nothing of other rows.

    Args:
        snapshot: the committed state.
        share: the one for two annotators now. Rows drawn for a larger one before count, too: their second task was sent
            before any answer was known.
        records: to choose from.
    """
    known = snapshot.scan(Table.ANNOTATIONS).group_by("record_id").agg(known=pl.col("run").min())
    second = snapshot.scan(Table.PUSHES).filter(pl.col("seat").str.starts_with(SeatKind.SECOND.value))
    sent = second.group_by("record_id").agg(sent=pl.col("run").min())
    before = sent.join(known, on="record_id").filter(pl.col("sent") < pl.col("known")).select("record_id")
    early = set(before.collect().to_series())
    return {one for one in records if one in early or is_overlapping(one, share)}


def _known(
    snapshot: Snapshot, dataset: LoadedDataset, adjudicated: Iterable[str], asked: Iterable[str]
) -> dict[str, Mapping[str, JsonValue] | None]:
    """The known answers to hidden gold items that were answered, by record."""
    rows = snapshot.current_decisions(pl.col("record_id").is_in(list(asked)))
    known = known_items(snapshot, rows, dataset, [*trusted_records(snapshot, dataset), *adjudicated])
    return {item.record_id: item.targets for item in from_frame(known.collect())}


def latest_votes(opinions: Iterable[Opinion]) -> list[Opinion]:
    """The latest answer of each annotator to each question that is a label or *unusable*; gold items on their own."""
    latest = {
        (one.annotator, one.record_id, one.seat is SeatKind.GOLD): one
        for one in opinions
        if one.annotation.verdict in (Verdict.LABELED, Verdict.UNUSABLE)
    }
    return list(latest.values())


def compared_fields(task: type[Task]) -> list[str]:
    """The fields that are compared among annotators: free texts are never the same, whoever is right."""
    free = set(kind_of(task).free_texts(task))
    return [field.name for field in task.task_targets() if field.name not in free]


def said_of(verdict: Verdict, targets: Mapping[str, JsonValue] | None, fields: Iterable[str]) -> Hashable:
    """The same for answers that are equal in some fields."""
    return verdict, *(comparable((targets or {}).get(name)) for name in fields)


def votes(opinions: Iterable[Opinion], task: type[Task]) -> pl.DataFrame:
    """Votes by field: equal answers have equal labels.

    Args:
        opinions: oldest first.
        task: has the fields.

    Returns:
        The columns of ``VOTES``: ``item`` is the record, ``label`` JSON or ``UNUSABLE``; ``known`` is the trusted label
        of a gold item and null elsewhere; ``comparable`` are those that say how far annotators agree.
    """
    texts: dict[tuple[str, Hashable], str] = {}

    def label(field: str, value: JsonValue) -> str:
        return texts.setdefault((field, comparable(value)), orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())

    rows, fields = [], [field.name for field in task.task_targets()]
    for one in latest_votes(opinions):
        if one.seat is SeatKind.GOLD and one.known is None:
            continue
        given = one.annotation.targets
        for field in fields:
            said = UNUSABLE if given is None else label(field, given.get(field))
            known = None if one.known is None else label(field, one.known.get(field))
            rows.append((one.record_id, one.annotator, field, said, known, one.tells_agreement))
    return pl.DataFrame(rows, schema=VOTES, orient="row")


def _names_of(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    """The e-mail address by which a user was known last, by server and id."""
    known = snapshot.latest_annotations().filter(pl.col("email").fill_null("") != "")
    rows = known.select("server", "annotator", "email").collect()
    return {(server, annotator): email for server, annotator, email in rows.iter_rows()}
