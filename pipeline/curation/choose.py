"""Chooses which records annotators are asked about: the likeliest errors first, and among equals all sorts of them.

Chances of being wrong are estimates, so those whose odds are within a factor of 1.6 count as equal. Only among these
does diversity decide: one of every group before the second of any, then the sorts of question asked least so far.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby, islice

_LIKELY = 0.5
"""From this chance on a label is likelier wrong than right."""
_WIDTH = 0.5
"""Chances whose log odds differ by less count as equal; of 1, 0.5, 0.25 and 0.1 it found most (docs/decisions.md)."""
_HIGHEST = 4
"""Buckets end at log odds of 4, a chance of 98%: nobody can tell such estimates apart."""
_DIVERSITY = 0.9
"""Each pick makes the next one of the same sort this much less urgent."""


class Wait(IntEnum):
    """Why only an annotator can let a record into a version; the higher ones come first."""

    NO = 0
    """It may pass unreviewed."""
    UNLABELED = 1
    HELD = 2
    CONFLICT = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that annotators may be asked about."""

    record_id: str
    score: float
    """From 0 to 1: of a suspect record the chance that it is wrong, of one that waits how urgent its question is."""
    wait: Wait
    group: str
    sort: str
    """The sort of question: same label and same reason."""
    order: int
    """Its place among the records, for what is equal otherwise."""


def choose(candidates: Iterable[Candidate], room: int, asked_in_group: Mapping[str, int]) -> set[str]:
    """The records to ask about.

    Likely errors and records that wait take turns; errors that are not likely come after both.

    Args:
        candidates: each record at most once.
        room: how many may be chosen.
        asked_in_group: the questions of earlier runs by group.
    """
    if room <= 0:
        return set()
    waiting: list[Candidate] = []
    likely: list[Candidate] = []
    unlikely: list[Candidate] = []
    for one in candidates:
        (waiting if one.wait else likely if one.score >= _LIKELY else unlikely).append(one)
    turns = _Turns(asked_in_group)
    chosen = [*islice(_in_turn(turns.order(waiting, room), turns.order(likely, room)), room)]
    # Ordered last, so that what was chosen before counts for its group and sort.
    chosen += islice(turns.order(unlikely, room), room - len(chosen))
    return set(chosen)


def _in_turn(one: Iterator[str], other: Iterator[str]) -> Iterator[str]:
    """From both in turn, and then what is left of either."""
    while (first := next(one, None)) is not None:
        yield first
        if (second := next(other, None)) is not None:
            yield second
    yield from other


class _Turns:
    """Orders candidates, and remembers how often every group and every sort of question had its turn."""

    def __init__(self, asked_in_group: Mapping[str, int]) -> None:
        self._of_group = Counter(asked_in_group)
        self._of_sort: Counter[str] = Counter()

    def order(self, candidates: list[Candidate], room: int) -> Iterator[str]:
        """The candidates in the order in which to ask about them, as far as there is room."""
        candidates.sort(key=lambda one: (-_bucket(one), -one.score, one.order))
        for _, bucket in groupby(candidates, key=_bucket):
            if room <= 0:
                return
            tiers: defaultdict[int, list[Candidate]] = defaultdict(list)
            for one in bucket:
                tiers[self._of_group[one.group]].append(one)
                self._of_group[one.group] += 1
            for tier in (tiers[index] for index in sorted(tiers)):
                for record_id in self._diverse(tier, room):
                    room -= 1
                    yield record_id

    def _diverse(self, tier: Sequence[Candidate], room: int) -> Iterator[str]:
        """Pick greedily from candidates that are sorted by score."""
        queues: defaultdict[str, list[Candidate]] = defaultdict(list)
        for one in reversed(tier):
            queues[one.sort].append(one)

        def urgency(sort: str) -> tuple[float, str]:
            return -queues[sort][-1].score * _DIVERSITY ** self._of_sort[sort], sort

        # A pick only changes the urgency of its own sort, so a heap suffices: there may be as many sorts as records.
        heap = [urgency(sort) for sort in queues]
        heapq.heapify(heap)
        while heap and room > 0:
            _, best = heapq.heappop(heap)
            self._of_sort[best] += 1
            room -= 1
            yield queues[best].pop().record_id
            if queues[best]:
                heapq.heappush(heap, urgency(best))


def _bucket(one: Candidate) -> int:
    """Candidates of a higher bucket come first."""
    if one.wait:
        return one.wait
    odds = math.log(one.score / (1 - one.score)) if 0 < one.score < 1 else math.copysign(_HIGHEST, one.score - 0.5)
    return math.floor(min(odds, _HIGHEST) / _WIDTH)
