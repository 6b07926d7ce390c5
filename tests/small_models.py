"""Models of a few weights, which load in an instant and have learned nothing."""

from pathlib import Path
from typing import Any

import torch
from chat_templates import TOKENIZER
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, SmolLM3Config

from pipeline.finetuning.examples import Example
from schemas.message import Message, Speaker

KINDS: dict[str, Any] = {
    "llama": LlamaConfig,
    "mistral": MistralConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "smollm3": SmolLM3Config,
}
"""Their configurations, by the kind of model."""


def save_small_model(folder: Path, kind: str = "llama", **options: Any) -> None:
    """Save one with its tokenizer; always the same weights."""
    TOKENIZER.save_pretrained(folder)
    sizes = {
        "vocab_size": len(TOKENIZER),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "pad_token_id": TOKENIZER.pad_token_id,
    }
    torch.manual_seed(7)
    AutoModelForCausalLM.from_config(KINDS[kind](**(sizes | options))).save_pretrained(folder)


def questions_and_answers(count: int) -> list[Example]:
    """Rows of several lengths."""
    names = ("apple", "pear", "plum", "cherry", "a very long kind of fruit indeed")
    rows = []
    for number in range(count):
        name = names[number % len(names)]
        asked = Message(role=Speaker.USER, content=f"What is number {number}, the {name}" + " please" * (number % 7))
        said = Message(role=Speaker.ASSISTANT, content=name)
        rows.append(Example(f"r{number}", (asked,), (said,), {}))
    return rows
