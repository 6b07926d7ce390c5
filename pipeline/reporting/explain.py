"""A record's full history: where it came from, what was decided and why, annotators' answers, where it went."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from pydantic import BaseModel

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.evaluation_sets import evaluation_rows
from pipeline.ingest.row_places import gone_from_files
from pipeline.releases.versions import in_order_of_publication, readable_versions, version_rows
from pipeline.reporting.doubts import doubt_in_words
from pipeline.reporting.lookup import about_lost_source, find_record, places_of
from pipeline.review.consensus import said_about
from pipeline.review.queue import open_keys
from pipeline.state.decisions import from_frame, named_records
from pipeline.state.same_question import same_question
from pipeline.state.snapshot import Snapshot
from pipeline.state.tables import Table
from schemas.annotation import Verdict
from schemas.answers_in_words import answer_in_words
from schemas.decision import Decision
from schemas.fate import ReasonCode
from schemas.field import JsonValue
from schemas.manifest import Manifest
from schemas.run_summary import CurateFacts
from schemas.seat import Seat, SeatKind

_NOT_DECIDED = "not decided yet"
_WITHDRAWN = "withdrawn"


class Revision(BaseModel, frozen=True):
    """One state of the raw row."""

    revision: str
    file: str
    line: int
    batch: str
    ingested_at: datetime
    withdrawn: bool
    superseded: bool
    """A later row replaced it. A row that was withdrawn is not superseded, though its record may have come back."""
    raw: str
    """The bytes as text, with invalid UTF-8 escaped. Empty if the row is withdrawn."""


class Decided(Decision):
    """A decision with the verb of its run."""

    verb: str
    decided_at: datetime
    evaluation: str = ""
    """The content of the evaluation row that a reason names."""
    answer: str = ""
    """The targets in words; empty if there are none."""
    doubt: str = ""
    """What a model says about it, and whether annotators are asked; empty if nothing speaks against it."""


class TaskState(StrEnum):
    """What happened to a task."""

    OPEN = "open"
    ANSWERED = "answered"
    TAKEN_BACK = "withdrawn"
    """Its question has changed or is gone; `curate` deletes it in Label Studio, or has done so."""
    OLDER_FORM = "asks an older form of the task"
    """Answers to it do not count; it stays in its project in Label Studio."""
    SENT_AGAIN = "sent again"
    """It was deleted in Label Studio, and another task asks the same."""


class Asked(BaseModel, frozen=True):
    """A question that was sent to Label Studio."""

    task_id: int
    project: int
    routed: str | None
    """Why it was asked; None of a hidden gold item that is no question of its row."""
    revision: str
    push_key: str
    pushed_at: datetime
    state: TaskState = TaskState.OPEN
    seat: str | None = None
    """What its answer is for; None in homes of before there were seats."""
    annotator: str | None = None
    """For whom it is, by e-mail, if somebody is named."""


class Said(BaseModel, frozen=True):
    """An annotator's answer."""

    annotation_id: int
    task_id: int
    annotator: str
    email: str | None = None
    verdict: Verdict
    targets: dict[str, JsonValue] | None
    answer: str = ""
    """The targets in words; empty if there are none."""
    error: str
    deleted: bool
    edited: bool = False
    """It was edited since: a later state follows."""
    updated_at: datetime
    push_key: str
    stale: str = ""
    """Why it does not count for the current record; empty if it does, or was deleted."""


class Published(BaseModel, frozen=True):
    """A version that contains the record."""

    version: str
    published_at: datetime


class Moment(BaseModel, frozen=True):
    """The time of an entry of the history."""

    at: datetime
    what: str
    """The list that contains the entry: revisions, decisions, asked, said or published."""
    number: int
    """Its index in that list, from 0."""


class Story(BaseModel, frozen=True):
    """Everything known about one record, every list oldest first."""

    record_id: str
    source: str
    key: str
    place: str
    """The current place of its row, as ``file:line``; empty if it is withdrawn."""
    gone: bool
    """Its file no longer has the row, though the source, a log, keeps it: the place is the last one."""
    now: str
    """Its current state: a fate, withdrawn, or not decided yet."""
    note: str
    """How the record was found, if that is not obvious: the file may have been rewritten."""
    revisions: list[Revision]
    decisions: list[Decided]
    """Without those that repeat the one before, such as from the curate that follows each collect."""
    duplicates: list[str]
    """Records that are copies of this one."""
    places: dict[str, str]
    """The current places of other records that the history names, as ``file:line``."""
    asked: list[Asked]
    said: list[Said]
    split: str | None
    releases: list[str]
    """Versions whose files contain it, in the order of publication."""
    published: list[Published]
    """The same with their times."""
    timeline: list[Moment]
    """All entries in chronological order."""
    unsearched: list[str]
    """What is wrong with each version that could not be searched."""


