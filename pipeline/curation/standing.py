"""What stands of the last curate: a narrow row for every current record, from which the next run goes on.

A cache: it says nothing that the tables do not say, and a run that finds none, or a damaged one, looks at everything.
"""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, cast

import polars as pl
import pyarrow as pa

from pipeline.curation.relations import RELATED
from pipeline.curation.settled_columns import ASKING
from pipeline.curation.triage import VERDICT
from pipeline.errors import StoreError
from pipeline.state.atomic import replacing, sealed_bytes
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
    judge: str = ""
    """The run that trained what judges its labels; empty if there is nothing of that kind."""
    facts: str = ""
    """What all rows are like, as JSON."""
    near: int = 0
    """Near-duplicates."""
    beyond: dict[str, int] = field(default_factory=dict)
    """How many records would be asked about if the budget were larger, by the code of the reason."""


@dataclass(frozen=True)
class Standing:
    """What stands of a curate."""

    header: Header
    rows: pl.DataFrame
    """One per current record, by age, with the columns of ``STANDING``."""
    past: pl.DataFrame
    """With the columns of ``PAST``."""

    def write(self, store: Store) -> None:
        """Keep it for the run that comes after this one; it does not count before this one is committed."""
        folder = store.standing / self.header.run
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame, schema in ((_ROWS, self.rows, STANDING), (_PAST, self.past, PAST)):
            with replacing(folder / name, sealed=True) as sink:
                frame.select(schema.names()).write_ipc(cast("IO[bytes]", sink), compat_level=pl.CompatLevel.oldest())
        with replacing(folder / _HEADER) as sink:
            sink.write(json.dumps(asdict(self.header)).encode())


def read_standing(store: Store, run: str) -> Standing | None:
    """What stands of a committed curate; None if that is not known. What others left behind is removed."""
    folder = store.standing / run
    for other in store.standing.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    with suppress(StoreError, OSError, ValueError, TypeError, pa.ArrowInvalid):
        header = Header(**json.loads((folder / _HEADER).read_bytes()))
        rows, past = _read(folder / _ROWS), _read(folder / _PAST)
        if rows.schema == STANDING and past.schema == PAST and header.run == run:
            return Standing(header, rows, past)
    return None


def read_header(store: Store, run: str) -> Header | None:
    """What the standing of a committed curate follows from; None if that is not known."""
    with suppress(OSError, ValueError, TypeError):
        header = Header(**json.loads((store.standing / run / _HEADER).read_bytes()))
        return header if header.run == run else None
    return None


def standing_columns(store: Store, run: str, *columns: str) -> pl.DataFrame:
    """Some columns of what stands of a run.

    Raises:
        StoreError, OSError, ArrowInvalid: it is gone or damaged.
        KeyError: it has no such column.
    """
    table = pa.ipc.open_file(pa.py_buffer(sealed_bytes(store.standing / run / _ROWS))).read_all()
    found = pl.from_arrow(table.select(list(columns)))
    assert isinstance(found, pl.DataFrame)
    return found


def stand_on(store: Store, before: str, header: Header) -> bool:
    """Let the rows of an earlier standing be those of another run; whether they are there."""
    folder = store.standing / header.run
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name in (_ROWS, _PAST):
            os.link(store.standing / before / name, folder / name)
    except OSError:
        return False
    with replacing(folder / _HEADER) as sink:
        sink.write(json.dumps(asdict(header)).encode())
    return True


def _read(path: Path) -> pl.DataFrame:
    table = pa.ipc.open_file(pa.py_buffer(sealed_bytes(path))).read_all()
    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    return found
