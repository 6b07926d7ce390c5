"""Labels are scored anew once annotators have corrected enough of them, and not before."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, Row, desk_at
from fake_studio import FakeStudio
from support import current, row

from pipeline.curation import rescoring
from schemas.fate import LabelSource
from schemas.run_summary import CurateSummary

WORDS = {
    "billing": "invoice fee charged card amount price",
    "delivery": "parcel courier late street door box",
    "returns": "refund sent back wrong size exchange",
}
WRONG = 60
REVIEW = "review: {budget: 400, audit: 0.0, floor: 0.05}\n"


def topic(n: int) -> str:
    """What the text of a row says."""
    return list(WORDS)[n % 3]


def labeled(rows: int, wrong: int) -> list[Row]:
    """Rows with two words of their topic among four of any; the first ``wrong`` of them have another label."""
    every = " ".join(WORDS.values()).split()
    found = []
    for n in range(rows):
        some = random.Random(n)
        text = " ".join(some.sample(WORDS[topic(n)].split(), 2) + some.sample(every, 4))
        found.append(row(n, f"{text} order{n}", topic(n + (1 + n // 3 % 2 if n < wrong else 0))))
    return found


@pytest.fixture
def desk(studio: FakeStudio, tmp_path: Path) -> Iterator[Desk]:
    with desk_at(studio, tmp_path, labeled(200, WRONG), REVIEW) as one:
        yield one


def scores(desk: Desk) -> dict[str, float | None]:
    return {record_id: one.label_error_score for record_id, one in current(desk.context).items()}


def correct(desk: Desk, count: int) -> None:
    """Answer so many of the open questions about wrong labels by what the text says."""
    asked, decided = set(desk.asked()), current(desk.context)
    left = [
        key for key in range(WRONG)
        if desk.id(key) in asked and decided[desk.id(key)].label_source is not LabelSource.HUMAN
    ]  # fmt: skip
    assert len(left) >= count
    for key in left[:count]:
        desk.label(key, topic(key))
    desk.collect()


def test_few_corrections_move_no_score(desk: Desk) -> None:
    desk.curate()
    before = scores(desk)
    correct(desk, 19)
    desk.curate()
    assert scores(desk) == before


def test_twenty_corrections_score_every_label_anew_and_only_once(desk: Desk) -> None:
    desk.curate()
    before = scores(desk)
    correct(desk, 20)
    assert scores(desk) == before, "an answer alone moves no score: only curate learns from it"
    desk.curate()
    after = scores(desk)
    assert sum(after[name] != before[name] for name in after) > 100
    assert desk.curate().decided == 0
    correct(desk, 19)
    desk.curate()
    assert scores(desk) == after, "they were 19 since the last scoring"


def test_what_is_corrected_helps_to_find_the_other_errors(desk: Desk) -> None:
    desk.curate()
    before = scores(desk)
    correct(desk, 30)
    desk.curate()
    after, decided = scores(desk), current(desk.context)
    left = [desk.id(n) for n in range(WRONG) if decided[desk.id(n)].label_source is not LabelSource.HUMAN]
    right = [desk.id(n) for n in range(WRONG, 200)]
    assert len(left) == WRONG - 30
    assert ahead(after, left, right) > ahead(before, left, right) + 0.02


def ahead(found: dict[str, float | None], wrong: list[str], right: list[str]) -> float:
    """How often a wrong label has a higher score than a right one."""
    pairs = [(found[one] or 0) > (found[other] or 0) for one in wrong for other in right]
    return sum(pairs) / len(pairs)


def test_a_home_whose_scores_meant_something_else_is_scored_anew_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.curate()
    desk.rows(*labeled(400, WRONG))
    desk.curate()
    before = scores(desk)
    monkeypatch.setattr(rescoring, "_VERSION", rescoring._VERSION + 1)
    assert desk.curate().decided > 100
    assert scores(desk) != before
    assert desk.curate().decided == 0


def test_more_rows_make_labels_be_learned_anew_and_move_no_score(desk: Desk) -> None:
    first = desk.curate()
    before = scores(desk)
    desk.rows(*labeled(230, WRONG))
    later = desk.curate()
    after = scores(desk)
    assert judged_by(desk) == later.run != first.run
    assert "learned anew" in later.looked.why and "scored anew" not in later.looked.why
    assert {name: after[name] for name in before} == before
    assert all(after[desk.id(n)] is not None for n in range(200, 230))


def test_corrections_are_why_a_run_looks_at_all_rows(desk: Desk) -> None:
    first = desk.curate()
    correct(desk, 20)
    later = desk.curate()
    assert later.looked.why == "all labels are scored anew, since annotators have corrected many"
    assert judged_by(desk) == later.run != first.run


def judged_by(desk: Desk) -> str:
    """The run that trained what judges labels now."""
    last = desk.context.store.snapshot().last_run(CurateSummary)
    assert last is not None
    return last.summary.judge
