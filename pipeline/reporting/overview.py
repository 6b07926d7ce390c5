"""Summarizes a dataset's state: what waits for annotators, why rows are rejected, which keys no row has."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.ingest.row_keys import BY_CONTENT
from pipeline.ingest.row_places import gone_from_files, in_place
from pipeline.releases.audit_result import OpenAnswers
from pipeline.reporting.rejection_causes import MOST_CAUSES, Cause, cause_lines, with_cause
from pipeline.review.queue import asked_now, in_vain, open_decisions, open_ones
from pipeline.review.seating import Asked
from pipeline.state.decisions import first_reason, from_frame, question_key, with_reason
from pipeline.state.refusals import given_up
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from pipeline.text.wording import counted
from schemas.annotation import Verdict
from schemas.dataset import Review, Source
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.seat import FIRST, SeatKind
from schemas.task import Role, Task

_BROKEN = (ReasonCode.UNREADABLE.value, ReasonCode.NOT_AN_OBJECT.value)
"""Why a row cannot be read."""
_STRAY = 0.01
"""If fewer than this share of a source's rows lack a field, these are slips, and no reason to change the task."""


@dataclass(frozen=True)
class Waiting:
    """How many questions have no answer. A question is what one annotator is asked about one row, one task."""

    questions: int
    audits: int
    """Of these, random checks of accepted records."""
    unsent: int
    """Of these, those that were never sent to Label Studio."""
    skipped: int = 0
    """Of these, those that annotators skipped: they wait on."""
    rows: int = 0
    """That they are about: one row may have several questions."""
    seats: "Seats | None" = None
    """The same by who is to answer; None if questions have one seat, which is nobody's."""


@dataclass(frozen=True)
class Seats:
    """How many tasks have no answer, if questions may have several."""

    tasks: int
    seconds: int
    """Of these, for a second annotator."""
    adjudications: int
    """Of these, for an adjudicator."""
    gold: int
    """Hidden gold items, which are none of these."""
    by_annotator: dict[str, int]
    """By e-mail address, the empty one for tasks that anybody may answer; without the hidden gold items."""


def nobody_left(review: Review, asked: Seats | None = None) -> str:
    """Say that those who are named are too few to settle everything; empty if they are enough.

    Annotators contradict each other only where several are asked: by overlap, or because one answer was surprising.
    """
    waits = asked.by_annotator.get("", 0) if asked and review.annotators else 0
    if not waits and (review.can_adjudicate or not review.overlap):
        return ""
    named, left = len(review.annotators), ""
    if waits:
        left = f", and {counted(waits, 'question')} {'waits' if waits == 1 else 'wait'} for somebody else"
    return (
        f"{counted(named, 'annotator')} {'is' if named == 1 else 'are'} named: nobody is left to adjudicate{left}; "
        f"name {'a third' if named == 2 else 'another'} in review.annotators"
    )


def open_seats(snapshot: Snapshot, dataset: LoadedDataset) -> list[Asked] | None:
    """What is asked in all seats; None if questions have one seat only."""
    return asked_now(snapshot, dataset) if dataset.config.review.has_seats else None


def asked_again(asked_seats: Sequence[Asked] | None) -> set[str]:
    """The records about which an annotator is asked still, whoever else has answered."""
    return {one.decision.record_id for one in asked_seats or () if one.seat.kind is not SeatKind.GOLD}


def open_answers(snapshot: Snapshot, dataset: LoadedDataset, asked_seats: Sequence[Asked] | None) -> OpenAnswers:
    """The records whose answer is missing for good, or not final."""
    vain = in_vain(snapshot, dataset, given_up(snapshot), asked_seats)
    return OpenAnswers(asked_again(asked_seats), {one.decision.record_id for one in vain})


def count_waiting(snapshot: Snapshot, task: type[Task], asked_seats: Sequence[Asked] | None = None) -> Waiting:
    """Count the open questions; with seats a question may be asked more than once, and each time counts."""
    if asked_seats is not None:
        return _count_seats(snapshot, task, asked_seats)
    sent = set(snapshot.tasks().select("push_key").collect().to_series())
    asked = (
        open_decisions(snapshot).collect()
        if sent
        else snapshot.outline.lazy().filter(open_ones()).select("routed").collect()
    )
    audits = int((asked["routed"] == Routed.AUDIT.value).sum())
    if not sent:
        return Waiting(asked.height, audits, unsent=asked.height, rows=asked.height)
    keys = {question_key(decision, task) for decision in from_frame(asked)}
    skipped = len(keys & _skipped(snapshot))
    return Waiting(asked.height, audits, unsent=len(keys - sent), skipped=skipped, rows=asked.height)


