"""Compares the rows that a run looks at with each other and with evaluation rows, and divides them into chunks that
have nothing to do with each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.chunks import chunk_of_each, read_prepared, rows_of_chunks
from pipeline.curation.contamination import Contaminated, find_contaminated
from pipeline.curation.look import Look
from pipeline.curation.mark_duplicates import COMPARED, PastRow, Related, past_group_keys
from pipeline.curation.open_cases import Opened
from pipeline.curation.prepare import Prepared
from pipeline.curation.relations import RELATED, VIEWS, Links, Names, components
from pipeline.curation.selection import related
from pipeline.curation.similar_texts import SimilarTexts, SomePairs, find_similar_texts, pairs_by_chunk
from pipeline.curation.standing import PAST
from pipeline.similarity.search import Map
from pipeline.similarity.signatures import INPUTS, NO_IDENTITIES, SPELLING, Identities, of_entries
from pipeline.similarity.text_columns import Rows
from pipeline.state.decisions import json_of
from pipeline.state.mapped_rows import read_rows
from pipeline.state.memory import let_go
from pipeline.state.snapshot import Snapshot
from pipeline.text.normalize import inputs_key


@dataclass(frozen=True)
class Comparison:
    """What relates the rows that a run looks at."""

    prepared: Sequence[Prepared]
    similar: SimilarTexts
    contaminated: Contaminated
    relations: pl.DataFrame
    """Of each row, the columns of ``RELATED`` and ``component``."""
    past: pl.DataFrame
    """Rows of versions that are no current record any more, with the columns of ``PAST``."""
    gone: Sequence[PastRow]
    """The same as they are compared."""
    chunks: Sequence[Rows]
    """The rows of each chunk, in ascending order."""

    def related(self, chunk: int) -> Related:
        """What is known of the rows of a chunk."""
        rows = self.chunks[chunk]
        numbers = {view: some[rows].tolist() for view, some in self.similar.numbers.items()}
        compared = {view: of_chunks[chunk] for view, of_chunks in self._pairs.items()}
        return Related(read_prepared(self.prepared, rows, COMPARED), numbers, compared, self._gone[chunk])

    @cached_property
    def _chunk_of(self) -> Rows:
        """The chunk of each row, and then of each of ``gone``; -1 if no current row is related to it."""
        found = np.empty(self.relations.height, dtype=np.int64)
        for chunk, rows in enumerate(self.chunks):
            found[rows] = chunk
        of_component = self.relations.select("component").with_columns(chunk=pl.Series(found)).unique("component")
        placed = self.past.select("component").join(of_component, on="component", how="left", maintain_order="left")
        return np.concatenate([found, placed["chunk"].fill_null(-1).to_numpy()])

    @cached_property
    def _pairs(self) -> Mapping[str, Sequence[SomePairs]]:
        similar = self.similar
        return {
            view: pairs_by_chunk(found, similar.numbers[view], self._chunk_of, len(self.chunks))
            for view, found in similar.found.items()
        }

    @cached_property
    def _gone(self) -> Sequence[Sequence[PastRow]]:
        """By chunk; those that no current row is related to are left out."""
        found: list[list[PastRow]] = [[] for _ in self.chunks]
        for row, chunk in zip(self.gone, self._chunk_of[self.relations.height :].tolist(), strict=True):
            if chunk >= 0:
                found[chunk].append(row)
        return found


def compare_rows(
    opened: Opened,
    look: Look,
    of_evaluation: pl.DataFrame,
    snapshot: Snapshot,
    dataset: LoadedDataset,
    folder: Path,
    each: Map,
) -> Comparison:
    """Compare the rows that a run looks at.

    Args:
        opened: what is known about them.
        look: the rows.
        of_evaluation: the rows that a model is evaluated on.
        snapshot: their committed past, with the index, to which new texts are added.
        dataset: configuration and task.
        folder: for files.
        each: runs a step for every item.
    """
    task, config = dataset.task, dataset.config
    threshold, texts = config.duplicates.threshold, of_evaluation["text"].to_list()
    prepared, said = look.prepared, opened.free_texts
    similar = find_similar_texts(prepared, said, texts, snapshot, task, threshold, folder, each, look.compared)
    contaminated = find_contaminated(similar, of_evaluation, config, folder, each)
    identities = _identities(similar)
    names, relations = _relations(prepared, identities)
    gone, past = _past(similar, identities, snapshot, dataset)
    del identities
    found = _components(names, relations, past, similar)
    count = relations.height
    return Comparison(
        prepared,
        similar,
        contaminated,
        relations.with_columns(component=pl.Series(found[:count], dtype=pl.UInt64)),
        past.with_columns(component=pl.Series(found[count:], dtype=pl.UInt64)).select(PAST.names()),
        gone,
        rows_of_chunks(chunk_of_each(found[:count])),
    )


def _identities(similar: SimilarTexts) -> dict[str, Identities]:
    """By view, those of each row's text, and then of each of the rows that are gone."""
    found = {view: one.identities() for view, one in similar.found.items()}
    return {view: of_entries(found.get(view, NO_IDENTITIES), numbers) for view, numbers in similar.numbers.items()}


