"""Whom a team agrees with, which labels it takes for each other, and how fast it answers."""

from dataclasses import replace
from datetime import timedelta

import pytest
from team import ANA, BEN, CLEO
from test_annotators import NOON, Two, opinion, vote

from pipeline.reporting.confusions import Confusion, Correction, confusions, corrections
from pipeline.reporting.field_agreement import pair_agreements
from pipeline.reporting.pace import pace
from pipeline.review.opinions import Opinion, votes
from schemas.annotation import Verdict
from schemas.field import JsonValue
from schemas.seat import SeatKind
from schemas.tasks.plain_sentence import PlainSentence
from schemas.tasks.support_question import SupportQuestion


# --- pairs ------------------------------------------------------------------------------------------
def test_each_two_annotators_of_the_same_rows_have_cohen_s_kappa_the_weakest_first() -> None:
    said = [vote(ANA, f"r{at}", "ab"[at % 2], "x") for at in range(12)]
    said += [vote(BEN, f"r{at}", "ab"[at % 2], "x") for at in range(12)]
    said += [vote(CLEO, f"r{at}", "ab"[at // 6], "x") for at in range(12)]
    said += [vote("dora", "r1", "b", "x", SeatKind.ADJUDICATOR), vote("dora", "alone", "a", "x")]
    found = [pair for pair in pair_agreements(votes(said, Two), Two) if pair.field == "topic"]
    assert [(pair.one, pair.other, pair.items, pair.agreed) for pair in found] == [
        (ANA, CLEO, 12, 6),
        (BEN, CLEO, 12, 6),
        (ANA, BEN, 12, 12),
    ]
    assert [pair.kappa for pair in found] == [pytest.approx(0.0), pytest.approx(0.0), 1.0]
    assert found[0].shown.startswith("0.00 (-") and found[2].shown.startswith("1.00 (")


def test_a_pair_that_says_the_same_of_everything_has_no_kappa() -> None:
    said = [vote(who, f"r{at}", "a", "x") for at in range(3) for who in (ANA, BEN)]
    [pair, _] = pair_agreements(votes(said, Two), Two)
    assert (pair.items, pair.agreed, pair.kappa, pair.shown) == (3, 3, None, "all alike")


# --- confusions -------------------------------------------------------------------------------------
def corrected(record: str, old: JsonValue, new: JsonValue, **more: object) -> Opinion:
    """The answer that counts about a row that had another one."""
    plain = opinion(ANA, record, "x")
    annotation = plain.annotation.model_copy(update={"targets": {"topic": new}})
    return replace(plain, annotation=annotation, given={"topic": old}, **{"decides": True, **more})


def test_corrections_of_either_direction_and_contradictions_of_annotators_are_told_apart() -> None:
    said = [corrected(f"r{at}", "a", "b") for at in range(3)] + [corrected("r9", "b", "a")]
    said += [corrected("r10", "a", "a"), corrected("r11", "a", "b", decides=False)]
    said += [vote(ANA, "s", "a", "x"), vote(BEN, "s", "b", "y"), vote(CLEO, "s", "b", "z", SeatKind.ADJUDICATOR)]
    said += [vote(ANA, "t", "a", "x"), vote(BEN, "t", "a", "y")]
    [found] = corrections(said, Two)
    assert found == Correction(field="topic", given="a", said="b", rows=3, back=1)
    assert str(found) == "topic a became b: 3 rows, 1 the other way round"
    [apart] = confusions(said, Two)
    assert apart == Confusion(field="topic", one="a", other="b", pairs=1)
    assert str(apart) == "topic a or b: 1 pair of answers"


def test_the_label_that_is_corrected_more_often_comes_first() -> None:
    said = [corrected("r1", "a", "b"), *(corrected(f"s{at}", "b", "a") for at in range(3))]
    assert corrections(said, Two) == [Correction(field="topic", given="b", said="a", rows=3, back=1)]
    even = [corrected("r1", "a", "b"), corrected("r2", "b", "a")]
    assert [(one.total, one.rows, one.back) for one in corrections(even, Two)] == [(2, 1, 1)]


def test_of_sets_the_labels_that_only_one_answer_has_are_confused() -> None:
    [field] = [field.name for field in SupportQuestion.task_targets()]

    def has(record: str, old: list[JsonValue], new: list[JsonValue]) -> Opinion:
        plain = corrected(record, None, None)
        return replace(
            plain, given={field: old}, annotation=plain.annotation.model_copy(update={"targets": {field: new}})
        )

    found = corrections(
        [has("1", ["billing", "refund"], ["billing", "account"]), has("2", ["billing"], [])], SupportQuestion
    )
    assert [(one.given, one.said, one.total) for one in found] == [("billing", "", 1), ("refund", "account", 1)]
    assert str(found[0]) == f"{field} billing became none: 1 row"


def test_free_texts_are_not_confused() -> None:
    plain = corrected("1", None, None)
    said = plain.annotation.model_copy(update={"targets": {"plain": "one"}})
    given = [replace(plain, given={"plain": "other"}, annotation=said)]
    assert corrections(given, PlainSentence) == confusions(given, PlainSentence) == []


# --- pace -------------------------------------------------------------------------------------------
def test_the_pace_counts_answers_by_day_and_says_how_long_the_rest_takes() -> None:
    day = 24 * 60
    said = [opinion(ANA, f"r{at}", "a", minute=-day * (at % 2), seconds=20.0) for at in range(6)]
    said.append(opinion(BEN, "s", None, verdict=Verdict.SKIPPED, seconds=900.0))
    found = pace(said, 30, NOON)
    assert [(one.day.day, one.answers) for one in found.days] == [(27, 3), (28, 3)]
    assert str(found) == "6 answers on 2 days, 3 a day; 20 s each (median); what is open takes about 10 minutes"
    west = NOON.astimezone((NOON - timedelta(hours=13)).tzinfo)
    assert pace(said, 600, west).work_left == "3.3 hours"


def test_without_answers_there_is_no_pace_and_without_times_none_is_made_up() -> None:
    assert str(pace([], 30, NOON)) == ""
    assert str(pace([opinion(ANA, "r", "a")], 30, NOON)) == "1 answer on one day"
