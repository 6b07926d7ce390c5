"""How long something may take, as people write it: 30m."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_HOW = "write a number and its unit, such as 45s, 30m or 2h"
_WRITTEN = re.compile(r"(\d{1,6})([smh])")


def seconds_of(duration: str) -> int:
    """The seconds of a duration such as 45s, 30m or 2h; 0 needs no unit.

    Raises:
        ValueError: it is written in another way.
    """
    if duration == "0":
        return 0
    if not (found := _WRITTEN.fullmatch(duration)):
        raise ValueError(f"'{duration}' is not a duration; {_HOW}")
    return int(found[1]) * _SECONDS[found[2]]


def _text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if value:
        raise ValueError(f"{value} has no unit; {_HOW}")
    # In YAML, 0 is a number.
    return "0"


def _checked(duration: str) -> str:
    seconds_of(duration)
    return duration


Duration = Annotated[str, BeforeValidator(_text), AfterValidator(_checked)]
