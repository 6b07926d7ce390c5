"""A hundred lives in a world that moves, twenty of each kind of task, each with a good quarter of what may happen: no
row is lost, and no answer.

``SOAK_SEED`` draws the order of what happens, ``SOAK_LIVES=20`` tries fewer; the name of a test says how to repeat it.
"""

import os
from pathlib import Path

import pytest
from moving_life import moving_life
from themes import THEMES

SEED = int(os.environ.get("SOAK_SEED") or 1)
LIVES = int(os.environ.get("SOAK_LIVES") or 100)


@pytest.mark.parametrize("number", range(LIVES))
def test_a_life_in_a_world_that_moves_loses_no_row_and_no_answer(tmp_path: Path, number: int) -> None:
    moving_life(tmp_path, THEMES[number % len(THEMES)], SEED * 1000 + number, most=15)
