"""Gives every case its fate, as far as it depends on the case and on what it was compared with.

Pure: everything known about a record comes in as a ``Case``, and a row comes out: its decision so far, and what
``triage`` needs to know to choose, among all records, whom annotators are asked about.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.curation.case import Case
from pipeline.curation.choose import Wait
from pipeline.curation.outcome import PASSED, Outcome
from pipeline.curation.repairable_rows import repair_score
from pipeline.curation.settled_columns import SETTLED
from pipeline.estimation.audit_draw import numbers_of
from pipeline.kinds.registry import kind_of
from pipeline.state.decisions import json_of, json_of_reasons
from pipeline.text.wording import shown_similarity
from schemas.annotation import Verdict
from schemas.dataset import Review
from schemas.fate import RULE_CODES, Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.task import Task

_UNKNOWN_SCORE = 0.6
"""The chance that a label is wrong if something was found against it, but nothing says how likely it is wrong."""
# One shared reason for all rows that have it.
_EXACT_DUPLICATE = Reason(code=ReasonCode.EXACT_DUPLICATE)
_UNLABELED = Reason(code=ReasonCode.UNLABELED)
_DOUBTED = Reason(code=ReasonCode.LABEL_ERROR)


def settle(cases: Sequence[Case], review: Review, task: type[Task]) -> pl.DataFrame:
    """Give every case its fate, whatever the budget; one row each, with the columns of ``SETTLED``, in their order.

    Args:
        cases: some of the current records, with all that each of them was compared with.
        review: from which chance of an error on a label is doubted.
        task: the one that parsed them.
    """
    unusable = _unusable_inputs(cases)
    askers = _conflict_representatives(cases)
    doubts = _Doubts(review.floor, kind_of(task).scores_are_chances)
    digest = task.task_digest()
    rows = []
    for case in cases:
        outcome = _provisional(case, unusable.get(case.text_key), askers, doubts)
        rows.append((*_decided(case, outcome, digest), *_asking(case, outcome, task)))
    # By columns: row by row, polars takes several times as long.
    columns = list(zip(*rows, strict=True)) or [()] * len(_BUILT)
    frame = pl.DataFrame(dict(zip(_BUILT, columns, strict=True)), schema=_BUILT)
    return frame.with_columns(number=pl.Series(numbers_of(frame["record_id"].to_list()))).select(SETTLED.names())


_BUILT = pl.Schema({name: kind for name, kind in SETTLED.items() if name != "number"})


def _decided(case: Case, outcome: Outcome, task_digest: str) -> tuple[Any, ...]:
    source: LabelSource | None = None
    if case.targets is not None:
        source = LabelSource.HUMAN if case.human is Verdict.LABELED else LabelSource.SOURCE
    return (
        case.record_id,
        case.revision,
        task_digest,
        case.content or None,
        outcome.fate.value,
        json_of_reasons(outcome.reasons),
        outcome.duplicate_of,
        case.similarity if outcome.fate is Fate.DUPLICATE else None,
        outcome.routed.value if outcome.routed else None,
        json_of(case.inputs),
        json_of(case.targets),
        json_of((case.draft or None) if case.repair else case.suggestion),
        source.value if source else None,
        case.label_error_score,
        case.group,
        case.pinned_split or "",
        case.tokens,
        json_of(case.model_answer),
        case.score_alone,
        json_of(case.corrected),
        None,
        None,
    )


def _asking(case: Case, outcome: Outcome, task: type[Task]) -> tuple[Any, ...]:
    return (
        case.order,
        outcome.score,
        outcome.wait.value,
        outcome.route.value,
        None if outcome.score is None else _sort_of(case, outcome, task),
        outcome.reasons[0].code.value,
        outcome.reasons[0] is PASSED,
        case.past_route.value if case.past_route else None,
        case.chance.stratum if case.chance else None,
        case.chance.probability if case.chance else None,
        case.human.value if case.human else None,
        case.unconfirmed,
        case.was_wrong,
        case.entered,
        case.is_trusted,
        case.published_as_is,
        bool(case.review_reasons),
        bool(case.rejection_reasons),
        case.has_open_seat,
        case.is_in_vain,
    )


def _sort_of(case: Case, outcome: Outcome, task: type[Task]) -> str:
    reason = outcome.reasons[0]
    if reason.code in RULE_CODES:
        # How much speaks against a row matters more than by which rule.
        return "rule"
    targets = case.targets or case.suggestion
    strata = kind_of(task).strata(task, targets) if targets else ()
    return "/".join([reason.code, reason.field, *strata])


# --- what holds for all rows of an input ----------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _UnusableInput:
    """An input that an annotator marked unusable."""

    unusable: Case
    """The first row of it that was marked so."""
    confirmed: Case | None
    """The first row whose answer an annotator gave or confirmed: the two disagree."""


def _unusable_inputs(cases: Sequence[Case]) -> dict[str, _UnusableInput]:
    """By input key: what holds for all rows of that input."""
    unusable: dict[str, Case] = {}
    for case in cases:
        if case.human is Verdict.UNUSABLE and case.text_key:
            unusable.setdefault(case.text_key, case)
    confirmed: dict[str, Case] = {}
    for case in cases:
        if case.human is Verdict.LABELED and case.text_key in unusable and not case.rejection_reasons:
            confirmed.setdefault(case.text_key, case)
    return {key: _UnusableInput(case, confirmed.get(key)) for key, case in unusable.items()}


def _conflict_representatives(cases: Iterable[Case]) -> set[str]:
    """One record per conflict asks the question; the others follow its answer.

    It is the one whose question annotators already have, or else the first.
    """
    chosen: dict[str, Case] = {}
    for case in sorted((case for case in cases if case.conflicting_answers), key=_asking_rank):
        chosen.setdefault(case.text_key, case)
    return {case.record_id for case in chosen.values()}


def _asking_rank(case: Case) -> tuple[bool, bool, int]:
    return case.past_route is not Routed.CONFLICT, case.past_route is None, case.order


@dataclass(frozen=True, slots=True)
class _Doubts:
    """Which labels annotators should look at, if the budget allows it."""

    floor: float
    """From this chance of being wrong on."""
    scores_are_chances: bool
    """Or they only rank the rows: then a row without a reason is not doubted, whatever its score."""

    def about(self, case: Case) -> bool:
        score, reasons = case.label_error_score, case.label_error_reasons
        if score is None or any(reason.code in RULE_CODES for reason in reasons):
            # What rules find has no measured chance of being an error.
            return bool(reasons)
        return score >= self.floor and (self.scores_are_chances or bool(reasons))


# --- one case -------------------------------------------------------------------------------------
def _provisional(case: Case, marked: _UnusableInput | None, askers: set[str], doubts: _Doubts) -> Outcome:
    """The fate, as far as it does not depend on the budget."""
    if case.human is Verdict.UNUSABLE and not (marked and marked.confirmed):
        return Outcome(Fate.REJECTED, case.human_reasons, case.past_route)
    if case.repair:
        reasons = [*case.rejection_reasons, *case.review_reasons]
        return Outcome(Fate.REJECTED, reasons, score=repair_score(case), route=Routed.REPAIR)
    if case.rejection_reasons:
        # Whatever annotators said: such a row would spoil the training, or must not be published.
        return Outcome(Fate.REJECTED, case.rejection_reasons, case.past_route if case.human else None)
    if case.published_as_is:
        reasons = case.human_reasons if case.human is Verdict.LABELED else [Reason(code=ReasonCode.FROZEN)]
        return _by_comparison(case) or Outcome(Fate.ACCEPTED, reasons, case.past_route if case.human else None)
    if marked:
        return _in_unusable_input(case, marked)
    if decided := _by_comparison(case):
        return decided
    if case.conflicting_answers and case.human is Verdict.LABELED:
        return Outcome(Fate.REVIEW, [_conflict_reason(case)], Routed.ADJUDICATE)
    if case.human is Verdict.LABELED:
        return Outcome(Fate.ACCEPTED, case.human_reasons, case.past_route)
    if case.human in (Verdict.UNSURE, Verdict.DISPUTED):
        return Outcome(Fate.REVIEW, case.human_reasons, Routed.ADJUDICATE)
    return _automatic(case, askers, doubts)


def _in_unusable_input(case: Case, marked: _UnusableInput) -> Outcome:
    """The fate of a row whose input was marked unusable: it is rejected, or annotators must agree first."""
    if marked.confirmed is None:
        detail = "an annotator marked a row with the same input"
        return Outcome(Fate.REJECTED, [Reason(code=ReasonCode.UNUSABLE, detail=detail)], case.past_route)
    if case.duplicate_of and (copied := _by_comparison(case)):
        return copied
    refs = (marked.confirmed.record_id, marked.unusable.record_id)
    detail = f"record {refs[0]} is confirmed, record {refs[1]} with the same input unusable"
    # Only those who have answered can settle it.
    route = Routed.ADJUDICATE if case.human is not None else None
    return Outcome(Fate.REVIEW, [Reason(code=ReasonCode.DISAGREEMENT, detail=detail, refs=refs)], route)


def _by_comparison(case: Case) -> Outcome | None:
    if case.duplicate_of:
        similarity = None if case.similarity is None else shown_similarity(case.similarity, case.threshold)
        detail = f"similarity {similarity}" if similarity else ""
        reason = _EXACT_DUPLICATE if case.exact else Reason(code=ReasonCode.NEAR_DUPLICATE, detail=detail)
        return Outcome(Fate.DUPLICATE, [reason], case.past_route, duplicate_of=case.duplicate_of)
    if case.overridden_by:
        refs = (case.overridden_by,)
        reason = Reason(code=ReasonCode.OVERRIDDEN, detail=f"record {case.overridden_by}", refs=refs)
        return Outcome(Fate.REJECTED, [reason], case.past_route)
    if case.bridges:
        reason = Reason(code=ReasonCode.BRIDGES_SPLITS, detail=" and ".join(case.bridges))
        return Outcome(Fate.REJECTED, [reason])
    return None


def _automatic(case: Case, askers: set[str], doubts: _Doubts) -> Outcome:
    waits = list(case.review_reasons)
    if case.targets is None:
        waits.append(_UNLABELED)
    if case.conflicting_answers:
        asks = case.record_id in askers
        reasons = [_conflict_reason(case), *waits, *case.label_error_reasons]
        score = 1.0 if asks else None
        return Outcome(Fate.REVIEW, reasons, score=score, route=Routed.CONFLICT, wait=Wait.CONFLICT)
    if waits:
        unlabeled_only = case.targets is None and not case.review_reasons
        doubt = 0.5 if case.label_error_score is None else case.label_error_score
        route = Routed.CONFLICT if any(reason.code is ReasonCode.CONFLICT for reason in waits) else Routed.UNCERTAIN
        return Outcome(
            Fate.REVIEW,
            waits + case.label_error_reasons,
            score=0.5 + 0.5 * doubt if unlabeled_only else 1.0,
            route=route,
            wait=Wait.UNLABELED if unlabeled_only else Wait.HELD,
        )
    if doubts.about(case):
        score = _UNKNOWN_SCORE if case.label_error_score is None else case.label_error_score
        # Earlier versions of Goldleaf gave some sets of labels and extracted values a score without a reason.
        return Outcome(Fate.REVIEW, case.label_error_reasons or [_DOUBTED], score=score)
    # What little speaks against it is kept: the floor may be lowered.
    return Outcome(Fate.ACCEPTED, [PASSED, *case.label_error_reasons])


def _conflict_reason(case: Case) -> Reason:
    answers = [f"'{answer}'" for answer in case.conflict_answers]
    more = f" and {case.conflicting_answers - len(answers)} more" if case.conflicting_answers > len(answers) else ""
    return Reason(code=ReasonCode.CONFLICT, detail=", ".join(answers) + more, refs=tuple(case.conflict_rows))
