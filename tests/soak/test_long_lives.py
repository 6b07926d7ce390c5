"""Forty long lives of a dataset, of every kind of task: their runs look at little, and decide what others would."""

from pathlib import Path

import pytest
from long_lives import long_life, must_be_small
from themes import THEMES, Theme


@pytest.mark.parametrize("seed", range(100, 108))
@pytest.mark.parametrize("theme", THEMES, ids=[theme.name for theme in THEMES])
def test_a_long_life_ends_in_what_a_run_over_everything_decides(tmp_path: Path, theme: Theme, seed: int) -> None:
    must_be_small(long_life(tmp_path, theme, seed, days=12))
