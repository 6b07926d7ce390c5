"""Chat templates that treat turns in different ways, for SmolLM2's tokenizer; no weights are loaded."""

import copy
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import transformers
from huggingface_hub import constants
from transformers import AutoTokenizer

from pipeline.finetuning import model_sources
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.state.staging import put_in_place, staged


def _tokenizer() -> Any:
    """Its vocabulary takes 3.5 CPU seconds to read from the GGUF file, and 0.1 from the folder that is kept here."""
    kept = Path(constants.HF_ASSETS_CACHE) / "goldleaf" / "tests" / f"smollm2-transformers-{transformers.__version__}"
    if not kept.is_dir():
        file = model_sources.bundled_file()
        found = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
        # Another process may be faster.
        with suppress(OSError), staged(kept.parent) as unfinished:
            found.save_pretrained(unfinished)
            put_in_place(unfinished, kept)
    return AutoTokenizer.from_pretrained(kept)


TOKENIZER = _tokenizer()
HEAD = "{% for m in messages %}<|im_start|>{{ m.role }}\n"
OPENS = "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
HERMES = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>\n{% endif %}"
    f"{HEAD}{{{{ m.content }}}}{{% for c in m.tool_calls or [] %}}\n<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}'
    f"<|im_end|>\n{OPENS}"
)
TEMPLATES = {
    "smollm2": TOKENIZER.chat_template,
    "hermes": HERMES,
    # Qwen 3 shows the reasoning of the last turn only, and opens an empty one.
    "reasoning of the last turn": (
        f"{HEAD}{{% if loop.last and m.reasoning_content %}}<think>{{{{ m.reasoning_content }}}}</think>{{% endif %}}"
        "{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think></think>{% endif %}"
    ),
    "trims and joins": (
        "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content | trim }}</s>"
        "{% else %}[INST] {{ m.content | trim }} [/INST]{% endif %}{% endfor %}"
    ),
    "counts the turns": f"{{{{ messages | length }}}} turns\n{HEAD}{{{{ m.content }}}}<|im_end|>\n{OPENS}",
    "the last two": (
        "{% for m in messages[-2:] %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    ),
}


def with_template(name: str) -> LoadedModel:
    """A model that renders by one of them."""
    # Of its own: other tests of this process save the tokenizer with their models.
    tokenizer = copy.copy(TOKENIZER)
    tokenizer.chat_template = TEMPLATES[name]
    return LoadedModel(SimpleNamespace(config=SimpleNamespace()), tokenizer, name, "r")
