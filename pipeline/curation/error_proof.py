"""Asks about accepted rows, batch by batch, until their error is proven to be below ``review.error_rate``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.curation.audit import AuditFrame, Drawn, arrays, drawn_from
from pipeline.curation.case import Case, awaits_another
from pipeline.estimation.audit_draw import Bools, Chances, Floats, draw, numbers
from pipeline.estimation.error_target import Rows, answers_needed, next_questions
from schemas.annotation import Verdict
from schemas.run_summary import Proof
from schemas.team import Team

FEWEST = 20
"""Questions of a batch, if there are as many rows: rows are drawn by chance, and of fewer there might be none."""

_LEAST = 0.01
"""Of the target, at least this part is left for what is not known."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What annotators said about the records of an audit frame, in its order."""

    answered: Sequence[bool]
    wrong: Sequence[bool]
    """Corrected, unusable, or not settled yet."""
    mended: Sequence[bool]
    """Of these, corrected or unusable: the error is gone."""
    in_vain: Sequence[bool]
    """Nobody answers, though it was asked."""
    total: int
    """The accepted rows that the error rate is of."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """Labels that are likely enough to be wrong: all of them are asked about, drawn or not."""

    asked: int = 0
    """Questions that are open."""
    waiting: int = 0
    """Of an earlier run's questions, those that an answer, a second look or an adjudicator is still missing for."""
    again: int = 0
    """Rows of the batch, drawn ones included, that have an answer and wait for a second look or an adjudicator."""
    unasked: int = 0
    """They come in a later batch."""
    uncounted: int = 0
    """Of these, accepted ones that the sample says nothing about."""


def answers_about(frame: Sequence[Case], total: int, team: Team) -> Answers:
    """What annotators said about the rows of a frame."""
    is_known = [case.human is not None and not awaits_another(case, team) for case in frame]
    mended = [case.human is Verdict.UNUSABLE or case.was_wrong for case in frame]
    return Answers(
        is_known,
        # A confirmed answer is right; all others were wrong, or nobody knows yet.
        [case.human is not None and (case.human is not Verdict.LABELED or case.was_wrong) for case in frame],
        [known and gone for known, gone in zip(is_known, mended, strict=True)],
        [case.is_in_vain for case in frame],
        total,
    )


def ask_until_proven(
    frame: AuditFrame, answers: Answers, suspects: Suspects, target: float, room: int, past: Proof | None
) -> tuple[Drawn, Proof]:
    """Draw the next batch once all of the last one is answered, unless the error is proven to be below the target.

    Every look at the answers may be mistaken, so it is only taken when a batch is complete, and counted. So is one in
    which nothing is open but what was asked in vain; such rows stay as they are and count as wrong.

    The sample speaks for all rows that ever had a chance, however likely they seem wrong by now. Errors that were found
    among them without being drawn are errors less: whatever the scores have learned since, that is exact.

    Args:
        frame: the accepted rows, and those that were drawn or had a chance before.
        answers: about them.
        suspects: which are asked about besides.
        target: the highest acceptable share of wrong rows.
        room: the most rows to draw at once.
        past: the state after the last run.
    """
    hashes, scores, earlier = arrays(frame)
    spots, known = numbers(hashes), np.array(answers.answered, dtype=bool)
    old = earlier.probability > 0
    # New rows are drawn from at the average chance of the others.
    size = float(earlier.probability[old].mean()) * len(hashes) if old.any() else float(min(room, len(hashes)))
    state = _State(draw(hashes, scores, size, earlier), spots, known, np.array(answers.in_vain, dtype=bool))
    total = max(1, answers.total)
    # Accepted without a look, and nobody knows: as if they were wrong, until somebody is asked.
    unseen = suspects.uncounted / total
    last = past or Proof(target=target, looks=0, answers=0)
    stands = last.bound is not None and last.bound + unseen < target
    if last.target != target and not stands:
        # The same answers are compared with another target.
        last = last.model_copy(update={"answers": 0})
    is_same = last.looks > 0 and (state.given, state.unheard) == (last.answers, last.unheard)
    # While so many likely errors are to be asked about, a look would hardly succeed.
    is_early = state.open > 0 or suspects.waiting > 0 or suspects.unasked >= target * total
    # If all were suspects, no random sample is left to draw.
    is_unknown = not (state.given or state.unheard) and (not known.all() or not answers.total)
    if is_early or is_same or is_unknown:
        now = {"target": target, "proven": stands and not state.open, "unseen": unseen}
        counts = {"open": state.open + suspects.asked, "again": suspects.again, "later": suspects.unasked}
        return drawn_from(frame, state.chances, spots), last.model_copy(update=now | counts)
    chances, proof = _look(state, answers, suspects, target, room, last.looks + 1)
    return drawn_from(frame, chances, spots), proof


def _look(
    state: "_State", answers: Answers, suspects: Suspects, target: float, room: int, look: int
) -> tuple[Chances, Proof]:
    """Compare what is known with the target; returns the chances that draw the next batch."""
    total, wrong = max(1, answers.total), np.array(answers.wrong, dtype=bool)
    answered = state.sampled | state.lost
    rows = Rows(state.chances, state.spots, answered, (wrong & state.sampled) | state.lost, total)
    # What was asked in vain is as it was. What is found without being drawn is one error less of those in the frame.
    found = int((np.array(answers.mended, dtype=bool) & state.known & ~state.sampled).sum())
    remains, unseen = (state.unheard - found) / total, suspects.uncounted / total
    goal = max(target - unseen - remains, target * _LEAST)
    plan = next_questions(rows, goal, room, look)
    after, bound = replace(state, chances=plan.chances), max(0.0, plan.bound + remains)
    # What this look told says how many more answers are to come after the batch that is drawn now.
    least, most = (0, 0) if plan.proven else answers_needed(rows, goal, room, look)
    return plan.chances, Proof(
        target=target,
        looks=look,
        # Rows that were known before they were drawn are answers, too.
        answers=after.given,
        unheard=state.unheard,
        bound=bound,
        proven=plan.proven and bound + unseen < target,
        unseen=unseen,
        open=after.open + suspects.asked,
        least=max(0, least - after.open),
        most=max(0, most - after.open),
        later=suspects.unasked,
    )


@dataclass(frozen=True)
class _State:
    """Who is drawn, and who has answered."""

    chances: Chances
    spots: Floats
    known: Bools
    in_vain: Bools

    @property
    def sampled(self) -> Bools:
        """The answers of the random sample."""
        return np.asarray(self.chances.drawn(self.spots) & self.known)

    @property
    def lost(self) -> Bools:
        """What was drawn and asked in vain."""
        return np.asarray(self.chances.drawn(self.spots) & ~self.known & self.in_vain)

    @property
    def open(self) -> int:
        """What was drawn and may still be answered."""
        return int((self.chances.drawn(self.spots) & ~self.known & ~self.in_vain).sum())

    @property
    def given(self) -> int:
        """The number of answers."""
        return int(self.sampled.sum())

    @property
    def unheard(self) -> int:
        """The number of questions that were asked in vain."""
        return int(self.lost.sum())
