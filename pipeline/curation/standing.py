"""What stands of the last curate: a narrow row for every current record, from which the next run goes on.

A cache: it says nothing that the tables do not say, and a run that finds none, or a damaged one, looks at everything.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.curation.relations import RELATED
from pipeline.curation.settled_columns import ASKING
from pipeline.curation.triage import VERDICT
from pipeline.errors import StoreError
from pipeline.state.atomic import repeat, replacing, sealed_bytes
from pipeline.state.mapped_rows import MappedRows, read_rows, write_pieces, write_rows
from pipeline.state.memory import let_go
from pipeline.state.store import Store

PLACED = pl.Schema(
    {
        "record_id": pl.String(),
        "revision": pl.String(),
        "source": pl.Categorical(),
        # What changes with what it asks and answers (``Decision.state``).
        "state": pl.String(),
        # Its age: the batch that it first came with, and the place of its source among those of the batch.
        "since": pl.Categorical(),
        "turn": pl.Int64(),
        # Where its derived row is.
        "file": pl.Categorical(),
        "row": pl.UInt32(),
    }
)
"""The columns that say where the current row of a record is."""
_FEW_VALUES = ("route", "sort", "first", "past_route", "human", "settled_fate", "settled_routed", "fate", "routed")
"""Columns of texts of which there are few different ones: a million of them take four bytes each."""
STANDING = pl.Schema(
    PLACED
    | RELATED
    | {"component": pl.UInt64()}
    | ASKING
    # What triage looks at beside these, before it looked at the budget.
    | {"settled_fate": pl.String(), "settled_routed": pl.String()}
    | {"group": pl.String(), "label_error_score": pl.Float64()}
    # Whether it has an answer, and what of that the judge does not know (``LabeledRows.unlearned``); whether a person
    # could repair a broken one, and whether it must go to a certain split.
    | {"labeled": pl.Boolean(), "unlearned": pl.UInt8(), "repairable": pl.Boolean(), "pinned": pl.Boolean()}
    | {name: kind for name, kind in VERDICT.items() if name != "record_id"}
    | dict.fromkeys(_FEW_VALUES, pl.Categorical())
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
    scheme: str
    """The name of that by which texts were compared, whatever their view."""
    versions: dict[str, int]
    """Of the tables, after the run."""
    near: int
    """How many records are near-duplicates."""
    parts: dict[str, str]
    """The digests of the task and of each part of the configuration (``LoadedDataset.curation_parts``)."""


class Standing:
    """What stands of a curate, in files that are mapped: columns that nobody asks for are not read."""

    def __init__(self, header: Header, folder: Path) -> None:
        """Take the folder of a run."""
        self.header, self._folder = header, folder

    @cached_property
    def mapped(self) -> MappedRows:
        """The rows."""
        return MappedRows(self._folder / _ROWS)

    @property
    def rows(self) -> pl.DataFrame:
        """One per current record, by age, with the columns of ``STANDING``."""
        return self.mapped.read()

    @property
    def height(self) -> int:
        """How many there are."""
        return self.mapped.height

    def columns(self, *names: str) -> pl.DataFrame:
        """Some columns of the rows."""
        return self.mapped.read(names)

    def pieces(self) -> Iterator[pl.DataFrame]:
        """The rows, a piece at a time."""
        return self.mapped.pieces()

    @property
    def files(self) -> set[str]:
        """Those that hold its derived rows."""
        return set(self.columns("file")["file"].unique())

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


@dataclass(frozen=True)
class Others:
    """The rows of a standing that a run does not look at."""

    standing: Standing | None = None
    """None if it looks at all."""
    stay: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    """Which of the standing's rows they are."""
    orders: npt.NDArray[np.int64] | None = None
    """Their places by age, if these are others now; they stay in the same order."""

    @property
    def height(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self.stay))

    def columns(self, *names: str) -> pl.DataFrame:
        """Some of their columns of ``STANDING``, by age."""
        found = self.unfiltered(*names)
        stay = found if self.is_everything else found.filter(pl.Series(self.stay))
        if self.orders is None or "order" not in names:
            return stay
        return stay.with_columns(order=pl.Series(self.orders))

    def at(self, places: pl.Series, *names: str) -> pl.DataFrame:
        """The same of some of them, by their places among these."""
        mine = np.flatnonzero(self.stay)[places.to_numpy()]
        found: pl.DataFrame = self.unfiltered(*names)[mine]
        if self.orders is None or "order" not in names:
            return found
        return found.with_columns(order=pl.Series(self.orders[places.to_numpy()]))

    @property
    def is_everything(self) -> bool:
        """Whether they are all rows of the standing."""
        return bool(self.stay.all())

    def unfiltered(self, *names: str) -> pl.DataFrame:
        """Some columns of all rows of the standing, as they are in its file."""
        if self.standing is None:
            return pl.DataFrame(schema={name: STANDING[name] for name in names})
        return self.standing.columns(*names)

    def pieces(self) -> Iterator[pl.DataFrame]:
        """All of their columns, some rows at a time: at once, they would be a copy of the standing."""
        start = count = 0
        for piece in self.standing.pieces() if self.standing else ():
            found = piece.filter(pl.Series(self.stay[start : start + piece.height]))
            if self.orders is not None:
                found = found.with_columns(order=pl.Series(self.orders[count : count + found.height]))
            start, count = start + piece.height, count + found.height
            yield found
            let_go()


def write_standing_rows(
    store: Store, run: str, pieces: Iterable[pl.DataFrame], values: Mapping[str, pl.Series]
) -> MappedRows:
    """Write the rows that stand after a run; they do not count before ``write_standing``, and the run's commit.

    Args:
        store: has the folder.
        run: after which they stand.
        pieces: one row per current record, by age, with the columns of ``STANDING``, a piece at a time.
        values: what these have in categorical columns (``mapped_rows.values_of``).
    """
    folder = store.standing / run
    folder.mkdir(parents=True, exist_ok=True)
    write_pieces(pieces, folder / _ROWS, STANDING, values)
    return MappedRows(folder / _ROWS)


def write_standing(store: Store, header: Header, past: pl.DataFrame) -> None:
    """Keep what stands for the run that comes after this one; it does not count before this one is committed.

    Args:
        store: has the folder, with the rows.
        header: what it follows from.
        past: with the columns of ``PAST``.
    """
    folder = store.standing / header.run
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
