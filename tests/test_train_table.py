"""Tokenized rows are a file: read as they were written, and never all in memory."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import questions_and_answers

from pipeline.finetuning import train_table
from pipeline.finetuning.examples import ChosenExamples, draw, drawn_places, nested_places
from pipeline.finetuning.row_tokens import Tokens
from pipeline.finetuning.train_table import IGNORED, TrainTable, table_writer

TOKENS = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.booleans()), max_size=9).map(
    lambda pairs: Tokens([one for one, _ in pairs], [learned for _, learned in pairs])
)


def written(path: Path, rows: list[Tokens]) -> TrainTable:
    with table_writer(path) as writer:
        for row in rows:
            writer.add(row)
        return writer.finish()


@given(rows=st.lists(TOKENS, max_size=8), batch=st.integers(1, 4))
def test_rows_are_read_as_they_were_written(
    rows: list[Tokens], batch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_table, "_BATCH", batch)
        table = written(tmp_path_factory.mktemp("table") / "rows.arrow", rows)
    found = table.dataset()
    assert len(table) == table.rows == len(found) == len(rows)
    assert table.tokens == sum(map(len, rows))
    assert table.answer_tokens == sum(sum(row.learned[1:]) for row in rows)
    for row, read in zip(rows, found, strict=True):
        assert read["input_ids"] == row.ids
        labels = [one if learned else IGNORED for one, learned in zip(row.ids, row.learned, strict=True)]
        # Nothing predicts the first token.
        assert (read["labels"], read["length"]) == ([IGNORED, *labels[1:]][: len(row)], len(row))


def test_other_rows_have_another_digest(tmp_path: Path) -> None:
    rows = [Tokens([1, 2], [False, True]), Tokens([3], [True])]
    others = [rows[::-1], rows[:1], [Tokens([1, 2], [False, False]), rows[1]], [rows[1], Tokens([2, 1], [False, True])]]
    digests = [written(tmp_path / "rows.arrow", one).digest for one in (rows, rows, *others)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        """Bytes, to write rows and to read them one by one."""
        tracemalloc.start()
        with table_writer(tmp_path / f"{count}.arrow") as writer:
            for number in range(count):
                writer.add(Tokens(list(range(number, number + 50)), [True] * 50))
            table = writer.finish()
        for _ in table.dataset():
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # what is loaded and cached once
    assert peak(8_000) < 1.5 * peak(2_000)


def test_a_draw_of_places_keeps_the_shares_of_the_answers() -> None:
    rows = questions_and_answers(100)
    assert list(drawn_places(rows, None, 1)) == list(drawn_places(rows, 100, 1)) == list(range(100))
    places = drawn_places(rows, 20, 1)
    assert sorted(rows[place].answer for place in places) == sorted([row.answer for row in rows[:5]] * 4)
    assert places == drawn_places(rows, 20, 1) != drawn_places(rows, 20, 2)
    assert len(draw(rows, 20, 1, lambda row: row.answer)) == len(places)


def test_chosen_rows_come_in_the_order_of_the_file_as_often_as_wanted() -> None:
    rows = questions_and_answers(50)
    some = ChosenExamples(rows, [31, 4, 15])
    assert len(some) == 3
    assert list(some) == list(some) == [rows[4], rows[15], rows[31]]


def test_the_beginning_of_nested_places_is_a_sample_with_its_share_of_every_answer() -> None:
    rows = questions_and_answers(100)
    places = nested_places(rows, 40, 1)
    assert sorted(places) == drawn_places(rows, 40, 1) and places != sorted(places)
    assert sorted(nested_places(rows, None, 1)) == list(range(100))
