"""Triage gives every record one fate, spends the budget once, and never asks the same thing twice."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried_examples import examples

from pipeline.curation.case import SHOWN_ANSWERS, Case
from pipeline.curation.triage import Triage, triage
from schemas.annotation import Verdict
from schemas.dataset import Review, Unreviewed
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Reason, ReasonCode, Routed
from schemas.tasks.contract_clause import ContractClause

ALL = Review(budget=1.0, audit=0.0)
NONE = Review(budget=0, audit=0.0)
FLAGGED = [Reason(code=ReasonCode.LABEL_ERROR, field="kind", detail="says 'b', not 'a'")]
HOLD = [Reason(code=ReasonCode.PERSONAL_DATA, field="text", detail="an e-mail address")]
REJECT = [Reason(code=ReasonCode.INVALID, field="kind", detail="missing or empty")]
VERDICTS = [None, Verdict.LABELED, Verdict.UNUSABLE, Verdict.UNSURE, Verdict.DISPUTED]
PERSON = {
    None: [],
    Verdict.LABELED: [Reason(code=ReasonCode.REVIEWED, detail="confirmed")],
    Verdict.UNUSABLE: [Reason(code=ReasonCode.REVIEWER)],
    Verdict.UNSURE: [Reason(code=ReasonCode.UNSURE)],
    Verdict.DISPUTED: [Reason(code=ReasonCode.DISAGREEMENT)],
}


def case(name: str, **values: Any) -> Case:
    """A labeled case that nothing speaks against."""
    number = int(name.strip("r") or 0)
    return Case(
        **{"record_id": name, "revision": "v", "order": number, "text_key": name, "group": name,
           "targets": {"kind": "a"}} | values
    )  # fmt: skip


def suspected(name: str, label_error_score: float = 0.9, **values: Any) -> Case:
    return case(name, label_error_reasons=FLAGGED, label_error_score=label_error_score, **values)


def asked(name: str, verdict: Verdict | None, **values: Any) -> Case:
    """A case that an annotator has answered."""
    return case(name, human=verdict, human_reasons=PERSON[verdict], past_route=Routed.UNCERTAIN, **values)


def conflict(key: str, *names: str) -> list[Case]:
    """Rows of the same input with different answers."""
    return [
        case(name, text_key=key, targets={"kind": name}, conflicting_answers=len(names) - 1,
             conflict_answers=[other for other in names if other != name][:SHOWN_ANSWERS], group=key)
        for name in names
    ]  # fmt: skip


def run(cases: Sequence[Case], review: Review = ALL) -> Triage:
    return triage(cases, review, run="run", task=ContractClause)


def decide(cases: Sequence[Case], review: Review = ALL) -> dict[str, Decision]:
    return {decision.record_id: decision for decision in run(cases, review).decisions}


def codes(decision: Decision) -> list[ReasonCode]:
    return [reason.code for reason in decision.reasons]


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


def test_bridges_and_overruled_rows_are_rejected_with_what_they_touch() -> None:
    decisions = decide([case("r1", bridges=("test", "train")), case("r2", overridden_by="r9")])
    assert [str(reason) for decision in decisions.values() for reason in decision.reasons] == [
        "it is similar to rows in two splits, so it could leak: test and train",
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
@pytest.mark.parametrize("against", [{"review_reasons": HOLD}, {"label_error_reasons": FLAGGED}])
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


def test_unreadable_rows_are_not_equal_to_each_other() -> None:
    decisions = decide([asked("r1", Verdict.UNUSABLE, text_key=""), case("r2", text_key="")])
    assert decisions["r2"].fate is Fate.ACCEPTED


def test_two_annotators_who_disagree_are_adjudicated() -> None:
    one, other = conflict("k", "r1", "r2")
    for row in (one, other):
        row.human, row.human_reasons = Verdict.LABELED, PERSON[Verdict.LABELED]
    for decision in decide([one, other]).values():
        assert (decision.fate, decision.routed, codes(decision)) == (
            Fate.REVIEW,
            Routed.ADJUDICATE,
            [ReasonCode.CONFLICT],
        )


# --- the budget -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("budget", "rows", "used"),
    [(0, 9, 0), (3, 9, 3), (99, 9, 9), (0.0, 9, 0), (0.5, 9, 5), (1.0, 9, 9), (0.07, 100, 7), (0.1, 3, 1)],
)
def test_a_budget_is_a_count_or_a_share_of_the_current_records(budget: float, rows: int, used: int) -> None:
    result = run([suspected(f"r{number}") for number in range(rows)], Review(budget=budget, audit=0.0))
    assert result.used == used == sum(decision.routed is not None for decision in result.decisions)
    assert result.waiting == rows - used
    assert result.budget == (budget if isinstance(budget, int) else used)


def test_uncertain_rows_beyond_the_budget_follow_unreviewed_and_held_rows_always_wait() -> None:
    cases = [suspected("r1"), case("r2", review_reasons=HOLD), case("r3", targets=None), *conflict("k", "r4", "r5")]
    accepting = decide(cases, NONE)
    assert accepting["r1"].fate is Fate.ACCEPTED
    assert codes(accepting["r1"]) == [ReasonCode.UNREVIEWED, ReasonCode.LABEL_ERROR]
    holding = decide(cases, NONE.model_copy(update={"unreviewed": Unreviewed.HOLD}))
    assert codes(holding["r1"]) == [ReasonCode.LABEL_ERROR]
    for decisions in (accepting, holding):
        for name in ("r2", "r3", "r4", "r5"):
            assert (decisions[name].fate, decisions[name].routed) == (Fate.REVIEW, None)
    assert holding["r1"].fate is Fate.REVIEW


def test_questions_that_were_asked_use_up_the_budget_even_when_it_shrinks() -> None:
    cases = [suspected(f"r{number}", past_route=Routed.UNCERTAIN) for number in range(3)] + [suspected("r9", 1.0)]
    for budget in (3, 1):
        result = run(cases, Review(budget=budget, audit=0.0))
        assert {d.record_id for d in result.decisions if d.routed} == {"r0", "r1", "r2"}
        assert result.used == 3
    assert {d.record_id for d in run(cases, Review(budget=4, audit=0.0)).decisions if d.routed} == {
        "r0",
        "r1",
        "r2",
        "r9",
    }


def test_the_most_uncertain_rows_go_first() -> None:
    cases = [suspected("r1", 0.61), suspected("r2", 0.99), suspected("r3", 0.8)]
    routed = [name for name, decision in decide(cases, Review(budget=2, audit=0.0)).items() if decision.routed]
    assert routed == ["r2", "r3"]


def test_a_held_row_goes_before_most_label_errors_but_not_before_a_certain_one() -> None:
    """Only an annotator lets it in, while a suspect one may pass unreviewed."""
    certain, uncertain = suspected("r4", 0.99), suspected("r1", 0.94, targets={"kind": "b"})
    cases = [uncertain, case("r2", review_reasons=HOLD), case("r3", targets=None), certain]
    for budget, names in ((1, {"r4"}), (2, {"r4", "r2"}), (3, {"r4", "r2", "r1"})):
        decisions = decide(cases, Review(budget=budget, audit=0.0))
        assert {name for name, decision in decisions.items() if decision.routed} == names


def test_every_group_is_asked_about_once_before_any_is_asked_twice() -> None:
    cases = [suspected(f"r{number}", 0.99, group="big") for number in range(8)] + [
        suspected("r8", 0.61),
        suspected("r9", 0.61),
    ]
    routed = [name for name, decision in decide(cases, Review(budget=3, audit=0.0)).items() if decision.routed]
    assert routed == ["r0", "r8", "r9"]
    cases[0].past_route = Routed.UNCERTAIN
    again = [name for name, decision in decide(cases, Review(budget=3, audit=0.0)).items() if decision.routed]
    assert again == routed, "the group was asked about in an earlier run"


def test_questions_of_many_sorts_are_mixed() -> None:
    """The same finding over and over teaches less than several."""
    cases = [suspected(f"r{number}", 0.9, targets={"kind": "a"}) for number in range(20)]
    cases += [suspected(f"r{number}", 0.8, targets={"kind": "b"}) for number in range(20, 40)]
    routed = [d for d in run(cases, Review(budget=10, audit=0.0)).decisions if d.routed]
    labels = Counter(str(decision.targets["kind"]) for decision in routed if decision.targets)
    assert labels["a"] > labels["b"] >= 3


def test_a_question_of_an_earlier_run_counts_like_one_of_this_run_for_its_group() -> None:
    """The second of any group is chosen by its urgency, whenever the first one was asked."""
    before = suspected("r1", group="g1", past_route=Routed.UNCERTAIN)
    doubts = [suspected("r2", 0.65, group="g1"), suspected("r3", 0.95, group="g2"), suspected("r4", 0.9, group="g2")]
    decisions = decide([before, *doubts], Review(budget=3, audit=0.0))
    assert [name for name, decision in decisions.items() if decision.routed] == ["r1", "r3", "r4"]


def test_a_sort_of_questions_is_as_urgent_as_its_most_urgent_one_that_is_left() -> None:
    kinds = {"r1": ("a", 0.65), "r2": ("a", 0.95), "r3": ("b", 0.8), "r4": ("b", 0.75)}
    cases = [suspected(name, score, targets={"kind": kind}) for name, (kind, score) in kinds.items()]
    for budget, expected in enumerate([set(), {"r2"}, {"r2", "r3"}, {"r2", "r3", "r4"}]):
        decisions = decide(cases, Review(budget=budget, audit=0.0))
        assert {name for name, decision in decisions.items() if decision.routed} == expected


def test_a_sort_for_every_row_is_no_burden() -> None:
    """As with many labels that are rare."""
    cases = [suspected(f"r{number}", 0.9 - number / 1e6, targets={"kind": f"t{number}"}) for number in range(30_000)]
    routed = [d.record_id for d in run(cases, Review(budget=15_000, audit=0.0)).decisions if d.routed]
    assert routed == [f"r{number}" for number in range(15_000)]


# --- conflicts --------------------------------------------------------------------------------------
def test_a_conflict_asks_one_question_for_each_input() -> None:
    cases = [*conflict("k", "r3", "r1", "r2"), *conflict("l", "r5", "r4")]
    routed = {name: decision.routed for name, decision in decide(cases).items() if decision.routed}
    assert routed == {"r1": Routed.CONFLICT, "r4": Routed.CONFLICT}


@pytest.mark.parametrize("past", [Routed.CONFLICT, Routed.UNCERTAIN, Routed.AUDIT])
def test_a_conflict_is_left_to_the_question_that_annotators_already_have(past: Routed) -> None:
    cases = conflict("k", "r1", "r2", "r3")
    cases[2].past_route = past
    decisions = decide(cases)
    assert {name: decision.routed for name, decision in decisions.items() if decision.routed} == {"r3": past}
    assert {decision.fate for decision in decisions.values()} == {Fate.REVIEW}


# --- the audit --------------------------------------------------------------------------------------
def test_the_audit_slice_keeps_its_fate_and_costs_no_budget() -> None:
    result = run([case("r1"), suspected("r2"), case("r3", review_reasons=HOLD)], Review(budget=0, audit=1.0))
    decisions = {decision.record_id: decision for decision in result.decisions}
    assert {name: (d.fate, d.routed) for name, d in decisions.items()} == {
        "r1": (Fate.ACCEPTED, Routed.AUDIT),
        "r2": (Fate.ACCEPTED, Routed.AUDIT),
        "r3": (Fate.REVIEW, None),
    }
    assert (result.used, result.budget) == (0, 0)


def test_the_audit_rate_is_kept_and_the_same_records_are_drawn_again() -> None:
    cases = [case(f"r{number}") for number in range(5_000)]
    for rate in (0.02, 0.3):
        drawn = {name for name, d in decide(cases, Review(budget=0, audit=rate)).items() if d.routed}
        spread = 4 * math.sqrt(5_000 * rate * (1 - rate))
        assert abs(len(drawn) - 5_000 * rate) < spread
        assert drawn == {name for name, d in decide(cases[::-1], Review(budget=0, audit=rate)).items() if d.routed}
    small = {name for name, d in decide(cases, Review(budget=0, audit=0.02)).items() if d.routed}
    assert small <= drawn, "a higher rate adds to the slice"


def audited(cases: Sequence[Case], review: Review) -> set[str]:
    return {name for name, decision in decide(cases, review).items() if decision.routed is Routed.AUDIT}


def test_by_default_at_most_500_are_asked_about_and_300_audited() -> None:
    cases = [suspected(f"r{number}") if number % 2 else case(f"r{number}") for number in range(40_000)]
    result = run(cases, Review())
    routes = Counter(decision.routed for decision in result.decisions)
    assert (result.budget, result.used) == (500, 500)
    assert (routes[Routed.UNCERTAIN], routes[Routed.AUDIT]) == (500, 300)


@pytest.mark.parametrize(("rows", "budget"), [(10, 1), (11, 2), (1_000, 100), (4_999, 500), (5_000, 500), (5_001, 500)])
def test_by_default_a_tenth_of_few_rows_may_be_asked_about(rows: int, budget: int) -> None:
    assert run([case(f"r{number}") for number in range(rows)], Review()).budget == budget


def test_what_is_written_down_has_no_cap() -> None:
    cases = [suspected(f"r{number}") if number % 2 else case(f"r{number}") for number in range(40_000)]
    result = run(cases, Review(budget=0.1, audit=0.02))
    assert result.used == 4_000
    assert sum(decision.routed is Routed.AUDIT for decision in result.decisions) > 600


def test_the_capped_audit_is_the_same_in_any_order_and_the_smallest_of_the_uncapped_one() -> None:
    cases = [case(f"r{number}") for number in range(30_000)]
    capped = audited(cases, Review(budget=0))
    assert capped == audited(cases[::-1], Review(budget=0)) and len(capped) == 300
    assert capped < audited(cases, Review(budget=0, audit=0.02))
    assert audited(cases[:5_000], Review(budget=0)) == audited(cases[:5_000], Review(budget=0, audit=0.02))


@pytest.mark.parametrize("verdict", [None, Verdict.LABELED, Verdict.UNUSABLE])
def test_audited_rows_keep_their_place_and_new_rows_are_audited_too(verdict: Verdict | None) -> None:
    cases = [case(f"r{number}") for number in range(20_000)]
    first = audited(cases, Review(budget=0))
    past = [
        replace(one, past_route=Routed.AUDIT, human=verdict, human_reasons=PERSON[verdict])
        if one.record_id in first
        else one
        for one in cases
    ]
    assert audited(past, Review(budget=0)) == first, "an answer calls for no other question"
    more = [case(f"r{number}") for number in range(20_000, 40_000)]
    second = audited([*past, *more], Review(budget=0))
    fresh = {one.record_id for one in more} & second
    assert 100 < len(fresh) < 200, "of the 300 smallest hashes about half are those of the new rows"
    if verdict is None:
        assert second - fresh < first and len(second) == 300, "never more than 300 wait"
    else:
        assert second - fresh == first, "what was answered counts"


def test_an_audited_record_that_something_speaks_against_later_makes_room_for_no_other_one() -> None:
    cases = [case(f"r{number}") for number in range(20_000)]
    first = audited(cases, Review(budget=0))
    flagged = set(sorted(first)[:50])
    past = [
        replace(one, past_route=Routed.AUDIT, label_error_reasons=FLAGGED if one.record_id in flagged else [])
        if one.record_id in first
        else one
        for one in cases
    ]
    assert audited(past, Review(budget=0)) == first


def test_an_audited_record_stays_asked_when_something_speaks_against_it_later() -> None:
    """Its question is already with annotators: their answer settles the new finding, too."""
    review = Review(budget=0, audit=0.0)
    held = decide([case("r1", review_reasons=HOLD, past_route=Routed.AUDIT)], review)["r1"]
    assert (held.fate, held.routed) == (Fate.REVIEW, Routed.AUDIT)
    questioned = decide([suspected("r1", past_route=Routed.AUDIT)], review)["r1"]
    assert (questioned.fate, questioned.routed) == (Fate.ACCEPTED, Routed.AUDIT)
    gone = decide([case("r0"), case("r1", duplicate_of="r0", past_route=Routed.AUDIT)], review)["r1"]
    assert gone.fate is Fate.DUPLICATE


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
        code=ReasonCode.DISAGREEMENT, detail="record r2 is confirmed, record r1 unusable", refs=("r2", "r1")
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
    assert [codes(decisions[name]) for name in ("r1", "r3")] == [[ReasonCode.REVIEWER]] * 2


def test_annotators_who_contradict_each_other_about_one_row_are_adjudicated() -> None:
    decision = decide([asked("r1", Verdict.DISPUTED, label_error_reasons=FLAGGED)])["r1"]
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


# --- what is asked, and how urgently ------------------------------------------------------------------
def test_a_label_error_without_a_score_is_as_urgent_as_a_moderate_one() -> None:
    """A value that its text does not hold: no model has a number for it."""
    ungrounded = case("r1", label_error_reasons=FLAGGED)
    sure = case("r2", targets=None, suggestion={"kind": "a"}, label_error_score=0.1)
    unsure = case("r3", targets=None, suggestion={"kind": "b"}, label_error_score=0.9)
    routed = {name for name, d in decide([ungrounded, sure, unsure], Review(budget=2, audit=0.0)).items() if d.routed}
    assert routed == {"r1", "r3"}


def test_an_unlabeled_row_is_the_more_urgent_the_less_its_suggestion_can_be_trusted() -> None:
    scores = {"r1": 0.2, "r2": None, "r3": 0.9}
    cases = [case(name, targets=None, label_error_score=score) for name, score in scores.items()]
    order = [
        {name for name, decision in decide(cases, Review(budget=budget, audit=0.0)).items() if decision.routed}
        for budget in (1, 2)
    ]
    assert order == [{"r3"}, {"r2", "r3"}]


def test_an_unlabeled_row_that_is_also_held_is_as_urgent_as_a_held_one() -> None:
    both = case("r1", targets=None, label_error_score=0.0, review_reasons=HOLD)
    decisions = decide([suspected("r2", 0.9), both], Review(budget=1, audit=0.0))
    assert (decisions["r1"].routed, decisions["r2"].routed) == (Routed.UNCERTAIN, None)
    assert codes(decisions["r1"]) == [ReasonCode.PERSONAL_DATA, ReasonCode.UNLABELED]


def test_a_conflict_goes_before_everything_else() -> None:
    cases = [suspected("r1", 0.99), case("r2", review_reasons=HOLD), *conflict("k", "r3", "r4")]
    decisions = decide(cases, Review(budget=1, audit=0.0))
    assert {name: decision.routed for name, decision in decisions.items() if decision.routed} == {"r3": Routed.CONFLICT}


def test_a_question_about_a_conflict_outlives_one_about_another_row_of_its_input() -> None:
    cases = conflict("k", "r1", "r2")
    cases[0].past_route, cases[1].past_route = Routed.UNCERTAIN, Routed.CONFLICT
    decisions = decide(cases)
    assert {name: d.routed for name, d in decisions.items() if d.routed} == {"r2": Routed.CONFLICT}


def test_a_row_that_contradicts_an_annotator_s_earlier_answer_is_asked_about_as_a_conflict() -> None:
    contradicts = [Reason(code=ReasonCode.CONFLICT, detail="an annotator said 'b'")]
    decision = decide([case("r1", review_reasons=contradicts, label_error_reasons=FLAGGED)])["r1"]
    assert (decision.routed, decision.reasons) == (Routed.CONFLICT, contradicts + FLAGGED)


def test_a_row_in_conflict_tells_all_that_speaks_against_it() -> None:
    first, _ = rows = conflict("k", "r1", "r2")
    first.review_reasons, first.label_error_reasons = HOLD, FLAGGED
    assert codes(decide(rows)["r1"]) == [ReasonCode.CONFLICT, ReasonCode.PERSONAL_DATA, ReasonCode.LABEL_ERROR]


def test_a_held_row_tells_its_label_error_too() -> None:
    assert decide([suspected("r1", review_reasons=HOLD)])["r1"].reasons == HOLD + FLAGGED


def test_equally_urgent_rows_are_asked_about_in_the_order_of_the_file() -> None:
    cases = [suspected(f"r{number}") for number in (3, 1, 2, 0)]
    decisions = decide(cases, Review(budget=2, audit=0.0))
    assert {name for name, decision in decisions.items() if decision.routed} == {"r0", "r1"}


def test_the_same_suggestion_over_and_over_is_one_sort_of_question() -> None:
    cases = [
        case(f"r{number}", targets=None, label_error_score=0.9, suggestion={"kind": "a"}) for number in range(20)
    ] + [case(f"r{number}", targets=None, label_error_score=0.7, suggestion={"kind": "b"}) for number in range(20, 40)]
    routed = [d for d in run(cases, Review(budget=10, audit=0.0)).decisions if d.routed]
    suggested = Counter(str(decision.suggestion["kind"]) for decision in routed if decision.suggestion)
    assert suggested["a"] > suggested["b"] >= 3


def test_different_troubles_of_one_label_are_different_sorts_of_questions() -> None:
    cases = [case(f"r{number}", review_reasons=HOLD) for number in range(20)]
    cases += [suspected(f"r{number}", 0.8) for number in range(20, 40)]
    routed = [d for d in run(cases, Review(budget=10, audit=0.0)).decisions if d.routed]
    troubles = Counter(decision.reasons[0].code for decision in routed)
    assert troubles[ReasonCode.PERSONAL_DATA] > troubles[ReasonCode.LABEL_ERROR] >= 3


def test_what_waits_is_counted_by_what_an_annotator_would_be_asked_for() -> None:
    cases = [suspected(f"r{n}") for n in range(3)] + [case("r3", targets=None), *conflict("k", "r4", "r5")]
    result = run(cases, NONE)
    assert result.waiting == 5
    assert list(result.waiting_for.items()) == [
        (ReasonCode.LABEL_ERROR, 3),
        (ReasonCode.UNLABELED, 1),
        (ReasonCode.CONFLICT, 1),
    ]
    assert (run(cases).waiting, run(cases).waiting_for) == (0, {})


# --- what a decision tells ----------------------------------------------------------------------------
def test_a_decision_tells_all_that_is_known_about_its_record() -> None:
    told = suspected(
        "r1", 0.75, revision="v7", suggestion={"kind": "b"}, group="g", pinned_split="test", tokens=7, similarity=0.5
    )
    decision = decide([told])["r1"]
    assert (decision.run, decision.record_id, decision.revision) == ("run", "r1", "v7")
    assert decision.task_digest == ContractClause.task_digest()
    assert (decision.targets, decision.suggestion) == ({"kind": "a"}, {"kind": "b"})
    assert (decision.label_error_score, decision.tokens) == (0.75, 7)
    assert (decision.group, decision.pinned_split) == ("g", "test")
    assert (decision.duplicate_of, decision.similarity) == ("", None), "of a duplicate only"


# --- properties -------------------------------------------------------------------------------------
LABELS = st.sampled_from(["a", "b", "c"])


@st.composite
def case_lists(draw: st.DrawFn) -> list[Case]:
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
            label_error_score=draw(st.none() | st.floats(0, 1)),
            human=verdict,
            human_reasons=PERSON[verdict],
            past_route=draw(st.sampled_from([None, None, *Routed][:5])),
        )
        one.frozen = draw(st.integers(0, 4)) == 0
        one.rejection_reasons = REJECT if draw(st.integers(0, 8)) == 0 else []
        one.review_reasons = HOLD if draw(st.integers(0, 4)) == 0 else []
        one.label_error_reasons = FLAGGED if labeled and draw(st.booleans()) else []
        kind = draw(st.integers(0, 12))
        if kind == 0 and number:
            one.duplicate_of, one.exact = "r0", draw(st.booleans())
        elif kind == 1:
            one.overridden_by = "r0"
        elif kind == 2:
            one.bridges = ("test", "train")
        cases.append(one)
    for one in cases:
        conflicting_answers = [other for other in cases if other.text_key == one.text_key and _compares(other)]
        if one.text_key and _compares(one):
            others = [other for other in conflicting_answers if other.targets != one.targets]
            one.conflicting_answers = len(others)
            one.conflict_answers = [str(other.targets) for other in others[:SHOWN_ANSWERS]]
    return cases


def _compares(one: Case) -> bool:
    gone = one.duplicate_of or one.overridden_by or one.bridges or one.human is Verdict.UNUSABLE
    return not gone and one.targets is not None and not (one.rejection_reasons and one.human is None)


REVIEWS = st.builds(
    Review,
    budget=st.none() | st.integers(0, 6) | st.floats(0, 1),
    audit=st.sampled_from([None, 0.0, 0.3, 1.0]),
    unreviewed=st.sampled_from(Unreviewed),
)


def remembered(one: Case, decision: Decision) -> Case:
    """The same case in the next run, as ``pipeline.curation.history`` brings it: a label is judged once."""
    asked_as = decision.routed if decision.routed is not Routed.ADJUDICATE else None
    label_error_reasons = [reason for reason in decision.reasons if reason.code is ReasonCode.LABEL_ERROR]
    if decision.fate in (Fate.REJECTED, Fate.DUPLICATE) or one.human is not None:
        label_error_reasons = one.label_error_reasons
    return replace(
        one,
        past_route=one.past_route or asked_as,
        label_error_score=decision.label_error_score,
        label_error_reasons=label_error_reasons,
    )


@examples(60)
@given(case_lists(), REVIEWS)
def test_every_case_gets_one_decision_with_a_reason(cases: list[Case], review: Review) -> None:
    result = run(cases, review)
    assert [decision.record_id for decision in result.decisions] == [one.record_id for one in cases]
    for one, decision in zip(cases, result.decisions, strict=True):
        assert decision.reasons
        assert (decision.fate is Fate.DUPLICATE) == bool(decision.duplicate_of)
        assert decision.targets is not None or decision.fate is not Fate.ACCEPTED
        assert decision.group == one.group


@examples(200)
@given(case_lists(), REVIEWS)
def test_triage_is_a_fixed_point(cases: list[Case], review: Review) -> None:
    first = run(cases, review)
    again = [remembered(one, decision) for one, decision in zip(cases, first.decisions, strict=True)]
    second = run(again, review)
    assert second.decisions == first.decisions
    assert (second.budget, second.used, second.waiting) == (first.budget, first.used, first.waiting)


@examples(60)
@given(case_lists(), REVIEWS)
def test_the_budget_is_never_exceeded_by_new_questions(cases: list[Case], review: Review) -> None:
    result = run(cases, review)
    routed = [d for d in result.decisions if d.routed in (Routed.UNCERTAIN, Routed.CONFLICT)]
    asking = {decision.record_id for decision in routed if decision.fate is Fate.REVIEW}
    before = [one for one in cases if one.past_route in (Routed.UNCERTAIN, Routed.CONFLICT)]
    old = {one.record_id for one in before if one.human is not None or one.record_id in asking}
    new = asking - {one.record_id for one in before}
    assert len(new) <= max(0, result.budget - len(old))
    assert result.used == len(old) + len(new)


@examples(60)
@given(case_lists(), REVIEWS)
def test_held_rows_are_never_accepted_without_an_annotator(cases: list[Case], review: Review) -> None:
    for one, decision in zip(cases, run(cases, review).decisions, strict=True):
        held = one.targets is None or ((one.review_reasons or one.conflicting_answers) and not one.published_as_is)
        if held and one.human is not Verdict.LABELED:
            assert decision.fate is not Fate.ACCEPTED
        if (
            one.label_error_reasons
            and review.unreviewed is Unreviewed.HOLD
            and one.human is None
            and not one.published_as_is
        ):
            assert decision.fate is not Fate.ACCEPTED


@examples(60)
@given(case_lists(), REVIEWS)
def test_an_input_in_conflict_is_asked_about_once(cases: list[Case], review: Review) -> None:
    decisions = run(cases, review).decisions
    new = Counter(
        one.text_key
        for one, decision in zip(cases, decisions, strict=True)
        if decision.routed is Routed.CONFLICT and one.past_route is None
    )
    assert set(new.values()) <= {1}
