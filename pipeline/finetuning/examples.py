"""Reads the rows of a published version for training and evaluation, and samples some of them."""

import hashlib
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow.parquet as pq

from pipeline.errors import TrainingError
from pipeline.releases.absent_labels import why_empty
from pipeline.releases.versions import read_manifest
from schemas.manifest import Manifest
from schemas.message import Message

T = TypeVar("T")

_BATCH = 1_000
"""Rows that are read at once."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a published version, as training and evaluation need it."""

    id: str
    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    """What the assistant says."""
    fields: Mapping[str, Any]
    """The task's own inputs and targets."""
    tools: tuple[Mapping[str, Any], ...] | None = None
    """Definitions of the tools that the conversation may call."""
    group: str = ""
    """Rows of one group, such as a contract's clauses, are in one split; empty if the row is one by itself."""

    @property
    def answer(self) -> str:
        """The assistant's text."""
        return "".join(message.content for message in self.completion)


class Examples(Protocol):
    """Rows that can be counted, and read as often as wanted: a list, or the file of a split."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Example]: ...


def how_to_fill(split: str, manifest: Manifest) -> str:
    """What to do about a split that a version does not have."""
    share = manifest.config.get("split", {}).get("fractions", {}).get(split, 0)
    if share:
        return why_empty(share, sum(file.rows for file in manifest.splits.values()))
    return "give it a share in split.fractions, add rows, curate and release again: published rows stay in their splits"


class SplitExamples:
    """A split of a published version, in the order of its file, which is read in batches whenever it is iterated."""

    def __init__(self, version: Path, split: str) -> None:
        """Find the file.

        Raises:
            ReleaseError: the folder is not a published version, or its manifest is damaged.
            TrainingError: it has no such split.
        """
        manifest = read_manifest(version)
        if split not in manifest.splits:
            there = ", ".join(manifest.splits) or "none"
            raise TrainingError(
                f"{manifest.name}@{manifest.version} has no '{split}' split (it has: {there}); "
                f"{how_to_fill(split, manifest)}"
            )
        self._file = version / manifest.splits[split].file
        self._rows: int = pq.read_metadata(self._file).num_rows

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Example]:
        for batch in _batches(self._file, _BATCH):
            yield from batch


def has_split(version: Path, split: str) -> bool:
    """Whether a published version has rows of a split.

    Raises:
        ReleaseError: the folder is not a published version, or its manifest is damaged.
    """
    return split in read_manifest(version).splits


def read_examples(version: Path, split: str) -> list[Example]:
    """Read a split of a published version at once, in the order of its file.

    Raises:
        ReleaseError: the folder is not a published version, or its manifest is damaged.
        TrainingError: it has no such split.
    """
    return list(SplitExamples(version, split))


def _example(row: Mapping[str, Any]) -> Example:
    prompt, completion = (tuple(_message(message) for message in row[part]) for part in ("prompt", "completion"))
    tools = tuple(json.loads(tool) for tool in row.get("tools") or ())
    return Example(row["id"], prompt, completion, row["fields"], tools or None, row.get("group") or "")


def _columns(file: pq.ParquetFile) -> list[str]:
    """Those that are read; tools not all versions have."""
    there = set(file.schema_arrow.names)
    return ["id", "prompt", "completion", "fields", *(name for name in ("tools", "group") if name in there)]


def example_batches(version: Path, split: str, rows: int = 512) -> Iterator[list[Example]]:
    """Read a split that is there, at most so many rows at once: it need not fit into memory.

    Raises:
        ReleaseError: the folder is not a published version, or its manifest is damaged.
    """
    yield from _batches(version / read_manifest(version).splits[split].file, rows)


def _batches(path: Path, rows: int) -> Iterator[list[Example]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(rows, columns=_columns(file)):
            yield [_example(row) for row in batch.to_pylist()]


def _message(published: Any) -> Message:
    """A message as a version has it: an object; of a conversation its JSON, with the arguments of calls as objects."""
    message = json.loads(published) if isinstance(published, str) else published
    for call in message.get("tool_calls") or ():
        arguments = call["function"]["arguments"]
        call["function"]["arguments"] = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Message.model_validate(message)


def draw(items: Sequence[T], count: int | None, seed: int, stratum: Callable[[T], str]) -> list[T]:
    """Sample at most ``count`` items at random, so that every stratum keeps its share; the order is random.

    Equal arguments give the same items.
    """
    chance = random.Random(seed)  # noqa: S311  repeatable on purpose, and no secret
    shuffled = chance.sample(items, len(items))
    if count is None or count >= len(shuffled):
        return shuffled
    # Every n-th item of the list sorted by stratum: each stratum gets its share, give or take one.
    ordered = sorted(shuffled, key=stratum)
    picked = [ordered[index * len(ordered) // count] for index in range(count)]
    return chance.sample(picked, count)


def drawn_places(examples: Examples, count: int | None, seed: int) -> Sequence[int]:
    """Which of the rows to take: at most ``count`` at random, so that every answer keeps its share; ascending."""
    if count is None or count >= len(examples):
        return range(len(examples))
    return sorted(nested_places(examples, count, seed))


def nested_places(examples: Examples, count: int | None, seed: int) -> list[int]:
    """The same in a random order: the first n of them are a random sample, too, which holds all smaller ones."""
    # Digests, since the answers themselves may be long.
    answers = [hashlib.sha256(example.answer.encode("utf-8", "surrogatepass")).digest()[:8] for example in examples]
    return draw(range(len(answers)), count, seed, stratum=lambda place: answers[place].hex())


class ChosenExamples:
    """Some of the rows, in their order, read anew whenever they are iterated."""

    def __init__(self, examples: Examples, places: Collection[int]) -> None:
        self._examples, self._places = examples, frozenset(places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Example]:
        return (example for place, example in enumerate(self._examples) if place in self._places)
