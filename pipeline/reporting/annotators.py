"""How each annotator answers: how much, how fast, how often right where the answer is known, and like the others."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from statistics import median
from types import MappingProxyType

from pydantic import BaseModel

from pipeline.config.workspace import Workspace
from pipeline.evaluation.estimates import Estimate, wilson
from pipeline.reporting.confusions import Confusion, Correction, confusions, corrections
from pipeline.reporting.doubted_gold import DoubtedGold, doubted_gold
from pipeline.reporting.field_agreement import (
    FieldAgreement,
    PairAgreement,
    agreement_lines,
    field_agreements,
    guesses,
    pair_agreements,
    whole_agreement,
)
from pipeline.reporting.overview import count_waiting, open_seats
from pipeline.reporting.pace import ANSWERS, Pace, pace
from pipeline.reporting.settled_answers import Settled, settled_answers
from pipeline.review.opinions import Opinion, compared_fields, latest_votes, read_opinions, said_of, votes
from pipeline.text.wording import shown_share
from schemas.annotation import Verdict
from schemas.task import Task

_FEWEST = 20
"""Answers from which on something is said about how somebody answers."""
_ALIKE = 0.9
_CHANCE = 0.001
"""A habit is told if, were it the others', as many alike would come about this rarely."""


class Measured(BaseModel, frozen=True):
    """A share with its 95% interval, and of how many."""

    of: int
    estimate: Estimate | None
    """None if there are none."""

    def __str__(self) -> str:
        if self.estimate is None:
            return ""
        low, high = 100 * self.estimate.low, 100 * self.estimate.high
        return f"{self.estimate.value:.0%} ({low:.0f}-{high:.0f}) of {self.of:,}"


class AnnotatorLine(BaseModel, frozen=True):
    """One annotator."""

    annotator: str
    """By e-mail address, or ``user 3`` where the server does not know it."""
    answers: int
    """Labels, *unusable* and *unsure*, gold items among them; skips and invalid ones are no answers."""
    today: int
    seconds: float | None
    """Median time per answer, as Label Studio measures it; None if it does not say."""
    gold: Measured
    """How often the answer to a gold item was the known one."""
    agreement: Measured
    """How often another annotator of the same row answered the same, over all pairs; of rows drawn for two."""
    reliability: Measured
    """How often an answer was right: of gold items by the known one, of rows drawn for two by what settled them.

    Contradicted answers that nothing has settled yet count as those that were settled."""
    unusable: int
    unsure: int
    skips: int
    invalid: int
    """Answers that break the task's schema."""
    unread: int = 0
    """What was filled in, submitted without the time to read it: these are no answers."""
    unchanged: Measured
    """How often what was filled in was accepted as it was."""
    waiting: int
    """Open tasks that are for this annotator."""
    flags: list[str]
    """What is worth a look: they answer everything alike, or accept whatever is filled in, unlike the others."""


class AnnotatorsTable(BaseModel, frozen=True):
    """Everybody who is named or has answered, the busiest first, and how far they agree."""

    annotators: list[AnnotatorLine]
    fields: list[FieldAgreement]
    """None if no row has answers of two annotators."""
    whole: FieldAgreement | None = None
    """How far they agree about all fields at once; None if no row has answers of two, or only one field is compared."""
    pairs: list[PairAgreement] = []
    """Each two annotators who have answered the same rows, by field."""
    corrections: list[Correction] = []
    """The labels of the data that annotators replaced, the most frequent first."""
    confusions: list[Confusion] = []
    """The labels about which annotators contradict each other, the most frequent first."""
    doubted_gold: list[DoubtedGold] = []
    """Known answers that others contradict, those that most contradict first."""
    pace: Pace
    """Everybody's answers together."""
    for_anybody: int = 0
    """Open tasks that are for nobody in particular."""

    @property
    def field_lines(self) -> list[str]:
        """How far they agree, a line for each field about which they do not always, and one for all at once."""
        whole = [str(self.whole)] if self.whole else []
        return [*agreement_lines(self.fields), *whole]

    @property
    def weakest_pairs(self) -> list[PairAgreement]:
        """The pairs of all fields, those that agree least first; those whose kappa is not defined last."""
        return sorted(self.pairs, key=lambda pair: (pair.kappa is None, pair.kappa or 0.0))