def _relations(prepared: Sequence[Prepared], texts: Mapping[str, Identities]) -> tuple[Names, pl.DataFrame]:
    """The names of the rows, and the columns of ``RELATED``."""
    names: list[Names] = [np.zeros(0, dtype=np.uint64)]
    frames, start = [pl.DataFrame(schema=RELATED)], 0
    for part in prepared:
        rows, mine = read_rows(part.path, ["record_id", "key", "group_keys"]), slice(start, start + part.rows)
        frames.append(related(rows["key"], rows["group_keys"], {view: some[mine] for view, some in texts.items()}))
        names.append(_names(rows["record_id"]))
        start += part.rows
        # Its file is read no further, and those of all rows are large.
        let_go()
    return np.concatenate(names), pl.concat(frames)


def _names(record_ids: pl.Series) -> Names:
    """64 bits of each record id, which is a hash."""
    found: Names = record_ids.str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64).to_numpy()
    return found


def _past(
    similar: SimilarTexts, texts: Mapping[str, Identities], snapshot: Snapshot, dataset: LoadedDataset
) -> tuple[list[PastRow], pl.DataFrame]:
    """The rows of versions that are no current record any more, and as a frame with ``PAST`` but for components."""
    gone, count = similar.gone, len(similar.numbers[INPUTS]) - len(similar.gone)
    numbers = (similar.numbers[view][count:].tolist() for view in (INPUTS, SPELLING))
    columns = {
        "record_id": [one.record_id for one in gone],
        "revision": [one.revision for one in gone],
        "inputs": [json_of(one.inputs) for one in gone],
    }
    frame = pl.DataFrame(columns, schema={name: PAST[name] for name in columns})
    shared = past_group_keys(frame, snapshot, dataset.config.split.group_by)
    rows = [
        PastRow(
            one.record_id,
            one.revision,
            text,
            inputs_key(dataset.task, one.inputs),
            shared.get((one.record_id, one.revision), ()),
            letters,
        )
        for one, text, letters in zip(gone, *numbers, strict=True)
    ]
    keys = pl.Series([row.key for row in rows], dtype=pl.String)
    group_keys = pl.Series([orjson.dumps(row.group_keys).decode() for row in rows], dtype=pl.String)
    return rows, frame.hstack(related(keys, group_keys, {view: some[count:] for view, some in texts.items()}))


def _components(
    names: Names, relations: pl.DataFrame, past: pl.DataFrame, similar: SimilarTexts
) -> npt.NDArray[np.uint64]:
    """The components of the rows, and then those of past ones."""
    links = {VIEWS[view]: Links.of(found) for view, found in similar.found.items()}
    both = pl.concat([relations, past.select(RELATED.names())])
    # Rows of a record that is gone, or was another one, have its name, too.
    return components(both, np.concatenate([names, _names(past["record_id"])]), links)
