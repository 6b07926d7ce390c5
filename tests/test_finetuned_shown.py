"""What the terminal says of a fine-tuning: which rows it took, what the figures mean, and whether it was worth it."""

import re
from pathlib import Path
from typing import Any

import pytest
from assessed import Fruit, a_record, answered, arm_of, assessed, lost, question, share_right

from flows.cli.console import out
from flows.cli.show_finetuned import show_finetuned
from flows.finetune import Finetuned
from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.evaluation.scores import Measure
from pipeline.finetuning.evaluate import evaluate
from pipeline.finetuning.machine_load import Load
from pipeline.finetuning.train import LeftOut
from pipeline.ladder.adapter_card import adapter_card
from pipeline.ladder.assessment import Assessment
from pipeline.ladder.results import ArmResult, Skipped, Stated
from pipeline.reporting.verdict_page import verdict_page


def finetuned(found: Assessment, **more: Any) -> Finetuned:
    values = {"dataset": "assistant", "version": "1.0.0", "path": "/home/models/r1", "reused": False}
    return Finetuned(**{**values, "train_rows": 100, "left_out": {}, "seconds": 12, "assessment": found, **more})


def with_doubts(arm: ArmResult, share: float) -> ArmResult:
    """An arm beside whose loss stands how many of its answers no rule doubts."""
    value = Estimate(value=share, low=share - 0.05, high=share)
    measures = (Measure(name="answers that no rule doubts", value=value),)
    return arm.model_copy(update={"evaluation": arm.evaluation.model_copy(update={"measures": measures})})


def losses(each: float) -> list[tuple[float, float]]:
    return [(each * (tokens + tokens % 3), float(tokens)) for tokens in range(4, 44)]


CHAT = assessed(
    with_doubts(lost("zero_shot", losses(3.0)), 0.675),
    with_doubts(lost("adapter", losses(2.0)), 1.0),
    test_left_out={LeftOut.UNRENDERED: 2},
)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no column is wrapped."""
    monkeypatch.setattr(out, "_width", 200)


def said_of(found: Assessment, capsys: pytest.CaptureFixture[str], **more: Any) -> list[str]:
    show_finetuned(finetuned(found, **more))
    return capsys.readouterr().out.splitlines()


def test_rows_that_are_left_out_or_not_judged_are_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = said_of(CHAT, capsys, left_out={LeftOut.UNSHOWN_CALLS.value: 91})
    assert first == (
        "smollm2-135m-instruct, 100 training rows; "
        "left out: 91 with calls of tools that the base model's chat template does not show"
    )
    assert second == "40 test questions; not judged: 2 that the base model's chat template cannot render"


def test_a_loss_is_explained_and_what_is_beside_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said_of(CHAT, capsys)
    [place] = [number for number, line in enumerate(lines) if "no rule doubts" in line]
    beside = [" ".join(line.split()) for line in lines[place + 1 :] if "%" in line]
    assert beside[:2] == ["the base model, prompted 67.5% (62.5% to 67.5%)", "the adapter 100.0% (95.0% to 100.0%)"]
    assert Unit.NATS.note in " ".join(lines)
    assert lines[-1] == "/home/models/r1"
    assert "natural logarithm" in Unit.NATS.note and "lower is better" in Unit.NATS.note


def test_a_share_needs_no_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said_of(assessed(share_right("zero_shot", 9, 40), share_right("adapter", 36, 40)), capsys)
    assert lines[:2] == ["smollm2-135m-instruct, 100 training rows", "40 test questions"]
    assert "nats" not in "\n".join(lines) and "beside it" not in "\n".join(lines)


def test_the_verdict_is_told_with_its_reasons_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = assessed(share_right("linear", 50, 100), share_right("adapter", 95, 100))
    said = " ".join(" ".join(said_of(found, capsys)).split())
    assert f"Fine-tuning was worth it. {found.judgement.next_step} - {found.judgement.reasons[0]}" in said


def test_a_p_value_is_told_with_what_it_is_not_corrected_for(capsys: pytest.CaptureFixture[str]) -> None:
    line = "p is not corrected for the number of arms, and the best arm of each kind was picked on these same test "
    line += "questions."
    compared = assessed(share_right("linear", 50, 100), share_right("adapter", 95, 100))
    assert "McNemar p < 0.001" in compared.judgement.reasons[0] and line in said_of(compared, capsys)
    alone = assessed(answered("adapter", [True] * 40))
    assert not any(one.startswith("p is ") for one in said_of(alone, capsys))


def table(lines: list[str]) -> list[str]:
    """The rows of the arms, and the heading above them."""
    start = next(number for number, line in enumerate(lines) if line.startswith("arm "))
    return [" ".join(line.split()) for line in lines[start : start + 4] if "─" not in line]


def test_a_column_is_shown_only_where_it_tells_the_arms_apart(capsys: pytest.CaptureFixture[str]) -> None:
    arms = (share_right("linear", 20, 40, latency=0.0004), share_right("adapter", 36, 40, latency=0.25))
    heading, linear, adapter, *_ = table(said_of(assessed(*arms), capsys))
    assert heading == "arm accuracy 95% interval ms a call"
    assert linear.startswith("a linear model on TF-IDF 50.0%") and linear.endswith(" 0.4")
    assert adapter.startswith("the adapter 90.0%") and adapter.endswith(" 250")

    asked = [question("q0", "apple"), question("q1", "apple")]
    hello = arm_of("zero_shot", evaluate(Fruit, asked, ["Hello!", "apple"]), cost=1.25)
    heading, base, _, *_ = table(said_of(assessed(hello, arms[1], currency="EUR"), capsys))
    assert heading == "arm accuracy 95% interval asked wrong format ms a call EUR per 1,000"
    assert base.endswith(" 2 1 1.25")


@pytest.mark.parametrize("width", [50, 80, 100, 140])
def test_no_figure_of_an_arm_is_broken_however_narrow_the_terminal_is(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As piped with prices: 80 columns, six headings, and names of fifty characters."""
    monkeypatch.setattr(out, "_width", width)
    asked = [question(f"q{number}", "apple") for number in range(12)]
    few = arm_of("few_shot", evaluate(Fruit, asked, ["Hello!"] + ["apple"] * 11), cost=0.000123, latency=1.423)
    adapter = share_right("adapter", 36, 40, cost=0.0504, latency=0.786)
    found = assessed(few, adapter, currency="EUR")
    lines = said_of(found, capsys)
    shown = lines[2 : next(place for place, line in enumerate(lines) if line.startswith("Undecided"))]
    assert max(map(len, shown)) <= width
    figures = [[arm.score.interval, arm.milliseconds, f"{arm.cost:g}"] for arm in (few, adapter)]
    rows = [[line for line in shown if one[0] in line] for one in figures]
    assert [len(lines) for lines in rows] == [1, 1]
    for [row], one in zip(rows, figures, strict=True):
        assert all(any(figure in line for line in shown) for figure in one)
        assert all(figure in row for figure in one) == (width >= 80), "a line an arm, or a line a figure"


