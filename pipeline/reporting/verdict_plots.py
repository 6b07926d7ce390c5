"""The plots of a verdict with two axes: what a call takes and what it scores, and how scores grow with the rows.

Horizontal places are in percent, so that a plot is as wide as the screen; vertical ones are in pixels from above.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.learning_curve import Curve
from pipeline.ladder.results import COPIED, ArmResult
from pipeline.reporting.plot_axes import Axis, Tick, log_axis, number, score_axis
from pipeline.reporting.plot_labels import Box, Label, Spot, place_labels, text_width
from pipeline.reporting.verdict_bars import reference_lines, score_ends
from pipeline.text.wording import counted, sentence
from schemas.arms_section import ArmName, Family

HEIGHT = 320.0
"""Of a plot, in pixels."""
_DEEP = 0.35
"""Arms that are so much worse than the best are not drawn to scale."""
_NAME = 26
"""Characters of a name in a plot."""
_NAMES = {
    ArmName.MAJORITY.value: "most frequent",
    ArmName.LINEAR.value: "linear model",
    ArmName.NEAREST.value: "nearest row",
    ArmName.ZERO_SHOT.value: "base, prompted",
    ArmName.FEW_SHOT.value: "base + examples",
    ArmName.ADAPTER.value: "adapter",
    ArmName.ADAPTER_LINEAR.value: "adapter + linear",
    ArmName.ADAPTER_FREE.value: "adapter, free",
}

_LEVELS = {"ceiling": "ceiling", "target": "needed"}

Places = tuple[tuple[float, float], ...]
"""Of the corners of a line: percent from the left, pixels from above."""


@dataclass(frozen=True)
class Point:
    """A score with its interval."""

    spot: Spot
    style: str
    """The family of its arm."""
    said: str
    """What it shows, as text."""
    label: Label | None
    is_chosen: bool = False
    is_below: bool = False
    """It lies below the plot, and an arrow at the lower end stands for it."""


@dataclass(frozen=True)
class Path:
    """A line, and the area in which it lies with a probability of 95%."""

    style: str
    places: Places
    is_dashed: bool = False
    band: Places = ()


@dataclass(frozen=True)
class Level:
    """A score across the whole plot."""

    y: float
    text: str
    style: str
    is_left: bool
    """Whether its text stands at the left end, above the line; if not, at the right one."""


@dataclass(frozen=True)
class Plot:
    """Points and lines with two axes."""

    said: str
    """All of it as text."""
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    """Their places in pixels from above."""
    points: tuple[Point, ...]
    paths: tuple[Path, ...]
    levels: tuple[Level, ...]
    limit: Tick | None = None
    """The most that a call may cost or take."""
    asked: tuple[str, ...] = ()
    """On how many questions each line is; empty if that was not written down."""
    height: float = HEIGHT

    @property
    def unnamed(self) -> tuple[str, ...]:
        """What the points show for whose name there is no room."""
        return tuple(point.said for point in self.points if point.spot.name and point.label is None)


def short_name(arm: ArmResult) -> str:
    """How an arm is called in plots; endpoints have names of their owner's choice."""
    name = "input, copied" if arm.title == COPIED else _NAMES.get(arm.name, arm.name)
    half = _NAME // 2
    # Names of one owner are told apart by their ends.
    return name if len(name) <= _NAME else f"{name[:half]}…{name[1 - half :]}"


