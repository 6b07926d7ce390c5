"""What a training comes to, by the lengths of its rows: its batches, its steps, and the memory that it takes."""

import contextlib
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from pydantic import BaseModel, computed_field

from pipeline.finetuning.loaded_model import LoadedModel
from schemas.dataset import Finetune

_MEGABATCH = 50
_BYTES_OF_ADAPTER = 16
"""Of each trained parameter: the weight, its gradient and the optimizer's two moments, in 32 bits each."""
_BYTES_OF_SIDE = {"bfloat16": 3.3, "float32": 4.7}
"""What a step takes for each token and each input and output of the linear layers: measured, see docs/decisions.md."""
_FIXED_BYTES = 300_000_000
"""What training takes whatever the rows: its libraries, and room to work in."""
_BYTES_OF_SCORE = 12
"""Of each scored position and word of the vocabulary: the score, its softmax and its gradient, in 32 bits each."""
_MARGIN = 1.5
"""An estimate that is that much above what is free is believed; memory cannot be known better without taking it."""

_CGROUP = Path("/sys/fs/cgroup")
_CONTAINERS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""What a container may take and has taken, and how much of that is files that can be read again: by both versions of
Linux's control groups."""

_Numbers = npt.NDArray[np.int64]


class Plan(BaseModel, frozen=True):
    """What a training would do, by the lengths of its rows."""

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


class Memory(BaseModel, frozen=True):
    """Memory that training takes beside the loaded model, estimated by the model's layers."""

    weights: int
    """Bytes of the loaded model, which are taken already."""
    needed: int
    """Bytes for adapter, optimizer and the largest batch."""
    free: int
    """Bytes that are free where the model is."""
    fitting_batch: int
    """The largest batch size that would fit, 0 if none."""

    @property
    def fits(self) -> bool:
        """Whether there is enough, by the estimate."""
        return self.needed <= self.free

    @property
    def is_hopeless(self) -> bool:
        """Whether there would be too little even if the estimate were too high."""
        return self.needed > _MARGIN * self.free


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
        steps=math.ceil(math.ceil(len(batches) / config.accumulate) * config.epochs),
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


# --- memory -----------------------------------------------------------------------------------
def memory(base: LoadedModel, plan: Plan, config: Finetune, scored: int) -> Memory:
    """What training takes beside the loaded model, and what is free.

    Args:
        base: the model.
        plan: for its largest batch.
        config: for the rank of the adapter.
        scored: the most positions of a row that are scored against the vocabulary.
    """
    model = base.model
    head, embedded = model.get_output_embeddings(), model.get_input_embeddings().weight
    layers = [module for module in model.modules() if hasattr(module, "in_features") and module is not head]
    sides = sum(layer.in_features + layer.out_features for layer in layers)
    adapter = config.rank * sides * _BYTES_OF_ADAPTER
    token = sides * _BYTES_OF_SIDE[base.dtype]
    if model.device.type == "cuda":
        # Only what goes into a block of layers is kept there; one block at a time is computed again.
        blocks = model.config.num_hidden_layers
        token = token / blocks + blocks * embedded.shape[1] * embedded.element_size()
    tokens = plan.largest_batch // config.batch_size
    row = max(1, int(tokens * token) + scored * int(embedded.shape[0]) * _BYTES_OF_SCORE)
    free = free_memory(base)
    return Memory(
        weights=sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()),
        needed=_FIXED_BYTES + adapter + row * config.batch_size,
        free=free,
        fitting_batch=max(0, (free - adapter - _FIXED_BYTES) // row),
    )


def free_memory(base: LoadedModel) -> int:
    """Bytes that are free where the model is."""
    if base.model.device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(base.model.device)[0])
    return min(int(psutil.virtual_memory().available), _free_of_container())


def _free_of_container() -> int:
    """What a container's limit leaves, where there is one: beyond it the kernel ends the process without a word."""
    left = sys.maxsize
    for limit, used, details, cached in _CONTAINERS:
        # Without a limit it says "max", or a number beyond all memory.
        with contextlib.suppress(OSError, ValueError, KeyError):
            known = dict(line.split() for line in (_CGROUP / details).read_text().splitlines())
            taken = int((_CGROUP / used).read_text()) - int(known[cached])
            left = min(left, int((_CGROUP / limit).read_text()) - taken)
    return max(0, left)
