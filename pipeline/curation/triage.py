"""Gives every record its fate and chooses, within a budget, what annotators review.

Pure: everything known about a record comes in as a ``Case``, and one ``Decision`` per case goes out.
Triage is a fixed point: the same cases, with these decisions as their history, give the same
decisions again, so a repeated run sends nothing twice.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.curation.audit import AuditFrame, Chance, draw_audit
from pipeline.curation.case import Case, stands_for_others
from pipeline.curation.choose import Candidate, Wait, choose
from pipeline.curation.error_proof import FEWEST, answers_about, ask_until_proven
from pipeline.curation.repairable_rows import repair_score
from pipeline.kinds.registry import kind_of
from pipeline.text.wording import shown_similarity
from schemas.annotation import Verdict
from schemas.dataset import Review, Unreviewed
from schemas.decision import Decision
from schemas.fate import RULE_CODES, Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.run_summary import Proof
from schemas.task import Task

_BUDGET = 0.1
_MOST_ASKED = 500
"""Records to review if no budget is configured: some hours of an annotator's work."""
_UNKNOWN_SCORE = 0.6
"""The chance that a label is wrong if something was found against it, but nothing says how likely it is wrong."""
_ASKED = (Routed.UNCERTAIN, Routed.CONFLICT, Routed.REPAIR)
"""Routes that use up the budget."""
# One shared reason for all rows: most have no other.
_PASSED = Reason(code=ReasonCode.PASSED)
_EXACT_DUPLICATE = Reason(code=ReasonCode.EXACT_DUPLICATE)
_UNLABELED = Reason(code=ReasonCode.UNLABELED)


@dataclass(frozen=True)
class BudgetUse:
    """How much of the review budget is used."""

    budget: int
    """Records that may be routed as uncertain, in conflict or to be repaired, over all runs."""
    used: int
    beyond: int
    """Records that would be routed if the budget were larger."""
    beyond_by_reason: dict[ReasonCode, int]
    """The same by what annotators would be asked, the most frequent first."""


@dataclass(frozen=True)
class Triage:
    """The decisions, and how much of the budget they use."""

    decisions: list[Decision]
    use: BudgetUse
    proof: Proof | None = None
    """Of ``review.error_rate``, if it is set."""


@dataclass(slots=True)
class _Provisional:
    """What a case becomes, as far as the budget has been looked at."""

    fate: Fate
    reasons: list[Reason]
    routed: Routed | None = None
    duplicate_of: str = ""
    score: float | None = None
    """For candidates, the chance of an error or the urgency of a review; None for all others."""
    route: Routed = Routed.UNCERTAIN
    wait: Wait = Wait.NO
    """Candidates in review that do not wait for an annotator follow ``review.unreviewed`` beyond the budget."""
    chance: Chance | None = None
    """To be audited."""


def triage(cases: Sequence[Case], review: Review, *, run: str, task: type[Task], proof: Proof | None = None) -> Triage:
    """Decide about every case.

    Args:
        cases: one per current record.
        review: budget, audit rate, and what happens beyond the budget.
        run: the deciding run.
        task: the one that parsed the cases.
        proof: the state of ``review.error_rate`` after the last run.
    """
    unusable = _unusable_inputs(cases)
    askers = _conflict_representatives(cases)
    outcomes = {case.record_id: _provisional(case, unusable.get(case.text_key), askers, review.floor) for case in cases}
    budget = _budget(review, len(cases))
    asked = [case for case in cases if case.past_route in _ASKED and _stays_asked(case, outcomes[case.record_id])]
    candidates = [
        case
        for case in cases
        if (outcome := outcomes[case.record_id]).score is not None
        and case.past_route is None
        # Until an error rate is proven, rows that may pass are drawn like all accepted ones.
        and (outcome.wait is not Wait.NO or review.error_rate is None)
    ]
    offered = (_candidate(case, outcomes[case.record_id], task) for case in candidates)
    chosen = choose(offered, budget - len(asked), Counter(case.group for case in asked))
    still_asked = {case.record_id for case in asked}
    for case in cases:
        outcome = outcomes[case.record_id]
        if case.record_id in still_asked:
            _keep_asking(case, outcome)
        else:
            _settle(outcome, case.record_id in chosen, review)
    proof = _audit(cases, outcomes, review, proof)
    digest = task.task_digest()
    decisions = [_decision(case, outcomes[case.record_id], run, digest) for case in cases]
    beyond = Counter(_asks_for(outcome) for case in candidates if not (outcome := outcomes[case.record_id]).routed)
    use = BudgetUse(budget, len(asked) + len(chosen), beyond.total(), dict(beyond.most_common()))
    return Triage(decisions, use, proof)


