"""Finds which texts of the records are similar: their inputs, and their inputs with free-text answers.

The texts go to files, one per shard; the search runs over them, and the new ones are added to the index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.curation.case import Case
from pipeline.curation.prepare import Prepared
from pipeline.similarity.index import StoredIndex, take_in
from pipeline.similarity.search import Map, SearchResult, search
from pipeline.similarity.signatures import Scheme
from pipeline.similarity.text_columns import Texts
from pipeline.state.decisions import from_frame
from pipeline.state.snapshot import Snapshot
from pipeline.state.work_files import read_work
from pipeline.text.answer_keys import Answers
from pipeline.text.normalize import compared_text
from schemas.annotation import Verdict
from schemas.decision import Decision
from schemas.task import Task

_TEXTS_A_SHARD = 100_000


@dataclass(frozen=True)
class SimilarTexts:
    """The compared texts, by number."""

    inputs: SearchResult
    """All inputs of every record."""
    texts: list[int]
    """The number of each case's inputs; -1 if they have no words."""
    gone: list[Decision]
    """What versions contain and no current record has."""
    past: dict[tuple[str, str], int]
    """The number of the inputs of each of these, by record and revision."""
    evaluation: list[int]
    """The number of each evaluation row's inputs."""
    input_shards: list[Path]
    """The files with the cases' inputs, in their order."""
    whole: SearchResult | None
    """Inputs with free-text answers; None if no record has one."""
    whole_cases: list[int]
    """The cases that have free-text answers, in the order of their texts."""
    free_text: list[int]
    """The number of each case's inputs with its answer; -1 without a free-text one."""

    @property
    def whole_shards(self) -> list[Path]:
        """The files with the free-text answers and their inputs."""
        return self.whole.shards if self.whole is not None else []


def find_similar_texts(
    cases: Sequence[Case],
    prepared: Sequence[Prepared],
    evaluation: Sequence[str],
    snapshot: Snapshot,
    task: type[Task],
    threshold: float,
    folder: Path,
    each: Map,
) -> SimilarTexts:
    """Compare all texts, including those of published rows that are gone.

    Args:
        cases: all current records, in the order of ``prepared``.
        prepared: shards, next to which are the files with their texts.
        evaluation: the inputs of evaluation rows.
        snapshot: has the index, to which the new texts are added.
        task: of the dataset.
        threshold: minimum Jaccard similarity.
        folder: for files.
        each: runs a step for every item.
    """
    gone = _gone(prepared, snapshot)
    past = _write(folder / "past", [compared_text(task, decision.inputs) for decision in gone])
    own = [part.texts for part in prepared]
    of_evaluation = _write(folder / "evaluation", evaluation)
    inputs = _search("inputs", [*own, *past, *of_evaluation], snapshot, threshold, folder, each)
    numbers = _numbers(inputs)
    behind = len(cases) + len(gone)
    revisions = [(decision.record_id, decision.revision) for decision in gone]
    whole, rows = _find_whole(cases, prepared, snapshot, task, threshold, folder, each)
    return SimilarTexts(
        inputs=inputs,
        texts=numbers[: len(cases)],
        gone=gone,
        past=dict(zip(revisions, numbers[len(cases) : behind], strict=True)),
        evaluation=numbers[behind:],
        input_shards=own,
        whole=whole,
        whole_cases=rows,
        free_text=_free_text_numbers(whole, rows, len(cases)),
    )


def _gone(prepared: Sequence[Prepared], snapshot: Snapshot) -> list[Decision]:
    """What versions contain and no current record has: withdrawn rows, earlier revisions, and now invalid rows."""
    columns = ["record_id", "revision"]
    parts = [read_work(part.path, [*columns, "inputs"]).drop_nulls("inputs").select(columns) for part in prepared]
    present = pl.concat([pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), *parts]).lazy()
    return list(from_frame(snapshot.released().join(present, on=columns, how="anti", maintain_order="left").collect()))


def _find_whole(
    cases: Sequence[Case],
    prepared: Sequence[Prepared],
    snapshot: Snapshot,
    task: type[Task],
    threshold: float,
    folder: Path,
    each: Map,
) -> tuple[SearchResult | None, list[int]]:
    rows: list[int] = []
    shards: list[Path] = []
    answers, start = Answers(task), 0
    for number, part in enumerate(prepared):
        mine = cases[start : start + part.rows]
        if any(case.human is Verdict.LABELED for case in mine):
            # Annotators' answers replace the rows' own.
            texts = {row: free_text for row, case in enumerate(mine) if (free_text := answers.free_text(case.targets))}
            asked = [compared_text(task, mine[row].inputs) for row in texts]
            shards += _write(folder / f"whole-{number:05}", asked, list(texts.values()))
            rows += [start + row for row in texts]
        elif part.whole.exists():
            shards.append(part.whole)
            has_free_text = read_work(part.path, ["has_free_text"])["has_free_text"]
            rows += (has_free_text.arg_true() + start).to_list()
        start += part.rows
    return (_search("whole", shards, snapshot, threshold, folder, each) if rows else None), rows


def _free_text_numbers(found: SearchResult | None, rows: list[int], cases: int) -> list[int]:
    free_text = np.full(cases, -1, dtype=np.int64)
    if found is not None:
        free_text[rows] = _numbers(found)
    numbers: list[int] = free_text.tolist()
    return numbers


def _write(path: Path, asked: Sequence[str], answered: Sequence[str] | None = None) -> list[Path]:
    paths: list[Path] = []
    for start in range(0, len(asked), _TEXTS_A_SHARD):
        part = slice(start, start + _TEXTS_A_SHARD)
        paths.append(path.with_name(f"{path.name}-{len(paths):05}.arrow"))
        Texts.of(asked[part], None if answered is None else answered[part]).write(paths[-1])
    return paths


def _search(
    view: str, shards: Sequence[Path], snapshot: Snapshot, threshold: float, folder: Path, each: Map
) -> SearchResult:
    work = folder / view
    work.mkdir()
    scheme = Scheme(threshold, view)
    found = search(shards, work, scheme, StoredIndex(snapshot, scheme), each)
    take_in(snapshot.store, scheme, found)
    return found


def _numbers(found: SearchResult) -> list[int]:
    parts = [found.entries(shard) for shard in range(len(found.shards))]
    numbers: list[int] = np.concatenate([np.empty(0, dtype=np.int64), *parts]).tolist()
    return numbers
