"""What stands of the last curate: a narrow row for every current record, from which the next run goes on.

A cache: it says nothing that the tables do not say, and a run that finds none, or a damaged one, looks at everything.
"""

import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa

from pipeline.curation.relations import RELATED
from pipeline.curation.settled_columns import ASKING
from pipeline.curation.triage import VERDICT
from pipeline.errors import StoreError
from pipeline.state.atomic import repeat, replacing, sealed_bytes
from pipeline.state.mapped_rows import MappedRows, read_rows, write_rows
from pipeline.state.store import Store

PLACED = pl.Schema(
    {
        "record_id": pl.String(),
        "revision": pl.String(),
        "source": pl.String(),
        # What changes with what it asks and answers (``Decision.state``).
        "state": pl.String(),
        # Its age: the batch that it first came with, and the place of its source among those of the batch.
        "since": pl.String(),
        "turn": pl.Int64(),
        # Where its derived row is.
        "file": pl.String(),
        "row": pl.UInt32(),
    }
)
"""The columns that say where the current row of a record is."""
STANDING = pl.Schema(
    PLACED
    | RELATED
    | {"component": pl.UInt64()}
    | ASKING
    # What triage looks at beside these, before it looked at the budget.
    | {"settled_fate": pl.String(), "settled_routed": pl.String()}
    | {"group": pl.String(), "label_error_score": pl.Float64()}
    # Whether it has an answer, whether a person could repair a broken one, and whether it must go to a certain split.
    | {"labeled": pl.Boolean(), "repairable": pl.Boolean(), "pinned": pl.Boolean()}
    | {name: kind for name, kind in VERDICT.items() if name != "record_id"}
)
_ROWS, _PAST, _HEADER = "rows.arrow", "past.arrow", "header.json"
PAST = pl.Schema(
    {"record_id": pl.String(), "revision": pl.String(), "inputs": pl.String()} | RELATED | {"component": pl.UInt64()}
)
"""Rows of versions that are no current record any more: they pin what is related to them."""


@dataclass(frozen=True)
class Header:
    """What a standing follows from."""

    run: str
    """The curate that it is of."""
    curation: str
    """The digest of configuration and task."""
    derivation: str
    """The digest of what rows are derived by."""
    evaluation: str
    """That of the evaluation rows."""
    versions: dict[str, int]
    """Of the tables, after the run."""
    near: int
    """How many records are near-duplicates."""
    beyond: dict[str, int]
    """How many records would be asked about if the budget were larger, by the code of the reason."""


class Standing:
    """What stands of a curate, in files that are mapped: columns that nobody asks for are not read."""

    def __init__(self, header: Header, folder: Path) -> None:
        """Take the folder of a run."""
        self.header, self._folder = header, folder

    @cached_property
    def _mapped(self) -> MappedRows:
        return MappedRows(self._folder / _ROWS)

    @property
    def rows(self) -> pl.DataFrame:
        """One per current record, by age, with the columns of ``STANDING``."""
        return self._mapped.read()

    def columns(self, *names: str) -> pl.DataFrame:
        """Some columns of the rows."""
        return self._mapped.read(names)

    @property
    def files(self) -> set[str]:
        """Those that hold its derived rows."""
        return set(self.columns("file")["file"].unique())

    def where(self, chosen: pl.Series) -> pl.DataFrame:
        """Some of the rows, given by a mask; of the others no column is in memory at once."""
        parts, start = [STANDING.to_frame()], 0
        for piece in self._mapped.pieces():
            parts.append(piece.filter(chosen[start : start + piece.height]))
            start += piece.height
        return pl.concat(parts)

    @cached_property
    def past(self) -> pl.DataFrame:
        """With the columns of ``PAST``."""
        return read_rows(self._folder / _PAST)

    def require_sound(self) -> None:
        """Check the files.

        Raises:
            StoreError: one is damaged, or of another Goldleaf.
            OSError: one is gone.
        """
        for name, schema in ((_ROWS, STANDING), (_PAST, PAST)):
            if MappedRows(self._folder / name).schema != schema:
                raise StoreError(f"{name} has other columns")

    def keep(self, store: Store, header: Header) -> None:
        """Keep the same rows for the run that comes after another one."""
        folder = store.standing / header.run
        folder.mkdir(parents=True, exist_ok=True)
        for name in (_ROWS, _PAST):
            repeat(self._folder / name, folder / name)
        _write_header(header, folder)


def write_standing(store: Store, header: Header, rows: pl.DataFrame, past: pl.DataFrame) -> None:
    """Keep what stands for the run that comes after this one; it does not count before this one is committed.

    Args:
        store: has the folder.
        header: what it follows from.
        rows: one per current record, in any order, with the columns of ``STANDING``.
        past: with the columns of ``PAST``.
    """
    folder = store.standing / header.run
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(rows.select(STANDING.names()), folder / _ROWS, by="order")
    write_rows(past.select(PAST.names()), folder / _PAST)
    _write_header(header, folder)


def _write_header(header: Header, folder: Path) -> None:
    with replacing(folder / _HEADER, sealed=True) as sink:
        sink.write(json.dumps(asdict(header)).encode())


def read_standing(store: Store, run: str) -> Standing | None:
    """What stands of a committed curate; None if that is not known. What others left behind is removed."""
    folder = store.standing / run
    for other in store.standing.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    with suppress(StoreError, OSError, ValueError, TypeError, pa.ArrowInvalid):
        header = Header(**json.loads(sealed_bytes(folder / _HEADER).tobytes()))
        found = Standing(header, folder)
        found.require_sound()
        if header.run == run:
            return found
    return None