def read_annotators(workspace: Workspace, now: datetime) -> AnnotatorsTable:
    """Everybody who is named or has answered, and how far they agree.

    Args:
        workspace: the dataset; it need not have been curated.
        now: tells what today is, in its time zone.
    """
    snapshot, dataset = workspace.store.snapshot().at_last_commit(), workspace.dataset
    opinions = read_opinions(snapshot, dataset)
    waiting = count_waiting(snapshot, dataset.task, open_seats(snapshot, dataset))
    given = votes(opinions, dataset.task)
    whose = waiting.seats.by_annotator if waiting.seats else {}
    named = dataset.config.review.annotators
    whole = whole_agreement(given, dataset.task)
    return AnnotatorsTable(
        annotators=annotator_lines(
            opinions,
            dataset.task,
            named,
            whose,
            now,
            settled_answers(opinions, dataset.task),
            guesses(given, dataset.task),
        ),
        fields=[one for one in field_agreements(given, dataset.task) if one.items],
        whole=whole if whole and whole.items else None,
        pairs=pair_agreements(given, dataset.task),
        corrections=corrections(opinions, dataset.task),
        confusions=confusions(opinions, dataset.task),
        doubted_gold=doubted_gold(snapshot, dataset, opinions),
        pace=pace(opinions, waiting.questions, now),
        for_anybody=whose.get("", 0),
    )


def shown_team(table: AnnotatorsTable | None, *, of_version: bool) -> AnnotatorsTable | None:
    """What a report says of a team; one that is published says nothing about single people, nor of their time."""
    if table is None or not table.pace.answers:
        return None
    nobody = {
        "annotators": [],
        "pairs": [],
        "doubted_gold": [],
        "for_anybody": 0,
        "pace": Pace(answers=table.pace.answers, days=[], seconds=None, open=0),
    }
    return table.model_copy(update=nobody) if of_version else table


