"""An answer that neither the row nor a model expects is shown to a second annotator before it is believed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import row
from team import ANA, BEN, CLEO, answer, go_on, review, seats, there, whose

from pipeline.reporting.status import read_status
from pipeline.review.seat_questions import DIFFERENT
from pipeline.review.second_looks import is_surprising
from schemas.annotation import Annotation, Verdict
from schemas.decision import Decision
from schemas.fate import Fate, Routed
from schemas.task import Input, Target, Task

TEXTS = {
    "billing": "Why was I charged {} times for order {}?",
    "delivery": "Where is parcel {} of order {}?",
    "returns": "How do I send back item {} of order {}?",
}
TOPICS = list(TEXTS)


class Topic(Task):
    """Name the topic."""

    question: Input[str]
    topic: Target[Literal["a", "b", "c"]]


ROWS: list[Row] = [row(n, TEXTS[TOPICS[n % 3]].format(n, 700 + 7 * n), TOPICS[n % 3]) for n in range(20)]


def right(number: int) -> str:
    return TOPICS[number % 3]


def wrong(number: int) -> str:
    return TOPICS[(number + 1) % 3]


@contextmanager
def audited(studio: FakeStudio, folder: Path, *people: str) -> Iterator[tuple[Desk, int]]:
    """A team whose rows are all right, and one of those that are audited."""
    named = [f"annotators: [{', '.join(people)}]"] if people else []
    with desk_at(studio, folder, ROWS, review("audit: 0.4", *named)) as desk:
        desk.curate()
        yield desk, min(n for n in range(20) if desk.id(n) in desk.asked())


def test_a_slip_in_an_audit_is_seen_by_a_second_and_settled_by_a_third(studio: FakeStudio, tmp_path: Path) -> None:
    with audited(studio, tmp_path, ANA, BEN, CLEO) as (desk, number):
        first = whose(desk, number)["first"]
        answer(desk, number, "first", wrong(number), first)
        go_on(desk)
        assert list(seats(desk, number)) == ["first", "second"]
        second = whose(desk, number)["second"]
        assert second not in ("", first)
        shown = next(task for task in desk.tasks() if task["id"] == seats(desk, number)["second"])
        assert wrong(number) not in str(shown["data"]["why"]) and shown["predictions"] == []
        answer(desk, number, "second", right(number), second)
        go_on(desk)
        assert desk.decision(number).fate is Fate.REVIEW
        [third] = {ANA, BEN, CLEO} - {first, second}
        assert whose(desk, number)["adjudicator"] == third
        assert there(desk, number)["adjudicator"]["why"] == DIFFERENT, "nothing speaks for one of the two"
        answer(desk, number, "adjudicator", right(number), third)
        go_on(desk)
        decided = desk.decision(number)
        assert (decided.fate, decided.targets, decided.replaced) == (Fate.ACCEPTED, {"topic": right(number)}, None)


def test_a_discovery_counts_at_once_and_stays_once_a_second_agrees(studio: FakeStudio, tmp_path: Path) -> None:
    with audited(studio, tmp_path, ANA, BEN) as (desk, number):
        for seat in ("first", "second"):
            answer(desk, number, seat, wrong(number), whose(desk, number)[seat])
            go_on(desk)
            assert desk.decision(number).targets == {"topic": wrong(number)}
        assert list(seats(desk, number)) == ["first", "second"]


def test_a_row_that_one_finds_unusable_though_nothing_speaks_against_it_is_seen_by_a_second(
    studio: FakeStudio, tmp_path: Path
) -> None:
    with audited(studio, tmp_path, ANA, BEN) as (desk, number):
        answer(desk, number, "first", Verdict.UNUSABLE, whose(desk, number)["first"])
        go_on(desk)
        assert desk.decision(number).fate is Fate.REJECTED and "second" in whose(desk, number)


@pytest.mark.parametrize("people", [(), (ANA,)])
def test_without_anybody_else_no_second_is_asked(studio: FakeStudio, tmp_path: Path, people: tuple[str, ...]) -> None:
    with audited(studio, tmp_path, *people) as (desk, number):
        sent = len(desk.tasks())
        desk.label(number, wrong(number), ANA)
        go_on(desk)
        assert len(desk.tasks()) == sent and desk.decision(number).targets == {"topic": wrong(number)}


def test_a_slip_that_is_edited_needs_no_second(studio: FakeStudio, tmp_path: Path) -> None:
    with audited(studio, tmp_path, ANA, BEN) as (desk, number):
        slip = answer(desk, number, "first", wrong(number), whose(desk, number)["first"])
        go_on(desk)
        assert "second" in whose(desk, number)
        desk.edit(slip, right(number))
        go_on(desk)
        assert "second" not in whose(desk, number)


def test_what_an_adjudicator_has_decided_has_no_second_look(studio: FakeStudio, tmp_path: Path) -> None:
    with audited(studio, tmp_path, ANA, BEN, CLEO) as (desk, number):
        answer(desk, number, "first", Verdict.UNSURE, whose(desk, number)["first"])
        go_on(desk)
        answer(desk, number, "adjudicator", wrong(number), whose(desk, number)["adjudicator"])
        go_on(desk)
        assert desk.decision(number).targets == {"topic": wrong(number)}
        assert set(whose(desk, number)) == {"first", "adjudicator"}


def test_an_error_rate_that_second_looks_decide_is_not_judged_before_they_are_there(
    studio: FakeStudio, tmp_path: Path
) -> None:
    rate = f"review: {{error_rate: 0.04, annotators: [{ANA}, {BEN}, {CLEO}]}}\n"
    with desk_at(studio, tmp_path, ROWS, rate) as desk:
        asked = desk.curate()
        assert asked.proof is not None and asked.proof.looks == 0
        numbers = [n for n in range(20) if desk.id(n) in desk.asked()]
        for number in numbers:
            said = wrong(number) if number == numbers[0] else right(number)
            answer(desk, number, "first", said, whose(desk, number)["first"])
        desk.collect()
        assert (proof := desk.curate().proof) is not None and proof.looks == 0
        for seat in ("second", "adjudicator"):
            answer(desk, numbers[0], seat, right(numbers[0]), whose(desk, numbers[0])[seat])
            desk.collect()
            proof = desk.curate().proof
        assert proof is not None and (proof.looks, proof.answers) == (1, len(numbers))
    waiting = read_status(desk.context).proof
    assert waiting == proof


@pytest.mark.parametrize(
    ("said", "own", "score", "suggestion", "expected"),
    [
        ("a", "a", 0.0, None, False),
        ("b", "a", 0.01, None, True),
        ("b", "a", 0.3, {"topic": "b"}, False),
        ("c", "a", 0.3, {"topic": "b"}, True),
        ("c", "a", 0.9, {"topic": "b"}, True),
        ("b", "a", 0.9, None, False),
        ("b", "a", None, None, True),
        ("b", None, None, {"topic": "a"}, False),
        (None, "a", 0.01, None, True),
    ],
)
def test_an_answer_is_surprising_if_neither_the_row_nor_a_model_speaks_for_it(
    said: str | None, own: str | None, score: float | None, suggestion: dict[str, str] | None, expected: bool
) -> None:
    asked = Decision.model_validate(
        {
            "run": "r",
            "record_id": "x",
            "revision": "y",
            "task_digest": "z",
            "fate": Fate.ACCEPTED,
            "routed": Routed.AUDIT,
            "reasons": [],
            "targets": own and {"topic": own},
            "label_error_score": score,
            "suggestion": suggestion,
        }
    )
    given = Annotation.model_construct(
        verdict=Verdict.LABELED if said else Verdict.UNUSABLE, targets=said and {"topic": said}
    )
    assert is_surprising(asked, given, Topic) is expected
