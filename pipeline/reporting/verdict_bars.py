"""The bars of a verdict: every arm's score with its interval, beside the score that is needed and the highest possible.

Places are in percent of a scale, so that bars are as wide as the screen; a template only has to draw them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.evaluation.estimates import Estimate
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.results import ArmResult
from pipeline.reporting.plot_axes import Axis, Tick, score_axis
from schemas.arms_section import Family

GROUPS = {
    Family.CLASSICAL: "Classical models",
    Family.PROMPT: "Prompted models",
    Family.TUNED: "Tuned on these rows",
}


@dataclass(frozen=True)
class Bar:
    """A score as a bar with its interval."""

    title: str
    note: str
    """What sets it apart: how many questions it was asked, or where a stated score is from."""
    style: str
    """The family, or ``stated``."""
    value: str
    interval: str
    place: float
    low: float | None
    high: float | None
    """The ends of the interval; None if there is none."""
    is_chosen: bool = False
    """Whether the verdict recommends it."""


@dataclass(frozen=True)
class Line:
    """A score that bars are compared with."""

    place: float
    text: str
    style: str


@dataclass(frozen=True)
class Bars:
    """Bars on one scale, in groups with a title."""

    metric: str
    unit_note: str
    """How to read a score; empty if that is known to all."""
    ticks: tuple[Tick, ...]
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]
    lines: tuple[Line, ...] = ()


def bars(found: Assessment) -> tuple[Bars, ...]:
    """All arms; those that are judged by another metric than the adapter have bars of their own."""
    comparable = found.ladder.comparable
    others = [arm for arm in found.ladder.arms if arm not in comparable]
    metrics = dict.fromkeys(arm.evaluation.metric for arm in others)
    return (
        _bars(found, comparable, is_main=True),
        *(_bars(found, [arm for arm in others if arm.evaluation.metric == one], is_main=False) for one in metrics),
    )


def _bars(found: Assessment, arms: Sequence[ArmResult], *, is_main: bool) -> Bars:
    unit, stated = arms[0].score.unit, found.ladder.stated if is_main else ()
    known = reference_lines(found) if is_main else []
    ends = [*score_ends(arm.score for arm in arms), *(one.score for one in stated), *(value for value, *_ in known)]
    axis = score_axis(ends, unit, from_zero=True)
    groups = [
        (GROUPS[family], tuple(_bar(arm, found, axis) for arm in arms if arm.family is family)) for family in GROUPS
    ]
    apart = tuple(
        Bar(
            one.name,
            one.source,
            "stated",
            unit.shown(one.score),
            "not measured here",
            axis.place(one.score),
            None,
            None,
        )
        for one in stated
    )
    return Bars(
        metric=arms[0].evaluation.metric_title,
        unit_note=unit.note,
        ticks=axis.ticks,
        groups=tuple((title, rows) for title, rows in (*groups, ("Stated by others", apart)) if rows),
        lines=tuple(Line(axis.place(value), text, style) for value, text, style in known),
    )


def _bar(arm: ArmResult, found: Assessment, axis: Axis) -> Bar:
    score, asked = arm.score, arm.evaluation.questions
    most = found.ladder.adapter.evaluation.questions
    return Bar(
        title=arm.heading,
        note="" if asked == most else f"asked {asked:,} of the {most:,} questions",
        style=arm.family.value,
        value=score.unit.shown(score.value),
        interval=score.interval,
        place=axis.place(score.value),
        low=axis.place(score.low) if score.is_bounded else None,
        high=axis.place(score.high) if score.is_bounded else None,
        is_chosen=arm.name == found.judgement.arm,
    )


def reference_lines(found: Assessment) -> list[tuple[float, str, str]]:
    """The scores to compare with, what they are and their style: the ceiling by label noise, and the target."""
    evidence, unit = found.evidence, found.evidence.unit
    lines = []
    # Where no wrong row was found, no score is out of reach.
    if evidence.ceiling is not None and evidence.is_ceiling_audited and evidence.ceiling < 1:
        said = f"ceiling by label noise {unit.shown(evidence.ceiling)}{_reach(evidence.noise)}"
        lines.append((evidence.ceiling, said, "ceiling"))
    if found.limits.target is not None:
        lines.append((found.limits.target, f"needed {unit.shown(found.limits.target)}", "target"))
    return lines


def _reach(noise: Estimate | None) -> str:
    """How low the ceiling may be: an audit that found nothing has not proven that nothing is wrong."""
    return f" (at least {noise.unit.shown(1 - noise.high)})" if noise is not None and noise.is_bounded else ""


def score_ends(scores: Iterable[Estimate]) -> list[float]:
    """Values and the ends of their intervals."""
    return [end for one in scores for end in ((one.value, one.low, one.high) if one.is_bounded else (one.value,))]
