"""Chunks of pairs whose texts are read together to verify them: the last step of a search, over its files."""

from pathlib import Path

import numpy as np

from pipeline.similarity.pairs import Pairs, verify
from pipeline.similarity.search_files import SearchFile
from pipeline.similarity.signatures import SPELLING, Scheme
from pipeline.similarity.spelling import spelling_pairs
from pipeline.similarity.text_columns import Rows, Texts
from pipeline.state.arrays import load, mapped, save

_CHUNK_BYTES = 256 * 2**20
"""Bytes of text read at once to verify pairs."""
_CHUNK_PAIRS = 500_000


def in_chunks(folder: Path, left: Rows, right: Rows) -> list[Rows]:
    """Pairs whose texts fit into memory together."""
    sizes, chunks = mapped(folder / SearchFile.BYTES, np.int64), list[Rows]()
    read, start = np.cumsum(sizes[left] + sizes[right]), 0
    while start < len(left):
        done = read[start - 1] if start else 0
        stop = max(int(np.searchsorted(read, done + _CHUNK_BYTES)), start + 1)
        stop = min(stop, start + _CHUNK_PAIRS, len(left))
        chunks.append(np.arange(start, stop))
        start = stop
    return chunks


def save_chunks(folder: Path, chunks: list[tuple[Rows, Rows]]) -> list[Path]:
    """Write the two entries of each chunk's pairs, for ``verify_chunk``."""
    paths = [folder / f"chunk-{number:05}" for number in range(len(chunks))]
    for path, chunk in zip(paths, chunks, strict=True):
        save(path, np.stack(chunk))
    return paths


def verify_chunk(chunk: Path, folder: Path, shards: list[Path], scheme: Scheme) -> Path:
    """Write the pairs of a chunk that are similar enough."""
    left, right = load(chunk, np.int64, 2, -1)
    pairs = verify_entries(folder, shards, left, right, scheme)
    pairs = pairs.where(pairs.similarity >= scheme.least)
    path = chunk.with_name(chunk.name.replace("chunk-", "verified-"))
    save(path, np.stack([pairs.left, pairs.right, pairs.similarity.view(np.int64), pairs.answers.view(np.int64)]))
    return path


def load_pairs(path: Path) -> Pairs:
    """Read the output of ``verify_chunk``."""
    left, right, similarity, answers = load(path, np.int64, 4, -1)
    return Pairs(left, right, similarity.view(np.float64), answers.view(np.float64))


def verify_entries(folder: Path, shards: list[Path], left: Rows, right: Rows, scheme: Scheme) -> Pairs:
    """The exact similarities of pairs of entries, whose texts are read together."""
    homes = mapped(folder / SearchFile.HOMES, np.int64, -1, 2)
    entries, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    # Read in their order on disk, and kept in it.
    order = np.lexsort((homes[entries, 1], homes[entries, 0]))
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    one, other = np.split(position[places], 2)
    compare = spelling_pairs if scheme.view == SPELLING else verify
    found = compare(_texts(shards, homes[entries[order]]), one, other)
    return Pairs(left, right, found.similarity, found.answers)


def _texts(shards: list[Path], homes: Rows) -> Texts:
    """A copy of the texts at some shards and rows, which are sorted."""
    # A mapped file is released at once: only the copy stays in memory.
    return Texts.concat(
        [Texts.read(shards[shard]).take(homes[homes[:, 0] == shard, 1]) for shard in np.unique(homes[:, 0]).tolist()]
    )
