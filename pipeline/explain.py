"""Tells a record's whole story: where it came from, what was decided and why, what people said, where it went."""

import itertools
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from pydantic import BaseModel, ConfigDict

from pipeline.dataset_file import LoadedDataset
from pipeline.decisions import from_frame
from pipeline.evaluation_sets import evaluation_rows
from pipeline.lookup import find_record
from pipeline.store import Snapshot
from pipeline.tables import Table
from pipeline.versions import readable_versions
from schemas.annotation import Verdict
from schemas.fate import ReasonCode
from schemas.record import ID_BYTES, Decision

_RECORD_ID = re.compile(rf"\b[0-9a-f]{{{2 * ID_BYTES}}}\b")


class Revision(BaseModel):
    """One state of the raw row."""

    model_config = ConfigDict(frozen=True)

    revision: str
    file: str
    line: int
    batch: str
    ingested_at: datetime
    withdrawn: bool
    raw: str
    """The bytes as text; what is no UTF-8 is shown as escapes."""


class Decided(Decision):
    """A decision with the verb of its run."""

    verb: str
    evaluation: str = ""
    """What the evaluation row says that a reason names."""


class Asked(BaseModel):
    """A question that was sent to Label Studio."""

    model_config = ConfigDict(frozen=True)

    task_id: int
    project: int
    routed: str
    revision: str
    pushed_at: datetime


class Said(BaseModel):
    """What a person said."""

    model_config = ConfigDict(frozen=True)

    annotation_id: int
    task_id: int
    annotator: str
    verdict: Verdict
    targets: dict[str, object] | None
    error: str
    deleted: bool
    updated_at: datetime


class Story(BaseModel):
    """Everything known about one record, oldest first."""

    model_config = ConfigDict(frozen=True)

    record_id: str
    source: str
    key: str
    note: str
    """How the record was found, where that is not plain: the file may have been written anew."""
    revisions: list[Revision]
    decisions: list[Decided]
    duplicates: list[str]
    """Records that are copies of this one."""
    places: dict[str, str]
    """Where other records that the story names stand now, as ``file:line``."""
    asked: list[Asked]
    said: list[Said]
    split: str | None
    releases: list[str]
    """Versions whose files hold it."""
    unsearched: list[str]
    """What is wrong with each version that could not be searched."""


def explain(snapshot: Snapshot, wanted: str, releases: Path, dataset: LoadedDataset | None = None) -> Story:
    """Collect a record's story.

    Args:
        snapshot: the state to look at.
        wanted: a record id, its beginning, or ``file:line``.
        releases: the folder of the published versions.
        dataset: where the files are; without it ``file:line`` is looked up as it was read.

    Raises:
        StoreError: see ``find_record``.
    """
    meant = find_record(snapshot, wanted, dataset)
    found, unsearched = _releases_with(meant.record_id, releases)

    def of(frame: pl.LazyFrame) -> pl.DataFrame:
        return frame.filter(pl.col("record_id") == meant.record_id).collect()

    rows = of(snapshot.scan(Table.RECORDS)).sort("batch", "position")
    splits = of(snapshot.splits())
    copies = snapshot.current_decisions().filter(pl.col("duplicate_of") == meant.record_id).select("record_id")
    duplicates = copies.collect().to_series().to_list()
    decisions = list(_decided(snapshot, of(snapshot.committed_decisions())))
    return Story(
        record_id=meant.record_id,
        source=rows["source"][0],
        key=rows["key"][0],
        note=meant.note,
        revisions=[
            Revision(raw=row["raw"].decode("utf-8", "backslashreplace"), **_pick(row, Revision))
            for row in rows.iter_rows(named=True)
        ],
        decisions=decisions,
        duplicates=duplicates,
        places=_places(snapshot, {*duplicates, *itertools.chain.from_iterable(map(_named, decisions))}),
        asked=[Asked(**_pick(row, Asked)) for row in of(snapshot.scan(Table.PUSHES)).iter_rows(named=True)],
        said=[
            Said(targets=orjson.loads(row["targets"]) if row["targets"] else None, **_pick(row, Said))
            for row in of(snapshot.latest_annotations()).iter_rows(named=True)
        ],
        split=splits["split"][0] if splits.height else None,
        releases=found,
        unsearched=unsearched,
    )


def _decided(snapshot: Snapshot, decisions: pl.DataFrame) -> Iterator[Decided]:
    runs = {run["run"]: run for run in snapshot.runs.iter_rows(named=True)}
    for decision in from_frame(decisions):
        run = runs[decision.run]
        yield Decided(verb=run["verb"], evaluation=_evaluation(snapshot, decision, run), **decision.model_dump())


def _named(decision: Decision) -> Iterator[str]:
    """The ids of other records that a decision names."""
    yield decision.duplicate_of
    for reason in decision.reasons:
        yield from _RECORD_ID.findall(reason.detail)


def _places(snapshot: Snapshot, record_ids: set[str]) -> dict[str, str]:
    named = snapshot.current_records().filter(pl.col("record_id").is_in(record_ids))
    places = named.select("record_id", pl.format("{}:{}", "file", "line")).collect()
    return dict(places.iter_rows())


def _evaluation(snapshot: Snapshot, decision: Decision, run: dict[str, Any]) -> str:
    details = [reason.detail for reason in decision.reasons if reason.code is ReasonCode.CONTAMINATED]
    if not details:
        return ""
    # As that run saw the set; a name may end like another.
    rows = evaluation_rows(snapshot, orjson.loads(run["summary"]).get("evaluation", ""))
    named = rows.select("text", pl.format(" {} ({})", "place", "name").alias("named"))
    meant = named.filter(pl.lit(details[0]).str.ends_with(pl.col("named"))).sort(pl.col("named").str.len_chars())
    return str(meant["text"][-1]) if meant.height else ""


def _pick(row: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {name: row[name] for name in model.model_fields if name in row and name not in ("raw", "targets")}


def _releases_with(record_id: str, releases: Path) -> tuple[list[str], list[str]]:
    versions, unsearched = readable_versions(releases)
    found = []
    for manifest in versions:
        files = [releases / manifest.version / split.file for split in manifest.splits.values()]
        try:
            ids = pl.concat([pl.scan_parquet(file).select("id") for file in files])
            if ids.filter(pl.col("id") == record_id).collect().height:
                found.append(manifest.version)
        except (OSError, pl.exceptions.PolarsError) as error:
            problem = str(error).strip().split("\n")[0]
            unsearched.append(f"{manifest.name}@{manifest.version} ({problem})")
    return found, unsearched