def explain(snapshot: Snapshot, wanted: str, releases: Path, dataset: LoadedDataset | None = None) -> Story:
    """Collect a record's history.

    Args:
        snapshot: the state to look at.
        wanted: a record id, its beginning, ``file:line``, or the row's own key.
        releases: the folder of the published versions.
        dataset: where the files are; without it ``file:line`` means the place when it was read.

    Raises:
        StoreError: see ``find_record``.
    """
    meant = find_record(snapshot, wanted, dataset)
    published, unsearched = _releases_with(meant.record_id, releases)

    def of(frame: pl.LazyFrame) -> pl.DataFrame:
        return frame.filter(pl.col("record_id") == meant.record_id).collect()

    rows = of(snapshot.scan(Table.RECORDS)).sort("batch", "position")
    splits = of(snapshot.splits())
    duplicates = snapshot.outline.filter(duplicate_of=meant.record_id)["record_id"].to_list()
    decisions = list(_decided(snapshot, of(snapshot.committed_decisions()), dataset))
    is_it = pl.col("record_id") == meant.record_id
    present = next(iter(from_frame(snapshot.current_decisions(is_it).collect())), None)
    is_there = not rows["withdrawn"][-1]
    digests = same_question(snapshot, dataset.task) if dataset else None
    said = _said(snapshot, of(snapshot.scan(Table.ANNOTATIONS)), dataset, is_there)
    places = places_of(snapshot, {meant.record_id, *duplicates, *itertools.chain(*map(named_records, decisions))})
    lists: dict[str, list[Any]] = {
        "revisions": list(_revisions(rows)),
        "decisions": decisions,
        "asked": _asked(of(snapshot.scan(Table.PUSHES)), open_keys(snapshot, meant.record_id, dataset), said, digests),
        "said": said,
        "published": [Published(version=one.version, published_at=one.created_at) for one in published],
    }
    return Story(
        record_id=meant.record_id,
        source=rows["source"][0],
        key=rows["key"][-1],
        place=(meant.place or places.get(meant.record_id, "")) if is_there else "",
        gone=is_there and not meant.place and _is_gone(meant.record_id, snapshot),
        now=(present.fate.value if present else _NOT_DECIDED) if is_there else _WITHDRAWN,
        note="; ".join(filter(None, [meant.note, "" if is_there else about_lost_source(rows["source"][0], dataset)])),
        **lists,
        duplicates=duplicates,
        places={name: place for name, place in places.items() if name != meant.record_id},
        split=splits["split"][0] if splits.height else None,
        releases=[one.version for one in published],
        timeline=_timeline(lists),
        unsearched=unsearched,
    )


_TIMES = {
    "revisions": "ingested_at",
    "decisions": "decided_at",
    "asked": "pushed_at",
    "said": "updated_at",
    "published": "published_at",
}
"""The time of an entry of each list; entries of the same moment follow in this order."""


def _is_gone(record_id: str, snapshot: Snapshot) -> bool:
    """Whether no file has the record's row now."""
    return not gone_from_files(snapshot).filter(pl.col("record_id") == record_id).collect().is_empty()


def _timeline(lists: dict[str, list[Any]]) -> list[Moment]:
    moments = [
        Moment(at=getattr(entry, _TIMES[what]), what=what, number=number)
        for what in _TIMES
        for number, entry in enumerate(lists[what])
    ]
    return sorted(moments, key=lambda moment: moment.at)


def _revisions(rows: pl.DataFrame) -> Iterator[Revision]:
    replaced = (~rows["withdrawn"] & ~rows["withdrawn"].shift(-1, fill_value=True)).to_list()
    for row, superseded in zip(rows.iter_rows(named=True), replaced, strict=True):
        raw = row["raw"].decode("utf-8", "backslashreplace")
        yield Revision(raw=raw, superseded=superseded, **_pick(row, Revision))


def _decided(snapshot: Snapshot, decisions: pl.DataFrame, dataset: LoadedDataset | None) -> Iterator[Decided]:
    runs = {run["run"]: run for run in snapshot.runs.iter_rows(named=True)}
    told: object = None
    for decision in from_frame(decisions.unique("run", keep="last", maintain_order=True)):
        in_batches = dataset is not None and dataset.config.review.error_rate is not None
        doubt = doubt_in_words(decision, dataset.task, in_batches=in_batches) if dataset else ""
        says = (_says(decision), doubt)
        if says == told:
            continue
        run, told = runs[decision.run], says
        yield Decided(
            verb=run["verb"],
            # Not when it began: the rows that it read, and decided about, came in after that.
            decided_at=run["finished_at"],
            evaluation=_evaluation(snapshot, decision),
            answer=_in_words(decision.targets, dataset),
            doubt=doubt,
            **decision.model_dump(),
        )


def _in_words(targets: dict[str, JsonValue] | None, dataset: LoadedDataset | None) -> str:
    if targets is None:
        return ""
    return answer_in_words(dataset.task, targets) if dataset else orjson.dumps(targets).decode()


def _says(decision: Decision) -> dict[str, Any]:
    """What a user sees of a decision."""
    return decision.model_dump(
        include={"revision", "fate", "reasons", "routed", "duplicate_of", "targets", "label_source"}
    )


