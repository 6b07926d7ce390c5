"""What is known of a dataset right after a run, and what an annotator decided in it."""

from dataclasses import dataclass

from desk import Desk
from support import current

from flows.collect import Collected
from pipeline.review.queue import asked_now
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, ReasonCode

EVERYTHING = "review: {budget: 100, audit: 1.0}\n"


@dataclass(frozen=True)
class Moment:
    """What is known right after a run."""

    desk: Desk
    decisions: dict[str, Decision]
    open: frozenset[str]
    """Records whose question waits."""
    counts: dict[str, int]
    """What the collect run counted."""

    def __getitem__(self, key: int) -> Decision:
        return self.decisions[self.desk.id(key)]

    def said(self, key: int) -> Decision:
        """A decision without the run; tokens that were once counted stay known."""
        return self[key].model_copy(update={"run": "", "tokens": None})

    def is_open(self, key: int) -> bool:
        return self.desk.id(key) in self.open


def moment(desk: Desk, result: Collected | None = None) -> Moment:
    questions = asked_now(desk.context.store.snapshot().at_last_commit(), desk.context.dataset)
    counts = counted(result) if result else {}
    return Moment(desk, current(desk.context), frozenset(question.decision.record_id for question in questions), counts)


def counted(result: Collected) -> dict[str, int]:
    return result.model_dump(include={"annotations", "decided", "waiting", "invalid"})


def human(decision: Decision) -> tuple[Fate, object, str]:
    """Fate, answer and reason of a decision that must be an annotator's."""
    assert decision.label_source is LabelSource.HUMAN
    assert [reason.code for reason in decision.reasons] == [ReasonCode.REVIEWED]
    return decision.fate, (decision.targets or {})["topic"], decision.reasons[0].detail
