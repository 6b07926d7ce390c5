"""Tiny models with the chat templates of the large families, in words of our own; they have learned nothing."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from chat_templates import HERMES, TOKENIZER
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from pipeline.finetuning.loaded_model import LoadedModel

_TURN = "{% for m in messages %}"
_ASKS = "{% if add_generation_prompt %}"


@dataclass(frozen=True)
class Family:
    """How models of one family write conversations."""

    template: str
    special: tuple[str, ...] = ()
    """Tokens that the bundled tokenizer does not have."""
    begin: str = "<|im_start|>"
    end: str = "<|im_end|>"
    """The tokenizer's end of text."""
    ends: tuple[str, ...] = ()
    """Where generation stops, if not there."""


LLAMA = Family(
    "{{ bos_token }}" + _TURN + "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
    "{% endfor %}" + _ASKS + "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "<|begin_of_text|>",
    "<|eot_id|>",
)
MISTRAL = Family(
    "{{ bos_token }}{% set ns = namespace(system='') %}" + _TURN + "{% if m.role == 'system' %}"
    "{% set ns.system = m.content + '\n\n' %}{% elif m.role == 'user' %}"
    "[INST] {{ ns.system if loop.last or loop.nextitem.role == 'assistant' and loop.index0 + 2 == loop.length }}"
    "{{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
    ("<s>", "</s>", "[INST]", "[/INST]"),
    "<s>",
    "</s>",
)
QWEN = Family(
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}" + _TURN + "{% if"
    " m.role == 'assistant' %}<|im_start|>assistant\n{% if m.reasoning_content and loop.last %}<think>\n"
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}{% else %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}" + _ASKS + "<|im_start|>assistant\n{% endif %}",
)
PHI = Family(
    _TURN + "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}" + _ASKS + "<|assistant|>\n{% endif %}",
    ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    end="<|endoftext|>",
    ends=("<|endoftext|>", "<|end|>"),
)
GEMMA = Family(
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + _TURN
    + "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}" + _ASKS + "<start_of_turn>model\n{% endif %}",
    ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    "<bos>",
    "<eos>",
    ("<eos>", "<end_of_turn>"),
)
SMOLLM = Family(TOKENIZER.chat_template)
HERMES_CALLS = Family(HERMES)
SOUND = {"llama": LLAMA, "mistral": MISTRAL, "qwen": QWEN, "phi": PHI, "smollm": SMOLLM, "hermes": HERMES_CALLS}
"""Families in whose templates nothing is lost."""


def model_of(family: Family, **options: Any) -> LoadedModel:
    """A model of a few weights; always the same."""
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.chat_template = family.template
    tokenizer.add_tokens(list(family.special), special_tokens=True)
    tokenizer.bos_token, tokenizer.eos_token = family.begin, family.end
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 2048} | options
    config = LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, **settings)
    torch.manual_seed(7)
    model = LlamaForCausalLM(config)
    ends = tokenizer.convert_tokens_to_ids(list(family.ends or (family.end,)))
    model.generation_config = GenerationConfig(eos_token_id=ends)
    return LoadedModel(model, tokenizer, "tiny", "r")
