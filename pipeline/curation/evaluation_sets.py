"""Reads the evaluation sets that rows must be kept away from, and stores them as a run saw them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from pydantic_core import to_jsonable_python

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import ConfigError, ReleaseError, SourceError, TaskCodeError
from pipeline.ingest.chat_layouts import NotAChat
from pipeline.ingest.formats import read_rows
from pipeline.ingest.row_values import cleaned, row_values
from pipeline.ingest.source_files import source_files
from pipeline.ingest.source_urls import is_url
from pipeline.ingest.sources import shown_file
from pipeline.releases.versions import find_version, read_manifest
from pipeline.state.snapshot import Snapshot
from pipeline.state.store import Store
from pipeline.state.tables import SCHEMAS, Table
from pipeline.text.answer_keys import Answers
from pipeline.text.normalize import compared_text
from schemas.conversation import parted
from schemas.dataset import Dataset, EvaluationSet, Layout, Source
from schemas.identity import stable_hash
from schemas.task import Role, Task
from schemas.task_fields import whole_conversation
from schemas.user_code_errors import described, own

_TRAIN = "train"
_NAMED = 5
"""Datasets of a home that are listed."""


def to_fetch(config: Dataset) -> list[Source]:
    """The sources and evaluation sets that are URLs, as sources."""
    sets = [as_source(one) for one in config.decontaminate.against if one.release is None]
    return [source for source in [*config.sources, *sets] if is_url(source)]


class _SetAsSource(Source):
    """An evaluation set, which users did not name as a source."""

    @property
    def told(self) -> str:
        return f"evaluation set '{self.name}'"


def as_source(one: EvaluationSet) -> Source:
    """An evaluation set that is no version, as a source."""
    return _SetAsSource(
        name=one.name, path=str(one.path), format=one.format, csv=one.csv, auth=one.auth, headers=one.headers
    )


def read_evaluation_sets(store: Store, dataset: LoadedDataset) -> str:
    """Read all evaluation sets and store their rows.

    Returns:
        The digest under which their rows are stored; empty if no set is named.

    Raises:
        SourceError: a file cannot be read to its end: rows must not resemble what was not read.
        ConfigError: no row of a set has an input of the task.
        ReleaseError: there is no such version.
    """
    sets = dataset.config.decontaminate.against
    if not sets:
        return ""
    rows = [(one.name, *row) for one in sets for row in evaluation_texts(one, store, dataset, store.downloads)]
    digest = stable_hash(*(part for row in rows for part in row))
    schema = dict.fromkeys(("name", "place", "text", "answer"), pl.String)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    frame = frame.with_row_index("position").with_columns(digest=pl.lit(digest))
    store.append_if_unseen(
        Table.EVALUATIONS, digest, lambda present: [frame.select(SCHEMAS[Table.EVALUATIONS].names())]
    )
    return digest


def evaluation_rows(snapshot: Snapshot, digest: str) -> pl.DataFrame:
    """The rows stored under a digest, in their order."""
    return snapshot.scan(Table.EVALUATIONS).filter(pl.col("digest") == digest).sort("position").collect()


def evaluation_texts(
    one: EvaluationSet, store: Store, dataset: LoadedDataset, downloads: Path
) -> Iterator[tuple[str, str, str]]:
    """The place, the inputs and the free-text answer ("" if none) of every row of a set.

    URLs that were not downloaded yet are downloaded into the folder ``downloads``.

    Raises:
        As ``read_evaluation_sets``.
    """
    names = dataset.task.task_names(Role.INPUT)
    answers = Answers(dataset.task)
    defaults = _defaults(dataset.task)
    read = False
    for place, row in _rows(one, store, dataset, downloads):
        read = True
        values = _values(row, dataset.task, one, place)
        present = {name: value for name, value in values.items() if value not in (None, "")}
        if not any(name in present for name in names):
            wanted = ", ".join(one.fields.get(name, name) for name in names)
            raise ConfigError(
                f"evaluation set '{one.name}' has none of the inputs ({wanted}) at {place}, whose fields are "
                f"{', '.join(sorted(row))}; map them with `fields:`, or remove the row"
            )
        clean = cleaned(present, dataset.task, dataset.config.normalize)
        # Read like the rows of the dataset: absent values are what the task takes them for.
        yield place, compared_text(dataset.task, defaults | clean), answers.free_text(clean)
    if not read:
        raise ConfigError(f"evaluation set '{one.name}' has no rows; correct it, or drop it")


def _values(row: dict[str, Any], task: type[Task], one: EvaluationSet, place: str) -> dict[str, Any]:
    """The inputs and targets of a row; of a conversation, what was asked, which is what a model must not have seen."""
    names = {*task.task_names(Role.INPUT), *task.task_names(Role.TARGET)}
    try:
        values, _ = row_values(row, task, names, one.fields, Layout.AUTO, list_delimiter=one.csv.list_delimiter)
    except NotAChat as error:
        raise ConfigError(
            f"evaluation set '{one.name}' has no conversation at {place}: {error}; map it with `fields:`, or remove "
            "the row"
        ) from error
    if whole := whole_conversation(task):
        values[whole], _ = parted(values[whole])
    return values


def _defaults(task: type[Task]) -> dict[str, Any]:
    """The optional inputs' defaults, as JSON values."""
    fields = {name: task.model_fields[name] for name in task.task_names(Role.INPUT)}
    defaults = {}
    for name, field in fields.items():
        try:
            if not field.is_required():
                defaults[name] = to_jsonable_python(field.get_default(call_default_factory=True))
        except BaseException as error:
            what = described(own(error), task.__module__)
            raise TaskCodeError(f"the default of {task.__name__}.{name} cannot be used: {what}; fix it") from error
    return defaults


def _rows(
    one: EvaluationSet, store: Store, dataset: LoadedDataset, downloads: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    if one.release is not None:
        yield from _released_rows(one.release, one.splits, store)
        return
    source = as_source(one)
    for file in source_files(source, dataset.folder, downloads, store):
        shown = shown_file(file, dataset.folder, source)
        for raw in read_rows(file, one.format, csv=one.csv):
            if raw.row is None:
                raise SourceError(
                    f"evaluation set '{one.name}' cannot be read at {shown}:{raw.line} ({raw.error}); fix it: rows "
                    "can only be compared with readable rows"
                )
            yield f"{shown}:{raw.line}", raw.row


def _there(others: Sequence[str]) -> str:
    """Which other datasets a home has."""
    if not others:
        return "it has no other dataset; set GOLDLEAF_HOME to the home that has it, or publish it there first"
    more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
    return f"name one of {', '.join(map(repr, others[:_NAMED]))}{more}, or set GOLDLEAF_HOME to the home that has it"


def _released_rows(reference: str, splits: Sequence[str], store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    name = reference.partition("@")[0]
    if name not in (others := store.siblings()):
        raise ReleaseError(f"there is no dataset '{name}' in the home {store.root.parent}; {_there(others)}")
    folder = find_version(store.sibling(name).releases, reference)
    manifest = read_manifest(folder)
    chosen = splits or [split for split in manifest.splits if split != _TRAIN]
    if unknown := [split for split in chosen if split not in manifest.splits]:
        raise ConfigError(
            f"{manifest.name}@{manifest.version} has no split '{unknown[0]}'; it has {', '.join(manifest.splits)}"
        )
    for split in chosen:
        with pq.ParquetFile(folder / manifest.splits[split].file) as file:
            for batch in file.iter_batches(columns=["id", "fields"]):
                for row in batch.to_pylist():
                    yield f"{manifest.name}@{manifest.version} {split} {row['id']}", row["fields"]
