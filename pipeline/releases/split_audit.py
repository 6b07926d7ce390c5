"""What the audit says of the rows of one split of a published version: how many of their answers are wrong there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pyarrow.parquet as pq

from pipeline.evaluation.estimates import Estimate
from pipeline.releases.audit_result import ALL_FINAL, OpenAnswers, audit_answers, share_of
from pipeline.releases.published_rows import ROWS_AT_ONCE, published_inputs, published_targets
from pipeline.releases.versions import read_manifest
from pipeline.state.decisions import with_reason
from pipeline.state.snapshot import Snapshot
from pipeline.text.normalize import inputs_key
from schemas.fate import Fate, LabelSource, ReasonCode
from schemas.field import same_targets
from schemas.task import Task


@dataclass(frozen=True)
class SplitAudit:
    """How many rows of a split have a wrong answer."""

    noise: Estimate | None = None
    """The share; rows of which nothing is known count as right in it and in its lower end, as wrong in the upper one.
    None if nothing is known of any."""
    audited: int = 0
    """Rows that were drawn and answered, in any split: they stand for the others."""
    unaudited: int = 0
    """Rows of the split for which they do not stand, such as those of frozen sources."""


@dataclass(frozen=True)
class _Rows:
    """The rows of a split by what is known of each."""

    every: int
    wrong: int
    """An annotator has given another answer since, or called the row unusable."""
    open: frozenset[str]
    """The records about which no annotator has decided."""
    frozen: int
    """Those among them that are published as they are."""


def split_audit(
    snapshot: Snapshot, version: Path, split: str, task: type[Task], left: OpenAnswers = ALL_FINAL
) -> SplitAudit:
    """Estimate which share of a split's published rows is wrong, whatever was corrected after the release.

    A split is drawn by chance, so that each stratum of the audit stands for the rows of the split that are in it, too.
    Rows of frozen sources are in none, and neither are rows that have left the dataset.

    Args:
        snapshot: the committed state, with all answers since.
        version: folder of a published version of the dataset.
        split: its name; a version without it has no rows.
        task: of the dataset.
        left: the records whose answer is missing or not final.

    Raises:
        ReleaseError: the folder is not a published version.
    """
    rows = _rows(snapshot, version, split, task)
    found = audit_answers(snapshot, left)
    if found is None or not rows.every:
        return SplitAudit(unaudited=rows.frozen)
    about = np.array([record_id in rows.open for record_id in found.record_ids], dtype=bool)
    unknown = len(rows.open) - int(about.sum())
    if unknown == rows.every:
        return SplitAudit(unaudited=unknown)
    share = share_of(found, rows.every, int((about & (found.vain | found.held)).sum()), about)
    if share is None:
        return SplitAudit(unaudited=unknown)
    known = rows.wrong / rows.every
    noise = Estimate(
        value=min(1.0, known + share.rate),
        low=min(1.0, known + share.low),
        high=min(1.0, known + share.high + unknown / rows.every),
    )
    return SplitAudit(noise, int(found.answered.sum()), unknown)


def _rows(snapshot: Snapshot, version: Path, split: str, task: type[Task]) -> _Rows:
    manifest = read_manifest(version)
    if split not in manifest.splits:
        return _Rows(0, 0, frozenset(), 0)
    file = version / manifest.splits[split].file
    sources = dict(pl.read_parquet(file, columns=["id", "label_source"]).iter_rows())
    decided = _decided(snapshot, list(sources), task)
    wrong, settled = 0, {name for name, given in sources.items() if given == LabelSource.HUMAN.value}
    with pq.ParquetFile(file) as published:
        for batch in published.iter_batches(ROWS_AT_ONCE, columns=["id", "fields"]) if decided else ():
            for row in batch.to_pylist():
                now = decided.get(row["id"])
                # An answer to another text says nothing of this one.
                if now is None or now.key != inputs_key(task, published_inputs(task, row["fields"])):
                    continue
                settled.add(row["id"])
                right = now.targets and same_targets(orjson.loads(now.targets), published_targets(task, row["fields"]))
                wrong += not right
    still_open = frozenset(sources.keys() - settled)
    frozen = snapshot.outline.filter(pl.col("record_id").is_in(list(still_open)), with_reason(ReasonCode.FROZEN))
    return _Rows(len(sources), wrong, still_open, frozen.height)


@dataclass(frozen=True)
class _Decided:
    """What an annotator has decided about a record."""

    key: str
    """Of what was asked."""
    targets: str | None
    """In JSON; None if the row cannot be used."""


def _decided(snapshot: Snapshot, record_ids: list[str], task: type[Task]) -> dict[str, _Decided]:
    human = pl.col("label_source").eq_missing(LabelSource.HUMAN.value)
    unusable = (pl.col("fate") == Fate.REJECTED.value) & with_reason(ReasonCode.UNUSABLE)
    rows = (
        snapshot.current_decisions(pl.col("record_id").is_in(record_ids) & (human | unusable))
        .select("record_id", "inputs", pl.when(~unusable).then("targets"))
        .collect()
    )
    return {
        name: _Decided(inputs_key(task, orjson.loads(inputs)), targets) for name, inputs, targets in rows.iter_rows()
    }
