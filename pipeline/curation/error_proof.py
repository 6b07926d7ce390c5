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


@dataclass(frozen=True, slots=True)
class Answers:
    """What annotators said about the records of an audit frame, in its order."""

    answered: Sequence[bool]
    wrong: Sequence[bool]
    """Corrected, unusable, or not settled yet."""
    total: int
    """The accepted rows that the error rate is of."""


def answers_about(frame: Sequence[Case], total: int, team: Team) -> Answers:
    """What annotators said about the rows of a frame."""
    return Answers(
        [case.human is not None and not awaits_another(case, team) for case in frame],
        # A confirmed answer is right; all others were wrong, or nobody knows yet.
        [case.human is not None and (case.human is not Verdict.LABELED or case.replaced is not None) for case in frame],
        total,
    )


def ask_until_proven(
    frame: AuditFrame, answers: Answers, target: float, batch: int, past: Proof | None
) -> tuple[Drawn, Proof]:
    """Draw the next batch once all of the last one is answered, unless the error is proven to be below the target.

    Every look at the answers may be mistaken, so it is only taken when a batch is complete, and counted.

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
    looks, given = past.looks if past else 0, int(answered.sum())
    is_open = bool((chances.drawn(spots) & ~answered).any())
    if past is not None and (is_open or (given == past.answers and target == past.target)):
        return drawn_from(frame, chances, spots), past.model_copy(update={"proven": past.proven and not is_open})
    if is_open or not given:
        return drawn_from(frame, chances, spots), Proof(target=target, looks=looks, answers=0)
    rows = Rows(chances, spots, answered, np.array(answers.wrong, dtype=bool), max(1, answers.total))
    plan = next_questions(rows, target, batch, looks + 1)
    proof = Proof(target=target, looks=looks + 1, answers=given, bound=plan.bound, proven=plan.proven, more=plan.more)
    return drawn_from(frame, plan.chances, spots), proof
