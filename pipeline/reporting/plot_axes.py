"""The axes of a plot: where a value stands on one, in percent of its length, and which values are written beside it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.evaluation.estimates import Unit

Shown = Callable[[float], str]
"""A value as it is written at a tick."""

_TICKS = 5
"""About so many has an axis."""
_LEAST = 0.01
"""Of an axis of scores, and of the room at its ends: all of them may be alike."""


@dataclass(frozen=True)
class Tick:
    """A value that is written at an axis."""

    place: float
    """In percent."""
    text: str


@dataclass(frozen=True)
class Axis:
    """A scale from its low end at 0% to its high end at 100%."""

    low: float
    high: float
    is_log: bool
    values: tuple[tuple[float, str], ...]
    """Those with a tick, and how they are written."""

    def place(self, value: float) -> float:
        """Where a value stands, in percent; what is beyond an end stands there, as 0 does on a logarithmic scale."""
        if self.is_log:
            value = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            value = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(value, 0.0), 1.0), 3)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """From the low end on."""
        return tuple(Tick(self.place(value), text) for value, text in self.values)


def score_axis(values: Iterable[float], unit: Unit, *, from_zero: bool) -> Axis:
    """An axis for scores: all of 0 to 100% if they need it, else as far as they reach.

    Args:
        values: scores and the ends of their intervals, all finite.
        unit: of the scores.
        from_zero: for bars, whose lengths are compared; else the axis begins shortly before the lowest.
    """
    known = sorted(values)
    low, high = (known[0], known[-1]) if known else (0.0, 1.0)
    if from_zero:
        low, high = 0.0, max(high, _LEAST)
    else:
        room = max(0.08 * (high - low), _LEAST)
        low, high = low - room, high + room
    if unit is Unit.SHARE:
        low, high = max(low, 0.0), 1.0 if from_zero and high > 0.5 else min(high, 1.0)
    return linear_axis(low, high, lambda step: lambda value: _score(value, step, unit))


def linear_axis(low: float, high: float, shown_by: Callable[[float], Shown]) -> Axis:
    """An axis with round values at its ticks.

    Args:
        low: end.
        high: end, above ``low``.
        shown_by: how to write values that are so far apart.
    """
    rough = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 2.5, 5, 10) if size * times >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    shown = shown_by(step)
    return Axis(low, high, False, tuple((n * step, shown(n * step)) for n in range(first, last + 1)))


def log_axis(values: Iterable[float]) -> Axis:
    """A logarithmic axis around at least one value, with a little room at its ends; those that are not positive stand
    low.
    """
    known = sorted(value for value in values if value > 0) or [1.0]
    low, high = math.log10(known[0]), math.log10(known[-1])
    room = max(0.08 * (high - low), 0.12)
    low, high = low - room, high + room
    decades = range(math.ceil(low), math.floor(high) + 1)
    if len(decades) > 2:
        stride = math.ceil(len(decades) / _TICKS)
        ticks = [10.0**n for n in decades[::stride]]
    else:
        ticks = [m * 10.0**n for n in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    inside = [value for value in ticks if low <= math.log10(value) <= high]
    return Axis(10**low, 10**high, True, tuple((value, number(value)) for value in inside))


def number(value: float) -> str:
    """A number in few characters: 0.00002, 0.05, 3, 1,500, 200k, 3M."""
    for least, size, letter in ((1e6, 1e6, "M"), (1e5, 1e3, "k")):
        if value >= least:
            return f"{value / size:.3g}{letter}"
    if 0 < value < 1e-4:
        return f"{value:.8f}".rstrip("0")
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def short_time(value: float) -> str:
    """A time in few characters; one that is too short to matter is only said to be so."""
    return "< 0.01" if value < 0.01 else number(value)


def _score(value: float, step: float, unit: Unit) -> str:
    """With as many decimals as the step has."""
    size = 100 * step if unit is Unit.SHARE else step
    decimals = next((n for n in range(12) if abs(round(size, n) - size) < 1e-6 * size), 12)
    return f"{value:.{decimals}%}" if unit is Unit.SHARE else f"{value:.{decimals}f}"
