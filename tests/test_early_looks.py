"""``review.error_rate`` and rows that stay open for days: a look that does not depend on them is taken without them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from audit_worlds import World, made_up
from known_cases import changed
from triage_cases import FLAGGED, PERSON, Triaged, answered, case, run

from pipeline.curation.case import Judged
from pipeline.estimation.audit_draw import Bools, Chances, draw, numbers
from pipeline.estimation.error_target import Rows, bound_at, next_questions
from schemas.annotation import Verdict
from schemas.dataset import Review
from schemas.fate import Routed
from schemas.run_summary import Proof

TARGET, BATCH = 0.04, 200
TEAM = Review(error_rate=TARGET, annotators=["ana@example.com", "ben@example.com", "cleo@example.com"])


def decided(cases: Sequence[Judged], proof: Proof | None) -> Triaged:
    # Somebody else can still be asked about each answer that waits for a second look.
    return run(
        cases, TEAM, proof=proof, open_seats=[one.known.record_id for one in cases if one.known.answered.unconfirmed]
    )


def proof_of(cases: Sequence[Judged], proof: Proof | None) -> Proof:
    found = decided(cases, proof).proof
    assert found is not None
    return found


def rows(first: int, count: int) -> list[Judged]:
    return [case(f"r{number}", score=0.05) for number in range(first, first + count)]


def opened(one: Judged, *, is_second: bool) -> Judged:
    """The same row once nobody has answered, or while its correction waits for a second look."""
    if is_second:
        return changed(one, replaced={"kind": "wrong"}, unconfirmed=True)
    return changed(one, human=None, human_reasons=[])


def nearly_done(wrong: int) -> tuple[list[Judged], list[int]]:
    """A first batch of which some rows were wrong, and all but two are settled; and which two."""
    start = rows(0, 2_000)
    first = decided(start, None)
    drawn = [number for number, one in enumerate(first.decisions) if one.routed is Routed.AUDIT]
    assert len(drawn) == BATCH
    cases, _ = answered(start, first, {f"r{number}" for number in drawn[10 : 10 + wrong]})
    late = [drawn[0], drawn[100]]
    for number, is_second in zip(late, (True, False), strict=True):
        cases[number] = opened(cases[number], is_second=is_second)
    return cases, late


def settled(cases: Sequence[Judged], late: Sequence[int], wrong: Sequence[int] = ()) -> list[Judged]:
    """The same when the rows that were open are answered."""
    return [
        changed(one, human=Verdict.LABELED, human_reasons=PERSON[Verdict.LABELED], unconfirmed=False,
                replaced={"kind": "wrong"} if number in wrong else None) if number in late else one
        for number, one in enumerate(cases)
    ]  # fmt: skip


def test_a_batch_is_proven_without_the_rows_that_would_change_nothing() -> None:
    cases, late = nearly_done(0)
    found = proof_of(cases, None)
    assert found.proven and (found.looks, found.answers, found.open, found.again) == (1, BATCH - 2, 2, 1)
    assert found.early == sorted(f"r{number}" for number in late)
    assert str(found).endswith("; rows that were open then count as wrong: 2")
    assert proof_of(cases, found) == found
    for wrong in ([], late[:1], late):
        done = settled(cases, late, wrong)
        now = proof_of(done, found)
        assert now == found.model_copy(update={"open": 0, "again": 0}), "no look is spent on what came of them"
        complete = proof_of(done, None)
        assert complete.proven and complete.bound is not None and found.bound is not None
        assert complete.bound <= found.bound
    elsewhere = next(number for number, one in enumerate(cases) if one.known.human is not None and number not in late)
    assert proof_of(settled(cases, [*late, elsewhere], [elsewhere]), found).looks == 2, "another answer changed"


def test_a_batch_waits_for_the_rows_that_decide() -> None:
    cases, late = nearly_done(2)
    found = proof_of(cases, None)
    assert (found.proven, found.looks, found.bound, found.tried) == (False, 0, None, BATCH)
    now = proof_of(settled(cases, late), found)
    assert (now.looks, now.proven) == (1, True), "the same rows: the try before was no look"


def test_a_batch_of_which_more_than_a_tenth_is_open_waits() -> None:
    cases, _ = nearly_done(0)
    known = [number for number, one in enumerate(cases) if one.known.human is not None]
    cases = [opened(one, is_second=False) if number in known[:20] else one for number, one in enumerate(cases)]
    found = proof_of(cases, None)
    assert (found.looks, found.tried, found.open) == (0, 0, 21)


def test_a_try_that_failed_counts_once_other_rows_are_drawn() -> None:
    cases, _ = nearly_done(2)
    found = proof_of(cases, None)
    cases += rows(2_000, 100)
    more = decided(cases, found)
    cases, asked = answered(cases, more, set())
    # The two of before are still open.
    assert 0 < asked < BATCH / 10 and more.proof is not None and more.proof.tried == BATCH
    cases = [opened(one, is_second=False) if one.known.record_id in ("r2000",) else one for one in cases]
    cases += rows(2_100, 2_000)
    grown = decided(cases, more.proof)
    cases, _ = answered(cases, grown, set())
    last = next(number for number in range(2_100, 4_100) if cases[number].known.human is not None)
    cases[last] = opened(cases[last], is_second=False)
    assert proof_of(cases, grown.proof).looks == 2 and proof_of(cases, grown.proof).proven


def test_suspects_that_wait_do_not_put_off_what_they_cannot_change() -> None:
    cases, late = nearly_done(0)
    cases = settled(cases, late)
    unseen = [number for number, one in enumerate(cases) if one.known.human is None][:3]
    for number in unseen:
        cases[number] = changed(cases[number], reasons=FLAGGED, score=0.9, past_route=Routed.UNCERTAIN)
    found = proof_of(cases, None)
    assert (found.looks, found.proven, found.early, found.open) == (1, True, [], 3)


@dataclass(frozen=True)
class Look:
    """One of a made-up dataset, when some of the drawn rows are open."""

    rows: Rows
    late: Bools
    number: int

    def bound(self, gone: Bools, stays: Bools) -> float:
        """The bound if some of the open rows turn out to be wrong and corrected, or wrong and nobody's to correct."""
        wrong = (self.rows.wrong & ~self.late) | gone | stays
        return bound_at(replace(self.rows, wrong=wrong), self.number) + int(stays.sum()) / self.rows.total


