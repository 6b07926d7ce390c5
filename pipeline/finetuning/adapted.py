"""A base model while it has an adapter that is trained; afterwards it is as before."""

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import TrainingError
from pipeline.finetuning.base_model import take_off
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.lora_config import changes_base

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig


@contextlib.contextmanager
def with_new_adapter(loaded: LoadedModel, lora: "LoraConfig", seed: int) -> Iterator[Any]:
    """A PEFT model around the base, with an adapter whose first weights the seed decides.

    Raises:
        TrainingError: the model has no such layers, or they cannot be trained.
    """
    from peft import get_peft_model
    from transformers import set_seed

    # Such an adapter takes its first weights out of the base model's.
    weights = _copied(loaded.model) if changes_base(lora) else {}
    forward = loaded.model.__dict__.get("forward")
    restored = _settings_kept(loaded.model)
    set_seed(seed)
    try:
        adapted = get_peft_model(loaded.model, lora)
    except ValueError as error:
        raise TrainingError(
            f"The adapter does not fit {loaded.name} ({' '.join(str(error).split())[:300]}); correct finetune.lora"
        ) from error
    try:
        _check_head(adapted)
        yield adapted
    finally:
        take_off(adapted)
        # TRL puts a function of its own in its place.
        loaded.model.__dict__.pop("forward", None)
        if forward is not None:
            loaded.model.forward = forward
        restored()
        if weights:
            loaded.model.load_state_dict(weights)


def _settings_kept(model: Any) -> Callable[[], None]:
    """Note what a model's configurations say; TRL changes them: where an answer ends, and what experts report.

    Returns what sets them back.
    """
    configs = [model.config, model.config.get_text_config()]
    known = [dict(vars(config)) for config in configs]
    generation = copy.deepcopy(model.generation_config)

    def set_back() -> None:
        for config, before in zip(configs, known, strict=True):
            vars(config).clear()
            vars(config).update(before)
        model.generation_config = generation

    return set_back


def _check_head(adapted: Any) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    if isinstance(adapted.get_output_embeddings(), BaseTunerLayer):
        raise TrainingError(
            "finetune.lora puts an adapter on the layer that scores the vocabulary, which TRL does not train; take it "
            "out of target_modules, or put it into modules_to_save"
        )


def keep_initial(adapted: Any, folder: Path) -> Path:
    """Save an adapter before it is trained, so that ``save`` can subtract it."""
    config = adapted.peft_config["default"]
    initial = config.init_lora_weights
    # As PEFT's documentation has it: loaded again, it must not be taken out of the base once more.
    config.init_lora_weights = True
    adapted.save_pretrained(folder, save_embedding_layers=False)
    config.init_lora_weights = initial
    return folder


def save(adapted: Any, best: "dict[str, torch.Tensor]", initial: Path | None, output: Path) -> None:
    """Write the trained adapter, for the base model as it was before.

    Args:
        adapted: the model as it is after training.
        best: the weights to take instead of the last ones; empty takes these.
        initial: of an adapter that changed the base model, what ``keep_initial`` saved.
        output: the folder.
    """
    from peft import set_peft_model_state_dict

    if best:
        set_peft_model_state_dict(adapted, best)
    conversion = {"path_initial_model_for_weight_conversion": str(initial)} if initial else {}
    with warnings.catch_warnings():
        # For the conversion, PEFT loads the first weights beside the trained ones, which it warns of elsewhere.
        warnings.filterwarnings("ignore", message=".* changes the base weights of the model", category=UserWarning)
        adapted.save_pretrained(output, save_embedding_layers=False, **conversion)


def _copied(model: Any) -> "dict[str, torch.Tensor]":
    return {name: weight.clone() for name, weight in model.state_dict().items()}
