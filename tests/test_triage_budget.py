"""Triage spends the budget once, on the most urgent questions and on all sorts of them."""

from collections import Counter
from typing import Any

import pytest
from known_cases import changed
from triage_cases import FLAGGED, HOLD, NONE, asked, case, codes, conflict, decide, run, suspected

from pipeline.curation.case import Judged
from schemas.annotation import Verdict
from schemas.dataset import Review, Unreviewed
from schemas.fate import Fate, Reason, ReasonCode, Routed
from schemas.run_summary import BudgetUse


# --- personal data ----------------------------------------------------------------------------------
def held(name: str, *numbers: str, **values: Any) -> Judged:
    """A row that waits for phone numbers only."""
    text = "Call us: " + ", ".join(f"+49 30 9018{number}" for number in numbers)
    return case(name, review_reasons=HOLD, inputs={"text": text}, **values)


def test_personal_data_is_asked_about_once_per_value_and_uses_up_no_other_budget() -> None:
    """As of 40 receipts of one shop with its telephone number."""
    cases = [held(f"r{number}", "200") for number in range(40)] + [held("r40", "100"), held("r41", "100", "200")]
    cases += [suspected(f"r{number}") for number in range(50, 60)]
    result = run(cases, Review(budget=5, personal_budget=2, audit=0.0))
    routed = [decision.record_id for decision in result.decisions if decision.routed]
    assert (routed[:2], len(routed), result.use.budget_used) == (["r0", "r41"], 7, 5)
    assert (result.use.beyond_budget, result.use.beyond_personal) == (5, 0), "all others wait for these two answers"
    assert run(cases, Review(budget=5, personal_budget=1, audit=0.0)).use.beyond(is_fixed=False) == (
        "6 more rows are beyond the review budget: 5 label_error, 1 personal_data (5 of 5 used; set review.budget to "
        "10 and set review.personal_budget to 2 to ask about all of them); until then 5 accepted, 1 left out"
    )
    by_default = run(cases, Review(budget=5, audit=0.0)).decisions
    assert [one.record_id for one in by_default if one.routed and one.record_id < "r42"] == ["r0"]


def test_what_an_earlier_goldleaf_has_not_recorded_of_the_budget_is_not_told() -> None:
    """Not which rows are beyond it, nor whether they are accepted until then."""
    assert BudgetUse(budget=6, budget_used=6, beyond_budget=10).beyond(is_fixed=False) == ""


def test_what_annotators_accepted_in_one_row_holds_no_other_row_that_has_nothing_else() -> None:
    answered = asked("r0", Verdict.LABELED, review_reasons=HOLD, inputs={"text": "Call us: +49 30 9018200"})
    cases = [answered, held("r1", "200"), held("r2", "200", "100"), held("r3", "200", reasons=FLAGGED, score=0.9)]
    for budget, routed in ((0, None), (1, Routed.UNCERTAIN)):
        decisions = decide(cases, Review(budget=budget, personal_budget=0, audit=0.0))
        assert (decisions["r1"].fate, codes(decisions["r1"])[0]) == (Fate.ACCEPTED, ReasonCode.CLEARED)
        assert (decisions["r2"].fate, codes(decisions["r2"])) == (Fate.REVIEW, [ReasonCode.PERSONAL_DATA])
        assert decisions["r3"].routed is routed, "its label is as doubtful as any other one"
        assert ReasonCode.CLEARED in codes(decisions["r3"])
    unusable = asked("r0", Verdict.UNUSABLE, review_reasons=HOLD, inputs=answered.known.inputs)
    assert decide([unusable, *cases[1:]], NONE)["r1"].fate is Fate.REVIEW


# --- the budget -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("budget", "rows", "used"),
    [(0, 9, 0), (3, 9, 3), (99, 9, 9), (0.0, 9, 0), (0.5, 9, 5), (1.0, 9, 9), (0.07, 100, 7), (0.1, 3, 1)],
)
def test_a_budget_is_a_count_or_a_share_of_the_current_records(budget: float, rows: int, used: int) -> None:
    result = run([suspected(f"r{number}") for number in range(rows)], Review(budget=budget, audit=0.0))
    assert result.use.budget_used == used == sum(decision.routed is not None for decision in result.decisions)
    assert result.use.beyond_budget == rows - used
    assert result.use.budget == (budget if isinstance(budget, int) else used)


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
        assert result.use.budget_used == 3
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


