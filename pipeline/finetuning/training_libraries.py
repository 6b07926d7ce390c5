"""How torch, transformers and peft are used: without noise on the terminal, and with errors that users understand."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from pipeline.errors import TrainingError


@contextlib.contextmanager
def training_packages() -> Iterator[None]:
    """Name a Python package that is missing.

    Raises:
        TrainingError: there is one.
    """
    try:
        yield
    except ImportError as error:
        raise TrainingError(
            f"Fine-tuning needs the Python package '{error.name}'; run `pip install 'goldleaf[train]'`"
        ) from error


def lacks_memory(error: Exception) -> bool:
    """Whether an error says that there is too little memory, of a GPU or of the machine."""
    import torch

    # A CPU's allocator raises a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars, log lines and usage reports off the user's terminal.

    Only warnings are hidden that the libraries raise at one another. Everything is restored
    afterwards.
    """
    import datasets
    from huggingface_hub import constants
    from transformers.utils import logging

    log: Any = logging  # half of its functions have no annotations
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    data_bars, telemetry = datasets.are_progress_bars_disabled(), constants.HF_HUB_DISABLE_TELEMETRY
    log.set_verbosity_error()
    log.disable_progress_bar()
    datasets.disable_progress_bars()
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        with warnings.catch_warnings():
            for name in ("gradient_checkpointing", "is_gradient_checkpointing"):
                warnings.filterwarnings("ignore", message=f"`{name}` is deprecated", category=FutureWarning)
            yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
        if not data_bars:
            datasets.enable_progress_bars()
        constants.HF_HUB_DISABLE_TELEMETRY = telemetry
