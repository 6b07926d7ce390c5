"""Plots of a verdict: axes hold their values, names never overlap, and what is better stands where it should."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from assessed import arm_of, share_right
from authored_arms import ToyArm
from hypothesis import given, settings
from hypothesis import strategies as st
from report_toys import section
from verdict_toys import TOYS, Toy, chat, classical_wins, crowded, toy, tuning_wins, undecided

from pipeline.evaluation.estimates import Unit
from pipeline.reporting.plot_axes import linear_axis, log_axis, number, score_axis
from pipeline.reporting.plot_labels import Label, Spot, place_labels, text_width
from pipeline.reporting.verdict_page import verdict_page
from pipeline.reporting.verdict_plots import Plot, cost_plot, curve_plot, short_name
from schemas.arms_section import Family

Box = tuple[float, float, float, float]
ARM = ToyArm("adapter", "the adapter", Family.TUNED, 0.8, 0.3)


TITLES = ("the most frequent answer", "the input, copied unchanged")


def page_of(make: Callable[[], Toy]) -> str:
    one = make()
    return verdict_page(one.task, one.record, one.found).decode()


# --- axes ---------------------------------------------------------------------------------------
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(Unit), st.booleans())
def test_an_axis_of_scores_holds_them_and_has_ticks_in_order(
    one: float, two: float, unit: Unit, from_zero: bool
) -> None:
    axis = score_axis([one, two], unit, from_zero=from_zero)
    assert axis.low <= min(one, two) + 1e-9 and axis.high >= max(one, two) - 1e-9
    places, texts = [tick.place for tick in axis.ticks], [tick.text for tick in axis.ticks]
    assert 1 <= len(places) <= 12 and places == sorted(places) and len(set(texts)) == len(texts)
    assert axis.low == 0 or not from_zero
    assert axis.place(max(one, two)) >= axis.place(min(one, two))


@given(st.lists(st.floats(1e-7, 1e7), min_size=1, max_size=9))
def test_a_logarithmic_axis_holds_its_values_apart_from_its_ends(values: list[float]) -> None:
    axis = log_axis(values)
    assert all(0 < axis.place(value) < 100 for value in values)
    texts = [tick.text for tick in axis.ticks]
    assert len(set(texts)) == len(texts) <= 10 and axis.place(0) == 0


def test_ticks_are_round() -> None:
    assert [tick.text for tick in score_axis([0.0, 0.97], Unit.SHARE, from_zero=True).ticks] == [
        "0%",
        "20%",
        "40%",
        "60%",
        "80%",
        "100%",
    ]
    assert [tick.text for tick in log_axis([0.0001, 6.4]).ticks] == ["0.0001", "0.01", "1"]
    assert [text for _, text in linear_axis(0.5, 2.6, lambda step: lambda value: f"{value:g}").values] == [
        "0.5",
        "1",
        "1.5",
        "2",
        "2.5",
    ]
    assert [number(value) for value in (0.0512, 3, 1500, 20_000, 250_000, 3e6)] == [
        "0.0512",
        "3",
        "1,500",
        "20,000",
        "250k",
        "3M",
    ]


# --- names in plots -----------------------------------------------------------------------------
def box_of(spot: Spot, label: Label, width: float) -> Box:
    """Left, right, top and bottom of a name in a plot so wide."""
    size = text_width(label.name)
    left = spot.x / 100 * width + label.dx - {"start": 0.0, "middle": size / 2, "end": size}[label.anchor]
    return left, left + size, spot.y + label.dy - 8, spot.y + label.dy + 8


def overlaps(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def clashes(spots: list[Spot], labels: list[Label | None], width: float) -> list[tuple[str, str]]:
    """The names that lie on each other or on a point."""
    named = [(spot, label, box_of(spot, label, width)) for spot, label in zip(spots, labels, strict=True) if label]
    found = [(a[1].name, b[1].name) for a, b in itertools.combinations(named, 2) if overlaps(a[2], b[2])]
    points = [(spot.name, (x := spot.x / 100 * width) - 5, x + 5, spot.y - 5, spot.y + 5) for spot in spots]
    return found + [(label.name, name) for _, label, box in named for name, *dot in points if overlaps(box, (*dot,))]


def plots() -> list[Plot]:
    found = [make().found for make in TOYS.values()]
    return [plot for one in found for plot in (cost_plot(one), curve_plot(one)) if plot is not None]


@pytest.mark.parametrize("width", [240, 278, 430, 1000])
def test_no_name_lies_on_another_or_on_a_point_at_any_width(width: int) -> None:
    for plot in plots():
        spots, labels = [point.spot for point in plot.points], [point.label for point in plot.points]
        assert any(labels) and clashes(spots, labels, width) == []


spots_anywhere = st.lists(
    st.builds(
        lambda x, y, length, up, down: Spot(x, y, "m" * length, max(y - up, 0), min(y + down, 300)),
        st.floats(0, 100),
        st.floats(0, 300),
        st.integers(0, 20),
        st.floats(0, 60),
        st.floats(0, 60),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(spots_anywhere, st.floats(240, 1400))
def test_names_of_any_points_lie_apart_in_every_plot_that_is_wide_enough(spots: list[Spot], width: float) -> None:
    labels = place_labels(spots, 300)
    assert clashes(spots, labels, width) == []
    assert all(label is None for spot, label in zip(spots, labels, strict=True) if not spot.name)


def test_ordinary_verdicts_have_room_for_all_names() -> None:
    for make in (classical_wins, tuning_wins, undecided, chat):
        plot = cost_plot(make().found)
        assert plot is not None and plot.unnamed == ()


def test_a_point_without_room_for_its_name_is_listed_below_the_plot() -> None:
    plot = cost_plot(crowded().found)
    assert plot is not None and len(plot.unnamed) + sum(point.label is not None for point in plot.points) == 30
    assert f"{len(plot.unnamed)} points without room for a name" in section(page_of(crowded), "costs")


# --- plots --------------------------------------------------------------------------------------
def test_costs_are_compared_if_two_arms_have_them_and_times_if_not() -> None:
    priced, timed = cost_plot(tuning_wins().found), cost_plot(classical_wins().found)
    assert priced is not None and priced.x_title == "USD per 1,000 calls (logarithmic)"
    assert timed is not None and timed.x_title == "ms a call (logarithmic)"
    assert priced.limit is not None and priced.limit.text == "limit 2"
    places = {point.spot.name.split(" ")[0]: point.spot.x for point in priced.points}
    assert places["linear"] < places["nearest"] < places["adapter"] < places["frontier"], "dearer is further right"


def test_what_is_free_stands_at_the_left_end() -> None:
    arms = [replace(ARM, name=name, cost=cost) for name, cost in (("adapter", 0.0), ("b", 0.5), ("c", 3.0))]
    plot = cost_plot(toy(arms, count=40).found)
    assert plot is not None and min(point.spot.x for point in plot.points) == 0


def test_the_line_of_the_best_rises_and_leaves_no_better_arm_above_it() -> None:
    plot = cost_plot(tuning_wins().found)
    assert plot is not None
    [best] = plot.paths
    heights = [y for _, y in best.places]
    assert heights == sorted(heights, reverse=True), "in pixels from above"
    for point in plot.points:
        reached = min((y for x, y in best.places if x <= point.spot.x), default=plot.height)
        assert point.is_below or point.spot.y >= reached


def test_what_is_far_below_is_an_arrow_with_its_score() -> None:
    plot = cost_plot(classical_wins().found)
    assert plot is not None
    below = {point.spot.name: point for point in plot.points if point.is_below}
    assert set(below) == {"most frequent 6%", "base, prompted 14%"}
    assert "An arrow stands for a score below the plot." in section(page_of(classical_wins), "costs")


def test_an_arm_is_named_by_what_it_does() -> None:
    arms = [arm_of("majority", share_right("majority", 30, 40).evaluation, title=title) for title in TITLES]
    assert [short_name(arm) for arm in arms] == ["most frequent", "input, copied"]


def test_a_curve_shows_measured_points_and_continues_with_a_band() -> None:
    found = tuning_wins().found
    plot = curve_plot(found)
    assert plot is not None
    assert len(plot.points) == sum(len(one.measured) for one in found.curves)
    measured = [path for path in plot.paths if not path.is_dashed]
    ahead = [path for path in plot.paths if path.is_dashed]
    assert len(measured) == len(ahead) == 2 and plot.paths[:2] == tuple(ahead), "bands lie below lines"
    for line in measured:
        assert [x for x, _ in line.places] == sorted(x for x, _ in line.places)
    for line in ahead:
        assert line.places[0] in [path.places[-1] for path in measured] and len(line.band) == 5
