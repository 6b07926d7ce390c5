"""Finds which texts of the records are similar: their inputs, these by their letters where they are short, and their
inputs with free-text answers.

The texts go to files, one per shard; the search runs over them, and the new ones are added to the index.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.curation.prepare import Prepared
from pipeline.similarity.index import index_for, take_in
from pipeline.similarity.pairs import Pairs
from pipeline.similarity.search import Map, SearchResult, search
from pipeline.similarity.signatures import INPUTS, SPELLING, WHOLE, Identities, Scheme
from pipeline.similarity.spelling import spelled
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.state.decisions import from_frame
from pipeline.state.mapped_rows import read_rows
from pipeline.state.memory import let_go
from pipeline.state.snapshot import Snapshot
from pipeline.text.normalize import compared_text
from schemas.decision import Decision
from schemas.task import Task

Compared = Callable[[Scheme], Identities]
"""Which texts of a scheme were all compared with each other, by identity."""
_TEXTS_A_SHARD = 100_000


@dataclass(frozen=True)
class SimilarTexts:
    """The compared texts, numbered in each view: the inputs of every record, their letters if they are short, and the
    inputs with free-text answers.
    """

    found: Mapping[str, SearchResult]
    """By view; there is no whole one if no record has a free-text answer."""
    numbers: Mapping[str, Rows]
    """By view: the number of each row's text, and then of each of ``gone``; -1 for none."""
    gone: list[Decision]
    """What versions contain and no current record has."""
    evaluation: list[int]
    """The number of each evaluation row's inputs."""
    shards: list[Path]
    """The files with the rows' inputs, in their order, and those with free-text answers."""
    rows: Rows
    """The row of each text in them."""


def find_similar_texts(
    prepared: Sequence[Prepared],
    free_texts: Mapping[int, str],
    evaluation: Sequence[str],
    snapshot: Snapshot,
    task: type[Task],
    threshold: float,
    folder: Path,
    each: Map,
    compared: Compared | None = None,
) -> SimilarTexts:
    """Compare all texts, including those of published rows that are gone.

    Args:
        prepared: shards of the current records, next to which are the files with their texts.
        free_texts: by row, the free text of an annotator's answer, which replaces the row's own; "" for none.
        evaluation: the inputs of evaluation rows.
        snapshot: has the index, to which the new texts are added.
        task: of the dataset.
        threshold: minimum Jaccard similarity.
        folder: for files.
        each: runs a step for every item.
        compared: the texts that were all compared with each other; None if those of the index were.
    """
    gone = _gone(prepared, snapshot)
    past = [compared_text(task, decision.inputs) for decision in gone]
    if not (prepared or gone):
        # There is nothing to compare evaluation rows with.
        evaluation = []
    own = [part.texts[INPUTS] for part in prepared]
    whole, rows = _whole_texts(prepared, free_texts, folder)
    letters = [part.texts[SPELLING] for part in prepared]
    shards = {
        INPUTS: [*own, *_write(folder / "past", past), *_write(folder / "evaluation", evaluation)],
        WHOLE: whole,
        SPELLING: [*letters, *_write(folder / "past-spelled", spelled(past))],
    }
    found = {
        view: _search(files, snapshot, Scheme.of(view, threshold), folder, each, compared)
        for view, files in shards.items()
        if files or view != WHOLE
    }
    numbers, count = {view: _numbers(one) for view, one in found.items()}, sum(part.rows for part in prepared)
    behind = count + len(gone)
    inputs, answered = numbers[INPUTS], np.full(behind, -1, dtype=np.int64)
    answered[rows] = numbers.get(WHOLE, -1)
    return SimilarTexts(
        found=found,
        numbers=numbers | {INPUTS: inputs[:behind], WHOLE: answered},
        gone=gone,
        evaluation=inputs[behind:].tolist(),
        shards=[*own, *whole],
        rows=np.concatenate([np.arange(count), rows]),
    )


def _gone(prepared: Sequence[Prepared], snapshot: Snapshot) -> list[Decision]:
    """What versions contain and no current record has: withdrawn rows, earlier revisions, and now invalid rows."""
    columns = ["record_id", "revision"]
    released = snapshot.released()
    if released.select(columns).head(1).collect().is_empty():
        return []
    parts = [read_rows(part.path, [*columns, "inputs"]).drop_nulls("inputs").select(columns) for part in prepared]
    present = pl.concat([pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), *parts]).lazy()
    return list(from_frame(released.join(present, on=columns, how="anti", maintain_order="left").collect()))


