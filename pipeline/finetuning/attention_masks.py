"""Which models can be told token by token what each of their tokens sees."""

import inspect
from collections.abc import Sequence
from typing import Any

_FULL = "full_attention"
_WITH_MASKS = "sdpa"
"""The attention that takes a mask of truth values; "eager" would add them as numbers, others leave the mask unread."""


def follows_masks(model: Any, longest: int) -> bool:
    """Whether a model goes by the mask of four dimensions and the positions that it is given, and by nothing else.

    Args:
        model: a ``PreTrainedModel``, or the ``PeftModel`` around one.
        longest: tokens of the longest text: a mask says nothing of the window that some layers have.
    """
    config = model.config.get_text_config()
    if getattr(innermost(model), "_is_stateful", False) or getattr(config, "alibi", False):
        return False
    if "position_ids" not in parameters(model) or getattr(config, "_attn_implementation", None) != _WITH_MASKS:
        return False
    kinds = getattr(config, "layer_types", None) or [_FULL]
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return longest <= min((window for window in windows if window), default=longest if {*kinds} == {_FULL} else 0)


def parameters(model: Any) -> Sequence[str]:
    """What a model's forward pass takes, by name."""
    return list(inspect.signature(innermost(model).forward).parameters)


def innermost(model: Any) -> Any:
    """The model itself, without the adapter."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