def _asks_for(outcome: _Provisional) -> ReasonCode:
    return next(reason.code for reason in outcome.reasons if reason.code is not ReasonCode.UNREVIEWED)


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


def _budget(review: Review, current: int) -> int:
    if isinstance(review.budget, int):
        return review.budget
    share = _BUDGET if review.budget is None else review.budget
    # Rounded first, since 0.07 of 100 is 7.000000000000001; up, so that a share of a small set is not zero.
    budget = math.ceil(round(share * current, 6))
    return min(budget, _MOST_ASKED) if review.budget is None else budget


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


def _provisional(case: Case, marked: _UnusableInput | None, askers: set[str], floor: float) -> _Provisional:
    """The fate, as far as it does not depend on the budget."""
    if case.human is Verdict.UNUSABLE and not (marked and marked.confirmed):
        return _Provisional(Fate.REJECTED, case.human_reasons, case.past_route)
    if case.repair:
        reasons = [*case.rejection_reasons, *case.review_reasons]
        return _Provisional(Fate.REJECTED, reasons, score=repair_score(case), route=Routed.REPAIR)
    if case.rejection_reasons:
        # Whatever annotators said: such a row would spoil the training, or must not be published.
        return _Provisional(Fate.REJECTED, case.rejection_reasons, case.past_route if case.human else None)
    if case.published_as_is:
        reasons = case.human_reasons if case.human is Verdict.LABELED else [Reason(code=ReasonCode.FROZEN)]
        return _by_comparison(case) or _Provisional(Fate.ACCEPTED, reasons, case.past_route if case.human else None)
    if marked:
        return _in_unusable_input(case, marked)
    if decided := _by_comparison(case):
        return decided
    if case.conflicting_answers and case.human is Verdict.LABELED:
        return _Provisional(Fate.REVIEW, [_conflict_reason(case)], Routed.ADJUDICATE)
    if case.human is Verdict.LABELED:
        return _Provisional(Fate.ACCEPTED, case.human_reasons, case.past_route)
    if case.human in (Verdict.UNSURE, Verdict.DISPUTED):
        return _Provisional(Fate.REVIEW, case.human_reasons, Routed.ADJUDICATE)
    return _automatic(case, askers, floor)


def _in_unusable_input(case: Case, marked: _UnusableInput) -> _Provisional:
    """The fate of a row whose input was marked unusable: it is rejected, or annotators must agree first."""
    if marked.confirmed is None:
        detail = "an annotator marked a row with the same input"
        return _Provisional(Fate.REJECTED, [Reason(code=ReasonCode.UNUSABLE, detail=detail)], case.past_route)
    if case.duplicate_of and (copied := _by_comparison(case)):
        return copied
    refs = (marked.confirmed.record_id, marked.unusable.record_id)
    detail = f"record {refs[0]} is confirmed, record {refs[1]} with the same input unusable"
    # Only those who have answered can settle it.
    route = Routed.ADJUDICATE if case.human is not None else None
    return _Provisional(Fate.REVIEW, [Reason(code=ReasonCode.DISAGREEMENT, detail=detail, refs=refs)], route)


