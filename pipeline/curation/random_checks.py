"""Draws which accepted rows are checked at random: for the audit, or to prove ``review.error_rate``."""

from collections.abc import Mapping, Sequence

from pipeline.curation.audit import AuditFrame, draw_audit
from pipeline.curation.case import Case, awaits_another, stands_for_others
from pipeline.curation.error_proof import Suspects, answers_about, ask_until_proven
from pipeline.curation.outcome import PASSED, Outcome
from schemas.dataset import Review
from schemas.fate import Fate, Routed
from schemas.run_summary import Proof


def draw_checks(
    cases: Sequence[Case], outcomes: Mapping[str, Outcome], review: Review, room: int, proof: Proof | None
) -> Proof | None:
    """Draw the random sample from the accepted rows that no annotator has decided.

    The question covers any findings about the record since, and then remains asked. One that was drawn and answered
    keeps its place in the draw, or every answer would call for another question.

    Args:
        cases: all of them.
        outcomes: what they become; those that are drawn are routed, and get their chance.
        review: the share of the audit, or the error rate.
        room: the most questions of a batch that proves an error rate.
        proof: of the error rate, after the last run.
    """
    frame = [case for case in cases if _is_drawn_from(case, outcomes[case.record_id], review)]
    # What was asked and is doubted since remains asked.
    asked = {
        case.record_id
        for case in frame
        if case.past_route is Routed.AUDIT and outcomes[case.record_id].reasons[0] is not PASSED
    }
    known = AuditFrame(
        [case.record_id for case in frame],
        [case.label_error_score for case in frame],
        [case.chance for case in frame],
    )
    if review.error_rate is None:
        drawn, proof = draw_audit(known, review), None
    else:
        accepted = (c for c in cases if outcomes[c.record_id].fate is Fate.ACCEPTED and not c.published_as_is)
        answers = answers_about(frame, sum(1 for _ in accepted), review)
        suspects = _suspects(cases, outcomes, review)
        drawn, proof = ask_until_proven(known, answers, suspects, review.error_rate, room, proof)
    asked |= drawn.asked
    for case in frame:
        outcome = outcomes[case.record_id]
        outcome.chance = drawn.chances.get(case.record_id)
        if case.human is None and not outcome.routed and case.record_id in asked:
            outcome.routed = Routed.AUDIT
    return proof


def _is_drawn_from(case: Case, outcome: Outcome, review: Review) -> bool:
    """Whether the draw is about a row: one that is accepted unseen, or was when it got its chance."""
    if case.human is not None:
        return stands_for_others(case) or (review.error_rate is not None and _became_suspect(case))
    if case.published_as_is:
        return False
    if outcome.is_suspect and review.error_rate is not None:
        # Suspects are asked about anyway. Who had a chance before still counts as one of those that the sample is of.
        return case.chance is not None
    was_asked = case.past_route is Routed.AUDIT and outcome.fate is Fate.REVIEW
    return not outcome.routed and (outcome.fate is Fate.ACCEPTED or was_asked)


def _became_suspect(case: Case) -> bool:
    """Whether an answered row had a chance before it was asked about as a suspect."""
    has_chance = case.chance is not None and case.past_route is Routed.UNCERTAIN
    return has_chance and not case.rejection_reasons and not case.is_trusted


def _suspects(cases: Sequence[Case], outcomes: Mapping[str, Outcome], review: Review) -> Suspects:
    """How many likely errors annotators are asked about, or will be."""
    asked = waiting = again = unasked = uncounted = 0
    for case in cases:
        outcome = outcomes[case.record_id]
        if case.human is not None:
            is_again = awaits_another(case, review)
            again += is_again
            if is_again and case.past_route is Routed.UNCERTAIN:
                asked += 1
                waiting += 1
        elif outcome.is_suspect and outcome.routed is Routed.UNCERTAIN and not case.is_in_vain:
            asked += 1
            waiting += case.past_route is not None
        elif outcome.is_suspect and not outcome.routed and case.past_route is None:
            unasked += 1
            uncounted += outcome.fate is Fate.ACCEPTED and case.chance is None
    return Suspects(asked, waiting, again, unasked, uncounted)