def test_likely_errors_and_rows_that_wait_take_turns_and_unlikely_errors_come_last() -> None:
    """Rows that wait are never accepted without an annotator; likely errors would be published."""
    cases = [
        suspected("r1", 0.4),
        suspected("r2", 0.99),
        suspected("r3", 0.9, targets={"kind": "b"}),
        case("r4", review_reasons=HOLD),
        case("r5", targets=None),
    ]
    order = ["r4", "r2", "r5", "r3", "r1"]
    for budget in range(6):
        decisions = decide(cases, Review(budget=budget, audit=0.0))
        assert {name for name, decision in decisions.items() if decision.routed} == set(order[:budget])


def test_a_likelier_error_goes_first_whatever_its_group_and_its_sort() -> None:
    """Diversity must not replace errors by rows that are hardly wrong."""
    cases = [suspected(f"r{number}", 0.97, group="big") for number in range(8)]
    cases += [suspected(f"r{number}", 0.2, targets={"kind": "b"}) for number in range(8, 16)]
    routed = [name for name, decision in decide(cases, Review(budget=8, audit=0.0)).items() if decision.routed]
    assert routed == [f"r{number}" for number in range(8)]


def test_of_equally_likely_errors_every_group_is_asked_about_once_before_any_is_asked_twice() -> None:
    cases = [suspected(f"r{number}", 0.9, group="big") for number in range(8)] + [
        suspected("r8", 0.89),
        suspected("r9", 0.89),
    ]
    routed = [name for name, decision in decide(cases, Review(budget=3, audit=0.0)).items() if decision.routed]
    assert routed == ["r0", "r8", "r9"]
    cases[0] = changed(cases[0], past_route=Routed.UNCERTAIN)
    again = [name for name, decision in decide(cases, Review(budget=3, audit=0.0)).items() if decision.routed]
    assert again == routed, "the group was asked about in an earlier run"


def test_questions_of_many_sorts_are_mixed_where_they_are_equally_likely() -> None:
    """The same finding over and over teaches less than several."""
    cases = [suspected(f"r{number}", 0.9, targets={"kind": "a"}) for number in range(20)]
    cases += [suspected(f"r{number}", 0.89, targets={"kind": "b"}) for number in range(20, 40)]
    routed = [d for d in run(cases, Review(budget=10, audit=0.0)).decisions if d.routed]
    labels = Counter(str(decision.targets["kind"]) for decision in routed if decision.targets)
    assert labels == {"a": 5, "b": 5}


# --- the floor --------------------------------------------------------------------------------------
def test_a_label_below_the_floor_passes_and_keeps_what_little_speaks_against_it() -> None:
    decisions = decide([suspected("r1", 0.09), suspected("r2", 0.1)], Review(budget=9, audit=0.0))
    assert (decisions["r1"].fate, decisions["r1"].routed) == (Fate.ACCEPTED, None)
    assert codes(decisions["r1"]) == [ReasonCode.PASSED, ReasonCode.LABEL_ERROR]
    assert (decisions["r2"].fate, decisions["r2"].routed) == (Fate.REVIEW, Routed.UNCERTAIN)


def test_a_label_above_the_floor_that_nobody_looked_at_never_passes() -> None:
    cases = [suspected(f"r{number}", number / 20) for number in range(20)]
    for floor in (0.05, 0.3, 1.0):
        for decision in decide(cases, Review(budget=3, audit=0.0, floor=floor)).values():
            above = decision.label_error_score is not None and decision.label_error_score >= floor
            assert (ReasonCode.PASSED in codes(decision)) is not above
            assert above == (decision.routed is not None or codes(decision)[0] is ReasonCode.UNREVIEWED)


def test_the_budget_is_spent_as_long_as_a_label_is_above_the_floor() -> None:
    cases = [suspected(f"r{number}", 0.11) for number in range(30)] + [suspected(f"r{n}", 0.09) for n in range(30, 60)]
    assert run(cases, Review(budget=20, audit=0.0)).use.budget_used == 20
    assert run(cases, Review(budget=50, audit=0.0)).use.budget_used == 30