def test_what_stands_beside_losses_is_not_broken_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for width in (60, 80):
        monkeypatch.setattr(out, "_width", width)
        text = "\n".join(said_of(CHAT, capsys))
        assert "67.5% (62.5% to 67.5%)" in text and "100.0% (95.0% to 100.0%)" in text


def test_a_cheap_call_is_not_shown_as_free(capsys: pytest.CaptureFixture[str]) -> None:
    arms = (share_right("linear", 20, 40, cost=0.000123), share_right("adapter", 36, 40, cost=0.5))
    _, linear, *_ = table(said_of(assessed(*arms, currency="USD"), capsys))
    assert linear.endswith(" 0.000123")


def test_what_was_not_compared_or_is_only_stated_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = assessed(answered("adapter", [True] * 40))
    more = {
        "skipped": (Skipped(name="linear", title="a linear model", why="no field has [choices]"),),
        "stated": (Stated(name="frontier", score=0.97, source="a paper of 2025"),),
    }
    lines = said_of(found.model_copy(update={"ladder": found.ladder.model_copy(update=more)}), capsys)
    assert "not compared: a linear model (no field has [choices])" in lines
    assert "stated, not measured here: frontier 97.0% (a paper of 2025)" in lines


def test_commands_name_the_dataset_where_it_is_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """As the verdict prints them, they were of the dataset.yaml in the working directory."""
    found = assessed(share_right("few_shot", 12, 12), share_right("adapter", 36, 40))
    assert "`goldleaf finetune --slow-rows 40`" in found.judgement.next_step
    for file, named in ((Path("my data/d.yaml"), " 'my data/d.yaml'"), (Path("dataset.yaml"), "")):
        show_finetuned(finetuned(found), file)
        said = capsys.readouterr().out
        assert f"`goldleaf finetune{named} --slow-rows 40` asks" in said and said.count("goldleaf finetune") == 1


def test_a_comparison_that_was_made_before_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert said_of(CHAT, capsys, reused=True)[0] == "this version was trained and compared with these settings before"