def _asked(
    pushes: pl.DataFrame, asked_now: Collection[str], said: Iterable[Said], digests: Collection[str] | None
) -> list[Asked]:
    """Every task once, with what became of it as far as the tables know."""
    same = ["server", "project", "task_id", "push_key"]
    # Sent once, but it may be for somebody else since.
    by_age = pushes.sort("pushed_at").with_columns(pl.col("annotator").last().over(same))
    rows = list(by_age.unique(same, keep="first", maintain_order=True).iter_rows(named=True))
    latest = {row["push_key"]: row["task_id"] for row in rows}
    answered = {(one.task_id, one.push_key) for one in said if not one.deleted and not one.edited}
    found = []
    for row in rows:
        if (row["task_id"], row["push_key"]) in answered:
            state = TaskState.ANSWERED
        elif latest[row["push_key"]] != row["task_id"]:
            state = TaskState.SENT_AGAIN
        elif digests is not None and row["task_digest"] not in digests:
            state = TaskState.OLDER_FORM
        else:
            is_open_still = digests is None or row["push_key"] in asked_now
            state = TaskState.OPEN if is_open_still else TaskState.TAKEN_BACK
        found.append(Asked(state=state, **_pick(row, Asked)))
    return found


def _said(snapshot: Snapshot, rows: pl.DataFrame, dataset: LoadedDataset | None, is_there: bool) -> list[Said]:
    """Every annotation in all known states; those that do not count for the current question say why."""
    task = dataset.task if dataset else None
    about = said_about(snapshot, task) if task and rows.height else {}
    mine = [item for record_id in rows["record_id"].unique() for item in about.get(record_id, ())]
    is_lapsed = {(item.annotation.server, item.annotation.annotation_id): item.is_lapsed for item in mine}
    asked = snapshot.scan(Table.PUSHES).filter(pl.col("push_key").is_in(rows["push_key"].implode())).collect()
    pushed = {row["push_key"]: row for row in asked.iter_rows(named=True)}
    found = []
    for row in _states(rows).iter_rows(named=True):
        is_past = row["deleted"] or row["edited"]
        lapsed = is_lapsed.get((row["server"], row["annotation_id"]))
        counts = is_past or lapsed is False
        if counts or not dataset:
            stale = ""
        elif lapsed:
            stale = "the task has no such answer any more"
        else:
            sent = pushed.get(row["push_key"])
            stale = _why_stale(snapshot, sent, dataset, is_there, is_beside=any(is_lapsed.values()))
        targets = orjson.loads(row["targets"]) if row["targets"] else None
        found.append(Said(targets=targets, answer=_in_words(targets, dataset), stale=stale, **_pick(row, Said)))
    return found


def _states(rows: pl.DataFrame) -> pl.DataFrame:
    """The distinct states of annotations in their order, with ``edited`` if another one followed.

    A deletion is the last state of its annotation, not an additional one.
    """
    same = ["server", "annotation_id", "push_key"]
    seen = rows.sort("run", "updated_at", "deleted")
    states = seen.unique([*same, "updated_at", "result"], keep="last", maintain_order=True)
    is_last = pl.int_range(pl.len()) == pl.len() - 1
    return states.with_columns(edited=~is_last.over(same)).sort("updated_at", maintain_order=True)


def _why_stale(
    snapshot: Snapshot, pushed: Mapping[str, Any] | None, dataset: LoadedDataset, is_there: bool, *, is_beside: bool
) -> str:
    if pushed and Seat.read(pushed["seat"]).kind is SeatKind.GOLD:
        return "it is compared with the known answer"
    if pushed and pushed["task_digest"] not in same_question(snapshot, dataset.task):
        return "it answers an older form of the task"
    if is_beside:
        return "what it contradicts is not valid any more"
    return "it is about an earlier text of the record" if is_there else "the row is gone from its source"


def _evaluation(snapshot: Snapshot, decision: Decision) -> str:
    """The evaluation row that a record is similar to, as the deciding run saw it; empty if there is none."""
    refs = [reason.refs for reason in decision.reasons if reason.code is ReasonCode.CONTAMINATED]
    run = snapshot.committed_run(decision.run, CurateFacts) if refs else None
    if run is None:
        return ""
    name, place = refs[0]
    meant = evaluation_rows(snapshot, run.summary.evaluation).filter(pl.col("name") == name, pl.col("place") == place)
    return str(meant["text"][0]) if meant.height else ""


def _pick(row: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    names = set(model.model_fields) - {"raw", "targets"}
    return {name: row[name] for name in names if name in row}


def _releases_with(record_id: str, releases: Path) -> tuple[list[Manifest], list[str]]:
    versions, unsearched = readable_versions(releases)
    found = []
    for manifest in in_order_of_publication(versions):
        try:
            ids = version_rows(releases / manifest.version, manifest, "id")
            if ids.filter(pl.col("id") == record_id).collect().height:
                found.append(manifest)
        except (OSError, pl.exceptions.PolarsError) as error:
            problem = str(error).strip().split("\n")[0]
            unsearched.append(f"{manifest.name}@{manifest.version} ({problem})")
    return found, unsearched
