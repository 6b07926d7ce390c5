"""The page of a verdict shows every number as it was measured, says what is missing, and obeys no text."""

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape

import pytest
from assessed import Bowl, arm_of
from authored_arms import ToyArm
from report_toys import Page, section
from verdict_toys import (
    TOYS,
    Toy,
    alone,
    chat,
    classical_wins,
    crowded,
    curve,
    toy,
    toy_of,
    tuning_wins,
    undecided,
)

from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.evaluate import EvalQuestion, evaluate
from pipeline.reporting.plot_axes import number, short_time
from pipeline.reporting.tuned_arm import tuned_arm
from pipeline.reporting.verdict_bars import bars
from pipeline.reporting.verdict_content import verdict_content
from pipeline.reporting.verdict_page import verdict_page
from pipeline.reporting.verdict_plots import cost_plot
from pipeline.reporting.verdict_tables import confusion_matrix, differences, further_confusions, number_columns, numbers
from pipeline.reporting.worst_rows import worst_parts
from schemas.arms_section import Family, Limits

ARM = ToyArm("adapter", "the adapter", Family.TUNED, 0.8, 0.3)
PARTS = ("arms", "costs", "rows", "wrong", "numbers", "trust", "reading")


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
    for fact in (
        "contract-clauses@1.2.0",
        "smollm2-135m-instruct",
        "3,000 trained on",
        "2.9 min on the CPU",
        "2026-11-29",
    ):
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
    noise = one.found.noise
    assert noise is not None and noise.high > noise.value
    assert f"ceiling by label noise 97.9% (at least {1 - noise.high:.1%})" in text and "needed 90.0%" in text


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
        assert arm.latency is not None and cells["ms a call"] == arm.milliseconds != ""
        assert cells.get("95% interval of ms", "") == arm.milliseconds_interval
        assert cells["USD per 1,000"] == f"{arm.cost:.3g}"
        assert cells["s to fit"] == (
            "173" if arm.family is Family.TUNED else number(arm.learning_seconds) * (arm.learning_seconds > 0)
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


TOGETHER = ToyArm("adapter_linear", "the adapter with a linear model", Family.TUNED, 0.93, 0.3)


def test_pages_speak_of_the_tuned_arm_that_is_recommended_or_else_the_best() -> None:
    linear = ToyArm("linear", "a linear model on TF-IDF", Family.CLASSICAL, 0.6, 0.001)
    one = toy([linear, ARM, TOGETHER], count=300)
    assert one.found.judgement.arm == "adapter_linear"
    html = page_of(one)
    assert "Where the adapter with a linear model is wrong" in html
    assert "Is the adapter with a linear model better, and by how much?" in html
    assert [row.title for row in differences(one.found).rows] == ["A linear model on TF-IDF", "The adapter"]
    wrong = {o.id for o in tuned_arm(one.found).evaluation.outcomes if not o.right}
    shown = [row for part in worst_parts(one.task, one.found) for row in part.rows]
    assert wrong and 0 < len(shown) <= len(wrong), "the adapter by itself has more of them wrong"
    losing = toy([replace(linear, skill=0.95), ARM, TOGETHER], count=300)
    assert losing.found.judgement.arm == "linear" and tuned_arm(losing.found).name == "adapter_linear"


def test_an_arm_that_was_asked_fewer_questions_does_not_speak_for_the_others() -> None:
    free = ToyArm("adapter_free", "the adapter, writing freely", Family.TUNED, 0.99, 0.3, questions=50)
    linear = ToyArm("linear", "a linear model on TF-IDF", Family.CLASSICAL, 0.97, 0.001)
    assert tuned_arm(toy([linear, ARM, free], count=300).found).name == "adapter"


def test_times_that_are_too_short_to_matter_are_not_written_out() -> None:
    assert [short_time(value) for value in (1.49e-6, 0.0099, 0.0233, 1.41, 1221)] == [
        "< 0.01",
        "< 0.01",
        "0.0233",
        "1.41",
        "1,221",
    ]


def test_what_an_adapter_has_forgotten_stands_beside_the_advice_to_serve_it() -> None:
    assert str(tuning_wins().found.forgetting) in section(page_of(tuning_wins()), "arms")
    assert str(classical_wins().found.forgetting) not in section(page_of(classical_wins()), "arms")


def test_an_audit_that_found_nothing_wrong_draws_no_ceiling() -> None:
    sound = toy(count=120, noise=Estimate(value=0.0, low=0.0, high=0.03))
    assert not bars(sound.found)[0].lines
    assert "It found none that is wrong, so that it sets no ceiling" in section(page_of(sound), "trust")
    assert bars(classical_wins().found)[0].lines[0].style == "ceiling"


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
        (undecided, "trust", "How many labels are wrong is not known: let annotators answer the audit questions"),
        (undecided, "trust", "Not measured: goldleaf finetune dataset.yaml --again does"),
        (alone, "costs", "There is nothing to compare"),
        (alone, "numbers", "It was compared with nothing"),
    ],
)
def test_what_is_missing_is_a_line_that_says_how_to_get_it(make: Callable[[], Toy], part: str, said: str) -> None:
    assert said in section(page_of(make()), part)


