"""Gives every record its fate and chooses, within a budget, what annotators review.

Pure: everything known about a record comes in as a ``Case``, and one ``Decision`` per case goes out.
Triage is a fixed point: the same cases, with these decisions as their history, give the same
decisions again, so a repeated run sends nothing twice.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.curation.case import Case
from pipeline.curation.choose import Candidate, Wait, choose
from pipeline.curation.error_proof import FEWEST
from pipeline.curation.outcome import PASSED, Outcome
from pipeline.curation.random_checks import draw_checks
from pipeline.curation.repairable_rows import repair_score
from pipeline.estimation.error_target import least_sample
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
# One shared reason for all rows that have it.
_EXACT_DUPLICATE = Reason(code=ReasonCode.EXACT_DUPLICATE)
_UNLABELED = Reason(code=ReasonCode.UNLABELED)
_DOUBTED = Reason(code=ReasonCode.LABEL_ERROR)


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
    doubts = _Doubts(review.floor, kind_of(task).scores_are_chances)
    outcomes = {case.record_id: _provisional(case, unusable.get(case.text_key), askers, doubts) for case in cases}
    asked = [case for case in cases if case.past_route in _ASKED and _stays_asked(case, outcomes[case.record_id])]
    picked = _pick(cases, asked, outcomes, review, task)
    still_asked = {case.record_id for case in asked}
    for case in cases:
        outcome = outcomes[case.record_id]
        if case.record_id in still_asked:
            _keep_asking(case, outcome)
        else:
            _settle(outcome, case.record_id in picked.chosen, review)
    proof = draw_checks(cases, outcomes, review, picked.room, proof)
    digest = task.task_digest()
    decisions = [_decision(case, outcomes[case.record_id], run, digest) for case in cases]
    left = (outcomes[case.record_id] for case in picked.within_budget)
    beyond = Counter(_asks_for(outcome) for outcome in left if not outcome.routed)
    use = BudgetUse(picked.budget, picked.used, beyond.total(), dict(beyond.most_common()))
    return Triage(decisions, use, proof)


@dataclass(frozen=True, slots=True)
class _Picked:
    """What annotators are asked about, as far as it is not drawn at random."""

    chosen: set[str]
    """Records that nobody was asked about before."""
    budget: int
    used: int
    within_budget: list[Case]
    """The candidates that may use up the budget."""
    room: int = 0
    """With an error rate, how many rows of a batch are drawn at random."""


def _pick(
    cases: Sequence[Case], asked: Sequence[Case], outcomes: Mapping[str, Outcome], review: Review, task: type[Task]
) -> _Picked:
    """Choose within the budget. With an error rate it is only for rows that wait: suspects come batch by batch."""
    budget, of_group = _budget(review, len(cases)), Counter(case.group for case in asked)

    def choice(some: Iterable[Case], room: int) -> set[str]:
        return choose((_candidate(case, outcomes[case.record_id], task) for case in some), room, of_group)

    new = [case for case in cases if outcomes[case.record_id].score is not None and case.past_route is None]
    if review.error_rate is None:
        chosen = choice(new, budget - len(asked))
        return _Picked(chosen, budget, len(asked) + len(chosen), new)
    suspects = [case for case in new if outcomes[case.record_id].is_suspect]
    waiting = [case for case in new if not outcomes[case.record_id].is_suspect]
    before = [case for case in asked if _was_suspect(case, outcomes[case.record_id])]
    unanswered = sum(case.human is None and not case.is_in_vain for case in before)
    batch = max(FEWEST, budget)
    least = least_sample(batch)
    likely = choice(suspects, batch - least - unanswered)
    used = len(asked) - len(before)
    chosen = choice(waiting, budget - used)
    room = max(least, batch - unanswered - len(likely))
    return _Picked(likely | chosen, budget, used + len(chosen), waiting, room)


def _was_suspect(case: Case, outcome: Outcome) -> bool:
    """Whether a row was asked about since it was likely wrong, and for no other reason, as far as that can be seen."""
    if case.human is None:
        return outcome.is_suspect
    return case.past_route is Routed.UNCERTAIN and not (case.entered or case.review_reasons)


def _asks_for(outcome: Outcome) -> ReasonCode:
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


def _stays_asked(case: Case, outcome: Outcome) -> bool:
    """Whether an earlier question counts: it was answered, or there is still something to ask.

    Its reason may be gone: a screen was turned off, a conflicting row was withdrawn, a source fixed.
    """
    return case.human is not None or outcome.score is not None


def _keep_asking(case: Case, outcome: Outcome) -> None:
    """A question that was asked and not answered remains asked, whatever the current budget."""
    if case.human is None:
        # What broke the task's schema may be valid now, and the reverse: the task's own validators change.
        is_repair = Routed.REPAIR in (case.past_route, outcome.route)
        outcome.routed = outcome.route if is_repair else case.past_route


def _candidate(case: Case, outcome: Outcome, task: type[Task]) -> Candidate:
    return Candidate(
        record_id=case.record_id,
        score=outcome.score or 0.0,
        wait=outcome.wait,
        group=case.group,
        sort=_sort_of(case, outcome, task),
        order=case.order,
    )


def _sort_of(case: Case, outcome: Outcome, task: type[Task]) -> str:
    reason = outcome.reasons[0]
    if reason.code in RULE_CODES:
        # How much speaks against a row matters more than by which rule.
        return "rule"
    targets = case.targets or case.suggestion
    strata = kind_of(task).strata(task, targets) if targets else ()
    return "/".join([reason.code, reason.field, *strata])


def _settle(outcome: Outcome, chosen: bool, review: Review) -> None:
    """What the budget makes of a fate that depends on it."""
    if chosen:
        outcome.routed = outcome.route
    elif outcome.may_pass and review.unreviewed is Unreviewed.ACCEPT:
        outcome.fate = Fate.ACCEPTED
        later = "annotators are asked about it in a later batch" if review.error_rate is not None else ""
        outcome.reasons = [Reason(code=ReasonCode.UNREVIEWED, detail=later), *outcome.reasons]


def _decision(case: Case, outcome: Outcome, run: str, task_digest: str) -> Decision:
    source: LabelSource | None = None
    if case.targets is not None:
        source = LabelSource.HUMAN if case.human is Verdict.LABELED else LabelSource.SOURCE
    return Decision(
        run=run,
        record_id=case.record_id,
        revision=case.revision,
        task_digest=task_digest,
        content=case.content,
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
