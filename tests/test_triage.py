"""Triage gives every record one fate, and never asks the same thing twice."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_cases import changed
from triage_cases import (
    FLAGGED,
    HOLD,
    NONE,
    PERSON,
    REJECT,
    asked,
    case,
    chance_of,
    codes,
    conflict,
    decide,
    run,
    suspected,
)
from tried_examples import examples

from pipeline.curation.case import SHOWN_ANSWERS, Judged
from pipeline.state.same_question import asked_digest
from schemas.annotation import Verdict
from schemas.dataset import Review, Unreviewed
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.tasks.contract_clause import ContractClause

VERDICTS = [None, Verdict.LABELED, Verdict.UNUSABLE, Verdict.UNSURE, Verdict.DISPUTED]


# --- fates ------------------------------------------------------------------------------------------
def test_what_nothing_speaks_against_is_accepted() -> None:
    decision = decide([case("r1", tokens=7, inputs={"text": "t"})])["r1"]
    assert (decision.fate, codes(decision), decision.routed) == (Fate.ACCEPTED, [ReasonCode.PASSED], None)
    assert (decision.label_source, decision.tokens, decision.inputs) == (LabelSource.SOURCE, 7, {"text": "t"})


def test_a_hard_error_rejects_whatever_else_is_true() -> None:
    decision = decide([suspected("r1", rejection_reasons=REJECT, review_reasons=HOLD)])["r1"]
    assert (decision.fate, decision.reasons, decision.routed) == (Fate.REJECTED, REJECT, None)


@pytest.mark.parametrize("exact", [True, False])
def test_a_duplicate_names_the_row_that_is_kept(exact: bool) -> None:
    decision = decide([case("r1"), suspected("r2", duplicate_of="r1", exact=exact, similarity=0.875)])["r2"]
    assert (decision.fate, decision.duplicate_of, decision.similarity) == (Fate.DUPLICATE, "r1", 0.875)
    detail = "" if exact else "similarity 0.88"
    code = ReasonCode.EXACT_DUPLICATE if exact else ReasonCode.NEAR_DUPLICATE
    assert decision.reasons == [Reason(code=code, detail=detail)]


def test_bridges_and_overridden_rows_are_rejected_with_what_they_touch() -> None:
    decisions = decide([case("r1", bridges=("test", "train")), case("r2", overridden_by="r9")])
    assert [str(reason) for decision in decisions.values() for reason in decision.reasons] == [
        "similar rows or rows of its group are in two splits, so it could leak: test and train",
        "an annotator gave the same input another answer: record r9",
    ]
    assert {decision.fate for decision in decisions.values()} == {Fate.REJECTED}


def test_an_unlabeled_row_waits_with_a_suggestion() -> None:
    decision = decide([case("r1", targets=None, suggestion={"kind": "b"})])["r1"]
    assert (decision.fate, codes(decision), decision.routed) == (
        Fate.REVIEW,
        [ReasonCode.UNLABELED],
        Routed.UNCERTAIN,
    )
    assert (decision.label_source, decision.suggestion) == (None, {"kind": "b"})


def test_a_conflict_tells_the_other_answers_but_not_all_of_many() -> None:
    for rows, more in ((4, ""), (6, " and 2 more"), (8, " and 4 more")):
        decision = decide(conflict("k", *(f"r{number}" for number in range(rows))))["r0"]
        assert decision.reasons[0].detail == f"'r1', 'r2', 'r3'{more}"


# --- annotators -------------------------------------------------------------------------------------
@pytest.mark.parametrize("against", [{"review_reasons": HOLD}, {"reasons": FLAGGED}])
@pytest.mark.parametrize(
    ("verdict", "fate", "routed"),
    [
        (Verdict.LABELED, Fate.ACCEPTED, Routed.UNCERTAIN),
        (Verdict.UNUSABLE, Fate.REJECTED, Routed.UNCERTAIN),
        (Verdict.UNSURE, Fate.REVIEW, Routed.ADJUDICATE),
    ],
)
def test_an_annotator_s_answer_outranks_every_automatic_finding(
    against: dict[str, Any], verdict: Verdict | None, fate: Fate, routed: Routed
) -> None:
    decision = decide([asked("r1", verdict, **against)], Review(budget=0, audit=1.0))["r1"]
    assert (decision.fate, decision.routed, decision.reasons) == (fate, routed, PERSON[verdict])
    assert (decision.label_source is LabelSource.HUMAN) == (verdict is Verdict.LABELED)


@pytest.mark.parametrize("verdict", [Verdict.LABELED, Verdict.UNSURE])
def test_what_no_row_may_contain_is_rejected_whatever_an_annotator_says(verdict: Verdict | None) -> None:
    decision = decide([asked("r1", verdict, rejection_reasons=REJECT)], Review(budget=0, audit=1.0))["r1"]
    assert (decision.fate, decision.reasons) == (Fate.REJECTED, REJECT)


def test_a_row_equal_to_an_unusable_one_is_rejected_too() -> None:
    decisions = decide([asked("r1", Verdict.UNUSABLE, text_key="k"), suspected("r2", text_key="k"), case("r3")])
    assert decisions["r2"].fate is Fate.REJECTED
    assert str(decisions["r2"].reasons[0]) == (
        "an annotator marked it unusable: an annotator marked a row with the same input"
    )
    assert decisions["r3"].fate is Fate.ACCEPTED


def test_no_score_is_kept_of_a_row_that_is_rejected_for_another_s_answer() -> None:
    """Every run scored it anew, so that a run over everything found another one than those before it."""
    cases = [asked("r1", Verdict.UNUSABLE, text_key="k", score=0.4), suspected("r2", text_key="k"), suspected("r3")]
    scores = {name: one.label_error_score for name, one in decide(cases).items()}
    assert scores == {"r1": None, "r2": None, "r3": 0.9}


def test_unreadable_rows_are_not_equal_to_each_other() -> None:
    decisions = decide([asked("r1", Verdict.UNUSABLE, text_key=""), case("r2", text_key="")])
    assert decisions["r2"].fate is Fate.ACCEPTED


def test_two_annotators_who_disagree_are_adjudicated() -> None:
    rows = conflict("k", "r1", "r2")
    answered = [changed(row, human=Verdict.LABELED, human_reasons=PERSON[Verdict.LABELED]) for row in rows]
    for decision in decide(answered).values():
        assert (decision.fate, decision.routed, codes(decision)) == (
            Fate.REVIEW,
            Routed.ADJUDICATE,
            [ReasonCode.CONFLICT],
        )


# --- past questions ---------------------------------------------------------------------------------
def test_a_question_that_was_asked_stays_asked_beyond_the_budget() -> None:
    decision = decide([suspected("r1", past_route=Routed.UNCERTAIN)], NONE)["r1"]
    assert (decision.fate, decision.routed) == (Fate.REVIEW, Routed.UNCERTAIN)


def test_a_question_whose_reason_has_gone_is_none_any_more_and_gives_its_budget_back() -> None:
    cases = [case("r1", past_route=Routed.UNCERTAIN), suspected("r2"), suspected("r3")]
    decisions = decide(cases, Review(budget=1, audit=0.0))
    assert (decisions["r1"].fate, decisions["r1"].routed) == (Fate.ACCEPTED, None)
    assert [decisions[name].routed for name in ("r2", "r3")].count(Routed.UNCERTAIN) == 1


def test_a_question_about_a_row_that_became_a_duplicate_is_dropped() -> None:
    decision = decide([case("r0"), case("r1", duplicate_of="r0", past_route=Routed.UNCERTAIN)])["r1"]
    assert decision.fate is Fate.DUPLICATE


# --- verdicts on one input ---------------------------------------------------------------------------
def test_unusable_and_confirmed_on_one_input_is_a_disagreement_that_only_those_who_spoke_can_settle() -> None:
    cases = [
        asked("r1", Verdict.UNUSABLE, text_key="k"),
        asked("r2", Verdict.LABELED, text_key="k"),
        suspected("r3", text_key="k"),
        case("r4", text_key="k", duplicate_of="r2", exact=True),
    ]
    decisions = decide(cases, Review(budget=1.0, audit=1.0))
    reason = Reason(
        code=ReasonCode.DISAGREEMENT,
        detail="record r2 is confirmed, record r1 with the same input unusable",
        refs=("r2", "r1"),
    )
    for name, routed in (("r1", Routed.ADJUDICATE), ("r2", Routed.ADJUDICATE), ("r3", None)):
        assert (decisions[name].fate, decisions[name].reasons) == (Fate.REVIEW, [reason])
        assert decisions[name].routed is routed
    assert decisions["r4"].fate is Fate.DUPLICATE


def test_a_confirmed_row_that_is_rejected_for_another_reason_contradicts_no_unusable_one() -> None:
    cases = [
        asked("r1", Verdict.UNUSABLE, text_key="k"),
        asked("r2", Verdict.LABELED, text_key="k", rejection_reasons=REJECT),
        case("r3", text_key="k"),
    ]
    decisions = decide(cases)
    assert [decisions[name].fate for name in ("r1", "r2", "r3")] == [Fate.REJECTED] * 3
    assert [codes(decisions[name]) for name in ("r1", "r3")] == [[ReasonCode.UNUSABLE]] * 2


def test_annotators_who_contradict_each_other_about_one_row_are_adjudicated() -> None:
    decision = decide([asked("r1", Verdict.DISPUTED, reasons=FLAGGED)])["r1"]
    assert (decision.fate, decision.routed) == (Fate.REVIEW, Routed.ADJUDICATE)
    assert (decision.reasons, decision.label_source) == (PERSON[Verdict.DISPUTED], LabelSource.SOURCE)


def test_a_rejected_row_is_asked_about_no_more_but_remembers_a_question_that_was_answered() -> None:
    cases = [
        case("r1", rejection_reasons=REJECT, past_route=Routed.UNCERTAIN),
        asked("r2", Verdict.UNSURE, rejection_reasons=REJECT),
    ]
    assert [decision.routed for decision in decide(cases).values()] == [None, Routed.UNCERTAIN]


# --- frozen rows -------------------------------------------------------------------------------------
def test_a_frozen_row_is_accepted_as_it_is_and_no_question_is_sent_about_it() -> None:
    frozen = suspected("r1", frozen=True, conflicting_answers=1, conflict_answers=["b"])
    decision = decide([frozen], Review(budget=1.0, audit=1.0))["r1"]
    assert (decision.fate, codes(decision), decision.routed) == (Fate.ACCEPTED, [ReasonCode.FROZEN], None)


def test_a_frozen_row_that_an_annotator_confirmed_says_so_and_a_frozen_copy_is_still_a_copy() -> None:
    decisions = decide([asked("r1", Verdict.LABELED, frozen=True), case("r2", frozen=True, duplicate_of="r1")])
    assert (decisions["r1"].reasons, decisions["r1"].routed) == (PERSON[Verdict.LABELED], Routed.UNCERTAIN)
    assert decisions["r2"].fate is Fate.DUPLICATE


# --- what a decision tells ----------------------------------------------------------------------------
def test_a_decision_tells_all_that_is_known_about_its_record() -> None:
    told = suspected(
        "r1", 0.75, revision="v7", suggestion={"kind": "b"}, group="g", pinned_split="test", tokens=7, similarity=0.5
    )
    decision = decide([told])["r1"]
    assert (decision.run, decision.record_id, decision.revision) == ("run", "r1", "v7")
    assert decision.task_digest == asked_digest(ContractClause)
    assert (decision.targets, decision.suggestion) == ({"kind": "a"}, {"kind": "b"})
    assert (decision.label_error_score, decision.tokens) == (0.75, 7)
    assert (decision.group, decision.pinned_split) == ("g", "test")
    assert (decision.duplicate_of, decision.similarity) == ("", None), "of a duplicate only"


# --- properties -------------------------------------------------------------------------------------
LABELS = st.sampled_from(["a", "b", "c"])


@st.composite
def case_lists(draw: st.DrawFn) -> list[Judged]:
    """Cases as the other verbs make them: the rows of a conflict know each other."""
    cases = []
    for number in range(draw(st.integers(1, 10))):
        verdict = draw(st.sampled_from([None] * 4 + VERDICTS))
        labeled = verdict is Verdict.LABELED or draw(st.integers(0, 4)) > 0
        one = case(
            f"r{number}",
            text_key=draw(st.sampled_from(["", "k", "l", f"r{number}"])),
            group=draw(st.sampled_from(["g", f"r{number}"])),
            targets={"kind": draw(LABELS)} if labeled else None,
            suggestion=draw(st.none() | st.builds(lambda label: {"kind": label}, LABELS)),
            score=draw(st.none() | st.floats(0, 1)),
            human=verdict,
            human_reasons=PERSON[verdict],
            past_route=draw(st.sampled_from([None, None, *Routed][:5])),
            frozen=draw(st.integers(0, 4)) == 0,
            rejection_reasons=REJECT if draw(st.integers(0, 8)) == 0 else [],
            review_reasons=HOLD if draw(st.integers(0, 4)) == 0 else [],
            reasons=FLAGGED if labeled and draw(st.booleans()) else [],
        )
        kind = draw(st.integers(0, 12))
        if kind == 0 and number:
            one = changed(one, duplicate_of="r0", exact=draw(st.booleans()))
        elif kind == 1:
            one = changed(one, overridden_by="r0")
        elif kind == 2:
            one = changed(one, bridges=("test", "train"))
        cases.append(one)
    return [_in_conflict(one, cases) if one.known.text_key and _compares(one) else one for one in cases]


def _in_conflict(one: Judged, cases: list[Judged]) -> Judged:
    same = [other.known.targets for other in cases if other.known.text_key == one.known.text_key and _compares(other)]
    others = [targets for targets in same if targets != one.known.targets]
    shown = [str(targets) for targets in others[:SHOWN_ANSWERS]]
    return changed(one, conflicting_answers=len(others), conflict_answers=shown)


def _compares(one: Judged) -> bool:
    known = one.known
    gone = not one.matched.is_kept or known.human is Verdict.UNUSABLE
    return not gone and known.targets is not None and not (known.rejection_reasons and known.human is None)


REVIEWS = st.builds(
    Review,
    budget=st.none() | st.integers(0, 6) | st.floats(0, 1),
    audit=st.sampled_from([None, 0.0, 0.3, 1.0]),
    unreviewed=st.sampled_from(Unreviewed),
)


def remembered(one: Judged, decision: Decision) -> Judged:
    """The same case in the next run, as ``pipeline.curation.history`` brings it: a label is scored once."""
    asked_as = decision.routed if decision.routed is not Routed.ADJUDICATE else None
    reasons = tuple(reason for reason in decision.reasons if reason.code is ReasonCode.LABEL_ERROR)
    if decision.fate in (Fate.REJECTED, Fate.DUPLICATE) or one.known.human is not None:
        reasons = one.doubt.reasons
    return changed(
        one,
        past_route=one.known.past.past_route or asked_as,
        chance=chance_of(decision),
        score=decision.label_error_score,
        reasons=reasons,
    )


@examples(60)
@given(case_lists(), REVIEWS)
def test_every_case_gets_one_decision_with_a_reason(cases: list[Judged], review: Review) -> None:
    result = run(cases, review)
    assert [decision.record_id for decision in result.decisions] == [one.known.record_id for one in cases]
    for one, decision in zip(cases, result.decisions, strict=True):
        assert decision.reasons
        assert (decision.fate is Fate.DUPLICATE) == bool(decision.duplicate_of)
        assert decision.targets is not None or decision.fate is not Fate.ACCEPTED
        assert decision.group == one.group


@examples(200)
@given(case_lists(), REVIEWS)
def test_triage_is_a_fixed_point(cases: list[Judged], review: Review) -> None:
    first = run(cases, review)
    again = [remembered(one, decision) for one, decision in zip(cases, first.decisions, strict=True)]
    second = run(again, review)
    assert second.decisions == first.decisions
    assert (second.use.budget, second.use.budget_used, second.use.beyond_budget) == (
        first.use.budget,
        first.use.budget_used,
        first.use.beyond_budget,
    )


@examples(60)
@given(case_lists(), REVIEWS)
def test_the_budget_is_never_exceeded_by_new_questions(cases: list[Judged], review: Review) -> None:
    result = run(cases, review)
    routed = [d for d in result.decisions if d.routed in (Routed.UNCERTAIN, Routed.CONFLICT)]
    asking = {decision.record_id for decision in routed if decision.fate is Fate.REVIEW}
    before = [one for one in cases if one.known.past.past_route in (Routed.UNCERTAIN, Routed.CONFLICT)]
    old = {one.known.record_id for one in before if one.known.human is not None or one.known.record_id in asking}
    new = asking - {one.known.record_id for one in before}
    assert len(new) <= max(0, result.use.budget - len(old))
    assert result.use.budget_used == len(old) + len(new)


@examples(60)
@given(case_lists(), REVIEWS)
def test_held_rows_are_never_accepted_without_an_annotator(cases: list[Judged], review: Review) -> None:
    for one, decision in zip(cases, run(cases, review).decisions, strict=True):
        held = one.known.targets is None or (
            (one.known.review_reasons or one.matched.conflicting_answers) and not one.known.published_as_is
        )
        if held and one.known.human is not Verdict.LABELED:
            assert decision.fate is not Fate.ACCEPTED
        if (
            one.doubt.reasons
            and (one.doubt.score is None or one.doubt.score >= review.floor)
            and review.unreviewed is Unreviewed.HOLD
            and one.known.human is None
            and not one.known.published_as_is
        ):
            assert decision.fate is not Fate.ACCEPTED


@examples(60)
@given(case_lists(), REVIEWS)
def test_an_input_in_conflict_is_asked_about_once(cases: list[Judged], review: Review) -> None:
    decisions = run(cases, review).decisions
    new = Counter(
        one.known.text_key
        for one, decision in zip(cases, decisions, strict=True)
        if decision.routed is Routed.CONFLICT and one.known.past.past_route is None
    )
    assert set(new.values()) <= {1}
