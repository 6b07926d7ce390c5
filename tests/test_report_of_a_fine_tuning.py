"""What a fine-tuning left is told by its questions, fields and labels."""

import json
import re
from pathlib import Path
from typing import Literal

import pytest
from assessed import Help, a_record, arm_of, assessed, lost, save_assessed, weights_in
from report_toys import empty_report, example, section

from pipeline.finetuning.evaluate import EvalQuestion, evaluate
from pipeline.kinds.interface import Breakdown
from pipeline.reporting.report_finetuning import shown_finetuning
from pipeline.reporting.report_page import FineTuning, render_report
from schemas.dataset import Finetune
from schemas.field import JsonValue
from schemas.task import Input, Target, Task


class Slip(Task):
    """Copy the slip's details."""

    text: Input[str]
    vendor: Target[str]
    total: Target[float]
    order: Target[str | None] = None


SLIP: dict[str, JsonValue] = {"vendor": "ACME", "total": 12.5, "order": "P1"}


class Topic(Task):
    """Name the topic."""

    text: Input[str]
    topic: Target[Literal["billing", "returns"]]


def tuned_on(
    folder: Path,
    rival: list[str],
    tuned: list[str],
    task: type[Task] = Slip,
    gold: dict[str, JsonValue] = SLIP,
    *others: dict[str, JsonValue],
) -> FineTuning:
    """What the report shows of an adapter whose test rows are all about the same slip."""
    asked = [EvalQuestion(id=f"q{n}", prompt=(), golds=(gold, *others)) for n in range(len(tuned))]
    base = arm_of("zero_shot", evaluate(task, asked[: len(rival)], rival))
    found = assessed(base, arm_of("adapter", evaluate(task, asked, tuned)))
    record = a_record(config=Finetune(base_model="/srv/models/tiny"))
    adapter = save_assessed(weights_in(folder / "trained"), folder / "models", record, found)
    return shown_finetuning(adapter, task, {f"q{n}": example(n) for n in range(len(tuned))})


def test_an_extraction_s_answers_are_compared_field_by_field(tmp_path: Path) -> None:
    right = json.dumps(SLIP, indent=2)
    wrong = json.dumps({"vendor": "ACME", "total": 125})
    shown = tuned_on(tmp_path, ["Sure!", "Sure!", right], [right, wrong, "I was"])
    first, second = shown.mistakes
    assert (first.record.line, second.record.line) == (1, 2), "another spelling of the right answer is no mistake"
    assert [(f.name, f.expected, f.tuned, f.rival) for f in first.fields] == [
        ("vendor", "ACME", "ACME", None),
        ("total", "12.5", "125.0", None),
        ("order", "P1", "", None),
    ]
    assert [(f.tuned, f.rival) for f in second.fields] == [(None, "ACME"), (None, "12.5"), (None, "P1")]
    assert (first.tuned, second.tuned) == (wrong, "I was")


def test_a_wrong_answer_is_compared_with_the_nearest_of_several_right_ones(tmp_path: Path) -> None:
    bolt: dict[str, JsonValue] = {"vendor": "BOLT", "total": 9.0, "order": "P7"}
    wrong = json.dumps(bolt | {"order": "P8"})
    [mistake] = tuned_on(tmp_path, [wrong], [wrong], Slip, SLIP, bolt).mistakes
    assert [(f.name, f.expected, f.tuned) for f in mistake.fields] == [
        ("vendor", "BOLT", "BOLT"),
        ("total", "9.0", "9.0"),
        ("order", "P7", "P8"),
    ]


def test_fields_are_shown_by_their_f1(tmp_path: Path) -> None:
    right = json.dumps(SLIP)
    shown = tuned_on(tmp_path, [right, "Sure!", "Sure!"], [right, right, "I was"])
    vendor = shown.parts[0]
    assert (vendor.name, vendor.records) == ("vendor", 3)
    assert (vendor.rival, vendor.tuned) == (pytest.approx(0.5), pytest.approx(0.8)), "recall were 1/3 and 2/3"
    text = section(render_report(empty_report(finetuning=shown, breakdown=Breakdown.FIELD)), "finetuning")
    assert "F1 by field" in text and "vendor 3 50.0% 80.0%" in text


def test_labels_are_shown_by_their_recall(tmp_path: Path) -> None:
    shown = tuned_on(
        tmp_path, ["billing", "returns", "?"], ["billing", "billing", "returns"], Topic, {"topic": "billing"}
    )
    billing = shown.parts[0]
    assert (billing.name, billing.records) == ("billing", 3)
    assert (billing.rival, billing.tuned) == (pytest.approx(1 / 3), pytest.approx(2 / 3)), "F1 were 0.5 and 0.8"
    text = section(render_report(empty_report(finetuning=shown)), "finetuning")
    assert "Recall by label" in text and "billing 3 33.3% 66.7%" in text


def test_unreadable_answers_of_every_arm_are_named(tmp_path: Path) -> None:
    shown = tuned_on(tmp_path, ["Sure!"] * 4, ["I was", *[json.dumps(SLIP)] * 3])
    place = shown.verdict.columns.index("wrong format")
    assert [(arm.name, arm.cells[place]) for arm in shown.verdict.numbers] == [("zero_shot", "4"), ("adapter", "1")]


def test_a_question_that_the_rival_was_not_asked_has_no_answer_of_it(tmp_path: Path) -> None:
    shown = tuned_on(tmp_path, ["billing"], ["returns", "returns"], Topic, {"topic": "billing"})
    assert [(one.rival, one.tuned) for one in shown.mistakes] == [("billing", "returns"), ("", "returns")]
    place = shown.verdict.columns.index("questions")
    assert [arm.cells[place] for arm in shown.verdict.numbers] == ["1", "2"]
    text = section(render_report(empty_report(finetuning=shown)), "finetuning")
    assert text.count("expected billing tuned returns the base model, prompted billing") == 1
    assert text.count("expected billing tuned returns") == 2


def test_a_base_model_in_a_folder_is_known_by_its_name(tmp_path: Path) -> None:
    shown = tuned_on(tmp_path, ["Sure!"], ["I was"])
    assert shown.base_model == "tiny"


class Plain(Task):
    """Say it plainly."""

    text: Input[str]
    plain: Target[str]


def test_texts_are_shown_by_their_similarity_and_not_as_right_or_wrong(tmp_path: Path) -> None:
    shown = tuned_on(tmp_path, ["A dog ran."], ["The cats sat."], Plain, {"plain": "The cat sat."})
    assert shown.rival is not None
    text = section(render_report(empty_report(finetuning=shown, breakdown=Breakdown.FIELD)), "finetuning")
    assert "chrF by field" in text and f"plain 1 {shown.rival.score.value:.1%} {shown.tuned.value:.1%}" in text
    assert 0 < shown.rival.score.value < 0.3 < shown.tuned.value < 1


def test_the_first_glance_gives_a_loss_as_a_loss_and_the_verdict(tmp_path: Path) -> None:
    found = assessed(lost("zero_shot", [(60, 20), (61, 20)] * 40), lost("adapter", [(22, 20), (23, 20)] * 40))
    adapter = save_assessed(weights_in(tmp_path / "trained"), tmp_path / "models", a_record(), found, Help)
    shown = shown_finetuning(adapter, Help, {})
    glance = render_report(empty_report(finetuning=shown)).split('class="glance"')[1].split("</ul>")[0]
    text = " ".join(re.sub(r"<[^>]+>", " ", glance.split("fine-tuned")[1]).split())
    assert text == "1.125 the adapter by loss per token, the base model, prompted 3.025. Undecided"
