"""Random lives of a dataset keep every law: four here, two of them with a team, two longer ones and one in a world
that moves, and always the same.

``make soak`` has two hundred others, forty longer ones, and a hundred in a world that moves.
"""

from pathlib import Path

import pytest
from hypothesis import Phase, settings
from long_lives import long_life, must_be_small
from moving_life import moving_life
from random_lives import Lives, TeamLives
from themes import THEMES

# A failing life is printed as it is: to shrink one takes minutes.
_FEW = settings(max_examples=2, stateful_step_count=8, phases=[Phase.generate], report_multiple_bugs=False)
Lives.TestCase.settings = _FEW
TestLives = Lives.TestCase
TeamLives.TestCase.settings = _FEW
TestTeamLives = TeamLives.TestCase


@pytest.mark.parametrize(("kind", "seed"), [("classification", 2), ("rewriting", 1)])
def test_a_long_life_of_small_runs_ends_in_what_a_run_over_everything_decides(
    tmp_path: Path, kind: str, seed: int
) -> None:
    [theme] = [theme for theme in THEMES if theme.name == kind]
    must_be_small(long_life(tmp_path, theme, seed, days=6))


def test_a_life_in_a_world_that_moves_loses_no_row_and_no_answer(tmp_path: Path) -> None:
    moving_life(tmp_path, THEMES[0], seed=1, most=10)
