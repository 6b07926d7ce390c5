"""``review.error_rate``: triage asks batch by batch until the accepted rows' error is proven to be below it."""

import numpy as np
import pytest
from audit_worlds import World, made_up
from known_cases import changed
from pydantic import ValidationError
from triage_cases import HOLD, PERSON, Triaged, answered, case, chance_of, run, suspected

from pipeline.curation.case import Judged
from schemas.annotation import Verdict
from schemas.dataset import Review, Unreviewed
from schemas.fate import Fate, ReasonCode, Routed
from schemas.run_summary import Proof

UNTIL = Review(error_rate=0.04)


def decided(cases: list[Judged], proof: Proof | None, review: Review = UNTIL) -> Triaged:
    return run(cases, review, proof=proof)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_asks_until_the_error_is_proven_to_be_below_the_target_and_then_stops(seed: int) -> None:
    rows = made_up(World.SHARP, 0.1, 800, np.random.default_rng(seed))
    cases = [case(f"r{number}", score=float(score)) for number, score in enumerate(rows.scores)]
    wrong, proof, total = {f"r{number}" for number in np.flatnonzero(rows.wrong)}, None, 0
    for _ in range(20):
        result = decided(cases, proof)
        assert result.proof is not None
        again = decided(cases, proof)
        assert (again.decisions, again.proof) == (result.decisions, result.proof), "the same state, the same questions"
        proof = result.proof
        cases, asked = answered(cases, result, wrong)
        assert asked <= 80 + 12, "a batch is a tenth of the rows"
        total += asked
        if not asked:
            break
    assert proof is not None and proof.proven and proof.more == 0
    assert str(proof) == "proven: fewer than 4.0% of the accepted rows are wrong (95% confidence)"
    left = {one.known.record_id for one in cases if one.known.human is None} & wrong
    assert len(left) / len(cases) < 0.04
    assert 0 < total < 600
    once_more = decided(cases, proof)
    assert once_more.proof == proof and not [d for d in once_more.decisions if d.routed and d.label_source != "human"]


def answered_otherwise(cases: list[Judged], rows: slice, route: Routed | None, *, is_trusted: bool) -> list[Judged]:
    """The cases after some that nobody was asked about by chance have been confirmed, or their source became gold."""
    confirmed = [
        changed(one, is_trusted=is_trusted) if one.known.human is not None
        else changed(one, human=Verdict.LABELED, human_reasons=PERSON[Verdict.LABELED], past_route=route,
                     is_trusted=is_trusted)
        for one in cases[rows]
    ]  # fmt: skip
    return [*cases[: rows.start], *confirmed, *cases[rows.stop :]]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_that_were_answered_without_being_drawn_say_nothing_about_the_others(seed: int) -> None:
    chance = np.random.default_rng(seed)
    cases = [case(f"r{number}", score=0.05) for number in range(1000)]
    # Those that are answered otherwise are right; of the last 400 a sixth is wrong.
    wrong, proof = {f"r{number}" for number in 600 + chance.choice(400, 66, replace=False)}, None
    for look in range(20):
        result = decided(cases, proof)
        proof = result.proof
        cases, asked = answered(cases, result, wrong)
        if look == 0:
            cases = answered_otherwise(cases, slice(0, 400), None, is_trusted=True)
            cases = answered_otherwise(cases, slice(400, 600), Routed.CONFLICT, is_trusted=False)
        if not asked:
            break
    assert proof is not None and proof.proven
    left = {one.known.record_id for one in cases if one.known.human is None} & wrong
    assert len(left) / len(cases) < 0.04
    outside = [
        d for one, d in zip(cases, decided(cases, proof).decisions, strict=True) if one.known.answered.is_trusted
    ]
    assert all(decision.audit_probability is None for decision in outside)


def test_a_batch_that_waits_is_not_looked_at() -> None:
    cases = [case(f"r{number}") for number in range(300)]
    first = decided(cases, None)
    asked = [decision.record_id for decision in first.decisions if decision.routed is Routed.AUDIT]
    assert len(asked) == 30 and first.proof is not None and (first.proof.looks, first.proof.proven) == (0, False)
    assert str(first.proof) == (
        "an error below 4.0% is not proven yet: it takes answers to the first batch, 30 open rows that were drawn or "
        "are likely errors, which will show how many more"
    )
    cases, _ = answered(cases, first, set())
    waiting = [changed(one, human=None) if one.known.record_id == asked[0] else one for one in cases]
    assert decided(waiting, first.proof).proof == first.proof.model_copy(update={"open": 1, "tried": 30})
    looked = decided(cases, first.proof)
    assert looked.proof is not None and looked.proof.looks == 1 and looked.proof.more > 0
    assert "known to be below" in str(looked.proof)