def _by_comparison(case: Case) -> _Provisional | None:
    if case.duplicate_of:
        similarity = None if case.similarity is None else shown_similarity(case.similarity, case.threshold)
        detail = f"similarity {similarity}" if similarity else ""
        reason = _EXACT_DUPLICATE if case.exact else Reason(code=ReasonCode.NEAR_DUPLICATE, detail=detail)
        return _Provisional(Fate.DUPLICATE, [reason], case.past_route, duplicate_of=case.duplicate_of)
    if case.overridden_by:
        refs = (case.overridden_by,)
        reason = Reason(code=ReasonCode.OVERRIDDEN, detail=f"record {case.overridden_by}", refs=refs)
        return _Provisional(Fate.REJECTED, [reason], case.past_route)
    if case.bridges:
        reason = Reason(code=ReasonCode.BRIDGES_SPLITS, detail=" and ".join(case.bridges))
        return _Provisional(Fate.REJECTED, [reason])
    return None


def _automatic(case: Case, askers: set[str], floor: float) -> _Provisional:
    waits = list(case.review_reasons)
    if case.targets is None:
        waits.append(_UNLABELED)
    if case.conflicting_answers:
        asks = case.record_id in askers
        reasons = [_conflict_reason(case), *waits, *case.label_error_reasons]
        score = 1.0 if asks else None
        return _Provisional(Fate.REVIEW, reasons, score=score, route=Routed.CONFLICT, wait=Wait.CONFLICT)
    if waits:
        unlabeled_only = case.targets is None and not case.review_reasons
        doubt = 0.5 if case.label_error_score is None else case.label_error_score
        route = Routed.CONFLICT if any(reason.code is ReasonCode.CONFLICT for reason in waits) else Routed.UNCERTAIN
        return _Provisional(
            Fate.REVIEW,
            waits + case.label_error_reasons,
            score=0.5 + 0.5 * doubt if unlabeled_only else 1.0,
            route=route,
            wait=Wait.UNLABELED if unlabeled_only else Wait.HELD,
        )
    if _is_suspect(case, floor):
        score = _UNKNOWN_SCORE if case.label_error_score is None else case.label_error_score
        return _Provisional(Fate.REVIEW, case.label_error_reasons, score=score)
    # What little speaks against it is kept: the floor may be lowered.
    return _Provisional(Fate.ACCEPTED, [_PASSED, *case.label_error_reasons])


def _is_suspect(case: Case, floor: float) -> bool:
    """Whether annotators should look at a label, if the budget allows it."""
    if case.label_error_score is None or any(reason.code in RULE_CODES for reason in case.label_error_reasons):
        # What rules find has no measured chance of being an error.
        return bool(case.label_error_reasons)
    return bool(case.label_error_reasons) and case.label_error_score >= floor


def _conflict_reason(case: Case) -> Reason:
    answers = [f"'{answer}'" for answer in case.conflict_answers]
    more = f" and {case.conflicting_answers - len(answers)} more" if case.conflicting_answers > len(answers) else ""
    return Reason(code=ReasonCode.CONFLICT, detail=", ".join(answers) + more, refs=tuple(case.conflict_rows))


def _stays_asked(case: Case, outcome: _Provisional) -> bool:
    """Whether an earlier question counts: it was answered, or there is still something to ask.

    Its reason may be gone: a screen was turned off, a conflicting row was withdrawn, a source fixed.
    """
    return case.human is not None or outcome.score is not None


def _keep_asking(case: Case, outcome: _Provisional) -> None:
    """A question that was asked and not answered remains asked, whatever the current budget."""
    if case.human is None:
        # What broke the task's schema may be valid now, and the reverse: the task's own validators change.
        is_repair = Routed.REPAIR in (case.past_route, outcome.route)
        outcome.routed = outcome.route if is_repair else case.past_route


def _candidate(case: Case, outcome: _Provisional, task: type[Task]) -> Candidate:
    return Candidate(
        record_id=case.record_id,
        score=outcome.score or 0.0,
        wait=outcome.wait,
        group=case.group,
        sort=_sort_of(case, outcome, task),
        order=case.order,
    )


