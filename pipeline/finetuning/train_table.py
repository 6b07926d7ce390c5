"""Tokenized rows as a file of columns: written in batches, and mapped into memory while they are trained on."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.finetuning.row_tokens import Tokens
from pipeline.state.atomic import Sink, replacing

if TYPE_CHECKING:
    from datasets import Dataset

IGNORED = -100
"""The label of a token that is excluded from the loss."""

_BATCH = 1_000
"""Rows that are held as Python objects at once."""
_SCHEMA = pa.schema({"input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32()), "length": pa.int32()})


@dataclass(frozen=True, slots=True)
class TrainTable:
    """Rows to train on, in a file."""

    path: Path
    rows: int
    tokens: int
    """Including prompts, without padding."""
    answer_tokens: int
    """Those that the loss is computed on."""
    digest: str
    """Of all tokens, and of which are learned: equal digests, equal rows in the same order."""

    def __len__(self) -> int:
        return self.rows

    def dataset(self) -> "Dataset":
        """The columns ``input_ids``, ``labels`` and ``length``; nothing is read before it is asked for."""
        from datasets import Dataset

        return Dataset.from_file(str(self.path))


class TableWriter:
    """Adds rows to a file, and counts what is in them."""

    def __init__(self, path: Path, sink: Sink) -> None:
        self._path = path
        self._stream = pa.ipc.new_stream(sink, _SCHEMA)
        self._waiting: list[Tokens] = []
        self._digest = hashlib.sha256()
        self._rows = self._tokens = self._answer_tokens = 0

    def add(self, row: Tokens) -> None:
        """Add a row."""
        self._waiting.append(row)
        if len(self._waiting) == _BATCH:
            self._write()

    def _write(self) -> None:
        ids = [np.array(row.ids, dtype=np.int32) for row in self._waiting]
        learned = [np.array(row.learned, dtype=np.bool_) for row in self._waiting]
        for counts in learned:
            # Nothing predicts the first token.
            counts[:1] = False
        labels = [np.where(counts, row, np.int32(IGNORED)) for row, counts in zip(ids, learned, strict=True)]
        lengths = [len(row) for row in ids]
        self._stream.write_batch(pa.record_batch([pa.array(ids), pa.array(labels), lengths], schema=_SCHEMA))
        for row, counts in zip(ids, learned, strict=True):
            self._digest.update(len(row).to_bytes(4, "little") + row.tobytes() + counts.tobytes())
        self._rows += len(ids)
        self._tokens += sum(lengths)
        self._answer_tokens += sum(int(counts.sum()) for counts in learned)
        self._waiting.clear()

    def finish(self) -> TrainTable:
        """Write what waits, and describe the file."""
        if self._waiting or not self._rows:
            self._write()
        self._stream.close()
        return TrainTable(self._path, self._rows, self._tokens, self._answer_tokens, self._digest.hexdigest())


@contextmanager
def table_writer(path: Path) -> Iterator[TableWriter]:
    """Write a table; it appears once the block has ended, and replaces an older one.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as sink:
        yield TableWriter(path, sink)
