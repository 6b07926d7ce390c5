"""Label-error scores and flags last as long as what they were made from, and no longer."""

from pathlib import Path

import pytest
from lost_homes import opened, published, rows_of, splits
from odd import QUESTION, Odd
from support import current, row, write_rows

from flows.curate import curate
from flows.engines.engine import Inline
from flows.release import release
from pipeline.errors import ConfigError
from pipeline.state.tables import Table
from schemas.fate import Fate, ReasonCode

Row = dict[str, object]
TEXTS = {"billing": "invoice fee charged", "delivery": "parcel courier late", "returns": "refund sent back"}
EXTRACTION = """
    @classmethod
    def task_kind(cls) -> str:
        return "extraction"
"""


def labeled(first: int, last: int, wrong: int = 0) -> list[Row]:
    """Rows whose topic follows from three words; the first ``wrong`` of them have another label."""
    topics = list(TEXTS)
    rows = []
    for n in range(first, last):
        text = f"{TEXTS[topics[n % 3]]} card{n} month{n} street{n} lamp{n}"
        rows.append(row(n, text, topics[(n + (n - first < wrong)) % 3]))
    return rows


def scores(odd: Odd) -> dict[str, float]:
    return {
        one.record_id: one.label_error_score
        for one in current(odd.context).values()
        if one.label_error_score is not None
    }


def flagged(odd: Odd) -> set[str]:
    return {
        one.record_id
        for one in current(odd.context).values()
        if any(reason.code is ReasonCode.LABEL_ERROR for reason in one.reasons)
    }


@pytest.fixture
def odd(tmp_path: Path) -> Odd:
    return Odd(tmp_path, QUESTION, labeled(0, 75, wrong=4))


def test_a_flag_outlasts_a_run_in_which_its_row_was_rejected(odd: Odd) -> None:
    odd.curate()
    before, scored = flagged(odd), scores(odd)
    assert len(before) >= 4
    odd.edit("name: questions\n", "name: questions\nmeasure: {max_tokens: 5}\n")
    odd.curate()
    assert {one.fate for one in current(odd.context).values()} == {Fate.REJECTED}
    assert odd.curate().decided == 0
    odd.edit("measure: {max_tokens: 5}\n", "")
    odd.curate()
    # Judged by what the first run has learned, as rows that come later.
    assert flagged(odd) == before
    assert scores(odd) == pytest.approx(scored, abs=0.005)
    assert odd.curate().decided == 0


def test_a_flag_outlasts_a_run_in_which_its_row_was_a_copy(tmp_path: Path) -> None:
    rows = labeled(0, 75, wrong=4)
    odd = Odd(tmp_path, QUESTION, rows)
    odd.edit("key: id,", "key: id, mode: snapshot,")
    odd.curate()
    before = flagged(odd)
    longer = [row(500 + n, f"{one['question']} please", str(one["topic"])) for n, one in enumerate(rows[:4])]
    write_rows(tmp_path, rows + longer)
    odd.curate()
    assert {odd[n].fate for n in range(4)} == {Fate.DUPLICATE}
    write_rows(tmp_path, rows)
    odd.curate()
    assert flagged(odd) == before


def test_another_kind_scores_afresh_and_keeps_nothing_of_the_one_before(odd: Odd) -> None:
    task = odd.folder / "task.py"
    code = task.read_text(encoding="utf-8")
    task.write_text(code + EXTRACTION, encoding="utf-8")
    odd.curate()
    before = scores(odd), flagged(odd)
    task.write_text(code, encoding="utf-8")
    odd.curate()
    assert len(scores(odd)) == 75 and len(flagged(odd)) >= 4 and scores(odd) != before[0]
    task.write_text(code + EXTRACTION, encoding="utf-8")
    odd.curate()
    assert (scores(odd), flagged(odd)) == before
    assert odd.curate().decided == 0


def test_scores_that_come_late_are_kept(tmp_path: Path) -> None:
    """The first rows are too few to learn from; the run that scores them has nothing else to say about them."""
    odd = Odd(tmp_path, QUESTION, [*labeled(0, 9), row(900, "parcel courier late lamp900 card900 street900", None)])
    odd.curate()
    assert scores(odd) == {}
    write_rows(tmp_path, [*labeled(0, 90), row(900, "parcel courier late lamp900 card900 street900", None)])
    odd.curate()
    assert len(scores(odd)) == 91
    assert odd[900].suggestion == {"topic": "delivery"}
    curate(odd.context, Inline(), rescore=True)
    before = scores(odd)
    assert curate(odd.context, Inline(), rescore=True).decided == 0
    assert scores(odd) == before


def test_what_is_scored_again_is_kept_even_if_only_the_score_changed(odd: Odd) -> None:
    odd.curate()
    write_rows(odd.folder, labeled(0, 75, wrong=4) + labeled(100, 400))
    odd.curate()
    before = scores(odd)
    assert curate(odd.context, Inline(), rescore=True).decided > 0
    assert scores(odd) != before
    assert odd.curate().decided == 0


def test_a_misspelled_field_is_refused_before_any_split_is_adopted(tmp_path: Path) -> None:
    """Its rows would not be recognized, and a split that was given once is kept."""
    version = published(tmp_path / "lost", [rows_of(0, 40)])
    moved = {(n * 7) % 40: one for n, one in enumerate(rows_of(0, 40))}
    rows = [one | {"id": number} for number, one in moved.items()]
    new = Odd(tmp_path / "new", QUESTION, rows, f"split: {{adopt: {version}}}\n")
    new.edit("license: MIT}", "license: MIT, fields: {question: qestion}}")
    with pytest.raises(ConfigError, match="qestion"):
        new.curate()
    assert new.context.store.snapshot().scan(Table.SPLITS).collect().is_empty()
    new.edit(", fields: {question: qestion}", "")
    new.curate()
    release(new.context, Inline())
    lost = opened(tmp_path / "lost")
    by_text = {str(one.inputs["question"]): splits(lost)[one.record_id] for one in current(lost.context).values()}
    for one in current(new.context).values():
        assert splits(new)[one.record_id] == by_text[str(one.inputs["question"])]
