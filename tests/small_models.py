"""A model of a few weights, which loads in an instant and has learned nothing."""

from pathlib import Path
from typing import Any

import torch
from chat_templates import TOKENIZER
from transformers import LlamaConfig, LlamaForCausalLM


def save_small_model(folder: Path, **options: Any) -> None:
    """Save one with its tokenizer; always the same weights."""
    TOKENIZER.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        **options,
    )
    torch.manual_seed(7)
    LlamaForCausalLM(config).save_pretrained(folder)
