"""How long a training will take and how much memory: what is planned, and a few real steps of it."""

import math
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from pydantic import BaseModel, ConfigDict, computed_field

from pipeline.finetuning.base_model import LoadedModel
from pipeline.finetuning.examples import Example
from pipeline.finetuning.train import StepReport, train
from schemas.dataset import Finetune

TIMED_STEPS = 4
"""Of each kind of batch; the first of them, which prepares things, does not count."""
_MEGABATCH = 50
_POLL_SECONDS = 0.02
_BYTES_OF_ADAPTER = 16
"""Of each trained parameter: the weight, its gradient and the optimizer's two moments, in 32 bits each."""
_BYTES_OF_NUMBER = {"bfloat16": 2, "float32": 4}
_KEPT_OF_LINEAR = 1.6
"""Numbers that a training step keeps of each token for each input and output of a linear layer: measured, see
docs/decisions.md."""
_COPIES_OF_SCORES = 3
"""Of each scored token's row over the vocabulary in 32 bits: the scores, their softmax and their gradient."""

_Numbers = npt.NDArray[np.int64]


class Plan(BaseModel):
    """What a training would do, by the lengths of its rows."""

    model_config = ConfigDict(frozen=True)

    rows: int
    """Of an epoch: those that are drawn."""
    epochs: float
    steps: int
    tokens: int
    """Of an epoch, with prompts, without padding."""
    padded_tokens: int
    """The same with padding: what is computed."""
    trained_tokens: int
    largest_batch: int
    """Tokens with padding."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def padding(self) -> float:
        """Share of the computed tokens that is padding."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def trained_share(self) -> float:
        """Share of the rows' tokens that the loss is computed on."""
        return self.trained_tokens / self.tokens if self.tokens else 0.0


class Timing(BaseModel):
    """What some real steps of training took, and what all of them would."""

    model_config = ConfigDict(frozen=True)

    steps: int
    """How many were timed."""
    usual_step: float
    """Seconds of a step of the median batch."""
    largest_step: float
    """Seconds of a step of the batch with most tokens."""
    seconds: float
    """Estimated for the whole training, without evaluation."""
    peak_bytes: int
    """Memory that the steps of the largest batch took beside the loaded model, measured."""


class Memory(BaseModel):
    """Memory that training takes beside the loaded model."""

    model_config = ConfigDict(frozen=True)

    weights: int
    """Bytes of the loaded model, which are taken already."""
    needed: int
    """Bytes for adapter, optimizer and the largest batch: measured if some steps were timed, else by the layers."""
    free: int
    """Bytes that are free where the model is."""
    measured: bool
    fitting_batch: int
    """The largest batch size that would fit, 0 if none."""

    @property
    def fits(self) -> bool:
        """Whether there is enough."""
        return self.needed <= self.free


