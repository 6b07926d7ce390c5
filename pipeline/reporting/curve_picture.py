"""Draws the errors found so far and those that the next answers would find, for the report."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.reporting.error_outlook import ErrorOutlook


@dataclass(frozen=True)
class CurvePicture:
    """Lines in a square from 0 to 100, whose origin is above on the left, as SVG takes them."""

    so_far: str
    """The points of the line of errors found."""
    ahead: str
    """The points of the line of those that are expected; empty if no label is left to ask about."""
    fan: str
    """The corners of the area in which the errors will be with a probability of 95%."""
    now: float
    """Where the line ends, from 0 on the left to 100."""
    answers: int
    """On the right."""
    errors: int
    """Above."""


def curve_picture(outlook: ErrorOutlook) -> CurvePicture:
    """The picture of an outlook."""
    start, found = outlook.answered, outlook.found
    answers = start + max((one.answers for one in outlook.ahead), default=0)
    errors = max(found + max((one.high for one in outlook.ahead), default=0), 1)

    def points(pairs: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{100 * x / answers:.2f},{100 - 100 * y / errors:.2f}" for x, y in pairs)

    here: list[tuple[float, float]] = [(start, found)]
    highs: list[tuple[float, float]] = [(start + one.answers, found + one.high) for one in outlook.ahead]
    lows: list[tuple[float, float]] = [(start + one.answers, found + one.low) for one in reversed(outlook.ahead)]
    expected: list[tuple[float, float]] = [(start + one.answers, found + one.expected) for one in outlook.ahead]
    return CurvePicture(
        so_far=points([(0, 0), *((one.answers, one.found) for one in outlook.curve)]),
        ahead=points(here + expected) if expected else "",
        fan=points(here + highs + lows) if expected else "",
        now=100 * start / answers,
        answers=answers,
        errors=errors,
    )
