"""Trains a small model in processes that are killed: `python tests/killed_trainings.py FOLDER`.

Each life is a process of its own, forked from this one, which imports what training needs once and computes nothing.
The training is killed at five points; ``undisturbed`` and ``killed`` are the outcomes with and without that.
"""

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from forked import Point, die_at
from small_models import questions_and_answers, save_small_model

from flows.settings import prepare_training
from pipeline.finetuning.train import train
from pipeline.finetuning.training_watch import StepReport
from schemas.dataset import Finetune

ROWS = 40
CHECKPOINTS, WATCH = "pipeline.finetuning.checkpoints", "pipeline.finetuning.training_watch"
POINTS: tuple[Point | int, ...] = (
    # After a step, before its checkpoint.
    3,
    # Within the writing of a checkpoint.
    Point(CHECKPOINTS, "checksum_of", "before", 20),
    # A checkpoint is complete, but not renamed.
    Point(CHECKPOINTS, "put_in_place", "before", 3),
    # A validation loss is measured, but in no checkpoint.
    Point(WATCH, "best_of", "before", 2),
    # Between the last step and the saved adapter.
    Point("pipeline.finetuning.train", "save", "before", 1),
)


def life(folder: Path, output: Path, killed_at: Point | int | None) -> None:
    """Train in this process, or die."""
    config = Finetune(
        base_model=str(folder / "model"),
        epochs=2,
        batch_size=4,
        accumulate=2,
        learning_rate=1e-2,
        evaluate=2,
        max_length=128,
        lora={"lora_dropout": 0.1},
    )
    if isinstance(killed_at, Point):
        die_at(killed_at)

    def on_step(step: StepReport) -> None:
        if step.step == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    rows = questions_and_answers(ROWS)
    report = train(
        rows,
        config,
        output,
        on_step,
        validation=rows[:6],
        checkpoints=output.with_name(f"{output.name}-checkpoints"),
        checkpoint_seconds=0,
    )
    output.with_suffix(".json").write_text(report.model_dump_json())


def in_a_process(target: Callable[..., object], *args: object) -> int:
    """Call something in a process of its own, and return its exit status."""
    child = os.fork()
    if not child:
        try:
            target(*args)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path) -> None:
    """Write how each life ended to ``lives.json``."""
    in_a_process(save_small_model, folder / "model")
    ended = [in_a_process(life, folder, folder / "undisturbed", None)]
    ended += [in_a_process(life, folder, folder / "killed", point) for point in (*POINTS, None)]
    (folder / "lives.json").write_text(json.dumps(ended))


def import_once() -> None:
    """What trains, before the processes fork; what is imported stays, so that none of them looks for garbage in it."""
    import datasets
    import peft
    import torch
    import trl.trainer.sft_trainer

    assert all((datasets, peft, torch, trl.trainer.sft_trainer))
    prepare_training()
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    import_once()
    main(Path(sys.argv[1]))
