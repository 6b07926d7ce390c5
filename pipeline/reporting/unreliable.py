"""Which annotators' answers a lead should look at, in a line each: by their habits, and where the answer is known."""

from collections.abc import Iterator
from datetime import UTC, datetime

from pipeline.config.dataset_file import LoadedDataset
from pipeline.reporting.annotators import AnnotatorLine, annotator_lines
from pipeline.reporting.field_agreement import guesses
from pipeline.review.opinions import read_opinions, votes
from pipeline.state.snapshot import Snapshot

_RIGHT = 0.5
"""Who is surely right less often about gold items is told of."""


def unreliable(snapshot: Snapshot, dataset: LoadedDataset) -> list[str]:
    """Who answers unlike the others, or wrongly where the answer is known, and in which way; for teams only."""
    if not dataset.config.review.has_seats:
        return []
    opinions = read_opinions(snapshot, dataset)
    guessing = guesses(votes(opinions, dataset.task), dataset.task)
    lines = annotator_lines(opinions, dataset.config.review.annotators, {}, datetime.now(UTC), guessing=guessing)
    told = {line.annotator: list(_told(line)) for line in lines}
    return [f"{annotator} {'; '.join(said)}" for annotator, said in told.items() if said]


def _told(line: AnnotatorLine) -> Iterator[str]:
    yield from line.flags
    known = line.gold.estimate
    if known and known.high < _RIGHT:
        yield f"is right on gold in {line.gold}"