# --- cost against score -----------------------------------------------------------------------
def cost_plot(found: Assessment) -> Plot | None:
    """What a call costs, or takes where fewer than two arms have a price, against the score; None for a single arm."""
    limits, chosen = found.limits, found.judgement.arm
    comparable = found.ladder.comparable
    by_cost = sum(arm.cost is not None for arm in comparable) > 1
    spent = {arm.name: arm.cost if by_cost else _milliseconds(arm.latency) for arm in comparable}
    costs = {name: cost for name, cost in spent.items() if cost is not None}
    arms = [arm for arm in comparable if arm.name in costs]
    if len(arms) < 2:
        return None
    unit = found.evidence.unit
    # The recommended arm and the adapter have their names first, then the best.
    arms.sort(key=lambda arm: (arm.name != chosen, arm.name != ArmName.ADAPTER.value, -unit.gain(arm.score.value)))
    most = limits.max_cost if by_cost else _milliseconds(limits.max_seconds)
    across = log_axis([*costs.values(), *([] if most is None else [most])])
    below = _far_below(arms, unit)
    upright = _upright([arm.score for arm in arms if arm.name not in below], found, room=bool(below))
    spots = [
        _spot_below(across.place(costs[arm.name]), arm)
        if arm.name in below
        else _spot(across.place(costs[arm.name]), arm.score, short_name(arm), upright)
        for arm in arms
    ]
    levels = _levels(found, upright, left="target")
    labels = place_labels(spots, HEIGHT, [_room(level) for level in levels])
    measure = f"{found.currency} per 1,000 calls".strip() if by_cost else "ms a call"
    points = tuple(
        Point(
            spot=spot,
            style=arm.family.value,
            said=f"{arm.heading}: {arm.score}, {number(costs[arm.name])} {measure}",
            label=label,
            is_chosen=arm.name == chosen,
            is_below=arm.name in below,
        )
        for arm, spot, label in zip(arms, spots, labels, strict=True)
    )
    spots_of = {arm.name: spot for arm, spot in zip(arms, spots, strict=True)}
    return Plot(
        said=f"Scores by {measure}. {'. '.join(point.said for point in points)}.",
        x_title=f"{measure} (logarithmic)",
        y_title=_score_title(found),
        x_ticks=across.ticks,
        y_ticks=_y_ticks(upright),
        points=points,
        paths=(_frontier([arm for arm in arms if arm.name not in below], spots_of, costs, unit),),
        levels=levels,
        limit=None if most is None else Tick(across.place(most), f"limit {number(most)}"),
    )


def _far_below(arms: Sequence[ArmResult], unit: Unit) -> set[str]:
    """The arms that are so bad that a scale with them would hide how the good ones differ."""
    best = max(arm.score.value for arm in arms)
    return {arm.name for arm in arms if unit is Unit.SHARE and arm.score.value < best - _DEEP}


def _spot_below(x: float, arm: ArmResult) -> Spot:
    y = HEIGHT - 9
    return Spot(x, y, f"{short_name(arm)} {arm.score.value:.0%}", y, y)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def _frontier(arms: Sequence[ArmResult], spots: dict[str, Spot], costs: dict[str, float], unit: Unit) -> Path:
    """Steps along the arms that are better than all that cost no more."""
    corners: list[tuple[float, float]] = []
    best = float("-inf")
    for arm in sorted(arms, key=lambda arm: (costs[arm.name], -unit.gain(arm.score.value))):
        worth, spot = unit.gain(arm.score.value), spots[arm.name]
        if worth > best:
            corners += [(spot.x, corners[-1][1])] if corners else []
            corners.append((spot.x, spot.y))
            best = worth
    return Path("frontier", (*corners, (100.0, corners[-1][1])))


