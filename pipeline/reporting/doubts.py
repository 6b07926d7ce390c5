"""What speaks against a record's answer, and why annotators are not asked about it, as every page says it."""

import polars as pl

from pipeline.state.decisions import with_reason
from pipeline.text.wording import shown_share
from schemas.answers_in_words import answer_in_words
from schemas.decision import Decision
from schemas.fate import LABEL_ERROR_CODES, RULE_CODES, Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.field import same_targets
from schemas.task import Task

_DOUBTS = LABEL_ERROR_CODES | {ReasonCode.CORRECTED, ReasonCode.SECOND_OPINION}
_NOT_ASKED = {
    ReasonCode.FROZEN: "its source is published as is",
    ReasonCode.DISAGREEMENT: "the annotators who contradict each other have to agree",
    ReasonCode.PERSONAL_DATA: "annotators see one row with each number or address, within `review.personal_budget`",
    ReasonCode.CONFLICT: "annotators see one row of a conflict, within the review budget",
}


IS_FOUND_AGAINST = with_reason(*_DOUBTS) & ~with_reason(ReasonCode.PASSED)
"""Whether ``found_against`` finds something, over the outline of decisions."""
IS_BELOW_FLOOR = (
    with_reason(*_DOUBTS) & with_reason(ReasonCode.PASSED) & pl.col("label_source").ne_missing(LabelSource.HUMAN.value)
)
"""Whether something speaks against a row's own answer, but too little, so that it passed; over the same."""


def found_against(decision: Decision) -> list[Reason]:
    """The reasons that speak against an answer; none if it passed, since an error is not likely enough."""
    if any(reason.code is ReasonCode.PASSED for reason in decision.reasons):
        return []
    return [reason for reason in decision.reasons if reason.code in _DOUBTS]


def differs(decision: Decision) -> bool:
    """Whether a model would give another answer than the record has."""
    if decision.suggestion is None or decision.targets is None:
        return False
    return not same_targets(decision.suggestion, decision.targets)


def why_not_asked(decision: Decision, *, in_batches: bool) -> str:
    """Why annotators are not asked about a record in doubt, or that they are.

    Args:
        decision: the one about the record.
        in_batches: ``review.error_rate`` is set, so that no budget limits questions about likely errors.
    """
    if decision.routed is not None:
        return "asked about as a random check" if decision.routed is Routed.AUDIT else "asked about"
    if in_batches and decision.fate in (Fate.ACCEPTED, Fate.REVIEW) and _is_unreviewed(decision):
        return "not asked about yet: it comes in a later batch"
    known = (_NOT_ASKED[reason.code] for reason in decision.reasons if reason.code in _NOT_ASKED)
    is_beyond = decision.fate is Fate.REVIEW or bool(found_against(decision))
    otherwise = "beyond the review budget" if is_beyond else "an error is less likely than `review.floor`"
    return f"not asked about: {next(known, otherwise)}"


def _is_unreviewed(decision: Decision) -> bool:
    """Whether a record is only in doubt, and does not wait for anything else."""
    codes = {reason.code for reason in decision.reasons} - {ReasonCode.UNREVIEWED}
    return bool(codes) and codes <= _DOUBTS | RULE_CODES


def doubt_in_words(decision: Decision, task: type[Task], *, in_batches: bool) -> str:
    """What a model says about a record that no annotator has decided, and why none is asked; or nothing."""
    if decision.label_source is LabelSource.HUMAN or decision.fate not in (Fate.ACCEPTED, Fate.REVIEW):
        return ""
    said = []
    if decision.suggestion is not None and (decision.targets is None or differs(decision)):
        said.append(f"the model says {answer_in_words(task, decision.suggestion)}")
        if decision.targets is not None and decision.label_error_score is not None:
            said[0] = f"label-error score {shown_share(decision.label_error_score)}: {said[0]}"
    if decision.routed is None and (said or found_against(decision) or decision.fate is Fate.REVIEW):
        said.append(why_not_asked(decision, in_batches=in_batches))
    return "; ".join(said)
