"""A training that was killed goes on where it was, and ends in the same bytes; what cannot be used is said."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from killed_trainings import POINTS, ROWS
from small_models import questions_and_answers, save_small_model

from pipeline.errors import OutOfMemory, TrainingError
from pipeline.finetuning import checkpoints
from pipeline.finetuning import train as training
from pipeline.finetuning.base_model import load_base
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.train import TrainReport, train
from pipeline.finetuning.training_watch import StepReport
from schemas.dataset import Finetune, Form

CONFIG = Finetune(epochs=1, batch_size=4, learning_rate=1e-2, max_length=128, evaluate=0)
WEIGHTS = "adapter_model.safetensors"


# --- real kills -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training undisturbed, and killed at five points."""
    folder = tmp_path_factory.mktemp("lives")
    program = Path(__file__).with_name("killed_trainings.py")
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, program, folder], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "lives.json").read_text()) == [0, *[-signal.SIGKILL] * len(POINTS), 0], done.stderr
    return folder


def test_a_training_killed_at_five_points_ends_in_the_undisturbed_one_s_bytes(lives: Path) -> None:
    killed, undisturbed = (
        TrainReport.model_validate_json((lives / f"{name}.json").read_text()) for name in ("killed", "undisturbed")
    )
    assert undisturbed.steps == 2 * ROWS / 8
    assert killed.losses == undisturbed.losses
    assert killed.validation == undisturbed.validation
    assert killed.untuned_loss == undisturbed.untuned_loss is not None
    assert killed.kept_step == undisturbed.kept_step
    assert (lives / "killed" / WEIGHTS).read_bytes() == (lives / "undisturbed" / WEIGHTS).read_bytes()
    assert killed.notes == ("The training was interrupted and resumed after step 10",)
    assert undisturbed.notes == ()


def test_nothing_unfinished_remains(lives: Path) -> None:
    names = {path.name for path in lives.iterdir()}
    assert names == {"killed", "killed.json", "lives.json", "model", "undisturbed", "undisturbed.json"}


# --- what is left of an interrupted training --------------------------------------------------
class Interrupted(Exception):
    """Ends a training as an interrupt does."""


@dataclass
class Shop:
    """A small model, the result of a training, and others that were interrupted."""

    base: LoadedModel
    folder: Path
    weights: bytes

    def train(self, name: str, until: int = 0, config: Finetune = CONFIG) -> TrainReport:
        """Train; until a step, if that is given."""

        def on_step(step: StepReport) -> None:
            if step.step == until:
                raise Interrupted

        rows = questions_and_answers(40)
        kept = self.folder / f"{name}-checkpoints"
        return train(rows, config, self.folder / name, on_step, self.base, checkpoints=kept, checkpoint_seconds=0)

    def interrupted(self, name: str) -> list[Path]:
        """Train until step 6, and return the checkpoints, the newest first."""
        with pytest.raises(Interrupted):
            self.train(name, until=6)
        found = sorted((self.folder / f"{name}-checkpoints").iterdir(), reverse=True)
        assert [path.name for path in found] == ["checkpoint-5", "checkpoint-4"]
        return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    save_small_model(folder / "model")
    shop = Shop(load_base(str(folder / "model")), folder, b"")
    shop.train("undisturbed")
    shop.weights = (folder / "undisturbed" / WEIGHTS).read_bytes()
    return shop


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        (WEIGHTS, shortened),
        ("optimizer.pt", flipped),
        ("rng_state.pth", Path.unlink),
        ("trainer_state.json", shortened),
        ("checkpoint.json", shortened),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    shop: Shop, file: str, damage: Callable[[Path], None]
) -> None:
    name = f"damaged-{file}"
    newest, _ = shop.interrupted(name)
    damage(newest / file)
    said, went_on = shop.train(name).notes[:2]
    assert said.startswith(f"The checkpoint {newest} cannot be used ({'[' if file.startswith('rng') else file}")
    assert said.endswith("; it is removed")
    assert went_on == "The training was interrupted and resumed after step 4"
    assert (shop.folder / name / WEIGHTS).read_bytes() == shop.weights