def test_a_lower_floor_asks_about_what_passed_before() -> None:
    cases = [suspected("r1", 0.09)]
    passed = decide(cases, Review(budget=9, audit=0.0))["r1"]
    kept = [reason for reason in passed.reasons if reason.code is ReasonCode.LABEL_ERROR]
    again = decide([changed(cases[0], reasons=kept)], Review(budget=9, audit=0.0, floor=0.05))["r1"]
    assert (again.routed, codes(again)) == (Routed.UNCERTAIN, [ReasonCode.LABEL_ERROR])


def test_what_a_rule_finds_is_asked_about_whatever_its_score() -> None:
    """It has no measured chance of being an error."""
    found = [Reason(code=ReasonCode.NUMBERS, field="kind", detail="'12'")]
    decision = decide([case("r1", reasons=found, score=0.01)])["r1"]
    assert decision.routed is Routed.UNCERTAIN


def test_a_question_of_an_earlier_run_counts_like_one_of_this_run_for_its_group() -> None:
    """The second of any group is chosen by its urgency, whenever the first one was asked."""
    before = suspected("r1", group="g1", past_route=Routed.UNCERTAIN)
    doubts = [suspected("r2", 0.8, group="g1"), suspected("r3", 0.88, group="g2"), suspected("r4", 0.85, group="g2")]
    decisions = decide([before, *doubts], Review(budget=3, audit=0.0))
    assert [name for name, decision in decisions.items() if decision.routed] == ["r1", "r3", "r4"]


def test_a_sort_of_questions_is_as_urgent_as_its_most_urgent_one_that_is_left() -> None:
    kinds = {"r1": ("a", 0.74), "r2": ("a", 0.88), "r3": ("b", 0.84), "r4": ("b", 0.8)}
    cases = [suspected(name, score, targets={"kind": kind}) for name, (kind, score) in kinds.items()]
    for budget, expected in enumerate([set(), {"r2"}, {"r2", "r3"}, {"r2", "r3", "r4"}]):
        decisions = decide(cases, Review(budget=budget, audit=0.0))
        assert {name for name, decision in decisions.items() if decision.routed} == expected


def test_a_sort_for_every_row_is_no_burden() -> None:
    """As with many labels that are rare."""
    cases = [suspected(f"r{number}", 0.88 - number / 1e6, targets={"kind": f"t{number}"}) for number in range(30_000)]
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
    cases[2] = changed(cases[2], past_route=past)
    decisions = decide(cases)
    assert {name: decision.routed for name, decision in decisions.items() if decision.routed} == {"r3": past}
    assert {decision.fate for decision in decisions.values()} == {Fate.REVIEW}


# --- what is asked, and how urgently ------------------------------------------------------------------
def test_a_label_error_without_a_score_is_as_urgent_as_a_moderate_one() -> None:
    """A value that its text does not hold: no model has a number for it."""
    ungrounded = case("r1", reasons=FLAGGED)
    sure = case("r2", targets=None, suggestion={"kind": "a"}, score=0.1)
    unsure = case("r3", targets=None, suggestion={"kind": "b"}, score=0.9)
    routed = {name for name, d in decide([ungrounded, sure, unsure], Review(budget=2, audit=0.0)).items() if d.routed}
    assert routed == {"r1", "r3"}


def test_an_unlabeled_row_is_the_more_urgent_the_less_its_suggestion_can_be_trusted() -> None:
    scores = {"r1": 0.2, "r2": None, "r3": 0.9}
    cases = [case(name, targets=None, score=score) for name, score in scores.items()]
    order = [
        {name for name, decision in decide(cases, Review(budget=budget, audit=0.0)).items() if decision.routed}
        for budget in (1, 2)
    ]
    assert order == [{"r3"}, {"r2", "r3"}]


def test_an_unlabeled_row_that_is_also_held_is_as_urgent_as_a_held_one() -> None:
    both = case("r1", targets=None, score=0.0, review_reasons=HOLD)
    decisions = decide([suspected("r2", 0.9), both], Review(budget=1, audit=0.0))
    assert (decisions["r1"].routed, decisions["r2"].routed) == (Routed.UNCERTAIN, None)
    assert codes(decisions["r1"]) == [ReasonCode.PERSONAL_DATA, ReasonCode.UNLABELED]


