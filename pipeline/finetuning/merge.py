"""Merges an adapter into its base model: a model of its own, for programs that know no adapters."""

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.errors import TrainingError
from pipeline.finetuning.adapters import RECORD
from pipeline.finetuning.base_model import load_adapter, own_dtype, quiet, training_packages
from pipeline.state.atomic import flush
from pipeline.state.staging import put_in_place, staged


class Merged(BaseModel):
    """A merged model."""

    model_config = ConfigDict(frozen=True)

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
        TrainingError: the folder exists, has no adapter, its base model is not there or another one, or a package
            is missing.
    """
    if destination.exists():
        raise TrainingError(f"{destination} exists already and is not overwritten; name another folder, or remove it")
    with training_packages():
        import torch

    loaded = load_adapter(adapter, dtype="float32")
    dtype = own_dtype(loaded.name)
    with quiet():
        merged = loaded.model.merge_and_unload(safe_merge=True).to(getattr(torch, dtype))
        with staged(destination.absolute().parent) as folder:
            merged.save_pretrained(folder)
            loaded.tokenizer.save_pretrained(folder)
            if (adapter / RECORD).is_file():
                # What it was trained on.
                shutil.copyfile(adapter / RECORD, folder / RECORD)
            for path in folder.iterdir():
                # safetensors makes its files readable only by their owner.
                path.chmod(0o644)
                flush(path)
            put_in_place(folder, destination.absolute())
    return Merged(path=str(destination), base_model=loaded.name, dtype=dtype)
