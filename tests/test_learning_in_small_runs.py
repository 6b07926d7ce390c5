"""Labels are learned anew once enough of them are new, and only these are counted, not all rows that have changed."""

from pathlib import Path

import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from full_runs import must_agree_with_a_full_run
from lost_homes import Row, rows_of
from odd import QUESTION, Odd
from support import current, row, write_rows

from pipeline.curation.judge import GROWN
from schemas.run_summary import CurateSummary, Looked


def unlabeled(first: int, last: int) -> list[Row]:
    return [one | {"topic": None} for one in rows_of(first, last)]


def looked(odd: Odd, rows: list[Row]) -> Looked:
    """What a run looks at once the source has some rows."""
    write_rows(odd.folder, rows)
    return odd.curate().looked


def judge(odd: Odd | Desk) -> str:
    """The run that trained what judges labels."""
    last = odd.context.store.snapshot().last_run(CurateSummary)
    assert last is not None
    return last.summary.judge


def scores(odd: Odd) -> int:
    return sum(one.label_error_score is not None for one in current(odd.context).values())


@pytest.mark.parametrize(("labeled", "others", "new"), [(0, 60, 1), (40, 40, 5), (40, 0, 9)])
def test_rows_without_a_label_are_looked_at_alone_however_many_there_are(
    tmp_path: Path, labeled: int, others: int, new: int
) -> None:
    rows = [*rows_of(0, labeled), *unlabeled(1000, 1000 + others)]
    odd = Odd(tmp_path / "odd", QUESTION, rows)
    odd.curate()
    trained = judge(odd)
    for night in range(2):
        stood = len(rows)
        rows += unlabeled(2000 + 100 * night, 2000 + 100 * night + new)
        told = looked(odd, rows)
        assert (told.why, told.changed, told.untouched) == ("", new, stood)
    assert judge(odd) == trained
    must_agree_with_a_full_run(odd.context)


def test_labels_are_learned_once_there_are_enough_of_them(tmp_path: Path) -> None:
    rows = unlabeled(1000, 1040)
    odd = Odd(tmp_path / "odd", QUESTION, rows)
    odd.curate()
    trained = judge(odd)
    told = looked(odd, [*rows, *rows_of(0, 29)])
    assert (told.why, told.changed, judge(odd), scores(odd)) == ("", 29, trained, 0), "too few to learn from"
    must_agree_with_a_full_run(odd.context)
    assert looked(odd, [*rows, *rows_of(0, 30)]).why == GROWN
    assert judge(odd) != trained and scores(odd) > 0
    must_agree_with_a_full_run(odd.context)


def test_answers_of_annotators_are_learned_from_only_if_they_label_rows(studio: FakeStudio, tmp_path: Path) -> None:
    rows = [*rows_of(0, 40), *unlabeled(1000, 1008)]
    with desk_at(studio, tmp_path, rows, "review: {budget: 100, audit: 1.0}\n") as desk:
        desk.curate()
        trained = judge(desk)
        for key in range(6):
            desk.label(key, str(rows[key]["topic"]))
        desk.collect()
        assert judge(desk) == trained, "these had a label"
        for key in range(1000, 1003):
            desk.label(key, "billing")
        desk.collect()
        assert judge(desk) == trained, "three of forty are less than a tenth"
        desk.label(1003, "billing")
        desk.collect()
        assert judge(desk) != trained
        must_agree_with_a_full_run(desk.context)


def test_a_run_that_meets_more_new_rows_than_there_were_looks_at_everything(tmp_path: Path) -> None:
    odd = Odd(tmp_path / "odd", QUESTION, unlabeled(0, 10))
    odd.curate()
    assert looked(odd, unlabeled(0, 20)).why == ""
    assert looked(odd, [*unlabeled(0, 20), row(99, "May I keep it?", None), *unlabeled(100, 120)]).why != ""