@pytest.mark.parametrize(
    ("name", "readable", "said"),
    [
        ("frontier", 0, "20 of 20 answers of frontier are in the wrong format, so that its score says little of what"),
        ("zero_shot", 10, "10 of 20 answers of the base model, prompted are in the wrong format, so that its score"),
        ("frontier", 11, ""),
        ("adapter_free", 0, ""),
    ],
    ids=["all of an endpoint's", "half of the base model's", "fewer", "what writes freely shows just that"],
)
def test_a_prompted_model_that_fails_by_its_format_is_no_straw_man_in_silence(
    name: str, readable: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [question(f"q{number}", "apple") for number in range(20)]
    texts = ["apple"] * readable + ["I like turtles."] * (20 - readable)
    found = assessed(arm_of(name, evaluate(Fruit, asked, texts)), share_right("adapter", 15, 20))
    lines = [line for line in said_of(found, capsys) if "its score says" in line]
    assert [line.startswith(f"- {said}") for line in lines] == ([True] if said else [])
    to_do = "ask again with goldleaf finetune --retry-invalid." if name == "frontier" else "form to held."
    assert all(line.endswith(to_do) and "predictions.parquet" in line for line in lines)


def test_no_price_or_time_is_a_power_of_ten(capsys: pytest.CaptureFixture[str]) -> None:
    cheap = share_right("linear", 19, 40, cost=2.55e-05, latency=5.3e-06)
    found = assessed(cheap, share_right("adapter", 39, 40, cost=0.00391, latency=0.04), currency="USD")
    said = "\n".join(said_of(found, capsys))
    assert re.search(r"a linear model on TF-IDF +47\.5% .* <0\.0001", said) and "0.00391" in said
    assert "1,000 calls cost 0.00391 instead of <0.0001." in said
    for text in (said, adapter_card(Fruit, a_record(), found), verdict_page(Fruit, a_record(), found).decode()):
        assert not re.search(r"\de-0\d", text)


@pytest.mark.parametrize(
    ("seconds", "low", "high", "shown", "interval"),
    [
        (1.393, None, None, "1,390", ""),
        (1.393, 1.2, 1.7, "~1,400", "1,200 to 1,700"),
        (1.393, 1.389, 1.397, "1,390", "1,390 to 1,400"),
        (2.611, 0.4, 9.0, "~3,000", "400 to 9,000"),
        (0.0234, 0.0233, 0.0236, "23.4", "23.3 to 23.6"),
        (0.0004, None, None, "0.4", ""),
        (0.000001, 0.000001, 0.000002, "< 0.01", ""),
        (0.00002, 0.000001, 0.00003, "~0.02", "0.01 to 0.03"),
    ],
)
def test_a_time_has_as_many_digits_as_its_interval_leaves(
    seconds: float, low: float | None, high: float | None, shown: str, interval: str
) -> None:
    arm = share_right("adapter", 36, 40, latency=seconds, latency_low=low, latency_high=high)
    assert (arm.milliseconds, arm.milliseconds_interval) == (shown, interval)


def test_times_that_are_only_about_right_are_marked_and_the_mark_explained(capsys: pytest.CaptureFixture[str]) -> None:
    linear = share_right("linear", 20, 40, latency=0.0004)
    steady, busy = (
        {"latency": 0.25, "latency_low": 0.24, "latency_high": 0.26, "load": load}
        for load in (None, Load(average=9.0, cores=2))
    )
    for figures, mark in ((steady, ""), (busy, "~")):
        lines = said_of(assessed(linear, share_right("adapter", 36, 40, **figures)), capsys)
        assert [line.split()[-1] for line in lines if line.startswith("the adapter")] == [f"{mark}250"]
        assert any(line == "~ a time that is only about right; --json has its interval" for line in lines) == bool(mark)


@pytest.mark.parametrize(
    ("name", "readable", "cost", "is_said"),
    [
        ("frontier", 15, 1.2, True),
        ("frontier", 20, 1.2, False),
        ("frontier", 15, None, False),
        ("few_shot", 15, 1.2, False),
    ],
    ids=["asked twice", "always valid", "without a price", "on this machine"],
)
def test_a_cost_that_has_second_calls_in_it_is_said_to_have_them(
    name: str, readable: int, cost: float | None, is_said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [question(f"q{number}", "apple") for number in range(20)]
    arm = arm_of(name, evaluate(Fruit, asked, ["apple"] * readable + ["Hm."] * (20 - readable)), cost=cost)
    found = assessed(arm, share_right("adapter", 15, 20), currency="USD")
    said = f"and the cost of {arm.title} has both calls in it."
    terminal = " ".join(" ".join(said_of(found, capsys)).split())
    for text in (terminal, adapter_card(Fruit, a_record(), found), verdict_page(Fruit, a_record(), found).decode()):
        assert (said in text) == is_said
