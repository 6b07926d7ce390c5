"""Random lives of a dataset keep every law: four here, two of them with a team, and always the same ones.

``make soak`` has two hundred others.
"""

from hypothesis import Phase, settings
from random_lives import Lives, TeamLives

# A failing life is printed as it is: to shrink one takes minutes.
_FEW = settings(max_examples=2, stateful_step_count=8, phases=[Phase.generate], report_multiple_bugs=False)
Lives.TestCase.settings = _FEW
TestLives = Lives.TestCase
TeamLives.TestCase.settings = _FEW
TestTeamLives = TeamLives.TestCase
