"""The page of a verdict shows every number as it was measured, says what is missing, and obeys no text."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from assessed import Bowl, arm_of
from authored_arms import ToyArm
from hypothesis import given, settings
from hypothesis import strategies as st
from report_toys import Page, section
from verdict_toys import (
    TOYS,
    Toy,
    alone,
    chat,
    classical_wins,
    crowded,
    toy,
    toy_of,
    tuning_wins,
    undecided,
)

from pipeline.evaluation.estimates import Unit
from pipeline.finetuning.evaluate import EvalQuestion, evaluate
from pipeline.reporting.plot_axes import linear_axis, log_axis, number, score_axis
from pipeline.reporting.plot_labels import Label, Spot, place_labels, text_width
from pipeline.reporting.verdict_bars import bars
from pipeline.reporting.verdict_content import verdict_content
from pipeline.reporting.verdict_page import verdict_page
from pipeline.reporting.verdict_plots import Plot, cost_plot, curve_plot
from pipeline.reporting.verdict_tables import confusion_matrix, differences, number_columns, numbers
from pipeline.reporting.worst_rows import worst_parts
from schemas.arms_section import Family, Limits

PARTS = ("arms", "costs", "rows", "wrong", "numbers", "trust", "reading")
Box = tuple[float, float, float, float]


def page_of(one: Toy) -> str:
    return verdict_page(one.task, one.record, one.found).decode()


def pages() -> dict[str, str]:
    return {name: page_of(make()) for name, make in TOYS.items()}


# --- what is shown ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", TOYS)
def test_every_part_is_there_whatever_is_known(name: str) -> None:
    html = page_of(TOYS[name]())
    assert [re.search(f'<section id="{part}"', html) is not None for part in PARTS] == [True] * len(PARTS)
    assert not re.search(r"\bNone\b(?! of)", " ".join(section(html, part) for part in PARTS))


def test_the_headline_is_the_verdict_with_the_arm_the_deciding_reason_and_what_to_do() -> None:
    one = tuning_wins()
    head = page_of(one).split("<header>")[1].split("</header>")[0]
    text = unescape(" ".join(re.sub(r"<[^>]+>", " ", head).split()))
    judged = one.found.judgement
    assert text.index("Fine-tuning was worth it") < text.index("Use the adapter") < text.index(judged.reasons[0])
    assert text.index(judged.reasons[0]) < text.index(f"Next {judged.next_step}")
    for fact in ("contract-clauses@1.2.0", "smollm2-135m-instruct", "3,000 trained on", "173 s on cpu", "2026-11-29"):
        assert fact in text


def test_every_arm_has_its_score_its_interval_and_how_many_questions_it_was_asked() -> None:
    one = tuning_wins()
    text = section(page_of(one), "arms")
    for arm in one.found.ladder.arms:
        assert f"{arm.score.unit.shown(arm.score.value)} {arm.score.interval}" in text
    assert text.count("asked 500 of the 1,540 questions") == 3
    order = [text.index(title) for title in ("Classical models", "Prompted models", "Tuned on", "Stated by others")]
    assert order == sorted(order)
    assert "paper Casanueva and others 2020, table 3, all 10,003 rows 94.1% not measured here" in text
    assert "ceiling by label noise 97.9%" in text and "needed 90.0%" in text


def test_only_the_recommended_arm_is_marked() -> None:
    for make in (classical_wins, tuning_wins):
        found = make().found
        [main] = bars(found)
        chosen = [bar.title for _, rows in main.groups for bar in rows if bar.is_chosen]
        title = next(arm.title for arm in found.ladder.arms if arm.name == found.judgement.arm)
        assert [one.lower() for one in chosen] == [title.lower()]
    [main] = bars(undecided().found)
    assert not [bar for _, rows in main.groups for bar in rows if bar.is_chosen]


def test_bars_are_as_long_as_the_scores() -> None:
    [main] = bars(tuning_wins().found)
    for arm in tuning_wins().found.ladder.arms:
        [bar] = [bar for _, rows in main.groups for bar in rows if bar.title.lower() == arm.title.lower()]
        assert bar.place == pytest.approx(100 * arm.score.value, abs=0.01)
        assert (bar.low, bar.high) == pytest.approx((100 * arm.score.low, 100 * arm.score.high), abs=0.01)


def test_the_table_has_all_numbers_of_the_assessment() -> None:
    one = tuning_wins()
    columns = number_columns(one.found)
    for line, arm in zip(numbers(one.record, one.found), one.found.ladder.arms, strict=True):
        cells = dict(zip(columns, line.cells, strict=True))
        assert cells["accuracy"] == f"{arm.score.value:.1%}" and cells["95% interval"] == arm.score.interval
        assert cells["macro F1"] == f"{arm.evaluation.macro_f1:.1%}"
        assert cells["questions"] == f"{arm.evaluation.questions:,}"
        assert cells["wrong format"] == str(arm.evaluation.unreadable)
        assert arm.latency is not None and cells["ms a call"] == number(1000 * arm.latency)
        assert cells["USD per 1,000"] == f"{arm.cost:.3g}"
        assert cells["s to fit"] == (
            "173" if arm.family is Family.TUNED else number(arm.learning_seconds or 0) * (arm.learning_seconds > 0)
        )
    assert "tokens in, out" in columns


def test_a_column_without_a_number_is_not_there() -> None:
    columns = number_columns(alone().found)
    assert "tokens in, out" not in columns and " per 1,000" not in "".join(columns)


def test_the_adapter_is_compared_with_each_other_arm_as_its_pair_says() -> None:
    found = tuning_wins().found
    table = differences(found)
    others = [arm for arm in found.ladder.arms if arm.name != "adapter"]
    assert [row.title.lower() for row in table.rows] == [arm.title.lower() for arm in others]
    for row, arm in zip(table.rows, others, strict=True):
        pair = found.ladder.pair(arm.name, "adapter")
        change = pair.comparison.difference
        assert (row.gain, row.better, row.worse) == (
            f"{100 * change.value:+.1f}",
            pair.comparison.better,
            pair.comparison.worse,
        )
        assert row.interval == f"{100 * change.low:+.1f} to {100 * change.high:+.1f}"
        assert row.p_value == ("< 0.001" if pair.p_value < 0.001 else f"{pair.p_value:.3f}")
        assert (row.place > 50) == (change.value > 0)


def test_a_lower_loss_is_a_gain_and_stands_lower() -> None:
    found = chat().found
    assert all(row.gain.startswith("+") and row.place > 50 for row in differences(found).rows), "the adapter is better"
    plot = cost_plot(found)
    assert plot is not None and plot.y_title == "loss per token: lower is better"
    heights = {point.spot.name: point.spot.y for point in plot.points}
    assert heights["adapter"] > heights["base + examples"] > heights["base, prompted"], "in pixels from above"
    main, texts = bars(found)
    lengths = {bar.title: bar.place for _, rows in main.groups for bar in rows}
    assert lengths["The adapter"] < lengths["The base model, prompted"]
    assert texts.metric == "chrF" and main.unit_note
    assert "By chrF: what gives texts only has no loss per token" in section(page_of(chat()), "arms")


# --- what is missing ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "part", "said"),
    [
        (undecided, "rows", "goldleaf finetune dataset.yaml --curve"),
        (classical_wins, "costs", "Nothing has a price: name a price file as verdict.prices"),
        (classical_wins, "rows", "goldleaf finetune dataset.yaml --curve"),
        (classical_wins, "trust", "goldleaf finetune dataset.yaml --ablate"),
        (classical_wins, "trust", "goldleaf finetune dataset.yaml --seeds 3"),
        (undecided, "trust", "How many labels are wrong is not known: set review.audit"),
        (undecided, "trust", "Not measured: goldleaf finetune dataset.yaml --again does"),
        (alone, "costs", "There is nothing to compare"),
        (alone, "numbers", "The adapter was compared with nothing"),
        (chat, "wrong", "Answers of this kind are no single labels"),
    ],
)
def test_what_is_missing_is_a_line_that_says_how_to_get_it(make: Callable[[], Toy], part: str, said: str) -> None:
    assert said in section(page_of(make()), part)


def test_all_that_is_known_is_said() -> None:
    one = tuning_wins()
    html = page_of(one)
    assert 'class="empty"' not in html
    text = section(html, "trust")
    found = one.found
    assert found.ablation is not None and found.noise is not None
    for said in (
        str(found.noise),
        str(found.forgetting),
        str(found.ablation.comparison),
        "2 test questions of 1,540 are among",
    ):
        assert said in text
    assert "With 3 seeds the adapter scores 93.7%, 93.1%, 94.0%: chance moves it by 0.9 points." in text
    assert "gpt-5-mini, prompted: no answer from" in section(page_of(classical_wins()), "numbers")
    assert "--version 1.2.0 --again --slow-rows 500 --seeds 3 --curve --ablate" in section(html, "reading")


def test_the_worst_labels_come_first_with_rows_that_show_it() -> None:
    one = tuning_wins()
    parts = worst_parts(one.task, one.found)
    recalls = {part.name: part.recall for part in one.found.ladder.adapter.evaluation.parts if part.support}
    shown = [recalls[part.name] for part in parts]
    assert shown == sorted(shown) and shown[0] == min(recalls.values())
    for part in parts:
        assert part.rows and all(row.expected == part.name != row.answered for row in part.rows)


def test_a_row_is_wrong_in_the_labels_that_it_misses_and_in_the_fields_that_differ() -> None:
    asked = [EvalQuestion(id=f"q{n}", prompt=(), golds=({"kinds": ["apple", "pear"]},)) for n in range(3)]
    answers = ['["apple", "pear"]', '["apple"]', "?"]
    one = toy_of([arm_of("adapter", evaluate(Bowl, asked, answers))], Bowl)
    found = {part.name: [row.answered for row in part.rows] for part in worst_parts(Bowl, one.found)}
    assert found == {"pear": ["?", '["apple"]'], "apple": ["?"]}


def test_the_worst_answers_of_a_chat_are_those_with_the_highest_loss() -> None:
    one = chat()
    [part] = worst_parts(one.task, one.found)
    losses = {o.golds[0]: o.loss.worth for o in one.found.ladder.adapter.evaluation.outcomes if o.loss}
    assert [losses[row.expected] for row in part.rows] == sorted(losses.values())[-3:][::-1]


def test_the_matrix_counts_right_answers_and_the_most_frequent_confusions() -> None:
    tuned = tuning_wins().found.ladder.adapter.evaluation
    rows = confusion_matrix(tuned)
    labels = [row.label for row in rows]
    counts = {(one.gold, one.answered): one.count for one in tuned.confusions}
    for row in rows:
        right = sum(one.right and one.gold["kind"] == row.label for one in tuned.outcomes)
        expected = [right if label == row.label else counts.get((row.label, label)) for label in labels]
        assert [cell.count for cell in row.cells] == expected
        assert [cell.is_right for cell in row.cells] == [label == row.label for label in labels]
    assert confusion_matrix(alone().found.ladder.adapter.evaluation)
    assert confusion_matrix(chat().found.ladder.adapter.evaluation) == ()


# --- nothing harms ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", TOYS)
def test_the_page_loads_nothing_and_runs_nothing(name: str) -> None:
    html = page_of(TOYS[name]())
    page = Page(html)
    tags = {tag for tag, *_ in page.skeleton}
    assert not {"script", "img", "iframe", "object", "base", "form"} & tags
    assert all(link.startswith("#") or link == "data:," for link in page.links)
    assert not [entry for entry in page.skeleton if any(part.startswith("on") for part in entry)]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'" in html


def test_hostile_texts_are_shown_and_never_obeyed() -> None:
    html = page_of(crowded())
    assert "<script>alert" not in html and "<img" not in html
    assert "{{ 7*7 }}" in html and "&lt;script&gt;alert(1)" in html
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\u202e\ud800-\udfff]", html)


def test_pages_are_small() -> None:
    sizes = {name: len(html.encode()) for name, html in pages().items()}
    assert sizes.pop("crowded") < 250_000
    assert max(sizes.values()) < 100_000


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
    assert f"{len(plot.unnamed)} points without room for a name" in section(page_of(crowded()), "costs")


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


ARM = ToyArm("adapter", "the adapter", Family.TUNED, 0.8, 0.3)


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
    assert "An arrow stands for a score below the plot." in section(page_of(classical_wins()), "costs")


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


def test_thousands_of_labels_and_no_prices_do_no_harm() -> None:
    one = toy(
        [ARM, replace(ARM, name="b", title="gpt-5, prompted", family=Family.PROMPT)],
        count=40,
        limits=Limits(max_seconds=1),
    )
    content = verdict_content(one.record, one.found)
    assert content.costs is not None and content.costs.limit is not None and content.costs.limit.text == "limit 1,000"
    assert [card.title for card in content.cards] == ["gpt-5, prompted", "The adapter"], "a model's name keeps its case"


def test_the_answers_that_were_excluded_from_the_file_are_not_needed_for_plots(tmp_path: Any) -> None:
    one = tuning_wins()
    stored = type(one.found).model_validate_json(one.found.as_json())
    again, first = verdict_content(one.record, stored), verdict_content(one.record, one.found)
    assert (again.bars, again.costs, again.numbers, again.matrix) == (
        first.bars,
        first.costs,
        first.numbers,
        first.matrix,
    )
