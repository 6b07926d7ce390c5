"""Two hundred random lives of a dataset keep every law, a third of them with a team."""

from hypothesis import Phase, settings
from random_lives import Lives, TeamLives

# Without shrinking, which would take hours; the seed brings a failing life back.
_ALL = settings(
    max_examples=140, stateful_step_count=10, derandomize=False, phases=[Phase.generate], report_multiple_bugs=False
)
Lives.TestCase.settings = _ALL
TestLives = Lives.TestCase
TeamLives.TestCase.settings = settings(_ALL, max_examples=60)
TestTeamLives = TeamLives.TestCase
