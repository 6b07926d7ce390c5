"""Goldleaf's near-duplicate search as a contestant: in memory, streamed, and with a persistent index."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from measuring import Contestant, Job, Labels, Measured, measure, serve
from truth import LOOSER_RULE, RULE, TEXT_ALONE, Rule, components

from pipeline.similarity.index import StoredIndex, take_in
from pipeline.similarity.pairs import Pairs, similar_pairs
from pipeline.similarity.search import Index, SearchResult, search
from pipeline.similarity.signatures import Scheme
from pipeline.similarity.text_columns import Texts
from pipeline.state.store import Store

T = TypeVar("T")
R = TypeVar("R")


def _in_memory(rule: Rule) -> Callable[[Job], Labels]:
    def run(job: Job) -> Labels:
        texts = _read(job.parts)
        return _clusters(len(texts), similar_pairs(texts, rule.whole), rule)

    return run


def _streamed(job: Job) -> Labels:
    shards = _spool(job.parts, job.scratch / "texts")
    return _row_clusters(_search(shards, job.scratch / "search", None), len(shards))


def _indexed(job: Job) -> Labels:
    """Add rows to those that ``keep`` already has (initially none), with text files and index."""
    store, scheme = Store(job.keep, "benchmark"), Scheme(RULE.whole)
    shards = _spool(job.parts, job.keep / "texts")
    found = _search(shards, job.scratch / "search", StoredIndex(store.snapshot(), scheme))
    take_in(store, scheme, found)
    return _row_clusters(found, len(shards))


def _warm_index(job: Job) -> None:
    for part in job.parts:
        _indexed(Job([part], job.scratch / part.stem, job.keep))


def _spool(parts: Sequence[Path], folder: Path) -> list[Path]:
    """Write each Parquet file (of 100,000 rows) as a file of texts after those in the folder, and list them all."""
    folder.mkdir(exist_ok=True)
    shards = sorted(folder.glob("*.arrow"))
    for part in parts:
        shards.append(folder / f"{len(shards):05}.arrow")
        _read(part).write(shards[-1])
    return shards


def _read(parts: Path | list[Path]) -> Texts:
    frame = pl.read_parquet(parts, columns=["prompt", "response"])
    return Texts.of(frame["prompt"], frame["response"])


def _search(shards: list[Path], folder: Path, index: Index | None) -> SearchResult:
    folder.mkdir(parents=True)
    return search(shards, folder, Scheme(RULE.whole), index, _one_after_the_other)


def _one_after_the_other(step: Callable[[T], R], items: Sequence[T], what: str) -> list[R]:
    return [step(item) for item in items]


def _row_clusters(found: SearchResult, shards: int) -> Labels:
    """The clusters of rows, from those of their texts; a row without words is a cluster by itself."""
    entries = np.concatenate([found.entries(shard) for shard in range(shards)])
    without = entries < 0
    entries[without] = found.count + np.arange(np.count_nonzero(without))
    labels: Labels = _clusters(found.count + np.count_nonzero(without), found.pairs, RULE)[entries]
    return labels


def _clusters(rows: int, pairs: Pairs, rule: Rule) -> Labels:
    true: npt.NDArray[np.bool_] = (pairs.similarity >= rule.whole) & (pairs.answers >= rule.response)
    return components(rows, pairs.left[true], pairs.right[true])


RULES = {"goldleaf": RULE, "goldleaf-looser": LOOSER_RULE, "goldleaf-text-alone": TEXT_ALONE}
CONTESTANTS = {
    **{name: Contestant("**Goldleaf, in memory**", _in_memory(rule)) for name, rule in RULES.items()},
    "goldleaf-streamed": Contestant("**Goldleaf, streamed from disk**", _streamed),
    "goldleaf-index": Contestant("**Goldleaf with an index**", _indexed, warm_up=_warm_index),
}


def run_ours(name: str, warm: Path, parts: Sequence[Path], keep: Path | None = None) -> tuple[Measured, Labels]:
    """Measure one of them with this interpreter; see ``measuring.measure``."""
    measured, labels = measure(sys.executable, "ours.py", name, warm, parts, keep)
    if labels is None:
        raise ValueError(f"{name} finds no clusters")
    return measured, labels


if __name__ == "__main__":
    serve(CONTESTANTS)
