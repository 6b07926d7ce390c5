"""Two hundred random lives of a dataset keep every law."""

from hypothesis import Phase, settings
from lives import Lives

# Without shrinking, which would take hours; the seed brings a failing life back.
Lives.TestCase.settings = settings(
    max_examples=200, stateful_step_count=10, derandomize=False, phases=[Phase.generate], report_multiple_bugs=False
)
TestLives = Lives.TestCase
