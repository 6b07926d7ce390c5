"""Random lives of a dataset keep every law: twenty here, and always the same ones."""

from hypothesis import Phase, settings
from lives import Lives

# A failing life is printed as it is: to shrink one takes minutes.
Lives.TestCase.settings = settings(
    max_examples=20, stateful_step_count=8, phases=[Phase.generate], report_multiple_bugs=False
)
TestLives = Lives.TestCase
