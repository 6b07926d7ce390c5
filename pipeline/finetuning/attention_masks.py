"""Which models can be told what each of their tokens sees: token by token, or by positions that begin anew."""

import inspect
from collections.abc import Sequence
from typing import Any

_FULL = "full_attention"
_WITH_MASKS = "sdpa"
"""The attention that takes a mask of truth values; "eager" would add them as numbers, others leave the mask unread."""

_TRIED = 8
"""Tokens of a row that is tried."""


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


def keeps_rows_apart(model: Any) -> bool:
    """Whether a row is read as by itself if another one stands before it, and only positions that begin anew say so.

    It is tried: layers without attention, or without positions, carry on what they have read.

    Args:
        model: a ``PreTrainedModel``, or the ``PeftModel`` around one.
    """
    import torch

    if "position_ids" not in parameters(model):
        return False
    device, was_training = model.device, model.training
    positions = torch.arange(_TRIED, device=device).repeat(2)[None]
    rows = torch.arange(3 * _TRIED, device=device).remainder(model.get_input_embeddings().weight.shape[0])
    first, second, last = rows.view(3, _TRIED)
    model.eval()
    with torch.no_grad():
        after = [
            model(input_ids=torch.cat([before, last])[None], position_ids=positions, use_cache=False).logits
            for before in (first, second)
        ]
    model.train(was_training)
    one, other = (logits[:, _TRIED:].float() for logits in after)
    return torch.allclose(one, other, rtol=0, atol=1e-3 * float(one.abs().max()))


def parameters(model: Any) -> Sequence[str]:
    """What a model's forward pass takes, by name."""
    return list(inspect.signature(innermost(model).forward).parameters)


def innermost(model: Any) -> Any:
    """The model itself, without the adapter."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
