"""Gives every case its fate, as far as it depends on the case and on what it was compared with.

Pure: all that its fate depends on comes in as ``Judged``, and a row comes out: its decision so far, and what
``triage`` needs to know to choose, among all records, whom annotators are asked about.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.curation.case import Judged, Matched
from pipeline.curation.choose import Wait
from pipeline.curation.known import NO_DOUBT, Doubt, Known
from pipeline.curation.repairable_rows import repair_score
from pipeline.curation.settled_columns import SETTLED
from pipeline.estimation.audit_draw import numbers_of
from pipeline.kinds.registry import kind_of
from pipeline.state.decisions import json_of, json_of_reasons
from pipeline.state.same_question import asked_digest
from pipeline.text.screening import personal_values, texts_in
from pipeline.text.wording import shown_similarity
from schemas.annotation import Verdict
from schemas.dataset import Review, Screen
from schemas.fate import RULE_CODES, Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.task import Task

_UNKNOWN_SCORE = 0.6
"""The chance that a label is wrong if something was found against it, but nothing says how likely it is wrong."""
# One shared reason for all rows that have it; most have no other than the first.
PASSED = Reason(code=ReasonCode.PASSED)
_EXACT_DUPLICATE = Reason(code=ReasonCode.EXACT_DUPLICATE)
_UNLABELED = Reason(code=ReasonCode.UNLABELED)
_DOUBTED = Reason(code=ReasonCode.LABEL_ERROR)
_FROZEN = Reason(code=ReasonCode.FROZEN)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case becomes, as far as the budget has been looked at."""

    fate: Fate
    reasons: tuple[Reason, ...]
    routed: Routed | None = None
    duplicate_of: str = ""
    score: float | None = None
    """For candidates, the chance of an error or the urgency of a review; None for all others."""
    route: Routed = Routed.UNCERTAIN
    alone: float | None = None
    """Of a row that waits, the chance of an error for which it would be doubted if it did not wait."""
    wait: Wait = Wait.NO
    """Candidates in review that do not wait for an annotator follow ``review.unreviewed`` beyond the budget."""


def settle(cases: Sequence[Judged], review: Review, screen: Screen, task: type[Task]) -> pl.DataFrame:
    """Give every case its fate, whatever the budget; one row each, with the columns of ``SETTLED``, in their order.

    Args:
        cases: some of the current records, with all that each of them was compared with.
        review: from which chance of an error on a label is doubted.
        screen: what is taken for personal data.
        task: the one that parsed them.
    """
    records = [case.known for case in cases]
    unusable, askers = _unusable_inputs(records), _conflict_representatives(cases)
    doubts = _Doubts(review.floor, kind_of(task).scores_are_chances)
    digest = asked_digest(task)
    rows = []
    for case in cases:
        outcome = _provisional(case, unusable.get(case.known.text_key), askers, doubts)
        rows.append((*_decided(case, outcome, digest), *_asking(case, outcome, screen, task)))
    # By columns: row by row, polars takes several times as long.
    columns = list(zip(*rows, strict=True)) or [()] * len(_BUILT)
    frame = pl.DataFrame(dict(zip(_BUILT, columns, strict=True)), schema=_BUILT)
    number = pl.Series(numbers_of(frame["record_id"].to_list()))
    return frame.with_columns(number=number, **_UNASKED).select(SETTLED.names())


_UNASKED = {name: pl.lit(value=False) for name in ("open_seat", "in_vain")}
"""What only ``open_questions`` knows."""
_BUILT = pl.Schema({name: kind for name, kind in SETTLED.items() if name not in ("number", *_UNASKED)})


def _decided(case: Judged, outcome: Outcome, task_digest: str) -> tuple[Any, ...]:
    known, matched, doubt = case.known, case.matched, case.doubt
    if outcome.fate is Fate.REJECTED:
        # No run keeps what it found against such a row: the next one may have learned otherwise.
        doubt = NO_DOUBT
    source: LabelSource | None = None
    if known.targets is not None:
        source = LabelSource.HUMAN if known.human is Verdict.LABELED else LabelSource.SOURCE
    return (
        known.record_id,
        known.revision,
        # Its question stays the same one.
        known.past.asked_as or task_digest,
        known.content or None,
        outcome.fate.value,
        json_of_reasons(outcome.reasons),
        outcome.duplicate_of,
        matched.similarity if outcome.fate is Fate.DUPLICATE else None,
        outcome.routed.value if outcome.routed else None,
        json_of(known.inputs),
        json_of(known.targets),
        json_of((known.draft or None) if case.is_offered else doubt.suggestion),
        source.value if source else None,
        doubt.score,
        case.group,
        matched.pinned_split or "",
        case.tokens,
        json_of(case.model_answer),
        doubt.score_alone,
        json_of(known.answered.corrected),
        None,
        None,
    )