def test_nobody_is_told_to_audit_test_rows_of_which_no_audit_is_drawn() -> None:
    """As of a frozen exam: `review.audit` is set, its questions are answered, and none is about these rows."""
    frozen, some = (section(page_of(toy(count=60, unaudited=count)), "trust") for count in (60, 20))
    assert "no audit will tell: all test rows are published as they are" in frozen and "audit questions" not in frozen
    assert "leave out frozen for their source" in frozen
    assert "let annotators answer the audit questions" in some and "no audit will tell" not in some


def test_each_curve_is_drawn_with_the_number_of_its_questions() -> None:
    """The adapter is asked what slow arms are asked, and the linear model everything."""
    sizes = (41, 103, 206, 413)
    curves = (
        curve("linear", "a linear model on TF-IDF", sizes, (0.62, 0.83, 0.91, 0.95), 60),
        curve("adapter", "the adapter", sizes, (0.5, 0.75, 0.88, 0.93), 12),
    )
    text = section(page_of(toy(count=60, curves=curves)), "rows")
    assert "A linear model on TF-IDF: every point on 60 questions. The adapter: every point on 12 questions." in text


def test_rows_that_were_not_drawn_are_told_beside_those_trained_on() -> None:
    assert "413 of 2,413 trained on" in page_of(toy(count=60, undrawn=2000))
    assert "413 trained on" in page_of(toy(count=60))


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
    assert "<table" not in page_of(chat()).split('id="wrong"')[1].split("</section>")[0]


def test_frequent_confusions_that_the_matrix_has_no_room_for_are_listed() -> None:
    one = crowded()
    tuned = one.found.ladder.adapter.evaluation
    shown = {row.label for row in confusion_matrix(tuned)}
    listed = {(found.label, found.answered): found.count for found in further_confusions(tuned)}
    missing = {(c.gold, c.answered): c.count for c in tuned.confusions if not {c.gold, c.answered} <= shown}
    assert listed == missing and missing
    text = section(page_of(one), "wrong")
    assert all(f"{gold} answered as {answered} {count} of" in text for (gold, answered), count in listed.items())


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


def test_a_limit_of_time_is_shown_in_milliseconds_and_a_model_s_name_keeps_its_case() -> None:
    one = toy(
        [ARM, replace(ARM, name="b", title="gpt-5, prompted", family=Family.PROMPT)],
        count=40,
        limits=Limits(max_seconds=1),
    )
    content = verdict_content(one.record, one.found)
    assert content.costs is not None and content.costs.limit is not None and content.costs.limit.text == "limit 1,000"
    assert [card.title for card in content.cards] == ["gpt-5, prompted", "The adapter"], "a model's name keeps its case"


def test_the_answers_that_were_excluded_from_the_file_are_not_needed_for_plots() -> None:
    one = tuning_wins()
    stored = type(one.found).model_validate_json(one.found.as_json())
    again, first = verdict_content(one.record, stored), verdict_content(one.record, one.found)
    assert (again.bars, again.costs, again.numbers, again.matrix) == (
        first.bars,
        first.costs,
        first.numbers,
        first.matrix,
    )