def batches_of(tokens: _Numbers, size: int, seed: int) -> list[_Numbers]:
    """The places of the rows of each batch, as the trainer groups them by length."""
    order = np.random.default_rng(seed).permutation(len(tokens))
    mega = size * (min(len(order) // (size * 4), _MEGABATCH) or 1)
    sorted_ = [part[np.argsort(-tokens[part], kind="stable")] for part in _parts(order, mega)]
    grouped: _Numbers = np.concatenate(sorted_) if sorted_ else order
    return list(_parts(grouped, size))


def _parts(places: _Numbers, size: int) -> Iterator[_Numbers]:
    return (places[start : start + size] for start in range(0, len(places), size))


def planned(tokens: _Numbers, trained: _Numbers, batches: Sequence[_Numbers], config: Finetune) -> Plan:
    """What an epoch over these batches, and all epochs, come to."""
    padded = [_padded(tokens[batch]) for batch in batches]
    return Plan(
        rows=len(tokens),
        epochs=config.epochs,
        steps=math.ceil(len(batches) * config.epochs),
        tokens=int(tokens.sum()),
        padded_tokens=sum(padded),
        trained_tokens=int(trained.sum()),
        largest_batch=max(padded, default=0),
    )


def _padded(tokens: _Numbers) -> int:
    return int(tokens.max()) * len(tokens)


def typical_batches(tokens: _Numbers, batches: Sequence[_Numbers]) -> tuple[_Numbers, _Numbers]:
    """Of the full batches, that with the median number of tokens, and that with the most."""
    size = max(map(len, batches))
    by_size = sorted((batch for batch in batches if len(batch) == size), key=lambda batch: _padded(tokens[batch]))
    return by_size[len(by_size) // 2], by_size[-1]


# --- time -------------------------------------------------------------------------------------
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
    seconds, _ = _seconds(usual, config, base, on_step)
    most, peak = _seconds(largest, config, base, on_step)
    *epoch, few, many = padded
    # A step takes some time whatever its batch, and the rest by its tokens. If other programs were in the way, or the
    # batches are alike, the two cannot be told apart.
    each = (most - seconds) / (many - few) if many > few else 0.0
    if not 0 < each <= seconds / few:
        each = (seconds + most) / (few + many)
    fixed = max(0.0, (seconds + most - each * (few + many)) / 2)
    total = (fixed * len(epoch) + each * sum(epoch)) * config.epochs
    return Timing(steps=2 * TIMED_STEPS, usual_step=seconds, largest_step=most, seconds=total, peak_bytes=peak)


def _seconds(
    batch: Sequence[Example], config: Finetune, base: LoadedModel, on_step: Callable[[int], None]
) -> tuple[float, int]:
    """Seconds of a step on a batch, and the memory that its steps took."""
    ends: list[float] = []

    def ended(report: StepReport) -> None:
        ends.append(time.monotonic())
        on_step(1)

    short = config.model_copy(update={"epochs": 1, "max_rows": None, "batch_size": len(batch)})
    with tempfile.TemporaryDirectory(prefix="goldleaf-preflight-") as folder, _peak(base) as peak:
        train([*batch] * TIMED_STEPS, short, Path(folder) / "adapter", ended, base)
    return float(np.median(np.diff(ends))), peak()


# --- memory -----------------------------------------------------------------------------------
def memory(base: LoadedModel, plan: Plan, config: Finetune, scored: int, timing: Timing | None) -> Memory:
    """What training takes beside the loaded model, and what is free.

    Args:
        base: the model.
        plan: for its largest batch.
        config: for the rank of the adapter.
        scored: the most positions of a row that are scored against the vocabulary.
        timing: has the measured need, if some steps were timed.
    """
    layers = [module for module in base.model.modules() if hasattr(module, "in_features")]
    head = base.model.get_output_embeddings()
    inner = [layer for layer in layers if layer is not head]
    sides = sum(layer.in_features + layer.out_features for layer in inner)
    adapter = config.rank * sides * _BYTES_OF_ADAPTER
    number = _BYTES_OF_NUMBER[base.dtype]
    vocabulary = base.model.get_input_embeddings().weight.shape[0]
    row = _row_bytes(plan.largest_batch // config.batch_size, scored, sides, number, vocabulary)
    needed = timing.peak_bytes if timing else adapter + row * config.batch_size
    free = _free(base)
    # What was measured tells how much a row takes, too.
    row = max(1, (needed - adapter) // config.batch_size)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in base.model.parameters())
    return Memory(
        weights=weights,
        needed=needed,
        free=free,
        measured=timing is not None,
        fitting_batch=max(0, (free - adapter) // row),
    )


def _row_bytes(tokens: int, scored: int, sides: int, number: int, vocabulary: int) -> int:
    """Bytes that a step keeps of one row."""
    return int(tokens * sides * number * _KEPT_OF_LINEAR + scored * vocabulary * 4 * _COPIES_OF_SCORES)


def _free(base: LoadedModel) -> int:
    if base.model.device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(base.model.device)[0])
    return int(psutil.virtual_memory().available)


@contextmanager
def _peak(base: LoadedModel) -> Iterator[Callable[[], int]]:
    """How many bytes more than at the beginning were taken at most, until it is asked."""
    if base.model.device.type == "cuda":
        import torch

        before = torch.cuda.memory_allocated(base.model.device)
        torch.cuda.reset_peak_memory_stats(base.model.device)
        yield lambda: int(torch.cuda.max_memory_allocated(base.model.device) - before)
        return
    process = psutil.Process()
    before = most = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(_POLL_SECONDS):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(0, most - before)
    finally:
        done.set()
        watcher.join()