def looks(world: World, rate: float, size: int, chance: np.random.Generator) -> Iterator[Look]:
    """The first looks at a dataset."""
    made = made_up(world, rate, size, chance)
    spots, batch = numbers(made.hashes), size // 10
    chances = draw(numbers(made.hashes), made.scores, batch, Chances.none(size))
    for number in range(1, 6):
        asked = chances.drawn(spots)
        late = np.zeros(size, dtype=bool)
        late[chance.choice(np.flatnonzero(asked), 3, replace=False)] = True
        now = Rows(chances, spots, asked, asked & made.wrong, size, made.scores)
        yield Look(now, late, number)
        plan = next_questions(now, 0.02, batch, number)
        if plan.proven or asked.all():
            return
        chances = plan.chances


@pytest.mark.parametrize("world", World)
def test_whatever_becomes_of_open_rows_the_bound_is_highest_if_all_are_wrong_and_stay(world: World) -> None:
    """The bound of the sample alone may fall with an error more; by less than the error itself adds, if it stays."""
    chance = np.random.default_rng(list(World).index(world))
    for size, rate in ((300, 0.02), (1_000, 0.01), (2_000, 0.05)):
        for look in looks(world, rate, size, chance):
            worst = look.bound(look.late & False, look.late)
            for _ in range(4):
                becomes = chance.integers(3, size=size)
                assert look.bound(look.late & (becomes == 0), look.late & (becomes == 1)) <= worst + 1e-9
