"""Finds what no queue shows: answers that only people can settle, why rows are rejected, keys that are empty."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl
from pydantic import BaseModel, ConfigDict

from pipeline.ingest.row_keys import BY_CONTENT
from pipeline.ingest.row_places import current_places, in_place
from pipeline.reporting.lookup import places_of
from pipeline.review.consensus import invalid_annotations
from pipeline.review.queue import is_open, open_decisions
from pipeline.state.decisions import from_frame, named_records, question_key
from pipeline.state.store import Snapshot
from pipeline.state.tables import Table
from schemas.dataset import Source
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.record import Decision
from schemas.task import MISSING, Role, Task

_STRAY = 0.01
"""Share of a source's rows below which those without a field are slips, and no reason to change the task."""


class Need(StrEnum):
    """What a record waits for, though Label Studio counts its task as done."""

    CORRECTION = "correction"
    """Its answer is not valid."""
    SECOND_OPINION = "second_opinion"
    """Somebody was unsure, or two people disagreed."""


class Attention(BaseModel):
    """A record whose answer only people can settle."""

    model_config = ConfigDict(frozen=True)

    kind: Need
    record_id: str
    file: str
    line: int
    project: int | None
    task_id: int | None
    """In Label Studio; None where no task is known."""
    url: str
    """Opens the task; empty where no server or no task is known."""
    what: str
    """What is wrong with the answer, or why nobody's answer counts."""


def attention(snapshot: Snapshot, task: type[Task], studio: str = "") -> list[Attention]:
    """What people must settle and are not asked again: invalid answers first, then those in need of a second opinion.

    Args:
        snapshot: the committed state.
        task: reads the answers.
        studio: where Label Studio is, for the addresses; empty where none is named.
    """
    each = (_corrections(snapshot, task), _second_opinions(snapshot, task))
    found = [one for some in each for one in sorted(some, key=_by_task)]
    ids = [record_id for _, record_id, *_ in found]
    rows = current_places(snapshot).filter(pl.col("record_id").is_in(ids)).collect()
    place = {record_id: (file, line) for record_id, file, line in rows.iter_rows()}
    return [
        Attention(
            kind=kind,
            record_id=record_id,
            file=place[record_id][0],
            line=place[record_id][1],
            project=project,
            task_id=task_id,
            url=f"{studio.rstrip('/')}/projects/{project}/data?task={task_id}" if studio and task_id else "",
            what=what,
        )
        for kind, record_id, project, task_id, what in found
        if record_id in place
    ]


_Found = tuple[Need, str, int | None, int | None, str]


def _by_task(found: _Found) -> tuple[bool, int, int, str]:
    """As they were asked: the same answers stand in the same order each time."""
    _, record_id, project, task_id, _ = found
    return task_id is None, project or 0, task_id or 0, record_id


def _corrections(snapshot: Snapshot, task: type[Task]) -> Iterator[_Found]:
    """The newest invalid answer of every record that still waits for one."""
    invalid = sorted(invalid_annotations(snapshot, task), key=lambda item: (item.updated_at, item.annotation_id))
    newest = {item.record_id: item for item in invalid}
    asked = {decision.record_id for decision in _current(snapshot, list(newest)) if is_open(decision)}
    for record_id, item in newest.items():
        if record_id in asked:
            yield Need.CORRECTION, record_id, item.project, item.task_id, item.error


def _second_opinions(snapshot: Snapshot, task: type[Task]) -> Iterator[_Found]:
    disputed = (pl.col("fate") == Fate.REVIEW.value) & (pl.col("routed") == Routed.ADJUDICATE.value)
    decisions = list(from_frame(snapshot.current_decisions().filter(disputed).collect()))
    ids = [decision.record_id for decision in decisions]
    pushes = snapshot.tasks().filter(pl.col("record_id").is_in(ids))
    # A question whose task was deleted was sent again: the last one is there. An answer about an earlier revision
    # with the same text was given to that one's question.
    tasks: dict[str, tuple[int, int]] = {}
    for key, record_id, project, task_id in _columns(pushes, "push_key", "record_id", "project", "task_id"):
        tasks[key] = tasks[record_id] = (project, task_id)
    places = places_of(snapshot, {name for decision in decisions for name in named_records(decision)})
    for decision in decisions:
        where = tasks.get(question_key(decision, task)) or tasks.get(decision.record_id) or (None, None)
        what = str(decision.reasons[0])
        for record_id, place in places.items():
            what = what.replace(f"record {record_id}", place)
        yield Need.SECOND_OPINION, decision.record_id, *where, what


def _current(snapshot: Snapshot, records: Sequence[str]) -> Iterator[Decision]:
    yield from from_frame(snapshot.current_decisions().filter(pl.col("record_id").is_in(records)).collect())


def _columns(frame: pl.LazyFrame, *names: str) -> Iterator[tuple[str, str, int, int]]:
    yield from frame.select(names).collect().iter_rows()


@dataclass(frozen=True)
class Waiting:
    """How many questions have no answer."""

    questions: int
    audits: int
    """Of all of them, random checks of accepted records."""
    unsent: int
    """Of all of them, those that were never sent to Label Studio."""


