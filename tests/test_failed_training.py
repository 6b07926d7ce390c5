"""A training that made the model worse is called failed, with what to change, and no verdict recommends by it."""

from dataclasses import replace
from pathlib import Path

import pytest
from assessed import ADAPTER, LINEAR, assessed, evidence_of, share_right, spread, trained_at, verdict_on
from small_models import questions_and_answers, save_small_model

from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.losses import answer_losses
from pipeline.finetuning.row_tokens import as_tokens
from pipeline.finetuning.train import train
from pipeline.finetuning.training_watch import ValidationLoss
from pipeline.ladder.failed_training import FailedTraining, failed_training
from pipeline.ladder.judgement import Verdict
from pipeline.ladder.verdict import judge
from schemas.dataset import Finetune

ROWS = questions_and_answers(60)
SOUND = Finetune(epochs=1, batch_size=4, learning_rate=1e-2, max_length=128)


def test_the_untuned_model_is_measured_on_the_validation_rows_and_is_no_step_of_the_adapter(tmp_path: Path) -> None:
    save_small_model(tmp_path / "model")
    base = load_base(str(tmp_path / "model"))
    before = answer_losses(base, [as_tokens(row, base, SOUND.turns, 128) for row in ROWS[48:]])
    report = train(ROWS[:48], SOUND, tmp_path / "adapter", base=base, validation=ROWS[48:])
    untuned = sum(one.earned for one in before) / sum(one.possible for one in before)
    assert report.untuned_loss == pytest.approx(untuned, rel=1e-2)
    assert [one.step for one in report.validation] == [12]
    assert failed_training(report, SOUND) is None, "it has learned a little"


def test_a_loss_that_ends_above_its_start_is_a_failure_with_what_to_change() -> None:
    losses = (3.97, 12.4, 18.1, *(9.1, 10.2, 9.6, 9.4) * 4)
    report = trained_at().model_copy(update={"losses": losses, "first_loss": 3.97, "last_loss": 9.5})
    found = failed_training(report, Finetune(learning_rate=0.2))
    assert found is not None
    assert found.why == "The training failed: its loss rose from 3.97 to 9.50."
    assert found.then == "Lower finetune.learning_rate from 0.2 to 0.001, and run `goldleaf finetune`."


def test_an_adapter_that_is_worse_on_validation_rows_than_no_adapter_has_failed() -> None:
    measured = {"validation": (ValidationLoss(step=5, loss=2.5), ValidationLoss(step=10, loss=2.2))}
    report = trained_at().model_copy(update=measured | {"untuned_loss": 2.1})
    found = failed_training(report, Finetune())
    assert found is not None
    assert found.why.endswith("the loss of the adapter is 2.20, and that of the untuned model 2.10.")
    assert "from 0.001 to 0.0002, or keep the adapter of an earlier step" in found.then
    for sound in (report.model_copy(update={"untuned_loss": 2.3}), report.model_copy(update={"untuned_loss": None})):
        assert failed_training(sound, Finetune()) is None


def test_losses_that_hardly_fall_and_differ_from_batch_to_batch_are_no_failure() -> None:
    losses = [1.20, *(1.05, 1.40) * 20]
    report = trained_at().model_copy(update={"losses": tuple(losses), "first_loss": 1.2, "last_loss": 1.22})
    assert failed_training(report, Finetune()) is None


WHY = FailedTraining(why="The training failed: its loss rose from 3.97 to 9.60.", then="Lower it.")


def test_no_verdict_recommends_by_an_adapter_that_failed() -> None:
    arms = (share_right("majority", 100, 1000), LINEAR, share_right("adapter", 33, 1000))
    evidence = replace(evidence_of(*arms), failed=WHY)
    found = judge(evidence)
    assert (found.verdict, found.rule, found.arm) == (Verdict.FAILED, "training_failed", "")
    assert (found.reasons[0], found.next_step) == (WHY.why, WHY.then)
    assert "Of the other arms a linear model on TF-IDF is the best" in found.reasons[1]
    # Too few rows are too few, whatever the training did; that it failed is said beside it.
    few = assessed(*arms, train_rows=50)
    few = few.model_copy(update={"failed": WHY, "judgement": judge(replace(evidence, train_rows=50))})
    assert few.judgement.verdict is Verdict.MORE_DATA and few.beside[0] == f"{WHY.why} {WHY.then}"


def test_an_adapter_below_the_most_frequent_answer_has_failed_where_others_learned_something() -> None:
    usual = spread("majority", 0.5)
    found = verdict_on(usual, spread("linear", 0.8, seed=1), spread("adapter", 0.3, seed=2))
    assert (found.verdict, found.rule) == (Verdict.FAILED, "training_failed")
    assert "the adapter scores 30.0%" in found.reasons[0] and "finetune.learning_rate" in found.next_step
    assert verdict_on(usual, spread("linear", 0.8, seed=1), spread("adapter", 0.49, seed=2)).rule == "compared"
    assert verdict_on(usual, spread("linear", 0.5, seed=1), spread("adapter", 0.3, seed=2)).rule == "nothing_learned"
    assert verdict_on(usual, LINEAR, ADAPTER).verdict is Verdict.TUNE
