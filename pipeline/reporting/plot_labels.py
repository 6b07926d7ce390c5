"""Puts names beside the points of a plot so that no name lies on another or on a point, however wide the plot becomes.

Plots are as wide as the screen allows, and their texts keep their size: a point stands at a percentage of the width,
its name some pixels beside it. Names are placed for the narrowest plot, so that more width only moves them apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NARROWEST = 240.0
"""Pixels of a plot on a small phone, without its margins."""
SIZE = 12.0
"""Pixels of a name's font."""
_HALF = 8.0
"""Half the height of a name's line."""
_POINT = 7.0
"""How far around its middle a point is drawn, and names keep away."""
_NARROW, _WIDE = set("ijltfrI.,:;|!'()[]- "), set("mwMW@%&…")


@dataclass(frozen=True)
class Spot:
    """A point of a plot."""

    x: float
    """In percent of the width, from the left."""
    y: float
    """In pixels from above."""
    name: str
    """Empty if it has none."""
    top: float
    bottom: float
    """The ends of its interval, which names should not cross; both equal to ``y`` without one."""


@dataclass(frozen=True)
class Label:
    """Where a name stands: so far from its point."""

    name: str
    dx: float
    dy: float
    """To the middle of the line, in pixels."""
    anchor: str
    """Which end of the text stands there: ``start``, ``end`` or ``middle``."""
    far: bool
    """Whether a line must lead from the point to it."""


@dataclass(frozen=True)
class Box:
    """What is taken: from some pixels left of a percentage of the width to some pixels right of it."""

    x: float
    left: float
    right: float
    top: float
    bottom: float

    def is_apart(self, other: "Box") -> bool:
        """Whether two boxes do not overlap, nor will in any wider plot."""
        if self.bottom <= other.top or other.bottom <= self.top:
            return True
        one, two = (self, other) if self.x <= other.x else (other, self)
        between = (two.x - one.x) / 100 * NARROWEST
        if self.x == other.x:
            return one.right <= two.left or two.right <= one.left
        return between + two.left - one.right >= 0


def text_width(text: str) -> float:
    """About how many pixels a text takes, rather too many than too few."""
    widths = (0.42 if one in _NARROW else 1.06 if one in _WIDE or ord(one) > 0x2E7F else 0.72 for one in text)
    return SIZE * sum(widths)


def place_labels(spots: Sequence[Spot], height: float, taken: Sequence[Box] = ()) -> list[Label | None]:
    """The place of each name; None where there is no room for one. The first spots choose first.

    Args:
        spots: the points; all of them are kept clear.
        height: of the plot, in pixels.
        taken: what else must be kept clear.
    """
    boxes = [*taken, *(Box(spot.x, -_POINT, _POINT, spot.y - _POINT, spot.y + _POINT) for spot in spots)]
    lines = [Box(spot.x, -1, 1, spot.top, spot.bottom) for spot in spots]
    found: list[Label | None] = []
    for spot in spots:
        free = [
            (sum(not box.is_apart(line) for line in lines), place, label, box)
            for place, (label, box) in enumerate(_candidates(spot))
            if spot.name and _is_inside(box, height) and all(map(box.is_apart, boxes))
        ]
        best = min(free, default=None, key=lambda one: (min(one[0], 1) * 3 + one[1], one[1]))
        found.append(best[2] if best else None)
        boxes += [best[3]] if best else []
    return found


def _candidates(spot: Spot) -> Iterator[tuple[Label, Box]]:
    """The places for a name, the best first: beside its point, above and below it, and further and further away."""
    near = [(11.0, 0.0, "start"), (-11.0, 0.0, "end"), (0.0, -17.0, "middle"), (0.0, 17.0, "middle")]
    slanted = [(dx, dy, anchor) for dy in (-15.0, 15.0) for dx, anchor in ((8.0, "start"), (-8.0, "end"))]
    away = [
        (dx, sign * dy, anchor)
        for dy in (26.0, 40.0, 56.0, 74.0, 94.0)
        for sign in (-1, 1)
        for dx, anchor in ((14.0, "start"), (-14.0, "end"), (0.0, "middle"))
    ]
    width = text_width(spot.name)
    for dx, dy, anchor in (*near, *slanted, *away):
        left = dx - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
        box = Box(spot.x, left, left + width, spot.y + dy - _HALF, spot.y + dy + _HALF)
        yield Label(spot.name, dx, dy, anchor, abs(dy) > 20), box


def _is_inside(box: Box, height: float) -> bool:
    left, right = box.x / 100 * NARROWEST + box.left, (1 - box.x / 100) * NARROWEST - box.right
    return left >= -4 and right >= -8 and box.top >= -6 and box.bottom <= height