def test_rows_that_come_in_after_the_proof_are_asked_about_too() -> None:
    cases, proof = [case(f"r{number}") for number in range(300)], None
    for _ in range(10):
        result = decided(cases, proof)
        proof = result.proof
        cases, asked = answered(cases, result, set())
        if not asked:
            break
    assert proof is not None and proof.proven
    more = [*cases, *(case(f"r{number}") for number in range(300, 600))]
    grown = decided(more, proof)
    fresh = [decision for decision in grown.decisions[300:] if decision.routed is Routed.AUDIT]
    assert grown.proof is not None and fresh and not grown.proof.proven


@pytest.mark.parametrize("unreviewed", Unreviewed)
def test_all_suspects_are_asked_about_the_likeliest_first_beside_a_random_sample(unreviewed: Unreviewed) -> None:
    suspects = [suspected(f"r{number}", score=0.1 + number / 100) for number in range(60)]
    cases, waiting = [*suspects, *(case(f"r{number}") for number in range(60, 300))], case("r300", review_reasons=HOLD)
    review, proof, wrong = Review(error_rate=0.04, unreviewed=unreviewed), None, {f"r{n}" for n in range(0, 60, 2)}
    first = decided([*cases, waiting], None, review)
    routes = {decision.record_id: decision.routed for decision in first.decisions}
    asked = [name for name, route in routes.items() if route is Routed.UNCERTAIN]
    # A batch has 31 rows: a third is drawn at random, the others are the likeliest errors; who waits has the budget.
    assert (len(asked), list(routes.values()).count(Routed.AUDIT)) == (20 + 1, 11)
    assert {int(name[1:]) for name in asked[:20]} <= set(range(35, 60)) and asked[-1] == "r300"
    later = next(decision for decision in first.decisions if decision.record_id == "r0")
    if unreviewed is Unreviewed.ACCEPT:
        assert (later.fate, later.reasons[0].code) == (Fate.ACCEPTED, ReasonCode.UNREVIEWED)
        assert later.reasons[0].detail == "annotators are asked about it in a later batch"
    else:
        assert later.fate is Fate.REVIEW
    assert (
        first.use.beyond_budget == 0 and first.proof is not None and (first.proof.open, first.proof.later) == (31, 40)
    )
    for _ in range(20):
        result = decided(cases, proof, review)
        open_ = [
            changed(one, chance=chance_of(decision), past_route=one.known.past.past_route or decision.routed)
            for one, decision in zip(cases, result.decisions, strict=True)
        ]
        assert decided(open_, result.proof, review).decisions == result.decisions, "no question twice"
        proof = result.proof
        cases, count = answered(cases, result, wrong)
        if not count:
            break
    assert proof is not None and proof.proven
    assert all(one.known.human is Verdict.LABELED for one in cases[:60]), "no likely error is published unseen"


