"""Labels are scored anew once annotators have corrected enough of them, and not before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import current, row

from pipeline.curation import rescoring

TEXTS = {"billing": "invoice fee charged", "delivery": "parcel courier late", "returns": "refund sent back"}
REVIEW = "review: {budget: 200, audit: 0.0}\n"


def labeled(rows: int, wrong: int) -> list[Row]:
    """Rows whose topic follows from three words; the first ``wrong`` of them have another label."""
    topics = list(TEXTS)
    return [
        row(n, f"{TEXTS[topics[n % 3]]} card{n} month{n} street{n}", topics[(n + (n < wrong)) % 3]) for n in range(rows)
    ]


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, labeled(150, 40), REVIEW) as one:
        yield one


def scores(desk: Desk) -> dict[str, float | None]:
    return {record_id: one.label_error_score for record_id, one in current(desk.context).items()}


def correct(desk: Desk, keys: range) -> None:
    """Answer what the text says."""
    asked = set(desk.asked())
    assert {desk.id(key) for key in keys} <= asked
    for key in keys:
        desk.label(key, list(TEXTS)[key % 3])


def test_few_corrections_move_no_score(desk: Desk) -> None:
    desk.curate()
    before = scores(desk)
    correct(desk, range(19))
    desk.collect()
    desk.curate()
    assert scores(desk) == before


def test_twenty_corrections_score_every_label_anew_and_only_once(desk: Desk) -> None:
    desk.curate()
    before = scores(desk)
    correct(desk, range(20))
    desk.collect()
    assert scores(desk) == before, "an answer alone moves no score: only curate learns from it"
    desk.curate()
    after = scores(desk)
    assert sum(after[name] != before[name] for name in after) > 100
    assert desk.curate().decided == 0
    correct(desk, range(20, 39))
    desk.collect()
    desk.curate()
    assert scores(desk) == after, "they were 19 since the last scoring"


def test_what_is_corrected_helps_to_find_the_other_errors(desk: Desk) -> None:
    desk.curate()
    before = scores(desk)
    correct(desk, range(30))
    desk.collect()
    desk.curate()
    after = scores(desk)
    left, right = [desk.id(n) for n in range(30, 40)], [desk.id(n) for n in range(40, 150)]
    assert sum(after[name] or 0 for name in left) > sum(before[name] or 0 for name in left)
    assert sum(after[name] or 0 for name in right) < sum(before[name] or 0 for name in right)


def test_a_home_whose_scores_meant_something_else_is_scored_anew_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.curate()
    desk.rows(*labeled(300, 40))
    desk.curate()
    before = scores(desk)
    monkeypatch.setattr(rescoring, "_VERSION", 3)
    assert desk.curate().decided > 100
    assert scores(desk) != before
    assert desk.curate().decided == 0
