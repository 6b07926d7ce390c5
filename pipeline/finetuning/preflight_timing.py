"""How long a training will take, by a few real steps of it, which take half a minute at most, or a single step."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel

from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.machine_load import Load, machine_load
from pipeline.finetuning.train import train
from pipeline.finetuning.training_watch import StepReport
from pipeline.text.wording import counted, shown_duration
from schemas.dataset import Finetune

TIMED_STEPS = 4
"""Of each kind of batch, at most; the first of them, which prepares things, does not count if there are others."""
MOST_SECONDS = 30.0
"""No further step is begun after these; of the usual batch not after half of them."""
_OF_TIME = {
    "base_model",
    "quantize",
    "max_rows",
    "turns",
    "epochs",
    "batch_size",
    "accumulate",
    "packing",
    "rank",
    "lora",
    "max_length",
    "fix",
    "seed",
}
"""The settings that the time of a training depends on."""


class Timing(BaseModel, frozen=True):
    """What some real steps of training took, and what all of them would."""

    steps: int
    """How many were timed."""
    usual_step: float
    """Seconds of a step of the median batch."""
    largest_step: float
    """Seconds of a step of the batch with most tokens; by its tokens, if steps take too long to try it."""
    seconds: float
    """Estimated for the whole training, without evaluation."""
    load: Load | None = None
    """Of the machine meanwhile; None if it is not known."""

    def __str__(self) -> str:
        busy = f", while the machine was busy: {self.load}" if self.load and self.load.is_busy else ""
        return (
            f"about {shown_duration(self.seconds)} of training, by the tokens of all batches: a usual step took "
            f"{self.usual_step:.2g} s here, that with most tokens {self.largest_step:.2g} s "
            f"({counted(self.steps, 'step')} tried of at most {2 * TIMED_STEPS}{busy})"
        )


class _Tried(NamedTuple):
    """Some steps on a batch."""

    seconds: float
    """Of one."""
    steps: int


class _Enough(Exception):
    """The steps have taken long enough."""


def time_depends_on(digest: str, config: Finetune, base: LoadedModel) -> tuple[str, ...]:
    """Equal ones, equal times, as long as the machine is the same."""
    settings = config.model_dump_json(include=_OF_TIME)
    return digest, settings, base.revision, base.dtype, base.model.device.type, str(os.cpu_count())


def timed(
    usual: Sequence[Example],
    largest: Sequence[Example],
    padded: Sequence[int],
    config: Finetune,
    base: LoadedModel,
    on_step: Callable[[int], None],
) -> Timing:
    """Train for a few steps on two batches, and forget what was learned.

    Args:
        usual: a batch of the usual length.
        largest: the batch with most tokens.
        padded: tokens with padding of every batch of an epoch, then of these two.
        config: how would be trained.
        base: the model; it is as before afterwards.
        on_step: called with 1 after each step.

    Raises:
        TrainingError: the training fails, as it would later.
    """
    *epoch, few, many = padded
    began = time.monotonic()
    first = _tried(usual, config, base, on_step, began + MOST_SECONDS / 2)
    # Where even one step takes long, the largest batch is not tried for its time.
    likely = first.seconds * many / few
    fits = time.monotonic() + likely <= began + MOST_SECONDS
    second = _tried(largest, config, base, on_step, began + MOST_SECONDS) if fits else _Tried(likely, 0)
    seconds, most = first.seconds, second.seconds
    # A step takes some time whatever its batch, and the rest by its tokens. If other programs were in the way, or the
    # batches are alike, the two cannot be told apart.
    each = (most - seconds) / (many - few) if many > few else 0.0
    if not 0 < each <= seconds / few:
        each = (seconds + most) / (few + many)
    fixed = max(0.0, (seconds + most - each * (few + many)) / 2)
    total = (fixed * len(epoch) + each * sum(epoch)) * config.epochs
    steps = first.steps + second.steps
    return Timing(steps=steps, usual_step=seconds, largest_step=most, seconds=total, load=machine_load())


def _tried(
    batch: Sequence[Example], config: Finetune, base: LoadedModel, on_step: Callable[[int], None], until: float
) -> _Tried:
    """Some steps on a batch, at least one; none is begun after ``until``, by the monotonic clock."""
    ends: list[float] = []

    def ended(report: StepReport) -> None:
        ends.append(report.seconds)
        on_step(1)
        if time.monotonic() >= until and len(ends) < TIMED_STEPS:
            raise _Enough

    steps = {"epochs": 1, "max_rows": None, "batch_size": len(batch), "accumulate": 1, "evaluate": 0}
    short = config.model_copy(update=steps)
    with tempfile.TemporaryDirectory(prefix="goldleaf-preflight-") as folder, contextlib.suppress(_Enough):
        train([*batch] * TIMED_STEPS, short, Path(folder) / "adapter", ended, base)
    taken = np.diff([0.0, *ends])
    return _Tried(float(np.median(taken[1:] if len(taken) > 1 else taken)), len(taken))
