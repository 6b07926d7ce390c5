"""Labels are learned anew once enough of them are new, and only these are counted, not all rows that have changed."""

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import polars as pl
import pytest
from desk import Desk, desk_at
from fake_studio import FakeStudio
from full_runs import must_agree_with_a_full_run
from hypothesis import given
from hypothesis import strategies as st
from loopback import Reply
from lost_homes import TOPICS, Row, rows_of
from model_server import completion, model_server
from odd import QUESTION, Odd
from support import current, row, write_rows

from flows.curate import curate
from flows.engines.engine import Inline
from pipeline.curation.judge import LEARNED_ANEW
from pipeline.curation.labeled_rows import LabeledRows
from pipeline.state.store import Store
from schemas.run_summary import CurateSummary, Looked

STATES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"))
"""By record, what it asks and answers."""


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
    assert looked(odd, [*rows, *rows_of(0, 30)]).why == LEARNED_ANEW
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


def changed(rows: list[Row], keys: range) -> list[Row]:
    """The same with other labels for some rows."""
    return [one | {"topic": TOPICS[(place + 1) % 3]} if place in keys else one for place, one in enumerate(rows)]


@pytest.fixture
def hundred(tmp_path: Path) -> Odd:
    """A source that is rewritten each time, with a hundred labeled rows."""
    odd = Odd(tmp_path / "odd", QUESTION, rows_of(0, 100))
    odd.edit("license: MIT", "license: MIT, mode: snapshot")
    odd.curate()
    return odd


def test_labels_that_a_source_has_changed_add_up_until_they_are_a_tenth(hundred: Odd) -> None:
    trained, rows = judge(hundred), rows_of(0, 100)
    for count in (4, 9):
        assert looked(hundred, changed(rows, range(count))).why == ""
        must_agree_with_a_full_run(hundred.context)
    assert judge(hundred) == trained
    assert looked(hundred, changed(rows, range(10))).why == LEARNED_ANEW
    assert judge(hundred) != trained
    must_agree_with_a_full_run(hundred.context)
    assert looked(hundred, changed(rows, range(19))).why == "", "counted since the last training"


def test_labels_that_are_as_they_were_learned_do_not_count(hundred: Odd) -> None:
    rows = rows_of(0, 100)
    for keys in (range(9), range(0), range(50, 59), range(50, 55)):
        assert looked(hundred, changed(rows, keys)).why == ""
    assert looked(hundred, changed(rows, range(50, 60))).why == LEARNED_ANEW


def test_rows_that_have_changed_come_and_gone_count_together(hundred: Odd) -> None:
    trained, rows = judge(hundred), rows_of(0, 100)
    edited = [one | {"question": f"{one['question']} and more{one['id']}"} for one in rows[:3]]
    assert looked(hundred, [*edited, *rows[3:97], *rows_of(200, 203)]).why == "", "nine of a hundred"
    assert judge(hundred) == trained
    must_agree_with_a_full_run(hundred.context)
    assert looked(hundred, [*edited, *rows[3:97], *rows_of(200, 203), *unlabeled(300, 320)]).why == ""
    assert looked(hundred, [*edited, *rows[3:96], *rows_of(200, 203), *unlabeled(300, 320)]).why == LEARNED_ANEW
    assert judge(hundred) != trained


@pytest.mark.parametrize("loss", ["a run over everything", "what stands", "a killed run"])
def test_what_has_changed_is_known_after(hundred: Odd, monkeypatch: pytest.MonkeyPatch, loss: str) -> None:
    trained, rows = judge(hundred), rows_of(0, 100)
    assert looked(hundred, changed(rows, range(5))).why == ""
    if loss == "a killed run":
        write_rows(hundred.folder, changed(rows, range(9)))
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Store, "commit", Mock(side_effect=KeyboardInterrupt))
            hundred.curate()
    if loss == "what stands":
        shutil.rmtree(hundred.context.store.standing)
    if loss == "a run over everything":
        curate(hundred.context, Inline(), full=True)
    else:
        looked(hundred, changed(rows, range(9)))
    assert judge(hundred) == trained
    assert looked(hundred, changed(rows, range(9))).why == ""
    assert looked(hundred, changed(rows, range(10))).why == LEARNED_ANEW


@given(STATES, STATES)
def test_each_row_counts_once_that_has_changed_come_or_gone(before: dict[str, str], now: dict[str, str]) -> None:
    learned, later = (
        LabeledRows.of(pl.Series(list(rows), dtype=pl.String), pl.Series(list(rows.values()), dtype=pl.String))
        for rows in (before, now)
    )
    unlearned = int(learned.unlearned(later.records, later.states).sum())
    assert learned.others(later.height, unlearned) == sum(
        before.get(name) != now.get(name) for name in before.keys() | now.keys()
    )


def test_rows_that_a_model_was_asked_about_are_not_taken_for_labeled(tmp_path: Path) -> None:
    """They are looked at in every run, since what its word counts depends on all of them."""

    def billing(_request: dict[str, Any], _number: int) -> Reply:
        return completion('{"topic": "billing"}')

    rows = [*rows_of(0, 40), *unlabeled(1000, 1008)]
    with model_server(billing) as server:
        suggest = f"suggest: {{endpoint: {server.endpoint}, model: m, parallel: 1, rows: unlabeled}}\n"
        odd = Odd(tmp_path / "odd", QUESTION, rows, suggest)
        odd.curate()
        told = looked(odd, [*rows, *unlabeled(2000, 2001)])
        assert (told.why, told.changed, told.related, told.untouched) == ("", 1, 8, 40)
