"""Scores and settles the cases of each chunk, in parallel where there are several: by the same rules, which are learned
once from all chunks.
"""

import pickle
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.case import Case, Judged
from pipeline.curation.decided import told_by_case
from pipeline.curation.kept_cases import read_cases
from pipeline.curation.measure import measure
from pipeline.curation.repairable_rows import Offered, Repairs
from pipeline.curation.score_labels import Scores
from pipeline.curation.second_voice import Voice, weigh
from pipeline.curation.settle import settle
from pipeline.curation.settled_columns import DECIDED
from pipeline.state.atomic import replacing, sealed_bytes
from pipeline.state.mapped_rows import write_rows
from pipeline.state.memory import let_go


@dataclass(frozen=True)
class Rules:
    """What the cases of every chunk are judged by."""

    scores: Scores
    voice: Voice | None
    """How much the word of a model counts, if one is heard."""
    repairs: Repairs | None
    """None if annotators repair no rows."""

    def write(self, path: Path) -> None:
        """Write them for the processes that settle chunks in this run."""
        with replacing(path, sealed=True) as sink:
            pickle.dump(self, sink, pickle.HIGHEST_PROTOCOL)


@dataclass(frozen=True)
class Settled:
    """What is settled about the rows of a chunk."""

    told: pl.DataFrame
    """A narrow row for each: what stands of it (``told_by_case``)."""
    decided: pl.DataFrame
    """Their decisions, as far as the budget has no part in them, with the columns of ``DECIDED``."""
    notes: Collection[str]
    """What limits their scores."""
    waits: bool
    """Whether any row waits for a repair."""


@dataclass(frozen=True)
class Chunk:
    """A chunk whose cases wait in a file."""

    cases: Path
    sources: pl.Series
    """The source of each of its rows."""
    told: Path
    """Where the narrow rows go."""
    decided: Path
    """Where the decisions go."""


@dataclass(frozen=True)
class ChunkSettled:
    """What came of a chunk whose results are in files."""

    cases: Path
    """The file of its cases, which is not needed any more."""
    rows: int
    notes: Collection[str]
    waits: bool


def settle_cases(cases: Sequence[Case], sources: pl.Series, rules: Rules, dataset: LoadedDataset) -> Settled:
    """Score the cases of a chunk and give them their fates.

    Args:
        cases: of all its rows, compared with each other.
        sources: theirs.
        rules: what they are judged by.
        dataset: configuration and task.
    """
    task, config = dataset.task, dataset.config
    scored = rules.scores.give(cases, task, config.on_conflict, config.doubts.off)
    doubts = scored.doubts if rules.voice is None else weigh(cases, scored.doubts, rules.voice, task)
    offered = Offered() if rules.repairs is None else rules.repairs.offer(cases, sources)
    judged = [
        Judged(case.known, case.matched, case.model_answer, doubt, tokens, case.known.record_id in offered.records)
        for case, doubt, tokens in zip(cases, doubts, measure(cases, task, config), strict=True)
    ]
    settled = settle(judged, config.review, config.screen, task)
    return Settled(told_by_case(cases, settled), settled.select(DECIDED.names()), scored.notes, offered.waits)


def settle_chunk(chunk: Chunk, rules: Path, dataset: LoadedDataset) -> ChunkSettled:
    """The same for a chunk in files, in any process; may be repeated."""
    found = settle_cases(read_cases(chunk.cases), chunk.sources, _read(rules), dataset)
    write_rows(found.told, chunk.told)
    write_rows(found.decided, chunk.decided)
    let_go()
    return ChunkSettled(chunk.cases, found.told.height, found.notes, found.waits)


def forget_rules() -> None:
    """Give back the memory of rules that were read in this process."""
    _read.cache_clear()


@lru_cache(maxsize=1)
def _read(rules: Path) -> Rules:
    # Each process reads them once.
    found: Rules = pickle.loads(sealed_bytes(rules).data)  # noqa: S301 (our own)
    return found
