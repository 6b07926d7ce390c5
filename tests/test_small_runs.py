"""A small run decides about the rows that it does not look at by what the last run has left of them."""

from pathlib import Path

from full_runs import must_agree_with_a_full_run
from lost_homes import rows_of
from odd import PLAIN, QUESTION, Odd
from support import row, write_rows

ROWS, MORE = 90, 4


def test_rows_that_are_not_looked_at_keep_their_questions_and_their_chance_to_be_audited(tmp_path: Path) -> None:
    odd = Odd(tmp_path / "odd", QUESTION, rows_of(0, ROWS))
    odd.edit(PLAIN, "review: {budget: 3}\n")
    assert odd.curate().decided == ROWS
    for until in (ROWS + MORE, ROWS + 2 * MORE):
        write_rows(odd.folder, rows_of(0, until))
        result = odd.curate()
        assert (result.looked.why, result.looked.untouched) == ("", until - MORE)
        assert result.decided == MORE
        must_agree_with_a_full_run(odd.context)


def test_a_row_without_a_word_comes_in_where_no_row_has_one(tmp_path: Path) -> None:
    """The index knows no text at all."""
    signs = [row(n, "?!" * (n + 1), "billing") for n in range(41)]
    odd = Odd(tmp_path / "odd", QUESTION, signs[:40])
    assert odd.curate().decided == 40
    write_rows(odd.folder, signs)
    result = odd.curate()
    assert (result.looked.why, result.added, result.decided) == ("", 1, 1)
    must_agree_with_a_full_run(odd.context)
