"""Which annotators' answers a lead should look at, in a line each: by their habits, and where the answer is known.

Who was told of stays so, as long as answers decide rows that nobody else gave: later ones make them no better.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.config.dataset_file import LoadedDataset
from pipeline.evaluation.estimates import wilson
from pipeline.reporting.settled_answers import settled_answers
from pipeline.review.opinions import Opinion, latest_votes, read_opinions, votes
from pipeline.state.snapshot import Snapshot
from pipeline.text.wording import counted
from schemas.field import comparable_targets
from schemas.run_summary import CollectSummary

if TYPE_CHECKING:
    from pipeline.reporting.annotators import AnnotatorLine

_RIGHT, _TIMES = 0.5, 2
"""Who is surely right less often about gold is told of, and who is surely wrong so many times as often as others."""


@dataclass(frozen=True)
class Unreliable:
    """An annotator whose answers are worth a look."""

    annotator: str
    said: str
    is_past: bool
    """Their later answers have made it look better."""
    rows: int
    """How many have an answer that nobody else gave."""

    def __str__(self) -> str:
        said = f"looked better only later: {self.said}" if self.is_past else self.said
        rows = f"; {counted(self.rows, 'row')} {'has' if self.rows == 1 else 'have'} an answer of theirs alone"
        return f"{self.annotator} {said}{rows if self.rows else ''}"


def unreliable(snapshot: Snapshot, dataset: LoadedDataset) -> list[Unreliable]:
    """Who answers unlike the others, or wrongly where the answer is known, or once did; for teams only."""
    if not dataset.config.review.has_seats:
        return []
    # Imported here: scipy takes half a second.
    from pipeline.reporting.annotators import annotator_lines
    from pipeline.reporting.field_agreement import guesses

    opinions, task, named = read_opinions(snapshot, dataset), dataset.task, dataset.config.review.annotators
    guessing, settled = guesses(votes(opinions, task), task), settled_answers(opinions, task)
    lines = annotator_lines(opinions, task, named, {}, datetime.now(UTC), settled, guessing)
    told = {line.annotator: "; ".join(worth_a_look(line, [one for one in lines if one is not line])) for line in lines}
    alone, last = _rows_alone(opinions), snapshot.last_run(CollectSummary)
    past = {name: said for name, said in (last.summary.unreliable if last else {}).items() if alone[name]}
    return [
        Unreliable(name, said or past[name], not said, alone[name])
        for name, said in (dict.fromkeys(past, "") | told).items()
        if said or name in past
    ]


def worth_a_look(line: "AnnotatorLine", others: "Sequence[AnnotatorLine]") -> Iterator[str]:
    """What is told of an annotator's answers beside those of the others."""
    yield from line.flags
    known, mine = line.gold.estimate, line.reliability.estimate
    heard = [(one.reliability.of, one.reliability.estimate.value) for one in others if one.reliability.estimate]
    of, right = sum(of for of, _ in heard), sum(of * share for of, share in heard)
    usual = wilson(right, of) if of else None
    if known and known.high < _RIGHT:
        yield f"is right on gold in {line.gold}"
    elif mine and usual and 1 - mine.high > _TIMES * (1 - usual.low):
        yield f"is right in {line.reliability}, the others in {usual.value:.0%} of {of:,}"


def _rows_alone(opinions: Sequence[Opinion]) -> Counter[str]:
    """How many rows are decided by an answer that one annotator alone has given."""
    given: defaultdict[tuple[str, Hashable], set[str]] = defaultdict(set)
    for one in latest_votes(opinions):
        given[one.record_id, comparable_targets(one.annotation.targets)].add(one.annotator)
    decided = [given[one.record_id, comparable_targets(one.annotation.targets)] for one in opinions if one.decides]
    return Counter(next(iter(whose)) for whose in decided if len(whose) == 1)