def _count_seats(snapshot: Snapshot, task: type[Task], asked: Sequence[Asked]) -> Waiting:
    known = [one for one in asked if one.seat.kind is not SeatKind.GOLD]
    keys = {one.key(task) for one in known}
    sent = set(snapshot.tasks().select("push_key").collect().to_series())
    kinds = Counter(one.seat.kind for one in known)
    return Waiting(
        questions=len(known),
        rows=len({one.decision.record_id for one in known}),
        audits=sum(one.decision.routed is Routed.AUDIT and one.seat == FIRST for one in known),
        unsent=len(keys - sent),
        skipped=len(keys & _skipped(snapshot)),
        seats=Seats(
            tasks=len(known),
            seconds=kinds[SeatKind.SECOND],
            adjudications=kinds[SeatKind.ADJUDICATOR],
            gold=len(asked) - len(known),
            by_annotator=dict(sorted(Counter(one.annotator for one in known).items())),
        ),
    )


def _skipped(snapshot: Snapshot) -> set[str]:
    """The questions whose newest answer is a skip."""
    given = snapshot.latest_annotations().filter(~pl.col("deleted"))
    newest = given.sort("updated_at", "annotation_id").unique("push_key", keep="last", maintain_order=True)
    return set(newest.filter(pl.col("verdict") == Verdict.SKIPPED.value).select("push_key").collect().to_series())


class Rejection(Cause):
    """Rows that are rejected for the same first reason, whatever is wrong with each."""

    code: ReasonCode
    field: str
    same_detail: bool
    """Whether the same is wrong with all of them."""
    ways: int = 1
    """In how many different ways the rows are wrong, whatever values their details quote."""
    causes: tuple[Cause, ...] = ()
    """These ways with an example of each, the most frequent first."""
    unknown: bool = False
    """No row of their sources has the field: the field map is wrong, not the task."""
    optional: bool = False
    """Rows may do without the field, and more than a few stray ones do."""

    def __str__(self) -> str:
        """The reason in words, and one of the rows with what is wrong with it, unless several things are."""
        common = Reason(code=self.code, field=self.field, detail=self.detail if self.same_detail else "")
        if self.ways > 1:
            return f"{common}, in {self.ways:,} ways:"
        some = f" ({self.gone:,} of them no longer in their files)" if 0 < self.gone < self.count else ""
        detail = f": {self.detail}" if self.detail and not self.same_detail else ""
        return f"{common}{some}, as in {self.place}{detail}"

    @property
    def example(self) -> str:
        """What `goldleaf explain` takes to show that row: its place, or the record's id if another row may be there."""
        return self.record_id if self.all_gone else f"{self.file}:{self.line}"

    @property
    def hint(self) -> str:
        """What helps if these rows are fine; empty if there is no advice."""
        if self.code is ReasonCode.RESPELLED:
            return "correct them in the file, or let a validator of the task do so"
        if self.code is not ReasonCode.MISSING or "." in self.field:
            return ""
        if self.unknown:
            return f"no row of its source has this field: map '{self.field}' to the right one with `fields:`"
        if not self.optional:
            return ""
        return f"if rows may lack it, make it optional: add `| None` to the type of '{self.field}', and `= None`"


def rejections(snapshot: Snapshot, task: type[Task]) -> list[Rejection]:
    """Why the rejected current records were rejected, the most frequent reason first."""
    rejected = snapshot.outline.lazy().filter(pl.col("fate") == Fate.REJECTED.value)
    first = [first_reason(name) for name in ("code", "field", "detail")]
    reasons = rejected.select("record_id", "reasons", *first).collect().lazy()
    ids = reasons.select("record_id").collect().to_series()
    places = in_place(snapshot).filter(pl.col("record_id").is_in(ids.implode()))
    places = places.select("record_id", "source", "file", "line")
    gone = gone_from_files(snapshot).filter(pl.col("record_id").is_in(ids.implode())).select("record_id", gone=True)
    placed = places.join(reasons, on="record_id", maintain_order="left")
    placed = placed.join(gone, on="record_id", how="left", maintain_order="left")
    rows = placed.with_columns(pl.col("gone").fill_null(value=False)).collect()
    found, readable = [], _readable(snapshot.outline, rows)
    for group in by_reason(rows):
        lacking = _lacking(group.field, rows, readable) if group.code is ReasonCode.MISSING else []
        if lacking:
            could = is_optional(task, group.field, max(lacking))
            group = group.model_copy(update={"unknown": min(lacking) == 1, "optional": could})
        found.append(group)
    return found