def _sort_of(case: Case, outcome: _Provisional, task: type[Task]) -> str:
    reason = outcome.reasons[0]
    if reason.code in RULE_CODES:
        # How much speaks against a row matters more than by which rule.
        return "rule"
    targets = case.targets or case.suggestion
    strata = kind_of(task).strata(task, targets) if targets else ()
    return "/".join([reason.code, reason.field, *strata])


def _settle(outcome: _Provisional, chosen: bool, review: Review) -> None:
    """What the budget makes of a fate that depends on it."""
    if chosen:
        outcome.routed = outcome.route
    elif _may_pass(outcome) and review.unreviewed is Unreviewed.ACCEPT:
        outcome.fate = Fate.ACCEPTED
        outcome.reasons = [Reason(code=ReasonCode.UNREVIEWED), *outcome.reasons]


def _may_pass(outcome: _Provisional) -> bool:
    """Whether it is a candidate that does not wait for an annotator; a row to repair is rejected, and does."""
    return outcome.fate is Fate.REVIEW and outcome.wait is Wait.NO and outcome.score is not None


def _audit(
    cases: Sequence[Case], outcomes: Mapping[str, _Provisional], review: Review, proof: Proof | None
) -> Proof | None:
    """Draw the audit sample from the accepted rows that no annotator has decided.

    The question covers any findings about the record since, and then remains asked. One that was drawn and answered
    keeps its place in the draw, or every answer would call for another question.
    """
    frame, held = [], set()
    for case in cases:
        outcome, was_asked = outcomes[case.record_id], case.past_route is Routed.AUDIT
        if case.human is not None:
            if stands_for_others(case):
                frame.append(case)
        elif not (outcome.routed or case.published_as_is) and (
            outcome.fate is Fate.ACCEPTED
            or (was_asked and outcome.fate is Fate.REVIEW)
            # Held suspects are asked about as if they were accepted.
            or (review.error_rate is not None and _may_pass(outcome))
        ):
            frame.append(case)
            if was_asked and outcome.reasons[0] is not _PASSED:
                held.add(case.record_id)
    known = AuditFrame(
        [case.record_id for case in frame],
        [case.label_error_score for case in frame],
        [case.chance for case in frame],
    )
    if review.error_rate is None:
        drawn, proof = draw_audit(known, review), None
    else:
        batch = max(FEWEST, _budget(review, len(cases)))
        accepted = (c for c in cases if outcomes[c.record_id].fate is Fate.ACCEPTED and not c.published_as_is)
        answers = answers_about(frame, sum(1 for _ in accepted), review)
        drawn, proof = ask_until_proven(known, answers, review.error_rate, batch, proof)
    asked = drawn.asked | held
    for case in frame:
        outcome = outcomes[case.record_id]
        outcome.chance = drawn.chances.get(case.record_id)
        if case.human is None and case.record_id in asked:
            outcome.routed = Routed.AUDIT
    return proof


def _decision(case: Case, outcome: _Provisional, run: str, task_digest: str) -> Decision:
    source: LabelSource | None = None
    if case.targets is not None:
        source = LabelSource.HUMAN if case.human is Verdict.LABELED else LabelSource.SOURCE
    return Decision(
        run=run,
        record_id=case.record_id,
        revision=case.revision,
        task_digest=task_digest,
        fate=outcome.fate,
        reasons=outcome.reasons,
        duplicate_of=outcome.duplicate_of,
        similarity=case.similarity if outcome.fate is Fate.DUPLICATE else None,
        routed=outcome.routed,
        inputs=case.inputs,
        targets=case.targets,
        replaced=case.corrected,
        suggestion=(case.draft or None) if case.repair else case.suggestion,
        label_source=source,
        label_error_score=case.label_error_score,
        group=case.group,
        pinned_split=case.pinned_split or "",
        tokens=case.tokens,
        model_answer=case.model_answer,
        score_alone=case.score_alone,
        audit_stratum=outcome.chance.stratum if outcome.chance else None,
        audit_probability=outcome.chance.probability if outcome.chance else None,
    )
