"""Finds and loads the base model of an adapter, and puts a finished adapter back on it.

torch, transformers and peft are imported inside the functions: that takes seconds, and most of
Goldleaf works without them.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import TrainingError
from pipeline.finetuning.dtypes import DType, fast_dtype
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.model_sources import load_named, quantized
from pipeline.finetuning.training_libraries import quiet, training_packages
from schemas.dataset import Quantize

ADAPTER_CONFIG = "adapter_config.json"


def load_base(name: str, dtype: DType | None = None, quantize: Quantize | None = None) -> LoadedModel:
    """Load a base model, onto the GPU if there is one.

    Args:
        name: ``smollm2-135m-instruct``, a folder with a saved model, or a Hugging Face id.
        dtype: of the weights, or of what is computed with fewer bits; None takes the faster one here.
        quantize: load the weights in fewer bits, for training with QLoRA.

    Raises:
        TrainingError: there is no such model here, it cannot be read, it has no chat template, a Python package is
            missing, or what quantized weights need is.
    """
    with training_packages(), quiet():
        return load_named(name, dtype or fast_dtype(), quantized(quantize) if quantize else {})


def load_adapter(folder: Path, base: LoadedModel | None = None, dtype: DType | None = None) -> LoadedModel:
    """Put a saved adapter on its base model.

    Args:
        folder: the output of ``train``, or a finished adapter.
        base: its base model, if already loaded; it is wrapped in place. Otherwise the base that the
            adapter names is loaded.
        dtype: that it is then loaded in; None takes the faster one here.

    Raises:
        TrainingError: the folder has no adapter or a damaged one, or ``base`` is not the model it was trained on.
    """
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder} has no adapter: {ADAPTER_CONFIG} cannot be read ({error})") from error
    base = base or load_base(config["base_model_name_or_path"], dtype)
    trained_on = (config["base_model_name_or_path"], config["revision"])
    if (base.name, base.revision) != trained_on:
        raise TrainingError(
            f"The adapter in {folder} was trained on {trained_on[0]} ({trained_on[1]}), not on {base.name} "
            f"({base.revision}); load that base model, or fine-tune again with `goldleaf finetune --again`"
        )
    from peft import PeftModel
    from safetensors import SafetensorError

    with quiet():
        try:
            model = PeftModel.from_pretrained(base.model, folder, is_trainable=False)
        except (SafetensorError, OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(f"The adapter {folder} is damaged ({reason}); restore or remove the folder") from error
    return replace(base, model=model)


@contextlib.contextmanager
def adapted(folder: Path, base: LoadedModel) -> Iterator[LoadedModel]:
    """Put a saved adapter on its base model, and take it off again.

    Raises:
        TrainingError: as of ``load_adapter``.
    """
    loaded = load_adapter(folder, base)
    try:
        yield loaded
    finally:
        take_off(loaded.model)


def take_off(adapted: Any) -> None:
    """Take an adapter off its base model, which is as before then."""
    from peft.utils import ModulesToSaveWrapper

    model = adapted.get_base_model()
    wrapped = {name: one for name, one in model.named_modules() if isinstance(one, ModulesToSaveWrapper)}
    adapted.unload()
    # PEFT leaves what was trained as a whole (``modules_to_save``) in the place of the base model's.
    for name, one in wrapped.items():
        model.set_submodule(name, one.original_module)