def test_a_conflict_goes_before_everything_else() -> None:
    cases = [suspected("r1", 0.99), case("r2", review_reasons=HOLD), *conflict("k", "r3", "r4")]
    decisions = decide(cases, Review(budget=1, audit=0.0))
    assert {name: decision.routed for name, decision in decisions.items() if decision.routed} == {"r3": Routed.CONFLICT}


def test_a_question_about_a_conflict_outlives_one_about_another_row_of_its_input() -> None:
    first, second = conflict("k", "r1", "r2")
    decisions = decide([changed(first, past_route=Routed.UNCERTAIN), changed(second, past_route=Routed.CONFLICT)])
    assert {name: d.routed for name, d in decisions.items() if d.routed} == {"r2": Routed.CONFLICT}


def test_a_row_that_contradicts_an_annotator_s_earlier_answer_is_asked_about_as_a_conflict() -> None:
    contradicts = [Reason(code=ReasonCode.CONFLICT, detail="an annotator said 'b'")]
    decision = decide([case("r1", review_reasons=contradicts, reasons=FLAGGED)])["r1"]
    assert (decision.routed, decision.reasons) == (Routed.CONFLICT, contradicts + FLAGGED)


def test_a_row_in_conflict_tells_all_that_speaks_against_it() -> None:
    first, second = conflict("k", "r1", "r2")
    rows = [changed(first, review_reasons=HOLD, reasons=FLAGGED), second]
    assert codes(decide(rows)["r1"]) == [ReasonCode.CONFLICT, ReasonCode.PERSONAL_DATA, ReasonCode.LABEL_ERROR]


def test_a_held_row_tells_its_label_error_too() -> None:
    assert decide([suspected("r1", review_reasons=HOLD)])["r1"].reasons == HOLD + FLAGGED


def test_equally_urgent_rows_are_asked_about_in_the_order_of_the_file() -> None:
    cases = [suspected(f"r{number}") for number in (3, 1, 2, 0)]
    decisions = decide(cases, Review(budget=2, audit=0.0))
    assert {name for name, decision in decisions.items() if decision.routed} == {"r0", "r1"}


def test_the_same_suggestion_over_and_over_is_one_sort_of_question() -> None:
    cases = [case(f"r{number}", targets=None, score=0.9, suggestion={"kind": "a"}) for number in range(20)] + [
        case(f"r{number}", targets=None, score=0.7, suggestion={"kind": "b"}) for number in range(20, 40)
    ]
    routed = [d for d in run(cases, Review(budget=10, audit=0.0)).decisions if d.routed]
    suggested = Counter(str(decision.suggestion["kind"]) for decision in routed if decision.suggestion)
    assert suggested["a"] > suggested["b"] >= 3


def test_different_troubles_of_one_label_are_different_sorts_of_questions() -> None:
    failed = [Reason(code=ReasonCode.SOFT_CHECK, field="kind", detail="is too short")]
    cases = [case(f"r{number}", review_reasons=HOLD) for number in range(20)]
    cases += [case(f"r{number}", review_reasons=failed) for number in range(20, 40)]
    routed = [d for d in run(cases, Review(budget=10, audit=0.0)).decisions if d.routed]
    troubles = Counter(decision.reasons[0].code for decision in routed)
    assert troubles == {ReasonCode.PERSONAL_DATA: 5, ReasonCode.SOFT_CHECK: 5}


def test_what_waits_is_counted_by_what_an_annotator_would_be_asked_for() -> None:
    cases = [suspected(f"r{n}") for n in range(3)] + [case("r3", targets=None), *conflict("k", "r4", "r5")]
    result = run(cases, NONE)
    assert result.use.beyond_budget == 5
    assert list(result.use.beyond_by_reason.items()) == [
        (ReasonCode.LABEL_ERROR, 3),
        (ReasonCode.UNLABELED, 1),
        (ReasonCode.CONFLICT, 1),
    ]
    assert (run(cases).use.beyond_budget, run(cases).use.beyond_by_reason) == (0, {})
