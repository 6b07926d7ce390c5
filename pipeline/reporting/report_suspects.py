"""Gathers the accepted records whose answer is in doubt."""

from collections.abc import Iterator, Sequence

from pipeline.reporting.doubts import differs, found_against, why_not_asked
from pipeline.reporting.report_page import Suspect
from pipeline.reporting.report_state import State
from schemas.conversation import named_turn
from schemas.dataset import OnConflict
from schemas.decision import Decision
from schemas.fate import LabelSource, Reason, ReasonCode

_SHOWN = 12
_LIKELY = 0.5
"""From this label-error score on, an answer is likelier wrong than right."""


def suspects(state: State, accepted: Sequence[Decision]) -> Iterator[Suspect]:
    """The likeliest errors first: a correction of a similar record comes before a finding, and that before a score."""
    # If any answer to an input is right, a model may well predict another one.
    by_score = state.dataset.config.on_conflict is not OnConflict.ANY_OF
    doubted = [
        (decision, reasons)
        for decision in accepted
        if decision.label_source is not LabelSource.HUMAN
        and ((reasons := found_against(decision)) or (by_score and _is_likely_wrong(decision)))
    ]
    for decision, reasons in sorted(doubted, key=_rank)[:_SHOWN]:
        turns = [turn for reason in reasons if (turn := named_turn(reason.detail)) is not None]
        yield Suspect(
            record=state.judged(decision, turn=turns[0] if turns else None),
            found=[_sentence(state, reason) for reason in reasons],
            suggestion=state.answer(decision.suggestion) if differs(decision) else "",
            label_error_score=decision.label_error_score if differs(decision) else None,
            asked=why_not_asked(decision, in_batches=state.dataset.config.review.error_rate is not None),
        )


def _is_likely_wrong(decision: Decision) -> bool:
    return differs(decision) and (decision.label_error_score or 0.0) >= _LIKELY


def _rank(doubted: tuple[Decision, list[Reason]]) -> tuple[bool, bool, float]:
    decision, reasons = doubted
    is_corrected = any(reason.code is ReasonCode.CORRECTED for reason in reasons)
    return not is_corrected, not reasons, -(decision.label_error_score or 0.0)


def _sentence(state: State, reason: Reason) -> str:
    """What was found; the field is named only where there are several."""
    told = state.say(reason)
    text = str(told if len(state.task.task_targets()) > 1 else told.model_copy(update={"field": ""}))
    return text[:1].upper() + text[1:]
