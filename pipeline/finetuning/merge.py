"""Merges an adapter into its base model: a model of its own, for programs that know no adapters."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.errors import TrainingError
from pipeline.finetuning.adapters import RECORD
from pipeline.finetuning.base_model import load_adapter
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.model_sources import own_dtype
from pipeline.finetuning.training_libraries import quiet, training_packages
from pipeline.state.atomic import flush
from pipeline.state.staging import put_in_place, staged

_CONFIG = "config.json"
_TOKENIZER = "tokenizer_config.json"
_TRIED = 32
"""Tokens that a merged model is tried with."""


class Merged(BaseModel, frozen=True):
    """A merged model."""

    path: str
    base_model: str
    dtype: str
    """Of its weights: that of the base model."""


def merge_adapter(adapter: Path, destination: Path) -> Merged:
    """Write the base model with the adapter's weights added, its tokenizer and its generation settings.

    The sum is computed in float32, and rounded once to the numbers of the base model.

    Args:
        adapter: the folder of an adapter.
        destination: a folder that does not exist; it appears whole.

    Raises:
        TrainingError: the folder exists, has no adapter, its base model is not there or another one, a package is
            missing, or the adapter cannot be added to the weights.
    """
    if destination.exists():
        raise TrainingError(f"{destination} exists already and is not overwritten; name another folder, or remove it")
    with training_packages():
        import torch

    loaded = load_adapter(adapter, dtype="float32")
    dtype = own_dtype(loaded.name)
    with quiet():
        merged = _merged(loaded, adapter).to(getattr(torch, dtype))
        with staged(destination.absolute().parent) as folder:
            merged.save_pretrained(folder)
            loaded.tokenizer.save_pretrained(folder)
            _name_as_before(folder, loaded.tokenizer.model_input_names)
            if (adapter / RECORD).is_file():
                # What it was trained on.
                shutil.copyfile(adapter / RECORD, folder / RECORD)
            for path in folder.iterdir():
                # safetensors makes its files readable only by their owner.
                path.chmod(0o644)
                flush(path)
            put_in_place(folder, destination.absolute())
    return Merged(path=str(destination), base_model=loaded.name, dtype=dtype)


def _merged(loaded: LoadedModel, adapter: Path) -> Any:
    """The sum, if it computes what both compute together: that of tied embeddings, for example, changes the output."""
    import torch

    def logits(model: Any) -> torch.Tensor:
        ids = torch.arange(min(_TRIED, model.get_input_embeddings().weight.shape[0]), device=model.device)[None]
        with torch.inference_mode():
            found: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        return found

    cannot = f"The adapter in {adapter} cannot be merged"
    expected = logits(loaded.model.eval())
    try:
        merged = loaded.model.merge_and_unload(safe_merge=True)
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise TrainingError(f"{cannot} ({said}); serve it on its base model") from error
    # A rounding is smaller by far, and what is wrong larger.
    if not torch.allclose(logits(merged), expected, rtol=0, atol=0.01 * float(expected.abs().max())):
        raise TrainingError(
            f"{cannot}: the sum of the weights computes something else, as it does if embeddings are trained that are "
            "tied to the output; serve it on its base model"
        )
    return merged


def _name_as_before(folder: Path, model_inputs: Sequence[str]) -> None:
    """Add the names by which transformers before 5 reads what 5 writes; servers and converters often bring it.

    Without them it refuses the tokenizer, and takes the default base of the rotary positions without a word: then the
    model answers, but not as it was trained.
    """
    tokenizer = json.loads((folder / _TOKENIZER).read_text())
    if tokenizer.get("tokenizer_class") == "TokenizersBackend":
        # By default, its class for all of them makes token types, too, which most models refuse.
        before = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": list(model_inputs)}
        _write(folder / _TOKENIZER, tokenizer | before)
    config = json.loads((folder / _CONFIG).read_text())
    rope = config.get("rope_parameters") or {}
    # Layers of different kinds have parameters of their own, which it knows under other names.
    if "rope_theta" in rope:
        scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
        config.setdefault("rope_theta", rope["rope_theta"])
        if scaling.get("rope_type", "default") != "default":
            config.setdefault("rope_scaling", scaling)
        _write(folder / _CONFIG, config)


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
