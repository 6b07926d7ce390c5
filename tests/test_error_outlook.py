"""Status tells what annotators found among suspect labels, and what their next answers would find."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import row

from pipeline.reporting.status import read_status

TEXTS = {"billing": "invoice fee charged", "delivery": "parcel courier late", "returns": "refund sent back"}
WRONG = 60


def labeled(rows: int) -> list[Row]:
    """Rows whose topic follows from three words; the first ones have another label."""
    topics = list(TEXTS)
    return [
        row(n, f"{TEXTS[topics[n % 3]]} card{n} month{n} street{n}", topics[(n + (n < WRONG) * (1 + n // 3 % 2)) % 3])
        for n in range(rows)
    ]


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, labeled(300), "review: {budget: 30, audit: 0.0}\n") as one:
        yield one


def answer(desk: Desk, share: float = 1.0) -> int:
    """Answer a share of the questions by what the text says; returns how many."""
    keys = [key for key in range(300) if desk.id(key) in set(desk.asked())]
    chosen = keys[: round(len(keys) * share)]
    for key in chosen:
        desk.label(key, list(TEXTS)[key % 3])
    return len(chosen)


def test_the_errors_that_are_left_are_forecast_from_the_answers_so_far(desk: Desk) -> None:
    desk.curate()
    assert read_status(desk.context).outlook is None, "nobody has answered"
    assert answer(desk) == 30
    desk.collect()
    outlook = read_status(desk.context).outlook
    assert outlook is not None
    assert (outlook.answered, outlook.found) == (30, 30)
    assert 20 <= outlook.low <= outlook.expected <= outlook.high <= outlook.answers <= WRONG - 30
    assert str(outlook).startswith("30 of 30 suspect labels were wrong; answers about the ")
    assert [(at.answers, at.found) for at in outlook.curve] == [(n, n) for n in range(1, 31)]
    assert [one.answers for one in outlook.ahead] == [25, outlook.answers]
    found = [one.expected for one in outlook.ahead]
    assert found == sorted(found) and all(one.low <= one.expected <= one.high for one in outlook.ahead)
    [same] = [one for one in outlook.ahead if one.answers == outlook.answers]
    assert (same.expected, same.low, same.high) == (outlook.expected, outlook.low, outlook.high)


def test_a_few_answers_forecast_nothing(desk: Desk) -> None:
    desk.curate()
    answer(desk, 0.5)
    desk.collect()
    assert read_status(desk.context).outlook is None


def test_when_no_suspect_label_is_left_none_is_promised(desk: Desk) -> None:
    desk.rows(*labeled(300)[30:])
    desk.curate()
    answer(desk)
    desk.collect()
    outlook = read_status(desk.context).outlook
    assert outlook is not None and outlook.found == outlook.answered == 30
    assert (outlook.answers, outlook.low, outlook.high) == (0, 0, 0)
    assert str(outlook) == "30 of 30 suspect labels were wrong; none is left" and outlook.ahead == []


def test_rows_that_are_held_for_something_else_say_nothing_of_suspect_labels(
    studio: FakeStudio, tmp_path: Path
) -> None:
    rows = labeled(300)
    for one in rows[WRONG:90]:
        one["question"] = f"{one['question']} mail ana{one['id']}@example.com"
    with desk_at(studio, tmp_path, rows, "review: {budget: 60, personal_budget: 60, audit: 0.0}\n") as desk:
        desk.curate()
        for number in range(WRONG, 90):
            desk.label(number, list(TEXTS)[number % 3])
        desk.collect()
        assert read_status(desk.context).outlook is None, "30 were answered, none of which was suspect"
