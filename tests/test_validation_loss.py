"""The loss on the validation split is that of its answers; it decides which adapter is kept, and when training ends."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file
from small_models import questions_and_answers, save_small_model

from pipeline.finetuning import training_watch
from pipeline.finetuning.base_model import load_adapter, load_base
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.losses import answer_losses
from pipeline.finetuning.row_tokens import as_tokens
from pipeline.finetuning.train import train
from pipeline.finetuning.training_watch import StepReport, ValidationLoss, Watch, best_of
from schemas.dataset import Finetune, Turns
from schemas.message import Message, Speaker

ROWS = questions_and_answers(24)
VALIDATION = questions_and_answers(40)[24:33]
CONFIG = Finetune(epochs=3, batch_size=4, learning_rate=1e-2, max_length=128, evaluate=2)
# What is learned speaks against these answers, and the more so the longer it is.
STRANGE = [
    replace(row, completion=(Message(role=Speaker.ASSISTANT, content="purple zebras run " * 10),)) for row in VALIDATION
]
ASTRAY = CONFIG.model_copy(update={"learning_rate": 1.0, "patience": 2})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("small")
    save_small_model(folder)
    return load_base(str(folder), "float32")


def measured(base: LoadedModel, adapter: Path, rows: Sequence[Example] = VALIDATION) -> float:
    """The loss of a saved adapter on some rows, token by token."""
    loaded = load_adapter(adapter, base)
    losses = answer_losses(loaded, [as_tokens(row, base, Turns.EVERY) for row in rows])
    loaded.model.unload()
    return sum(one.earned for one in losses) / sum(one.possible for one in losses)


def test_the_loss_is_measured_at_equal_distances_and_the_best_adapter_is_kept(
    small: LoadedModel, tmp_path: Path
) -> None:
    steps: list[StepReport] = []
    report = train(ROWS, CONFIG, tmp_path / "adapter", steps.append, small, validation=VALIDATION)
    assert [one.step for one in report.validation] == [3, 6, 9, 12, 15, 18]
    best = best_of(report.validation)
    assert best is not None and report.kept_step == best.step
    assert measured(small, tmp_path / "adapter") == pytest.approx(best.loss, rel=1e-4)
    assert [step.validation_loss for step in steps[:5]] == [None, None, None, *[report.validation[0].loss] * 2]
    assert f"(validation {report.validation[0].loss:.3f})" in str(steps[4])


def test_training_ends_once_nothing_is_better_for_a_while(small: LoadedModel, tmp_path: Path) -> None:
    report = train(ROWS, ASTRAY, tmp_path / "adapter", base=small, validation=STRANGE)
    losses = [one.loss for one in report.validation]
    best = losses.index(min(losses))
    assert len(losses) == best + 3 < 6
    assert report.steps == report.validation[-1].step < 18
    assert report.kept_step == report.validation[best].step
    assert report.notes == (
        f"The training stopped after step {report.steps} of 18: the last 2 validation losses were not below that of "
        f"step {report.kept_step}",
    )
    assert measured(small, tmp_path / "adapter", STRANGE) == pytest.approx(losses[best], rel=1e-4)


def test_resumed_training_keeps_the_best_adapter_from_before_the_kill(small: LoadedModel, tmp_path: Path) -> None:
    whole = train(ROWS, ASTRAY, tmp_path / "whole", base=small, validation=STRANGE)

    def stop(step: StepReport) -> None:
        if step.step == whole.steps:
            raise KeyboardInterrupt

    kept = tmp_path / "checkpoints"
    with pytest.raises(KeyboardInterrupt):
        train(ROWS, ASTRAY, tmp_path / "again", stop, small, validation=STRANGE, checkpoints=kept, checkpoint_seconds=0)
    again = train(ROWS, ASTRAY, tmp_path / "again", base=small, validation=STRANGE, checkpoints=kept)
    assert again.notes[0] == f"The training was interrupted and resumed after step {whole.steps - 1}"
    assert (again.validation, again.losses, again.kept_step) == (whole.validation, whole.losses, whole.kept_step)
    one, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "again"))
    assert all((one[name] == other[name]).all() for name in one)


def test_without_validation_rows_all_epochs_are_trained_and_that_is_said(small: LoadedModel, tmp_path: Path) -> None:
    notes: list[str] = []
    report = train(ROWS, CONFIG.model_copy(update={"patience": 1}), tmp_path / "a", base=small, on_note=notes.append)
    assert report.steps == report.kept_step == 18
    assert report.validation == ()
    assert notes == list(report.notes)
    assert notes == ["There are no validation rows to measure the loss on: the last step is kept"]
    silent = train(ROWS, CONFIG.model_copy(update={"evaluate": 0}), tmp_path / "b", base=small, validation=VALIDATION)
    assert (silent.validation, silent.notes) == ((), ())


@pytest.mark.parametrize(
    ("evaluate", "in_epoch", "due"),
    [
        (1, 4, [4, 8, 10]),
        (2, 4, [2, 4, 6, 8, 10]),
        (4, 6, [2, 3, 5, 6, 8, 9, 10]),
        (9, 2, list(range(1, 11))),
        (0, 4, []),
    ],
)
def test_measurements_are_spread_over_an_epoch(evaluate: int, in_epoch: int, due: list[int]) -> None:
    watch = Watch(1, evaluate, None, 60, None)
    assert [step for step in range(1, 11) if watch.is_evaluation_due(step, 10, in_epoch)] == due


def test_the_first_step_says_nothing_of_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the longest rows: by the mean with it, 45 minutes were left where there were 28."""
    told: list[StepReport] = []
    watch = Watch(1, 0, None, 60, told.append)
    for step, seconds in enumerate((100.0, 112.0, 115.0, 119.0)):
        monkeypatch.setattr(training_watch, "time", SimpleNamespace(monotonic=lambda now=seconds: now))
        state = SimpleNamespace(global_step=20 + step, max_steps=123, is_world_process_zero=True)
        watch.report(state, 0.5) if step else watch.begin(20, [])
    assert [report.seconds_left for report in told] == [None, 3.0 * 101, 3.5 * 100]
    assert [str(report).partition("loss")[0] for report in told] == ["", "5 min left, ", "6 min left, "]


def test_patience_without_measurements_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"patience waits for measurements, of which evaluate: 0 takes none"):
        Finetune(patience=2, evaluate=0)


def test_of_equal_losses_the_first_is_the_best() -> None:
    losses = [ValidationLoss(step=step, loss=loss) for step, loss in ((1, 2.0), (2, 1.0), (3, 1.0))]
    assert best_of(losses) == losses[1]
    assert best_of([]) is None
