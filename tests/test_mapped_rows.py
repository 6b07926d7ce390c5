"""Rows in mapped files: whatever the pieces in which they are written, they are read back as they were."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.state.mapped_rows import MappedRows, read_rows, values_of, write_pieces, write_rows
from pipeline.state.memory import let_go

ROWS = pl.DataFrame(
    {
        "order": range(120_000),
        "fate": pl.Series(["accepted", None, "review", "accepted"] * 30_000, dtype=pl.Categorical),
        "never": pl.Series([None] * 120_000, dtype=pl.Categorical),
        "text": ["a text that is longer than a view", "", None, "short"] * 30_000,
        "ties": [[1, 2], [], None, [3]] * 30_000,
    }
)


@pytest.mark.parametrize("size", [7_001, 50_000, 120_000])
def test_rows_are_read_back_whatever_the_pieces_in_which_they_were_written(tmp_path: Path, size: int) -> None:
    write_pieces(
        ROWS.iter_slices(size), tmp_path / "rows", ROWS.schema, values_of(ROWS.head(60_000), ROWS.tail(60_000))
    )
    found = MappedRows(tmp_path / "rows")
    assert found.schema == ROWS.schema and found.height == ROWS.height
    assert_frame_equal(found.read(), ROWS)
    pieces = list(found.pieces())
    assert_frame_equal(pl.concat(pieces), ROWS)
    assert max(piece.height for piece in pieces) <= 75_000 and len(pieces) <= 5


def test_what_is_equal_to_a_text_is_found_among_values_that_were_written_as_numbers(tmp_path: Path) -> None:
    write_rows(ROWS, tmp_path / "rows")
    fates = read_rows(tmp_path / "rows", ["fate"])
    assert fates.filter(fate="review").height == 30_000
    assert fates.filter(pl.col("fate").is_in(["review", "accepted"])).height == 90_000
    assert (tmp_path / "rows").stat().st_size < 8_000_000


def test_rows_that_were_let_go_are_read_again(tmp_path: Path) -> None:
    write_rows(ROWS, tmp_path / "rows")
    found = read_rows(tmp_path / "rows")
    assert found["order"].sum() == ROWS["order"].sum()
    let_go()
    assert_frame_equal(found, ROWS)
