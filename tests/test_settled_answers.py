"""How reliable somebody is, is how many answers were right: by gold, and by what settled rows drawn for two."""

from dataclasses import replace
from pathlib import Path

import pytest
from desk import desk_at
from fake_studio import FakeStudio
from support import row
from team import ANA, BEN, CLEO, NAMED, answer, go_on, review, whose
from test_annotators import NOON, Two, opinion, vote
from test_second_looks import TEXTS, TOPICS

from pipeline.evaluation.estimates import wilson
from pipeline.reporting.annotators import annotator_lines, read_annotators
from pipeline.reporting.settled_answers import Settled, settled_answers
from pipeline.review.opinions import Opinion
from schemas.annotation import Verdict
from schemas.field import JsonValue
from schemas.seat import SeatKind
from schemas.tasks.plain_sentence import PlainSentence


def counting(one: Opinion) -> Opinion:
    return replace(one, decides=True)


def alike(record: str, *who: str) -> list[Opinion]:
    """Annotators who agree about a row."""
    first, *others = (vote(name, record, "a", "x") for name in who)
    return [*others, counting(first)]


def apart(record: str, right: str, wrong: str, judge: str = "") -> list[Opinion]:
    """Two annotators who contradict each other about a row, and who decides."""
    said = [vote(right, record, "a", "x"), vote(wrong, record, "b", "x", SeatKind.SECOND)]
    return [*said, *([counting(vote(judge, record, "a", "x", SeatKind.ADJUDICATOR))] if judge else [])]


def reliable(said: list[Opinion]) -> dict[str, str]:
    settled = settled_answers(said, Two)
    return {line.annotator: str(line.reliability) for line in annotator_lines(said, Two, (), {}, NOON, settled)}


# --- what counts ------------------------------------------------------------------------------------
def test_who_never_errs_is_shown_so_also_beside_somebody_who_often_does() -> None:
    said = [one for at in range(60) for one in alike(f"r{at}", ANA, BEN)]
    said += [one for at in range(18) for one in apart(f"s{at}", ANA, BEN, CLEO)]
    assert reliable(said) == {ANA: "100% (95-100) of 78", BEN: "77% (66-85) of 78", CLEO: ""}


def test_gold_items_and_settled_rows_count_together_and_a_single_answer_does_not() -> None:
    said = [*alike("r", ANA, BEN), vote(ANA, "alone", "a", "x")]
    gold = [opinion(ANA, f"g{at}", "a" if at else "b", seat=SeatKind.GOLD, known="a") for at in range(3)]
    assert reliable([*said, *gold])[ANA] == "75% (30-95) of 4"


def test_what_waits_for_an_adjudicator_widens_the_interval_to_both_sides() -> None:
    done = [one for at in range(20) for one in alike(f"r{at}", ANA, BEN)]
    waiting = [one for at in range(5) for one in apart(f"s{at}", ANA, BEN)]
    found = settled_answers([*done, *waiting], Two)
    assert found[ANA] == found[BEN] == Settled(right=20, open=5)
    share = found[ANA].share()
    assert share is not None and (share.value, share.low, share.high) == (
        0.9,  # of those that wait, half: nothing is known of them
        pytest.approx(wilson(20, 25).low),
        pytest.approx(wilson(25, 25).high),
    )
    assert settled_answers(waiting, Two)[ANA].share() is None, "nothing is known yet"


def test_what_waits_is_taken_to_be_right_as_often_as_what_was_contradicted_and_is_settled() -> None:
    done = [one for at in range(20) for one in alike(f"r{at}", ANA, BEN)]
    judged = [one for at in range(9) for one in apart(f"s{at}", ANA, BEN, CLEO)]
    waiting = [one for at in range(10) for one in apart(f"t{at}", ANA, BEN)]
    found = settled_answers([*done, *judged, *waiting], Two)
    assert (found[ANA], found[BEN]) == (Settled(right=29, open=10, won=9), Settled(right=20, wrong=9, open=10))
    assert reliable([*done, *judged, *waiting]) == {ANA: "99% (59-100) of 39", BEN: "53% (36-87) of 39", CLEO: ""}


def test_an_answer_beside_one_who_was_unsure_is_judged_by_the_adjudicator() -> None:
    unsure = opinion(BEN, "r", None, verdict=Verdict.UNSURE, seat=SeatKind.SECOND)
    assert settled_answers([vote(ANA, "r", "a", "x"), counting(unsure)], Two) == {}
    judged = counting(vote(CLEO, "r", "b", "x", SeatKind.ADJUDICATOR))
    assert settled_answers([vote(ANA, "r", "a", "x"), unsure, judged], Two) == {ANA: Settled(wrong=1)}


def test_who_calls_a_row_unusable_that_is_is_right() -> None:
    said = [opinion(name, "r", None, verdict=Verdict.UNUSABLE) for name in (ANA, BEN)]
    said += [vote(CLEO, "r", "a", "x")]
    assert settled_answers([counting(said[0]), *said[1:]], Two) == {
        ANA: Settled(right=1, won=1),
        BEN: Settled(right=1, won=1),
        CLEO: Settled(wrong=1),
    }


def test_free_texts_are_not_compared() -> None:
    def wrote(who: str, text: str) -> Opinion:
        plain = counting(vote(who, "r", "a", text))
        targets: dict[str, JsonValue] = {"plain": text}
        return replace(plain, annotation=plain.annotation.model_copy(update={"targets": targets}))

    assert settled_answers([wrote(ANA, "One."), wrote(BEN, "Two.")], PlainSentence) == {}


# --- from the tables --------------------------------------------------------------------------------
def test_a_team_s_reliability_follows_from_what_it_settled(studio: FakeStudio, tmp_path: Path) -> None:
    rows = [row(n, TEXTS[TOPICS[n % 3]].format(n, 700 + 7 * n), None) for n in range(12)]
    with desk_at(studio, tmp_path, rows, review(NAMED, "overlap: 1.0")) as desk:
        desk.curate()
        slips = dict.fromkeys((ANA, BEN, CLEO), 0)
        for number in range(12):
            for seat, name in whose(desk, number).items():
                is_wrong = name == CLEO and number % 2 == 0
                slips[name] += is_wrong
                answer(desk, number, seat, TOPICS[(number + is_wrong) % 3], name)
        go_on(desk)
        for number in range(12):
            if name := whose(desk, number).get("adjudicator"):
                answer(desk, number, "adjudicator", TOPICS[number % 3], name)
        go_on(desk)
        lines = {line.annotator: line.reliability for line in read_annotators(desk.context, NOON).annotators}
        assert slips[CLEO] and {name: one.of for name, one in lines.items()} == {
            name: sum(name in (whose(desk, n)["first"], whose(desk, n)["second"]) for n in range(12)) for name in slips
        }
        assert {name: one.estimate and round(one.estimate.value * one.of) for name, one in lines.items()} == {
            name: lines[name].of - slips[name] for name in lines
        }