def _whole_texts(prepared: Sequence[Prepared], free_texts: Mapping[int, str], folder: Path) -> tuple[list[Path], Rows]:
    """Files with the inputs and free-text answers of the rows that have any, and these rows in their order."""
    rows: list[Rows] = [np.empty(0, dtype=np.int64)]
    shards: list[Path] = []
    start = 0
    for number, part in enumerate(prepared):
        there = read_rows(part.path, ["has_free_text"])["has_free_text"].to_numpy()
        mine = {row - start: text for row, text in free_texts.items() if start <= row < start + part.rows}
        if mine:
            there, path = _with_answers(part, there, mine, folder / f"whole-{number:05}.arrow")
            shards += [path] if there.any() else []
        elif part.texts[WHOLE].exists():
            shards.append(part.texts[WHOLE])
        rows.append(np.flatnonzero(there) + start)
        start += part.rows
        # All of its file was read, to verify it.
        let_go()
    return shards, np.concatenate(rows)


def _with_answers(
    part: Prepared, there: npt.NDArray[np.bool_], answers: Mapping[int, str], path: Path
) -> tuple[npt.NDArray[np.bool_], Path]:
    """Write the whole texts of a part of which annotators' answers replace some; returns which rows have one."""
    answered = np.full(len(there), b"", dtype=object)
    if part.texts[WHOLE].exists():
        answered[there] = pl.Series(pl.from_arrow(Texts.read(part.texts[WHOLE]).answered)).to_list()
    for row, text in answers.items():
        answered[row] = text.encode()
    has_text = np.array([bool(text) for text in answered], dtype=np.bool_)
    asked = Texts.read(part.texts[INPUTS]).take(np.flatnonzero(has_text)).asked
    Texts(asked, Texts.of(pl.Series(answered[has_text].tolist(), dtype=pl.Binary)).asked).write(path)
    return has_text, path


def _write(path: Path, asked: Sequence[str]) -> list[Path]:
    paths: list[Path] = []
    for start in range(0, len(asked), _TEXTS_A_SHARD):
        paths.append(path.with_name(f"{path.name}-{len(paths):05}.arrow"))
        Texts.of(asked[start : start + _TEXTS_A_SHARD]).write(paths[-1])
    return paths


def _search(
    shards: Sequence[Path], snapshot: Snapshot, scheme: Scheme, folder: Path, each: Map, compared: Compared | None
) -> SearchResult:
    work = folder / scheme.view
    work.mkdir()
    some = compared(scheme) if compared else None
    found = search(shards, work, scheme, index_for(shards, snapshot, scheme, some) if shards else None, each)
    take_in(snapshot.store, scheme, found)
    let_go()
    return found


def _numbers(found: SearchResult) -> Rows:
    parts = [found.entries(shard) for shard in range(len(found.shards))]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


@dataclass(frozen=True)
class SomePairs:
    """Numbered texts of which only some pairs matter."""

    found: SearchResult
    pairs: Pairs

    def verify(self, left: Rows, right: Rows) -> Pairs:
        """The exact similarities of pairs, similar or not."""
        return self.found.verify(left, right)


def pairs_by_chunk(found: SearchResult, texts: Rows, chunk_of: Rows, chunks: int) -> list[SomePairs]:
    """The similar pairs of each chunk's texts.

    Args:
        found: all of them.
        texts: the number of each row's text, gone ones included; -1 for none.
        chunk_of: each row's chunk; similar texts are in the same one; -1 for none.
        chunks: how many there are.
    """
    owner = np.full(found.count, -1, dtype=np.int64)
    owner[texts[texts >= 0]] = chunk_of[texts >= 0]
    pairs = found.pairs
    # No row may have the text of an evaluation row.
    owners = np.where(owner[pairs.left] >= 0, owner[pairs.left], owner[pairs.right])
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], np.arange(chunks + 1))
    return [SomePairs(found, pairs.where(order[start:stop])) for start, stop in itertools.pairwise(bounds)]