def by_reason(rows: pl.DataFrame) -> list[Rejection]:
    """Rejected rows by reason, the most frequent first.

    Args:
        rows: the first reason's code, field and detail of each; its file, line and record, and whether it is gone.
    """
    # Which item of a list it is says nothing about the field.
    placed = with_cause(rows).with_columns(pl.col("field").str.replace_all(r"\.\d+\b", ""))
    reason = ["code", "field"]
    # A row that users find in its file is the better example, and of these one with a detail.
    best = (pl.col("gone"), pl.col("detail") == "")
    example = pl.col("file", "line", "record_id", "detail").sort_by(*best, maintain_order=True).first()
    counts = (pl.len().alias("count"), pl.col("gone").sum(), example)
    ways = placed.group_by(*reason, "cause", maintain_order=True).agg(*counts)
    ways = ways.sort("count", descending=True, maintain_order=True)
    causes = ways.group_by(reason, maintain_order=True).agg(
        pl.len().alias("ways"), pl.struct(*Cause.model_fields).head(MOST_CAUSES).alias("causes")
    )
    same_detail = (pl.col("detail").n_unique() == 1).alias("same_detail")
    groups = placed.group_by(reason, maintain_order=True).agg(*counts, same_detail)
    ordered = groups.sort("count", descending=True, maintain_order=True)
    told = ordered.join(causes, on=reason, maintain_order="left")
    return [Rejection.model_validate(row) for row in told.iter_rows(named=True)]


def is_optional(task: type[Task], field: str, lacking: float) -> bool:
    """Whether a task could make a field optional: it still asks something, and more than a few stray rows lack it.

    Args:
        task: has the field.
        field: its name.
        lacking: the share of a source's rows that lack it.
    """
    return task.task_names(Role.INPUT) != [field] and lacking >= _STRAY


def _readable(outline: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """How many rows of each source can be read (``all``), whatever they lack."""
    broken = rejected.filter(pl.col("code").is_in(_BROKEN)).group_by("source").len("broken")
    counts = outline.lazy().group_by("source").len("all").collect().join(broken, on="source", how="left")
    return counts.select("source", pl.col("all") - pl.col("broken").fill_null(0))


def _lacking(field: str, rejected: pl.DataFrame, readable: pl.DataFrame) -> list[float]:
    """For each source that has a row without a required field: the share of its readable rows that lack it."""
    lacking = rejected.filter(with_reason(ReasonCode.MISSING, field=field)).group_by("source").len()
    return lacking.join(readable, on="source").select(pl.col("len") / pl.col("all")).to_series().to_list()


def in_review(snapshot: Snapshot) -> dict[ReasonCode, int]:
    """How many of the current records are in review, by first reason, the most frequent one first."""
    waits = snapshot.outline.lazy().filter(pl.col("fate") == Fate.REVIEW.value)
    codes = waits.select(first_reason("code")).collect()
    counts = codes.group_by("code", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
    return {ReasonCode(code): count for code, count in counts.iter_rows()}


def unkeyed(snapshot: Snapshot, sources: Iterable[Source]) -> list[str]:
    """The sources whose key field is empty in all rows of the latest batch, with what to do about it.

    Such rows are silently identified by content: an edited row would be a new record.
    """
    readable = snapshot.scan(Table.RECORDS).filter(~pl.col("withdrawn"), pl.col("error") == "")
    found = []
    for source in sources:
        if source.key is None:
            continue
        rows = readable.filter(pl.col("source") == source.name)
        last = rows.filter(pl.col("batch") == pl.col("batch").max())
        by_content = last.select(BY_CONTENT).collect().to_series()
        if len(by_content) and by_content.all():
            had_keys = not rows.filter(~BY_CONTENT).head(1).collect().is_empty()
            found.append(_keys_lost(source) if had_keys else _keys_missing(source))
    return found


def _keys_missing(source: Source) -> str:
    return (
        f"no row of source '{source.name}' has a value in its key '{source.key}', so its rows are identified by their "
        "content; fix `key:` or leave it out"
    )


def _keys_lost(source: Source) -> str:
    return (
        f"no row of source '{source.name}' in the latest batch has a value in its key '{source.key}', though earlier "
        "ones do, so these rows are identified by content; deliver them with it, or an edited one is a new row"
    )


def rejection_lines(groups: "Sequence[Rejection]", more: str = "") -> Iterator[str]:
    """The most frequent reasons with their hints, and how many rows have others; ``more`` says where these are."""
    # A line for the number of one other reason would be no shorter than that reason.
    shown = groups if len(groups) == _SHOWN_REASONS + 1 else groups[:_SHOWN_REASONS]
    for group in shown:
        yield f"{group.count:,}  {group}"
        if group.ways > 1:
            yield from (f"  {line}" for line in cause_lines(group.causes, group.ways, group.count, more))
        if group.hint:
            yield f"  {group.hint}"
    if rest := groups[len(shown) :]:
        rows = sum(group.count for group in rest)
        names = ", ".join(f"{group.code} ({group.field})" if group.field else group.code for group in rest)
        yield f"{rows:,}  for {len(rest):,} other reasons: {names}{more}"


_SHOWN_REASONS = 3
