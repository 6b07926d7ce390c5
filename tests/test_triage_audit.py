"""The audit keeps its rate and its rows, costs no budget and changes no fate."""

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from known_cases import changed
from triage_cases import FLAGGED, HOLD, PERSON, case, chance_of, decide, run, suspected

from pipeline.curation.case import Judged
from schemas.annotation import Verdict
from schemas.dataset import Review
from schemas.fate import Fate, Routed


def test_the_audit_slice_keeps_its_fate_and_costs_no_budget() -> None:
    result = run([case("r1"), suspected("r2"), case("r3", review_reasons=HOLD)], Review(budget=0, audit=1.0))
    decisions = {decision.record_id: decision for decision in result.decisions}
    assert {name: (d.fate, d.routed) for name, d in decisions.items()} == {
        "r1": (Fate.ACCEPTED, Routed.AUDIT),
        "r2": (Fate.ACCEPTED, Routed.AUDIT),
        "r3": (Fate.REVIEW, None),
    }
    assert (result.use.budget_used, result.use.budget) == (0, 0)


def test_the_audit_rate_is_kept_and_the_same_records_are_drawn_again() -> None:
    cases = [case(f"r{number}") for number in range(5_000)]
    for rate in (0.02, 0.3):
        drawn = {name for name, d in decide(cases, Review(budget=0, audit=rate)).items() if d.routed}
        spread = 4 * math.sqrt(5_000 * rate * (1 - rate))
        assert abs(len(drawn) - 5_000 * rate) < spread
        assert drawn == {name for name, d in decide(cases[::-1], Review(budget=0, audit=rate)).items() if d.routed}
    small = {name for name, d in decide(cases, Review(budget=0, audit=0.02)).items() if d.routed}
    assert small <= drawn, "a higher rate adds to the slice"


def audited(cases: Sequence[Judged], review: Review) -> set[str]:
    return {name for name, decision in decide(cases, review).items() if decision.routed is Routed.AUDIT}


def test_by_default_at_most_500_are_asked_about_and_300_audited() -> None:
    cases = [suspected(f"r{number}") if number % 2 else case(f"r{number}") for number in range(40_000)]
    result = run(cases, Review())
    routes = Counter(decision.routed for decision in result.decisions)
    assert (result.use.budget, result.use.budget_used) == (500, 500)
    assert (routes[Routed.UNCERTAIN], routes[Routed.AUDIT]) == (500, 300)


@pytest.mark.parametrize(("rows", "budget"), [(10, 1), (11, 2), (1_000, 100), (4_999, 500), (5_000, 500), (5_001, 500)])
def test_by_default_a_tenth_of_few_rows_may_be_asked_about(rows: int, budget: int) -> None:
    assert run([case(f"r{number}") for number in range(rows)], Review()).use.budget == budget


def test_what_is_written_down_has_no_cap() -> None:
    cases = [suspected(f"r{number}") if number % 2 else case(f"r{number}") for number in range(40_000)]
    result = run(cases, Review(budget=0.1, audit=0.02))
    assert result.use.budget_used == 4_000
    assert sum(decision.routed is Routed.AUDIT for decision in result.decisions) > 600


def test_the_capped_audit_is_the_same_in_any_order_and_the_smallest_of_the_uncapped_one() -> None:
    cases = [case(f"r{number}") for number in range(30_000)]
    capped = audited(cases, Review(budget=0))
    assert capped == audited(cases[::-1], Review(budget=0)) and len(capped) == 300
    assert capped < audited(cases, Review(budget=0, audit=0.02))
    assert audited(cases[:5_000], Review(budget=0)) == audited(cases[:5_000], Review(budget=0, audit=0.02))


def later(cases: Sequence[Judged], **changes: object) -> tuple[set[str], list[Judged]]:
    """The audited records, and the cases in the next run; the audited ones with changes."""
    decisions = decide(cases, Review(budget=0))
    drawn = {name for name, decision in decisions.items() if decision.routed is Routed.AUDIT}
    past = [changed(one, chance=chance_of(decisions[one.known.record_id])) for one in cases]
    return drawn, [
        changed(one, past_route=Routed.AUDIT, **changes) if one.known.record_id in drawn else one for one in past
    ]


@pytest.mark.parametrize("verdict", [None, Verdict.LABELED, Verdict.UNUSABLE])
def test_audited_rows_keep_their_place_and_new_rows_are_audited_too(verdict: Verdict | None) -> None:
    cases = [case(f"r{number}") for number in range(20_000)]
    first, past = later(cases, human=verdict, human_reasons=PERSON[verdict])
    assert audited(past, Review(budget=0)) == first, "an answer calls for no other question"
    more = [case(f"r{number}") for number in range(20_000, 40_000)]
    second = audited([*past, *more], Review(budget=0))
    fresh = {one.known.record_id for one in more} & second
    assert len(fresh) == 150, "of 300 in all, half would be new rows"
    assert second - fresh == first, "no question is withdrawn"


def test_rows_that_come_in_few_at_a_time_are_audited_as_often_as_many_at_once() -> None:
    review, past = Review(budget=0, audit=0.1), [case(f"r{number}") for number in range(100)]
    for start in range(100, 600, 25):
        decisions = decide(past, review)
        past = [changed(one, chance=chance_of(decisions[one.known.record_id])) for one in past]
        past += [case(f"r{number}") for number in range(start, start + 25)]
    assert 35 < len(audited(past, review)) < 90, "10% of 600"


def test_an_audited_record_that_something_speaks_against_later_makes_room_for_no_other_one() -> None:
    cases = [case(f"r{number}") for number in range(20_000)]
    first, past = later(cases)
    flagged = set(sorted(first)[:50])
    past = [changed(one, reasons=FLAGGED) if one.known.record_id in flagged else one for one in past]
    assert audited(past, Review(budget=0)) == first


def test_likely_wrong_rows_are_audited_more_often_and_keep_their_chance_when_scores_change() -> None:
    cases = [case(f"r{number}", score=0.4 if number % 20 == 0 else 0.01) for number in range(20_000)]
    first, past = later(cases)
    likely = {one.known.record_id for one in cases if one.doubt.score == 0.4}
    assert 25 < len(first & likely) < 100 and len(first) == 300
    turned = [changed(one, score=0.2) for one in past]
    assert audited(turned, Review(budget=0)) == first


def test_a_larger_share_raises_chances_and_a_share_of_zero_asks_about_none_but_forgets_none() -> None:
    cases = [case(f"r{number}") for number in range(5_000)]
    first, past = later(cases)
    more = audited(past, Review(budget=0, audit=0.1))
    assert first < more and len(more) == 500
    none = decide(past, Review(budget=0, audit=0.0))
    assert not [name for name, decision in none.items() if decision.routed]
    assert {chance_of(decision) for decision in none.values()} == {one.known.past.chance for one in past}


def test_an_audited_record_stays_asked_when_something_speaks_against_it_later() -> None:
    """Its question is already with annotators: their answer settles the new finding, too."""
    review = Review(budget=0, audit=0.0)
    held = decide([case("r1", review_reasons=HOLD, past_route=Routed.AUDIT)], review)["r1"]
    assert (held.fate, held.routed) == (Fate.REVIEW, Routed.AUDIT)
    questioned = decide([suspected("r1", past_route=Routed.AUDIT)], review)["r1"]
    assert (questioned.fate, questioned.routed) == (Fate.ACCEPTED, Routed.AUDIT)
    gone = decide([case("r0"), case("r1", duplicate_of="r0", past_route=Routed.AUDIT)], review)["r1"]
    assert gone.fate is Fate.DUPLICATE