@pytest.mark.parametrize("found", [0, 12])
def test_of_rows_that_become_suspect_after_they_had_a_chance_only_the_errors_found_lower_the_bound(found: int) -> None:
    """Scores may mislead: if those that leave are right, the others are worse than the sample of both says."""
    start = [case(f"r{number}", score=0.05) for number in range(600)]
    wrong = {f"r{number}" for number in range(300, 400)}
    cases, _ = answered(start, decided(start, None), wrong)
    looked = decided(cases, Proof(target=0.04, looks=0, answers=0)).proof
    suspects = [number for number in range(300) if cases[number].known.human is None]
    for number in suspects:
        cases[number] = changed(
            cases[number],
            past_route=Routed.UNCERTAIN,
            human=Verdict.LABELED,
            human_reasons=PERSON[Verdict.LABELED],
            replaced={"kind": "wrong"} if number in suspects[:found] else None,
        )
    later = decided(cases, Proof(target=0.04, looks=0, answers=0)).proof
    assert looked is not None and later is not None and looked.bound is not None
    assert (looked.looks, later.looks) == (1, 1)
    assert later.bound == pytest.approx(looked.bound - found / 600)


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_proof_does_not_outlive_the_answers_that_it_rests_on(is_complete: bool) -> None:
    cases, proof = proven_at_once()
    drawn = [number for number, one in enumerate(cases) if one.known.human is not None]
    for number in drawn[:20]:
        cases[number] = changed(cases[number], replaced={"kind": "wrong"})
    if not is_complete:
        for number in drawn[-40:]:
            cases[number] = changed(cases[number], human=None)
    now = decided(cases, proof).proof
    assert now is not None and not now.proven
    assert (now.looks, now.open > 0) == ((2, True) if is_complete else (1, True)), "a look at all, or none"
    if is_complete:
        assert now.bound is not None and now.bound > 0.1
    else:
        assert str(now).endswith("; the last look, of 200 answers, proved it, but rows or answers have changed since")


def test_what_was_corrected_and_is_confirmed_after_all_takes_another_look() -> None:
    cases, proof = proven_at_once()
    found = [number for number, one in enumerate(cases) if one.known.human is None][:10]
    suspects = [
        changed(one, human=Verdict.LABELED, human_reasons=PERSON[Verdict.LABELED], past_route=Routed.UNCERTAIN,
                replaced={"kind": "wrong"} if number in found else None) if number in found else one
        for number, one in enumerate(cases)
    ]  # fmt: skip
    again = decided(suspects, proof.model_copy(update={"digest": ""})).proof
    assert again is not None and again.proven and (again.looks, again.found) == (2, 10)
    assert again.bound is not None and proof.bound is not None and again.bound < proof.bound
    confirmed = [changed(one, replaced=None) for one in suspects]
    assert decided(suspects, again).proof == again
    later = decided(confirmed, again).proof
    assert later is not None and (later.looks, later.found) == (3, 0)


def test_a_correction_that_the_source_takes_over_was_an_error_all_the_same() -> None:
    cases, proof = proven_at_once()
    number = next(number for number, one in enumerate(cases) if one.known.human is not None)
    cases[number] = changed(cases[number], replaced={"kind": "wrong"}, corrected={"kind": "wrong"})
    corrected = decided(cases, proof).proof
    assert corrected is not None and corrected.looks == 2
    cases[number] = changed(cases[number], replaced=None)
    assert decided(cases, corrected).proof == corrected


def proven_at_once() -> tuple[list[Judged], Proof]:
    """Rows of which the first batch was answered, all confirmed, and the proof by the only look."""
    start = [case(f"r{number}", score=0.05) for number in range(2000)]
    cases, _ = answered(start, decided(start, None), set())
    proof = decided(cases, None).proof
    assert proof is not None and (proof.proven, proof.looks) == (True, 1)
    return cases, proof


def test_a_set_of_suspects_only_is_proven_once_all_are_answered() -> None:
    cases, proof = [suspected(f"r{number}") for number in range(40)], None
    for _ in range(6):
        result = decided(cases, proof)
        proof = result.proof
        cases, _ = answered(cases, result, {"r1"})
    assert proof is not None and proof.proven and all(one.known.human is not None for one in cases)


def test_suspects_that_are_held_are_drawn_too() -> None:
    cases = [*(suspected(f"r{number}") for number in range(10)), *(case(f"r{number}") for number in range(10, 100))]
    held = Review(error_rate=0.02, unreviewed=Unreviewed.HOLD)
    proof = None
    for _ in range(20):
        result = decided(cases, proof, held)
        proof = result.proof
        cases, asked = answered(cases, result, {f"r{number}" for number in range(10)})
        if not asked:
            break
    assert proof is not None and proof.proven
    assert all(one.known.human is Verdict.LABELED for one in cases[:10])


@pytest.mark.parametrize("other", [{"budget": 10}, {"audit": 0.1}])
def test_an_error_rate_takes_the_place_of_budget_and_audit(other: dict[str, float]) -> None:
    with pytest.raises(
        ValidationError, match=f"error_rate asks as many as it takes; remove it, or '{next(iter(other))}'"
    ):
        Review(error_rate=0.02, **other)
