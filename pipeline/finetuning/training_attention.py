"""Attention while a model trains on short rows, on their common beginning and what follows it in each.

Rows stand in one sequence behind their common beginning: each sees the beginning and itself. A mask over all pairs of
tokens would say the same, but then all pairs are computed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.finetuning.attention_masks import follows_masks, innermost

if TYPE_CHECKING:
    import torch

_NAME = "goldleaf_shared_beginning"
_PLAIN = "sdpa"
_MOST_PAIRS = 3_000_000
"""Of tokens, in all heads, up to which a CPU multiplies them faster than the kernel does, whose backward pass is slow.

A layer of 9 heads in bfloat16 takes 10 ms instead of 16 for 8 rows of 60 tokens, 27 instead of 36 for 120 tokens, and
95 instead of 81 for 250. The weights are kept for the backward pass, 6 bytes a pair."""


@dataclass(frozen=True)
class Rests:
    """What follows the common beginning."""

    start: int
    """Tokens of the beginning."""
    places: "torch.Tensor"
    """Of each row's tokens in the sequence, rows x tokens of the longest; shorter ones repeat their last place."""
    is_there: "torch.Tensor"
    """Which of these are not such repetitions."""
    mask: "torch.Tensor"
    """Which of a row's tokens see which of the beginning's and the row's, tokens x (beginning and tokens)."""

    @classmethod
    def of(cls, lengths: "torch.Tensor", width: int) -> "Rests":
        """Rows of some lengths, one behind the other at the end of a sequence of a width."""
        import torch

        longest, start = int(lengths.max()), width - int(lengths.sum())
        at = torch.arange(longest, device=lengths.device)
        first = start + lengths.cumsum(0) - lengths
        places = first[:, None] + torch.minimum(at, lengths[:, None] - 1)
        own = torch.ones(longest, longest, dtype=torch.bool, device=lengths.device).tril()
        seen = torch.cat([own.new_ones(longest, start), own], dim=1)
        return cls(start, places, at < lengths[:, None], seen)


@dataclass
class _Reading:
    """The rows that are read at the moment: attention functions are told nothing that a model does not know."""

    rests: Rests | None = None


_reading = _Reading()


def read_rests(rests: Rests | None) -> None:
    """Say what the next batch is, until another one is: a backward pass may compute the same again."""
    _reading.rests = rests


@contextmanager
def attention_for_training(model: Any, longest: int) -> Iterator[bool]:
    """Prepare a model for batches of rows behind a common beginning; whether it can read them.

    Args:
        model: a ``PreTrainedModel``, or the ``PeftModel`` around one; afterwards it is as before.
        longest: tokens of the longest row.
    """
    inner = innermost(model)
    if not follows_masks(model, longest) or not _takes_functions(inner):
        yield False
        return
    _register()
    try:
        inner.set_attn_implementation(_NAME)
        yield inner.config.get_text_config()._attn_implementation == _NAME
    finally:
        read_rests(None)
        inner.set_attn_implementation(_PLAIN)


def _takes_functions(model: Any) -> bool:
    """Whether its attention is a function that can be replaced, and limits no score before they are compared."""
    config = model.config.get_text_config()
    return model._can_set_attn_implementation() and getattr(config, "attn_logit_softcapping", None) is None


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)


def _attend(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    **options: Any,
) -> "tuple[torch.Tensor, None]":
    """Attention as transformers call it: (rows, heads, tokens, size) each, and (rows, tokens, heads, size) returned."""
    import torch

    rests, states = _reading.rests, (query, key, value)
    if rests is None:
        return _attention(module, states, attention_mask, options), None
    beginnings = [one[:, :, : rests.start] for one in states]
    beginning = _attention(module, beginnings, None, options)
    own = [_rows(one, rests.places) for one in states]
    seen = [
        torch.cat([before.expand(len(after), -1, -1, -1), after], dim=2)
        for before, after in zip(beginnings[1:], own[1:], strict=True)
    ]
    found = _attention(module, [own[0], *seen], rests.mask, options)
    return torch.cat([beginning, found[rests.is_there][None]], dim=1), None


def _rows(states: "torch.Tensor", places: "torch.Tensor") -> "torch.Tensor":
    """What stands at some places of a sequence, (rows, heads, tokens, size)."""
    there = states[0].transpose(0, 1).index_select(0, places.flatten())
    return there.view(*places.shape, *there.shape[1:]).transpose(1, 2)


def _attention(
    module: "torch.nn.Module", states: "Sequence[torch.Tensor]", mask: "torch.Tensor | None", options: dict[str, Any]
) -> "torch.Tensor":
    """In whatever way is the fastest; without a mask a token sees those before it."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward as by_kernel

    query, key, value = states
    pairs = query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2]
    if query.device.type != "cpu" or pairs > _MOST_PAIRS:
        return by_kernel(module, query, key, value, mask, **options)[0]
    if mask is None:
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    return _by_products(query, key, value, mask, options)


def _by_products(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", mask: "torch.Tensor", options: dict[str, Any]
) -> "torch.Tensor":
    """Attention as it is defined; the heads that share keys are multiplied as one."""
    import torch

    rows, heads, tokens, size = query.shape
    groups, length = key.shape[1:3]
    scale = options.get("scaling") or size**-0.5
    flat = (query * scale).reshape(rows * groups, -1, size)
    scores = torch.bmm(flat, key.reshape(rows * groups, length, size).mT).view(rows, heads, tokens, length)
    # The least number, not infinity: a token of padding may see nothing.
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=-1, dtype=torch.float32)
    weights = torch.nn.functional.dropout(weights.to(value.dtype), options.get("dropout") or 0.0)
    found = torch.bmm(weights.view(rows * groups, -1, length), value.reshape(rows * groups, length, -1))
    return found.view(rows, heads, tokens, -1).transpose(1, 2)
