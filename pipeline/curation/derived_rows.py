"""Keeps what follows from a row alone: a row is parsed, cleaned and screened once, and not in every run.

A cache: what is missing, damaged or was derived by other rules is derived anew from the raw rows.
"""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pipeline.config.dataset_file import LoadedDataset
from pipeline.curation.row_facts import Facts
from pipeline.errors import StoreError
from pipeline.state.atomic import replacing, sealed_bytes
from pipeline.state.mapped_rows import read_rows, write_rows
from pipeline.state.own_code import code_digest

_FACTS = ".facts"
"""The ending of the file that says what the rows of a file are like."""
DERIVED = pl.Schema(
    {
        "record_id": pl.String(),
        "revision": pl.String(),
        "source": pl.String(),
        # What it shares with others of its group, as a JSON list with one entry per field of split.group_by.
        "group_keys": pl.String(),
        "inputs": pl.String(),
        "targets": pl.String(),
        # Of both; null if the row breaks the schema.
        "content": pl.String(),
        # For prompt and answer; null if the task's own code fails.
        "tokens": pl.Int64(),
        # JSON lists of reasons: why it is rejected, why an annotator must look.
        "rejection_reasons": pl.String(),
        "review_reasons": pl.String(),
        # Of a rejected row that a person can repair: the valid part of its answer.
        "draft": pl.String(),
    }
)
"""What is kept of a row; what else is prepared of it follows from these without parsing it again."""

KEPT_AT = pl.Schema({"record_id": pl.String(), "revision": pl.String(), "file": pl.Categorical(), "row": pl.UInt32()})
"""Where the derived row of a record is."""


class NotDerived(Exception):
    """A file of derived rows is gone or damaged; the text says which."""


def write_derived(frame: pl.DataFrame, facts: Facts, path: Path) -> None:
    """Write the rows of a file, and what they are like; it appears once it is complete."""
    with replacing(path.with_suffix(_FACTS), sealed=True) as sink:
        sink.write(facts.as_json())
    write_rows(frame.select(pl.col(name).cast(kind) for name, kind in DERIVED.items()), path)


def derivation_digest(dataset: LoadedDataset) -> str:
    """16 hex digits over all that a derived row depends on but the raw row itself."""
    config = dataset.config
    parts = {
        "goldleaf": code_digest(),
        "task": dataset.task_code,
        "sources": {
            one.name: [dict(one.fields), one.layout, dict(one.roles), one.csv.list_delimiter] for one in config.sources
        },
        "normalize": config.normalize.model_dump(mode="json"),
        "screen": config.screen.model_dump(mode="json"),
        "encoding": config.measure.encoding,
        "group_by": config.split.group_by,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class DerivedRows:
    """The files of derived rows under one digest."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of this digest, which need not exist; those of others are its siblings."""
        self.folder = folder

    @property
    def sizes(self) -> dict[str, int]:
        """In bytes, by the names of its files; whether these are sound shows when rows are taken from them."""
        return {path.name: path.stat().st_size for path in self.folder.glob("*.arrow")}

    def take(self, places: pl.DataFrame, columns: Sequence[str] = tuple(DERIVED)) -> pl.DataFrame:
        """Rows with some columns of ``DERIVED`` at some ``file`` and ``row``, in the order of these.

        Raises:
            NotDerived: a file of theirs is gone or damaged.
        """
        wanted = places.select("file", "row").with_row_index("at")
        parts = [pl.DataFrame(schema={name: DERIVED[name] for name in columns} | {"at": pl.UInt32})]
        for (name,), some in wanted.group_by("file", maintain_order=True):
            with _found(self.folder / str(name)) as path:
                rows = read_rows(path, list(columns), some["row"].cast(pl.Int64).to_numpy())
                parts.append(rows.with_columns(at=some["at"]))
        return pl.concat(parts).sort("at").drop("at")

    def of_run(self, run: str) -> pl.DataFrame:
        """Where the rows are that a run has derived: ``record_id``, ``revision``, ``file`` and ``row``.

        Raises:
            NotDerived: a file is damaged.
        """
        parts = [pl.DataFrame(schema=KEPT_AT)]
        for name in sorted(self.sizes):
            if name.startswith(f"{run}-"):
                with _found(self.folder / name) as path:
                    rows = read_rows(path, ["record_id", "revision"])
                parts.append(rows.with_columns(file=pl.lit(name), row=pl.int_range(pl.len())).cast(KEPT_AT))
        return pl.concat(parts)

    def facts(self, names: Iterable[str]) -> list[Facts]:
        """What the rows of some files are like; a killed run may have left others.

        Raises:
            NotDerived: that of one is gone or damaged.
        """
        facts: list[Facts] = []
        for name in sorted(set(names)):
            with _found((self.folder / name).with_suffix(_FACTS)) as path:
                facts.append(Facts.of_json(sealed_bytes(path).tobytes()))
        return facts

    def keep_only(self, names: Collection[str]) -> None:
        """Remove all other files: those of killed and failed runs, those of which no row is current any more, and those
        of other rules.
        """
        for other in self.folder.parent.glob("*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        for name in self.sizes.keys() - names:
            for path in (self.folder / name, (self.folder / name).with_suffix(_FACTS)):
                path.unlink(missing_ok=True)

    def renew(self) -> None:
        """Begin anew: what is kept so far by these rules does not count any more. What other rules have left stays
        until the run is committed: one with a mistake in dataset.yaml takes nothing from the next one.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)


@contextmanager
def _found(path: Path) -> Iterator[Path]:
    try:
        yield path
    except (StoreError, OSError, ValueError, IndexError, pl.exceptions.PolarsError) as error:
        raise NotDerived(f"{path.name} is gone or damaged ({error})") from error