def annotator_lines(
    opinions: Sequence[Opinion],
    task: type[Task],
    named: Iterable[str],
    waiting: Mapping[str, int],
    now: datetime,
    settled: Mapping[str, Settled] = MappingProxyType({}),
    guessing: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[AnnotatorLine]:
    """A line for everybody.

    Args:
        opinions: oldest first.
        task: of its answers, all but free texts are compared.
        named: those who have a line before they answer.
        waiting: open tasks by e-mail address.
        now: tells what today is.
        settled: what became of answers to rows that others have answered, too, by annotator.
        guessing: about which fields their answers look like guesses.
    """
    spelled = {name.casefold(): name for name in named}
    by_name: defaultdict[str, list[Opinion]] = defaultdict(list, {name: [] for name in spelled.values()})
    for one in opinions:
        by_name[spelled.get(one.annotator.casefold(), one.annotator)].append(one)
    fields = compared_fields(task)
    pairs = _pairs(opinions, fields)
    whole = fields or [field.name for field in task.task_targets()]
    habits = {name: _habits(mine, whole) for name, mine in by_name.items()}
    lines = []
    for name, mine in by_name.items():
        here = mine[0].annotator if mine else name
        flags = [*_flags(habits[name], [*habits.values()]), *guessing.get(here, ())]
        agreement = _counted(pairs[here, True], pairs[here, True] + pairs[here, False])
        line = _line(name, mine, fields, settled.get(here, Settled()), now)
        lines.append(line.model_copy(update={"waiting": waiting.get(name, 0), "agreement": agreement, "flags": flags}))
    return sorted(lines, key=lambda line: (-line.answers, line.annotator))


def _line(name: str, mine: Sequence[Opinion], fields: Sequence[str], settled: Settled, now: datetime) -> AnnotatorLine:
    """What somebody's own answers say."""
    verdicts = Counter(one.annotation.verdict for one in mine)
    answers = [one for one in mine if one.annotation.verdict in ANSWERS]
    times = [one.annotation.lead_time for one in answers if one.annotation.lead_time is not None]
    gold = [
        _said(one, fields) == said_of(Verdict.LABELED, one.known, fields)
        for one in latest_votes(mine)
        if one.known is not None
    ]
    return AnnotatorLine(
        annotator=name,
        answers=len(answers),
        today=sum(one.annotation.created_at.astimezone(now.tzinfo).date() == now.date() for one in answers),
        seconds=median(times) if times else None,
        gold=_share(gold),
        agreement=_counted(0, 0),
        reliability=Measured(of=len(gold) + settled.total, estimate=settled.share(sum(gold), len(gold))),
        unusable=verdicts[Verdict.UNUSABLE],
        unsure=verdicts[Verdict.UNSURE],
        skips=verdicts[Verdict.SKIPPED],
        invalid=verdicts[Verdict.INVALID],
        unread=verdicts[Verdict.UNREAD],
        unchanged=_share(_unchanged(mine)),
        waiting=0,
        flags=[],
    )


def _pairs(opinions: Sequence[Opinion], fields: Sequence[str]) -> Counter[tuple[str, bool]]:
    """How often each annotator and another one of the same row agreed, and did not; of some fields, at least one."""
    panels: defaultdict[str, list[Opinion]] = defaultdict(list)
    for one in latest_votes(one for one in opinions if one.tells_agreement and fields):
        panels[one.record_id].append(one)
    found: Counter[tuple[str, bool]] = Counter()
    for panel in panels.values():
        for one, other in combinations(panel, 2):
            agree = _said(one, fields) == _said(other, fields)
            found[one.annotator, agree] += 1
            found[other.annotator, agree] += 1
    return found


def _said(one: Opinion, fields: Sequence[str]) -> Hashable:
    return said_of(one.annotation.verdict, one.annotation.targets, fields)


def _unchanged(opinions: Iterable[Opinion]) -> list[bool]:
    """Of each answer to what was filled in: whether it was left as it was."""
    return [one.is_unchanged for one in latest_votes(opinions) if one.proposal]


@dataclass(frozen=True)
class _Habits:
    """What somebody answers how often, and how often what was filled in was left."""

    votes: Counter[Hashable]
    unchanged: int
    proposals: int


def _habits(mine: Sequence[Opinion], fields: Sequence[str]) -> _Habits:
    kept = _unchanged(mine)
    return _Habits(Counter(_said(one, fields) for one in latest_votes(mine)), sum(kept), len(kept))


def _flags(mine: _Habits, everybody: Sequence[_Habits]) -> list[str]:
    """What is told of somebody's habits, if the others have them far less."""
    found = []
    if mine.votes:
        [(vote, count)] = mine.votes.most_common(1)
        usual = sum(one.votes[vote] for one in everybody) - count
        among = sum(one.votes.total() for one in everybody) - mine.votes.total()
        if told := _told(count, mine.votes.total(), usual, among):
            found.append(f"answers nearly everything alike: {told}")
    left = sum(one.unchanged for one in everybody) - mine.unchanged
    proposals = sum(one.proposals for one in everybody) - mine.proposals
    if told := _told(mine.unchanged, mine.proposals, left, proposals):
        found.append(f"accepts nearly every proposal: {told}")
    return found


def _told(count: int, of: int, usual: int, among: int) -> str:
    """A habit beside the others', if it is one; empty if not, or if too little is known."""
    if min(of, among) < _FEWEST or count < _ALIKE * of or not _is_unusual(count, of, usual, among):
        return ""
    return f"{shown_share(count / of)} of {of:,}, the others {shown_share(usual / among)} of {among:,}"


def _is_unusual(count: int, of: int, usual: int, among: int) -> bool:
    """Whether that many are rare by the others' share, which is taken as a little higher than it is, by its error."""
    from scipy.special import bdtrc

    share = min(1.0, (usual + 1) / (among + 2) + math.sqrt(1 / (4 * among)))
    return share < 1 and float(bdtrc(count - 1, of, share)) < _CHANCE


def _share(right: Sequence[bool]) -> Measured:
    return _counted(sum(right), len(right))


def _counted(successes: int, trials: int) -> Measured:
    return Measured(of=trials, estimate=wilson(successes, trials) if trials else None)