# --- learning curves --------------------------------------------------------------------------
def curve_plot(found: Assessment) -> Plot | None:
    """Scores by training rows, and what more rows would bring; None if nothing was trained on fewer rows."""
    curves = [curve for curve in found.curves if len(curve.measured) > 1]
    if not curves:
        return None
    every = [point for curve in curves for point in (*curve.measured, *curve.expected)]
    across = log_axis([point.rows for point in every])
    upright = _upright([point.score for point in every], found)
    levels = _levels(found, upright, left="ceiling")
    arms = {arm.name: arm for arm in found.ladder.arms}
    spots: list[Spot] = []
    told: list[tuple[str, str]] = []
    paths: list[Path] = []
    for curve in curves:
        arm = arms.get(curve.arm)
        style = Family.CLASSICAL.value if arm is None else arm.family.value
        here = _measured(curve, curve.title if arm is None else short_name(arm), across, upright)
        paths += [*_ahead(curve, here[-1], style, across, upright), Path(style, tuple((one.x, one.y) for one in here))]
        spots += here
        on = f" on {counted(curve.questions, 'question')}" if curve.questions else ""
        told += [(style, f"{sentence(curve.title)}, {one.rows:,} rows: {one.score}{on}") for one in curve.measured]
    labels = place_labels(spots, HEIGHT, [_room(level) for level in levels])
    points = [Point(spot, *one, label) for spot, one, label in zip(spots, told, labels, strict=True)]
    return Plot(
        said=" ".join(map(str, curves)),
        x_title="training rows (logarithmic)",
        y_title=_score_title(found),
        x_ticks=across.ticks,
        y_ticks=_y_ticks(upright),
        points=tuple(points),
        # Bands lie below lines.
        paths=tuple(sorted(paths, key=lambda path: not path.band)),
        levels=levels,
        asked=tuple(
            f"{sentence(curve.title)}: every point on {counted(curve.questions, 'question')}"
            for curve in curves
            if curve.questions
        ),
    )


def _measured(curve: Curve, name: str, across: Axis, upright: Axis) -> list[Spot]:
    """The points of a curve; the last one has its name."""
    names = [""] * (len(curve.measured) - 1) + [name]
    return [
        _spot(across.place(one.rows), one.score, name, upright) for one, name in zip(curve.measured, names, strict=True)
    ]


def _ahead(curve: Curve, last: Spot, style: str, across: Axis, upright: Axis) -> list[Path]:
    """The extrapolation of a curve with its band."""
    if not curve.expected:
        return []
    ahead = [_spot(across.place(one.rows), one.score, "", upright) for one in curve.expected]
    line = ((last.x, last.y), *((one.x, one.y) for one in ahead))
    band = ((last.x, last.y), *((one.x, one.top) for one in ahead), *((one.x, one.bottom) for one in reversed(ahead)))
    return [Path(style, line, is_dashed=True, band=band)]


# --- scores upright ---------------------------------------------------------------------------
def _upright(scores: Sequence[Estimate], found: Assessment, *, room: bool = False) -> Axis:
    """The scale of scores; with room at its lower end for arrows to what is not drawn to scale."""
    ends = [*score_ends(scores), *(value for value, *_ in reference_lines(found))]
    if room:
        ends.append(max(min(ends) - 0.15 * (max(ends) - min(ends)), 0.0))
    return score_axis(ends, found.evidence.unit, from_zero=False)


def _y(value: float, upright: Axis) -> float:
    """In pixels from above: greater values stand higher."""
    return round(HEIGHT * (1 - upright.place(value) / 100), 2)


def _spot(x: float, score: Estimate, name: str, upright: Axis) -> Spot:
    y = _y(score.value, upright)
    if not score.is_bounded:
        return Spot(x, y, name, y, y)
    return Spot(x, y, name, _y(score.high, upright), _y(score.low, upright))


def _y_ticks(upright: Axis) -> tuple[Tick, ...]:
    return tuple(Tick(_y(value, upright), text) for value, text in upright.values)


def _levels(found: Assessment, upright: Axis, left: str) -> tuple[Level, ...]:
    """The ceiling and the target, which may be close: the text of one stands on the left, that of the other not."""
    unit = found.evidence.unit
    return tuple(
        Level(_y(value, upright), f"{_LEVELS[style]} {unit.shown(value)}", style, style == left)
        for value, _, style in reference_lines(found)
    )


def _room(level: Level) -> Box:
    """What the text of a level takes."""
    width = text_width(level.text)
    if level.is_left:
        return Box(0.0, 0, width, level.y - 18, level.y - 1)
    return Box(100.0, -width, 0, level.y - 18, level.y - 1)


def _score_title(found: Assessment) -> str:
    better = "higher" if found.evidence.unit is Unit.SHARE else "lower"
    return f"{found.ladder.adapter.evaluation.metric_title}: {better} is better"
