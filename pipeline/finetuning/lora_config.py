"""The adapter's configuration: PEFT's own, with the keys that a dataset.yaml gives under ``finetune.lora``."""

import dataclasses
import difflib
import re
import typing
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from pipeline.config.dataset_file import LoadedDataset
from pipeline.errors import ConfigError, LoraRefused
from pipeline.finetuning.training_libraries import quiet, training_packages
from schemas.dataset import Finetune

if TYPE_CHECKING:
    from peft import LoraConfig

_OURS = {
    "r": "finetune.rank",
    "lora_alpha": "finetune.alpha",
    "revision": "finetune.base_model",
    "base_model_name_or_path": "finetune.base_model",
}
"""Arguments that a key of their own sets."""
_FIXED = {"task_type", "peft_type", "auto_mapping", "peft_version", "inference_mode"}
"""Arguments that follow from what is trained."""
_ELSEWHERE = {
    "loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config", "monteclora_config",
    "megatron_config", "megatron_core", "runtime_config", "use_bdlora", "arrow_config", "kasa_config",
    "alora_invocation_tokens", "layer_replication",
}  # fmt: skip
"""Arguments whose values are objects of PEFT, or that change what an adapter is served with or put on."""
_INITIAL = re.compile(r"gaussian|orthogonal|olora|pissa|pissa_niter_[1-9]\d*")
_CHANGES_BASE = re.compile(r"olora|pissa.*")


def lora_config(config: Finetune, revision: str = "") -> "LoraConfig":
    """The configuration of the adapter that is to be trained; no model is needed.

    Raises:
        LoraRefused: PEFT has no such argument, or takes no such value.
        TrainingError: PEFT is not installed.
    """
    with training_packages():
        from peft import LoraConfig

    fields = {field.name for field in dataclasses.fields(LoraConfig)}
    for name in config.lora:
        _check_name(name, fields)
    hints = typing.get_type_hints(LoraConfig)
    given = {name: _checked(name, value, hints[name]) for name, value in config.lora.items()}
    _check_initial(given)
    _check_bias(given)
    try:
        with quiet():
            return LoraConfig(
                **{"target_modules": "all-linear", **given},
                r=config.rank,
                lora_alpha=config.alpha,
                task_type="CAUSAL_LM",
                revision=revision,
            )
    except (ValueError, TypeError) as error:
        raise LoraRefused(f"finetune.lora is refused by PEFT ({_line(error)}); correct it") from error


def require_modules(config: Finetune, model: Any, name: str) -> None:
    """Refuse modules that a base model does not have; PEFT sees only whether it has any of them.

    Raises:
        LoraRefused: ``finetune.lora`` names such a module.
    """
    for argument in ("target_modules", "modules_to_save"):
        given = config.lora.get(argument)
        # As PEFT reads them: a text that is not in a list is a pattern of whole paths.
        patterns = {given: given} if isinstance(given, str) else {}
        if isinstance(given, list):
            patterns = {str(one): rf"(.*\.)?{re.escape(str(one))}" for one in given}
        for one, pattern in patterns.items():
            paths = [path for path, _ in model.named_modules() if path]
            if one == "all-linear" or any(re.fullmatch(pattern, path) for path in paths):
                continue
            known = sorted({end for path in paths if not (end := path.rpartition(".")[2]).isdigit()})
            said = f"finetune.lora.{argument} names {one}, which {name} does not have"
            raise LoraRefused(f"{said}; {_nearest(one, known, 'it')}", argument)


def require_lora(dataset: LoadedDataset) -> None:
    """Refuse a ``finetune.lora`` that PEFT would refuse, by its line, before anything is loaded.

    To import PEFT takes more than 3 s, which only a file with such keys costs.

    Raises:
        ConfigError: PEFT has no such argument, or takes no such value.
        TrainingError: PEFT is not installed.
    """
    if not dataset.config.finetune.lora:
        return
    try:
        lora_config(dataset.config.finetune)
    except LoraRefused as error:
        raise ConfigError(f"{dataset.place_of('finetune', 'lora', error.argument)}: {error}") from error


def changes_base(lora: "LoraConfig") -> bool:
    """Whether the adapter's first weights are taken out of the base model's (PiSSA, OLoRA)."""
    return bool(_CHANGES_BASE.fullmatch(str(lora.init_lora_weights)))


def _check_name(name: str, known: set[str]) -> None:
    if name in _OURS:
        raise LoraRefused(f"finetune.lora sets {name}, which {_OURS[name]} sets; remove it, and set that", name)
    if name in _FIXED:
        raise LoraRefused(f"finetune.lora sets {name}, which follows from what is trained; remove it", name)
    free = sorted(known - _OURS.keys() - _FIXED - _ELSEWHERE)
    if name in free:
        return
    instead = _nearest(name, free, "PEFT's LoraConfig")
    known_there = name in known
    what = "which Goldleaf does not pass on" if known_there else "which PEFT's LoraConfig does not have"
    raise LoraRefused(f"finetune.lora sets {name}, {what}; {'remove it' if known_there else instead}", name)


def _nearest(name: str, known: list[str], whose: str) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"{whose} has {', '.join(known)}"


def _checked(name: str, value: Any, hint: Any) -> Any:
    if name == "init_lora_weights":
        if isinstance(value, bool) or (isinstance(value, str) and _INITIAL.fullmatch(value)):
            return value
        raise LoraRefused(
            f"finetune.lora.init_lora_weights is {value!r}; use true, false, gaussian, orthogonal, olora, pissa or "
            "pissa_niter_16: others need data or further objects",
            name,
        )
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        wanted = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        raise LoraRefused(f"finetune.lora.{name} is {value!r}, but PEFT takes {wanted}; correct it", name) from error


def _check_initial(given: dict[str, Any]) -> None:
    """Refuse what cannot be saved as an adapter of the original base model."""
    initial = str(given.get("init_lora_weights", True))
    if not _CHANGES_BASE.fullmatch(initial):
        return
    for name in ("use_dora", "rank_pattern", "alpha_pattern", "lora_bias", "modules_to_save"):
        if given.get(name):
            raise LoraRefused(
                f"finetune.lora sets init_lora_weights: {initial} and {name}: such an adapter cannot be converted to "
                "one of the original base model; remove either",
                name,
            )


def _check_bias(given: dict[str, Any]) -> None:
    """Refuse what trains the base model's own biases, which are then the same with the adapter and without it."""
    if (bias := given.get("bias", "none")) != "none":
        raise LoraRefused(f"finetune.lora.bias is {bias!r}, which trains the base model itself; remove it", "bias")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
