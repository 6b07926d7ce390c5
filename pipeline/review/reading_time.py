"""Which answers confirm nothing: what was filled in was submitted in less time than it takes to read.

Label Studio's action *Create Annotations From Predictions* answers all tasks of a list at once, without any time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

AS_FILLED_IN = "prediction"
"""What Label Studio says of a part of an answer that was left as it was filled in."""
_CHARACTERS = 200
"""Nobody reads as many in a second: about 2,000 words a minute, three times as fast as skimming."""
_LONGEST = 1.0
"""Seconds that are enough for any text: its first words may tell an expert the label."""


def is_unread(seconds: float | None, result: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]) -> bool:
    """Whether an answer was submitted as it was filled in, and nobody can have read the text meanwhile.

    What somebody changed counts however fast they were, and so does what a program has sent without a time.

    Args:
        seconds: see ``Annotation.lead_time``.
        result: the regions, as Label Studio stores them.
        inputs: what the annotator had to read.
    """
    if seconds is None:
        return False
    enough = min(_LONGEST, sum(len(str(one)) for one in inputs.values()) / _CHARACTERS)
    return seconds == 0 or (seconds < enough and {one.get("origin") for one in result} == {AS_FILLED_IN})
