"""How often each annotator's answers were right, of rows that were drawn for two: by what settled them."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from pipeline.evaluation.estimates import Estimate, wilson
from pipeline.review.opinions import Opinion, compared_fields, latest_votes, said_of
from schemas.annotation import Verdict
from schemas.seat import SeatKind
from schemas.task import Task


@dataclass(frozen=True)
class Settled:
    """An annotator's answers that somebody else's stand beside."""

    right: int = 0
    wrong: int = 0
    open: int = 0
    """Those to rows about which annotators contradict each other, until an adjudicator decides."""
    won: int = 0
    """Of those that are right, how many were contradicted."""

    @property
    def total(self) -> int:
        """Their number."""
        return self.right + self.wrong + self.open

    def share(self, right: int = 0, of: int = 0) -> Estimate | None:
        """The share of right answers with its 95% interval, which holds however the open ones will be settled.

        The open ones are taken to be right as often as others that were contradicted. Without them, what is settled
        first, which is what annotators agree about, would flatter.

        Args:
            right: more answers that were right, such as those to gold items.
            of: more answers.
        """
        hits, trials = self.right + right, self.total + of
        if trials == self.open:
            return None
        expected = self.open * (self.won + 0.5) / (self.won + self.wrong + 1)
        low, high = wilson(hits, trials).low, wilson(hits + self.open, trials).high
        return Estimate(value=(hits + expected) / trials, low=low, high=high)


def settled_answers(opinions: Sequence[Opinion], task: type[Task]) -> dict[str, Settled]:
    """The answers of each annotator that others' stand beside, free texts left out, which are never the same.

    What annotators agree about counts as right, and what an adjudicator or a majority decides.

    Args:
        opinions: oldest first; only of rows that were drawn for two annotators, as others are chosen for what one said.
        task: has the fields.
    """
    fields = compared_fields(task)
    decided = {one.record_id: one for one in opinions if one.decides and one.annotation.verdict is not Verdict.UNSURE}
    panels: defaultdict[str, list[Opinion]] = defaultdict(list)
    for one in latest_votes(one for one in opinions if one.tells_agreement or one.seat is SeatKind.ADJUDICATOR):
        panels[one.record_id].append(one)
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for record_id, panel in panels.items():
        answer = decided.get(record_id)
        for one in panel:
            if one.tells_agreement and fields and any(other.annotator != one.annotator for other in panel):
                standing = _standing(one, answer, fields)
                found[one.annotator][standing] += 1
                found[one.annotator]["won"] += standing == "right" and _is_contradicted(one, panel, fields)
    return {name: Settled(**counts) for name, counts in found.items()}


def _standing(one: Opinion, answer: Opinion | None, fields: Sequence[str]) -> str:
    if answer is None:
        return "open"
    return "right" if _said(one, fields) == _said(answer, fields) else "wrong"


def _is_contradicted(one: Opinion, panel: Sequence[Opinion], fields: Sequence[str]) -> bool:
    return any(_said(other, fields) != _said(one, fields) for other in panel)


def _said(one: Opinion, fields: Sequence[str]) -> Hashable:
    return said_of(one.annotation.verdict, one.annotation.targets, fields)
