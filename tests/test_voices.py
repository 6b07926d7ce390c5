"""Who is reliable shows in hidden gold items, too; a suggesting model is one more voter where nobody saw its answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from home_of_answers import Answer, Home, home_in
from test_weighing import TOPICS, Answers, Question, answers_of
from votes import crowd

from pipeline.review.consensus import deciding, said_about
from pipeline.review.weighing import weights_of
from schemas.decision import Decision
from schemas.fate import Fate, LabelSource, Routed
from schemas.field import JsonValue
from schemas.seat import FIRST, Seat, SeatKind

SEATS = {
    "ana": FIRST,
    "ben": Seat(kind=SeatKind.SECOND),
    "cleo": Seat(kind=SeatKind.SECOND, attempt=2),
}
BLIND: dict[str, Any] = {"routed": Routed.AUDIT, "fate": Fate.ACCEPTED}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


def by_all(about: Decision, ana: Answer, others: Answer, seats: dict[str, Seat] = SEATS) -> list[Any]:
    return [(who, ana if who == "ana" else others, about, seat) for who, seat in seats.items()]


def topics(home: Home, records: Sequence[str]) -> list[JsonValue]:
    """What decides about each record; None if annotators contradict each other."""
    said = said_about(home.now, home.dataset.task, home.now.current_decisions())
    found = [deciding(said[record_id]) for record_id in records]
    return [None if one is None or one.against else (one.annotation.targets or {})["topic"] for one in found]


# --- hidden gold items ------------------------------------------------------------------------------
@pytest.mark.parametrize(("source", "expected"), [(LabelSource.HUMAN, "delivery"), (LabelSource.SOURCE, "billing")])
def test_who_alone_is_right_about_gold_items_decides_against_a_majority(
    home: Home, source: LabelSource, expected: str
) -> None:
    """A row whose answer is no longer known teaches nothing."""
    known = [home.asked(f"g{n}", fate=Fate.ACCEPTED, routed=None, label_source=source, targets={"topic": "billing"})
             for n in range(15)]  # fmt: skip
    rows = [home.asked(f"r{n}") for n in range(4)]
    home.curated(*known, *rows)
    copies = {who: Seat(kind=SeatKind.GOLD, annotator=who) for who in SEATS}
    answers = [one for about in known for one in by_all(about, "billing", "returns", copies)]
    home.said_all([*answers, *(one for about in rows for one in by_all(about, "delivery", "billing"))])
    assert topics(home, [one.record_id for one in rows]) == [expected] * 4


def test_gold_items_are_about_annotators_and_decide_nothing_themselves(home: Home) -> None:
    known = home.asked("g", fate=Fate.ACCEPTED, routed=None, label_source=LabelSource.HUMAN)
    home.curated(known)
    home.said_all([("ana", "returns", known, Seat(kind=SeatKind.GOLD, annotator="ana"))])
    assert said_about(home.now, home.dataset.task, home.now.current_decisions()) == {}
    assert home.follows() == []


def test_unusable_about_a_gold_item_leaves_the_others_answers_to_it_as_proof(home: Home) -> None:
    votes, truth = crowd([0.97, 0.3, 0.3], 60)
    given = answers_of(votes)
    known: dict[str, dict[str, JsonValue]] = {f"r{at:03}": {"topic": TOPICS[truth[at]].value} for at in range(30)}
    for at in range(30):
        given[f"r{at:03}"][2] = given[f"r{at:03}"][2].model_copy(update={"targets": None})
    with_proof, without = (weights_of(Question, given, told) for told in (known, {}))
    assert with_proof(given["r050"][0]) != without(given["r050"][0])


# --- a model ----------------------------------------------------------------------------------------
def right(given: Answers, truth: np.ndarray, model: dict[str, dict[str, JsonValue]]) -> float:
    """How likely the true answer is on average, where an annotator gave it."""
    weight = weights_of(Question, given, model=model)
    found = [
        (item.probability if (item := weight(one)) else 0.0)
        for at, true in enumerate(truth)
        for one in given[f"r{at:03}"]
        if one.targets == {"topic": TOPICS[true].value}
    ]
    return float(np.mean(found))


def says(votes: np.ndarray, annotator: int, rows: int) -> dict[str, dict[str, JsonValue]]:
    mine = votes[(votes[:, 1] == annotator) & (votes[:, 0] < rows)]
    return {f"r{at:03}": {"topic": TOPICS[label].value} for at, _, label in mine.tolist()}


def test_a_good_model_tells_which_annotator_is_right_and_a_bad_one_hardly_matters() -> None:
    votes, truth = crowd([0.7, 0.6, 0.6, 0.97, 0.34], 150)
    given = answers_of(votes[votes[:, 1] < 3])
    alone = right(given, truth, {})
    assert right(given, truth, says(votes, 3, 150)) > alone + 0.1
    assert abs(right(given, truth, says(votes, 4, 150)) - alone) < 0.03


def test_a_model_has_no_say_before_its_answers_are_compared_with_enough_of_annotators() -> None:
    votes, _ = crowd([0.7, 0.6, 0.6, 0.97], 150)
    given = answers_of(votes[votes[:, 1] < 3])
    alone, few, enough = (weights_of(Question, given, model=says(votes, 3, rows)) for rows in (0, 19, 20))
    everything = [one for items in given.values() for one in items]
    assert [few(one) for one in everything] == [alone(one) for one in everything]
    assert [enough(one) for one in everything] != [alone(one) for one in everything]


def test_a_model_is_no_annotator_two_people_stay_two_and_are_held(home: Home) -> None:
    votes, _ = crowd([0.9, 0.9, 0.9, 0.97], 150)
    given = answers_of(votes[votes[:, 1] < 3])
    given["r000"] = given["r000"][:2]
    weight = weights_of(Question, given, model=says(votes, 3, 150))
    assert [weight(one) for one in given["r000"]] == [None, None]
    assert {found.voters for one in given["r001"] if (found := weight(one))} == {3}


@pytest.mark.parametrize("rows", [20, 60, 99])
def test_a_model_is_no_annotator_of_those_that_it_takes_to_weigh_answers(rows: int) -> None:
    """With three annotators, that is 100 rows."""
    votes, _ = crowd([0.7, 0.6, 0.6, 0.97], 100)
    given = answers_of(votes[votes[:, 1] < 3])
    few = {record: given[record] for record in sorted(given)[:rows]}
    weight = weights_of(Question, few, model=says(votes, 3, rows))
    assert {weight(one) for items in few.values() for one in items} == {None}
    enough = weights_of(Question, given, model=says(votes, 3, rows))
    assert None not in {enough(one) for items in given.values() for one in items}


@pytest.mark.parametrize("asked", [BLIND, {}])
def test_a_model_s_answer_counts_only_where_annotators_did_not_see_it(home: Home, asked: dict[str, Any]) -> None:
    votes, _ = crowd([0.95, 0.6, 0.6, 0.97], 100)
    topic = ("billing", "delivery", "returns")
    model = {at: {"topic": topic[label]} for at, who, label in votes.tolist() if who == 3}
    rows = [home.asked(f"r{at:03}", **asked) for at in range(100)]
    heard = [one.model_copy(update={"model_answer": model[at]}) for at, one in enumerate(rows)]
    names = list(SEATS)
    home.curated(*heard)
    home.said_all(
        [(names[who], topic[label], rows[at], SEATS[names[who]]) for at, who, label in votes.tolist() if who < 3]
    )
    with_model = weights(home)
    home.curated(*rows)
    without = weights(home)
    assert None not in [*with_model, *without], "there are enough answers without the model"
    assert (with_model == without) == (asked != BLIND)


def weights(home: Home) -> list[Any]:
    said = said_about(home.now, home.dataset.task, home.now.current_decisions())
    return [one.weight for record_id in sorted(said) for one in said[record_id]]
