"""What the terminal says of a fine-tuning: which rows it took, what the figures mean, and what is beside the metric."""

import pytest

from flows.cli.verbs import show_finetuned
from flows.finetune import Compared, Finetuned
from pipeline.evaluation.estimates import Estimate, Unit
from pipeline.finetuning.adapters import FinetuneRecord
from pipeline.finetuning.evaluate import Comparison, Evaluation
from pipeline.finetuning.train import LeftOut


def share(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.05, high=value)


def loss(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.5, high=value + 0.5, unit=Unit.NATS)


TUNED = Finetuned(
    dataset="assistant",
    version="1.0.0",
    path="/home/models/r1",
    reused=False,
    base_model="smollm2-135m-instruct",
    metric="loss_per_token",
    metric_title="loss per token",
    train_rows=100,
    left_out={LeftOut.UNSHOWN_CALLS.value: 91},
    test_rows=40,
    not_judged="2 that the base model's chat template cannot render",
    seconds=12,
    untuned=loss(3.2),
    untuned_unreadable=0,
    tuned=loss(2.5),
    tuned_unreadable=0,
    measures=(Compared(name="answers that no rule doubts", untuned=share(0.675), tuned=share(1)),),
    copied=None,
    difference=loss(-0.7),
    verdict="Tuning made it better by 0.700 nats per token (95% interval 0.200 to 1.200); 40 rows got better, 0 worse.",
)


def test_rows_that_are_left_out_or_not_judged_are_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    show_finetuned(TUNED)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == (
        "smollm2-135m-instruct, 100 training rows; "
        "left out: 91 with calls of tools that the base model's chat template does not show"
    )
    assert second == "40 test questions; not judged: 2 that the base model's chat template cannot render"


def test_a_loss_is_explained_and_what_is_beside_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_finetuned(TUNED)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ") for line in lines if "doubts" in line] == [
        ["answers that no rule doubts", "67.5% (62.5% to 67.5%)", "100.0% (95.0% to 100.0%)"]
    ]
    assert lines[-3:] == [TUNED.verdict, Unit.NATS.note, TUNED.path]
    assert "natural logarithm" in Unit.NATS.note and "lower is better" in Unit.NATS.note


def test_a_share_needs_no_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    shares = {"untuned": share(0.2), "tuned": share(0.9), "difference": share(0.7), "measures": (), "left_out": {}}
    show_finetuned(TUNED.model_copy(update={**shares, "not_judged": ""}))
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == ["smollm2-135m-instruct, 100 training rows", "40 test questions"]
    assert "nats are" not in said and "beside it" not in said


@pytest.mark.parametrize(("copied", "said"), [(0.5, ""), (0.84, " The inputs copied unchanged score 84.0%, no less.")])
def test_a_model_that_is_no_better_than_copying_is_said_to_be_so(copied: float, said: str) -> None:
    scored = Evaluation.model_construct(score=Estimate(value=0.8, low=0.7, high=0.9))
    compared = Comparison(difference=Estimate(value=0.4, low=0.3, high=0.5), better=9, worse=0, same=0)
    beside = Estimate(value=copied, low=0.0, high=1.0)
    record = FinetuneRecord.model_construct(copied=beside, tuned=scored, comparison=compared)
    assert record.verdict == compared.verdict + said
