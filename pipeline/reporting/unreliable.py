"""Which annotators' answers a lead should look at, in a line each: by their habits, and where the answer is known."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.config.dataset_file import LoadedDataset
from pipeline.review.opinions import read_opinions, votes
from pipeline.state.snapshot import Snapshot

if TYPE_CHECKING:
    from pipeline.reporting.annotators import AnnotatorLine

_RIGHT = 0.5
"""Who is surely right less often about gold items is told of."""


def unreliable(snapshot: Snapshot, dataset: LoadedDataset) -> list[str]:
    """Who answers unlike the others, or wrongly where the answer is known, and in which way; for teams only."""
    if not dataset.config.review.has_seats:
        return []
    # Imported here: scipy takes half a second.
    from pipeline.reporting.annotators import annotator_lines
    from pipeline.reporting.field_agreement import guesses

    opinions, task, named = read_opinions(snapshot, dataset), dataset.task, dataset.config.review.annotators
    guessing = guesses(votes(opinions, task), task)
    lines = annotator_lines(opinions, task, named, {}, datetime.now(UTC), guessing=guessing)
    told = {line.annotator: list(_told(line)) for line in lines}
    return [f"{annotator} {'; '.join(said)}" for annotator, said in told.items() if said]


def _told(line: "AnnotatorLine") -> Iterator[str]:
    yield from line.flags
    known = line.gold.estimate
    if known and known.high < _RIGHT:
        yield f"is right on gold in {line.gold}"