def _asking(case: Judged, outcome: Outcome, screen: Screen, task: type[Task]) -> tuple[Any, ...]:
    known, answered, past = case.known, case.known.answered, case.known.past
    return (
        known.order,
        outcome.score,
        outcome.wait.value,
        outcome.route.value,
        None if outcome.score is None else _sort_of(case, outcome, task),
        _personal(known, screen),
        outcome.alone,
        outcome.reasons[0].code.value,
        outcome.reasons[0] is PASSED,
        past.past_route.value if past.past_route else None,
        past.chance.stratum if past.chance else None,
        past.chance.probability if past.chance else None,
        answered.human.value if answered.human else None,
        answered.unconfirmed,
        known.was_wrong,
        answered.entered,
        answered.is_trusted,
        known.published_as_is,
        bool(known.review_reasons),
        bool(known.rejection_reasons),
    )


def _personal(known: Known, screen: Screen) -> str | None:
    """The personal data for which alone a row is held, or was until an annotator accepted it."""
    if not known.review_reasons or any(reason.code is not ReasonCode.PERSONAL_DATA for reason in known.review_reasons):
        return None
    texts = [*texts_in(known.inputs), *texts_in(known.targets or {})]
    return " ".join(personal_values(texts, screen)) or None


def _sort_of(case: Judged, outcome: Outcome, task: type[Task]) -> str:
    reason = outcome.reasons[0]
    if reason.code in RULE_CODES:
        # How much speaks against a row matters more than by which rule.
        return "rule"
    targets = case.known.targets or case.doubt.suggestion
    strata = kind_of(task).strata(task, targets) if targets else ()
    return "/".join([reason.code, reason.field, *strata])


# --- what holds for all rows of an input ----------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _UnusableInput:
    """An input that an annotator marked unusable."""

    unusable: Known
    """The first row of it that was marked so."""
    confirmed: Known | None
    """The first row whose answer an annotator gave or confirmed: the two disagree."""


def _unusable_inputs(records: Sequence[Known]) -> dict[str, _UnusableInput]:
    """By input key: what holds for all rows of that input."""
    unusable: dict[str, Known] = {}
    for known in records:
        if known.human is Verdict.UNUSABLE and known.text_key:
            unusable.setdefault(known.text_key, known)
    confirmed: dict[str, Known] = {}
    for known in records:
        if known.human is Verdict.LABELED and known.text_key in unusable and not known.rejection_reasons:
            confirmed.setdefault(known.text_key, known)
    return {key: _UnusableInput(known, confirmed.get(key)) for key, known in unusable.items()}


def _conflict_representatives(cases: Iterable[Judged]) -> set[str]:
    """One record per conflict asks the question; the others follow its answer.

    It is the one whose question annotators already have, or else the first.
    """
    chosen: dict[str, Known] = {}
    for known in sorted((case.known for case in cases if case.matched.conflicting_answers), key=_asking_rank):
        chosen.setdefault(known.text_key, known)
    return {known.record_id for known in chosen.values()}


def _asking_rank(known: Known) -> tuple[bool, bool, int]:
    return known.past.past_route is not Routed.CONFLICT, known.past.past_route is None, known.order


@dataclass(frozen=True, slots=True)
class _Doubts:
    """Which labels annotators should look at, if the budget allows it."""

    floor: float
    """From this chance of being wrong on."""
    scores_are_chances: bool
    """Or they only rank the rows: then a row without a reason is not doubted, whatever its score."""

    def about(self, doubt: Doubt) -> bool:
        if doubt.score is None or any(reason.code in RULE_CODES for reason in doubt.reasons):
            # What rules find has no measured chance of being an error.
            return bool(doubt.reasons)
        return doubt.score >= self.floor and (self.scores_are_chances or bool(doubt.reasons))


# --- one case -------------------------------------------------------------------------------------
def _provisional(case: Judged, marked: _UnusableInput | None, askers: set[str], doubts: _Doubts) -> Outcome:
    """The fate, as far as it does not depend on the budget."""
    known, said, before = case.known, case.known.answered, case.known.past.past_route
    if said.human is Verdict.UNUSABLE and not (marked and marked.confirmed):
        return Outcome(Fate.REJECTED, said.human_reasons, before)
    if case.is_offered:
        reasons = (*known.rejection_reasons, *known.review_reasons)
        return Outcome(Fate.REJECTED, reasons, score=repair_score(known), route=Routed.REPAIR)
    if known.rejection_reasons:
        # Whatever annotators said: such a row would spoil the training, or must not be published.
        return Outcome(Fate.REJECTED, known.rejection_reasons, before if said.human else None)
    if known.published_as_is:
        reasons = said.human_reasons if said.human is Verdict.LABELED else (_FROZEN,)
        return _by_comparison(case) or Outcome(Fate.ACCEPTED, reasons, before if said.human else None)
    if marked:
        return _in_unusable_input(case, marked)
    if decided := _by_comparison(case):
        return decided
    if case.matched.conflicting_answers and said.human is Verdict.LABELED:
        return Outcome(Fate.REVIEW, (_conflict_reason(case.matched),), Routed.ADJUDICATE)
    if said.human is Verdict.LABELED:
        return Outcome(Fate.ACCEPTED, said.human_reasons, before)
    if said.human in (Verdict.UNSURE, Verdict.DISPUTED):
        return Outcome(Fate.REVIEW, said.human_reasons, Routed.ADJUDICATE)
    return _automatic(case, askers, doubts)


