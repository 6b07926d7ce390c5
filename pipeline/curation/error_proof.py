"""Asks about accepted rows, batch by batch, until their error is proven to be below ``review.error_rate``."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.curation.audit import AuditFrame, Drawn, arrays, drawn_from
from pipeline.curation.case import Case, awaits_another
from pipeline.estimation.audit_draw import draw, numbers
from pipeline.estimation.error_target import Rows, next_questions
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
    in_vain: Sequence[bool]
    """Nobody answers, though it was asked."""
    total: int
    """The accepted rows that the error rate is of."""


def answers_about(frame: Sequence[Case], total: int, team: Team) -> Answers:
    """What annotators said about the rows of a frame."""
    return Answers(
        [case.human is not None and not awaits_another(case, team) for case in frame],
        # A confirmed answer is right; all others were wrong, or nobody knows yet.
        [case.human is not None and (case.human is not Verdict.LABELED or case.replaced is not None) for case in frame],
        [case.is_in_vain for case in frame],
        total,
    )


def ask_until_proven(
    frame: AuditFrame, answers: Answers, target: float, batch: int, past: Proof | None
) -> tuple[Drawn, Proof]:
    """Draw the next batch once all of the last one is answered, unless the error is proven to be below the target.

    Every look at the answers may be mistaken, so it is only taken when a batch is complete, and counted. So is one in
    which nothing is open but what was asked in vain; such rows stay as they are and count as wrong.

    Args:
        frame: the accepted rows, and those that were drawn before.
        answers: about them.
        target: the highest acceptable share of wrong rows.
        batch: the most questions to ask at once.
        past: the state after the last run.
    """
    hashes, scores, earlier = arrays(frame)
    spots, answered = numbers(hashes), np.array(answers.answered, dtype=bool)
    old = earlier.probability > 0
    # New rows are drawn from at the average chance of the others.
    size = float(earlier.probability[old].mean()) * len(hashes) if old.any() else float(min(batch, len(hashes)))
    chances = draw(hashes, scores, size, earlier)
    drawn = chances.drawn(spots) & ~answered
    lost = drawn & np.array(answers.in_vain, dtype=bool)
    is_open = bool((drawn & ~lost).any())
    looks, given, unheard = past.looks if past else 0, int(answered.sum()), int(lost.sum())
    if past is not None and (is_open or (given, unheard, target) == (past.answers, past.unheard, past.target)):
        return drawn_from(frame, chances, spots), past.model_copy(update={"proven": past.proven and not is_open})
    if is_open or not (given or unheard):
        return drawn_from(frame, chances, spots), Proof(target=target, looks=looks, answers=0)
    total = max(1, answers.total)
    rows = Rows(chances, spots, answered | lost, np.array(answers.wrong, dtype=bool) | lost, total)
    # An error that was found is corrected; what was asked in vain is not.
    remains = unheard / total
    plan = next_questions(rows, max(target - remains, target * _LEAST), batch, looks + 1)
    bound = plan.bound + remains
    proof = Proof(
        target=target,
        looks=looks + 1,
        answers=given,
        unheard=unheard,
        bound=bound,
        proven=plan.proven and bound < target,
        more=plan.more,
    )
    return drawn_from(frame, plan.chances, spots), proof