def count_waiting(snapshot: Snapshot, task: type[Task]) -> Waiting:
    """Count the open questions."""
    sent = set(snapshot.tasks().select("push_key").collect().to_series())
    rows = open_decisions(snapshot)
    # As long as nothing was sent, the questions themselves need not be read.
    asked = (rows if sent else rows.select("routed")).collect()
    audits = int((asked["routed"] == Routed.AUDIT.value).sum())
    unsent = sum(question_key(decision, task) not in sent for decision in from_frame(asked)) if sent else asked.height
    return Waiting(asked.height, audits, unsent)


class Rejection(BaseModel):
    """Rows that are rejected for the same first reason."""

    model_config = ConfigDict(frozen=True)

    code: ReasonCode
    field: str
    count: int
    file: str
    line: int
    """One of the rows."""
    detail: str
    """What is wrong with that one."""
    alike: bool
    """The same is wrong with all of them."""
    unknown: bool = False
    """No row of their sources has the field: the field map is wrong, not the task."""
    optional: bool = False
    """Rows could do without the field, and not only a stray one does."""

    def __str__(self) -> str:
        """The reason in words, and one of the rows with what is wrong with it."""
        common = Reason(code=self.code, field=self.field, detail=self.detail if self.alike else "")
        return f"{common}, as in {self.file}:{self.line}" + (
            f": {self.detail}" if self.detail and not self.alike else ""
        )

    @property
    def hint(self) -> str:
        """What helps if these rows are as they should be; empty where there is nothing to say."""
        if self.code is not ReasonCode.INVALID or self.detail != MISSING or "." in self.field:
            return ""
        if self.unknown:
            return f"no row of its source has anything there: name with `fields:` where '{self.field}' stands"
        if not self.optional:
            return ""
        return f"if rows may lack it, let the task say so: add `| None` to the type of '{self.field}', and `= None`"


def rejections(snapshot: Snapshot, task: type[Task]) -> list[Rejection]:
    """Why the current records that are rejected are, the most frequent reason first."""
    rejected = snapshot.current_decisions().filter(pl.col("fate") == Fate.REJECTED.value)
    first = [pl.col("reasons").str.json_path_match(f"$[0].{name}").alias(name) for name in ("code", "field", "detail")]
    places = in_place(snapshot).select("record_id", "source", "file", "line")
    reasons = rejected.select("record_id", "reasons", *first)
    rows = places.join(reasons, on="record_id", maintain_order="left").collect()
    found = []
    for group in by_reason(rows):
        lacking = _lacking(group.field, rows, snapshot) if group.detail == MISSING else []
        # A task's own reason may have the same words.
        if lacking:
            could = is_optional(task, group.field, max(lacking))
            group = group.model_copy(update={"unknown": min(lacking) == 1, "optional": could})
        found.append(group)
    return found


def by_reason(rows: pl.DataFrame) -> list[Rejection]:
    """Rejected rows (their first reason's code, field and detail, file and line) by reason, the most frequent first."""
    # A row whose detail says something is the better example.
    telling = rows.sort(pl.col("detail") == "", maintain_order=True)
    same = telling.group_by("code", "field", maintain_order=True)
    alike = (pl.col("detail").n_unique() == 1).alias("alike")
    groups = same.agg(pl.len().alias("count"), pl.col("file", "line", "detail").first(), alike)
    ordered = groups.sort("count", descending=True, maintain_order=True)
    return [Rejection.model_validate(row) for row in ordered.iter_rows(named=True)]


def is_optional(task: type[Task], field: str, lacking: float) -> bool:
    """Whether a task could let rows lack a field: it asks something without it, and more than stray rows do.

    Args:
        task: has the field.
        field: its name.
        lacking: the share of a source's rows that lack it.
    """
    return task.task_names(Role.INPUT) != [field] and lacking >= _STRAY


def _lacking(field: str, rejected: pl.DataFrame, snapshot: Snapshot) -> list[float]:
    """For each source that has a row without a required field: the share of its readable rows that lack it."""
    said = Reason(code=ReasonCode.INVALID, field=field, detail=MISSING).model_dump_json()
    lacking = rejected.filter(pl.col("reasons").str.contains(said, literal=True)).group_by("source").len()
    readable = snapshot.current_records().filter(pl.col("error") == "").group_by("source").len("all").collect()
    return lacking.join(readable, on="source").select(pl.col("len") / pl.col("all")).to_series().to_list()


def in_review(snapshot: Snapshot) -> dict[ReasonCode, int]:
    """How many of the current records are in review for which first reason, the most frequent one first."""
    rows = snapshot.current_decisions().filter(pl.col("fate") == Fate.REVIEW.value)
    codes = rows.select(pl.col("reasons").str.json_path_match("$[0].code").alias("code")).collect()
    counts = codes.group_by("code", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
    return {ReasonCode(code): count for code, count in counts.iter_rows()}


def unkeyed(snapshot: Snapshot, sources: Iterable[Source]) -> list[str]:
    """The sources whose key field is empty in all rows that came in last, with what to do about it.

    Such rows are known by their content, silently: an edited row would be a new record.
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
        f"no row of source '{source.name}' has a value in its key '{source.key}', so its rows are known by their "
        "content; correct `key:` or leave it out"
    )


def _keys_lost(source: Source) -> str:
    return (
        f"no row of source '{source.name}' that came in last has a value in its key '{source.key}', though earlier "
        "ones do, so these rows are known by their content; deliver them with it, or an edited one is a new row"
    )