def _in_unusable_input(case: Judged, marked: _UnusableInput) -> Outcome:
    """The fate of a row whose input was marked unusable: it is rejected, or annotators must agree first."""
    if marked.confirmed is None:
        detail = "an annotator marked a row with the same input"
        reason = Reason(code=ReasonCode.UNUSABLE, detail=detail)
        return Outcome(Fate.REJECTED, (reason,), case.known.past.past_route)
    if case.matched.duplicate_of and (copied := _by_comparison(case)):
        return copied
    refs = (marked.confirmed.record_id, marked.unusable.record_id)
    detail = f"record {refs[0]} is confirmed, record {refs[1]} with the same input unusable"
    # Only those who have answered can settle it.
    route = Routed.ADJUDICATE if case.known.human is not None else None
    return Outcome(Fate.REVIEW, (Reason(code=ReasonCode.DISAGREEMENT, detail=detail, refs=refs),), route)


def _by_comparison(case: Judged) -> Outcome | None:
    matched, before = case.matched, case.known.past.past_route
    if matched.duplicate_of:
        similarity = None if matched.similarity is None else shown_similarity(matched.similarity, matched.threshold)
        detail = f"similarity {similarity}" if similarity else ""
        reason = _EXACT_DUPLICATE if matched.exact else Reason(code=ReasonCode.NEAR_DUPLICATE, detail=detail)
        return Outcome(Fate.DUPLICATE, (reason,), before, duplicate_of=matched.duplicate_of)
    if matched.overridden_by:
        refs = (matched.overridden_by,)
        reason = Reason(code=ReasonCode.OVERRIDDEN, detail=f"record {matched.overridden_by}", refs=refs)
        return Outcome(Fate.REJECTED, (reason,), before)
    if matched.bridges:
        return Outcome(Fate.REJECTED, (Reason(code=ReasonCode.BRIDGES_SPLITS, detail=" and ".join(matched.bridges)),))
    return None


def _automatic(case: Judged, askers: set[str], doubts: _Doubts) -> Outcome:
    known, doubt = case.known, case.doubt
    waits = known.review_reasons if known.targets is not None else (*known.review_reasons, _UNLABELED)
    if case.matched.conflicting_answers:
        reasons = (_conflict_reason(case.matched), *waits, *doubt.reasons)
        score = 1.0 if known.record_id in askers else None
        return Outcome(Fate.REVIEW, reasons, score=score, route=Routed.CONFLICT, wait=Wait.CONFLICT)
    if waits:
        unlabeled_only = known.targets is None and not known.review_reasons
        chance = 0.5 if doubt.score is None else doubt.score
        route = Routed.CONFLICT if any(reason.code is ReasonCode.CONFLICT for reason in waits) else Routed.UNCERTAIN
        return Outcome(
            Fate.REVIEW,
            (*waits, *doubt.reasons),
            score=0.5 + 0.5 * chance if unlabeled_only else 1.0,
            route=route,
            alone=_chance(doubt) if known.targets is not None and doubts.about(doubt) else None,
            wait=Wait.UNLABELED if unlabeled_only else Wait.HELD,
        )
    if doubts.about(doubt):
        # Nobody wants to train on nothing: no budget lets such an answer pass.
        is_empty = any(reason.code is ReasonCode.EMPTY_TURN for reason in doubt.reasons)
        wait = Wait.HELD if is_empty else Wait.NO
        # Earlier versions of Goldleaf gave some sets of labels and extracted values a score without a reason.
        return Outcome(Fate.REVIEW, doubt.reasons or (_DOUBTED,), score=_chance(doubt), wait=wait)
    # What little speaks against it is kept: the floor may be lowered.
    return Outcome(Fate.ACCEPTED, (PASSED, *doubt.reasons))


def _chance(doubt: Doubt) -> float:
    return _UNKNOWN_SCORE if doubt.score is None else doubt.score


def _conflict_reason(matched: Matched) -> Reason:
    answers = [f"'{answer}'" for answer in matched.conflict_answers]
    more = matched.conflicting_answers - len(answers)
    detail = ", ".join(answers) + (f" and {more} more" if more > 0 else "")
    return Reason(code=ReasonCode.CONFLICT, detail=detail, refs=matched.conflict_rows)