def test_without_a_checkpoint_that_is_whole_training_begins_anew(shop: Shop) -> None:
    for folder in shop.interrupted("both"):
        shortened(folder / "optimizer.pt")
    report = shop.train("both")
    assert len(report.notes) == 2 and all("optimizer.pt is damaged" in note for note in report.notes)
    assert (shop.folder / "both" / WEIGHTS).read_bytes() == shop.weights


def test_another_training_never_goes_on_from_there(shop: Shop) -> None:
    shop.interrupted("other")
    report = shop.train("other", config=CONFIG.model_copy(update={"seed": 18}))
    assert len(report.notes) == 2
    assert all("it is of a training with other rows, settings or another base model" in one for one in report.notes)
    assert (shop.folder / "other" / WEIGHTS).read_bytes() != shop.weights


def test_other_settings_of_the_evaluation_are_no_other_training(shop: Shop) -> None:
    shop.interrupted("asked")
    others = {"slow_rows": 100, "eval_rows": 50, "seeds": 2, "form": Form.FREE, "max_new_tokens": 9}
    report = shop.train("asked", config=CONFIG.model_copy(update=others))
    assert report.notes[0] == "The training was interrupted and resumed after step 5"
    assert (shop.folder / "asked" / WEIGHTS).read_bytes() == shop.weights


def test_a_training_that_ends_within_an_epoch_takes_no_step_more_if_it_is_killed_at_its_end(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Interrupted

    half = CONFIG.model_copy(update={"epochs": 0.5})
    undisturbed = shop.train("half", config=half)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(training, "save", killed)
        shop.train("half-killed", config=half)
    report = shop.train("half-killed", config=half)
    assert report.losses == undisturbed.losses
    assert len({(shop.folder / name / WEIGHTS).read_bytes() for name in ("half", "half-killed")}) == 1


def test_a_full_disk_costs_checkpoints_but_not_the_training(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "flush", full)
    report = shop.train("full")
    assert report.notes[0] == (
        "The checkpoint of step 1 cannot be written ([Errno 28] No space left on device); training goes on without it"
    )
    assert (shop.folder / "full" / WEIGHTS).read_bytes() == shop.weights


def test_a_training_whose_memory_another_program_took_goes_on(shop: Shop) -> None:
    def on_step(step: StepReport) -> None:
        if step.step == 6:
            torch.empty(2**55, dtype=torch.int8)

    kept, rows = shop.folder / "crowded-checkpoints", questions_and_answers(40)
    with pytest.raises(OutOfMemory, match=r"lower finetune\.batch_size .* the same command goes on where it was"):
        train(rows, CONFIG, shop.folder / "crowded", on_step, shop.base, checkpoints=kept, checkpoint_seconds=0)
    assert [path.name for path in sorted(kept.iterdir())] == ["checkpoint-4", "checkpoint-5"]
    assert shop.train("crowded").notes[0] == "The training was interrupted and resumed after step 5"
    assert (shop.folder / "crowded" / WEIGHTS).read_bytes() == shop.weights


def test_a_loss_that_is_no_number_leaves_no_checkpoints(shop: Shop) -> None:
    with pytest.raises(TrainingError, match=r"lower finetune\.learning_rate"):
        shop.train("astray", config=CONFIG.model_copy(update={"learning_rate": 1e30}))
    assert not (shop.folder / "astray-checkpoints").exists()


def test_weights_that_were_lost_in_the_last_step_are_never_kept(shop: Shop) -> None:
    rows, config = questions_and_answers(8), CONFIG.model_copy(update={"batch_size": 8, "learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"The validation loss is nan at step 1; lower finetune\.learning_rate"):
        train(rows, config.model_copy(update={"evaluate": 1}), shop.folder / "lost", None, shop.base, validation=rows)
    assert not (shop.folder / "lost").exists()


def test_progress_counts_the_steps_before_a_kill(shop: Shop) -> None:
    shop.interrupted("counted")
    steps: list[StepReport] = []
    rows, kept = questions_and_answers(40), shop.folder / "counted-checkpoints"
    report = train(rows, CONFIG, shop.folder / "counted", steps.append, shop.base, checkpoints=kept)
    assert [(step.step, step.more) for step in steps] == [(6, 6), (7, 1), (8, 1), (9, 1), (10, 1)]
    assert report.steps == 10
