"""What a model wrote, in the one notation of calls that tasks read, whichever its tokenizer has."""

from collections.abc import Sequence
from typing import Any

from pipeline.finetuning.loaded_model import LoadedModel, Tools
from schemas.message import Message
from schemas.written_calls import write_turn


def readable_turn(text: str, loaded: LoadedModel, prompt: Sequence[Message], tools: Tools) -> str:
    """A model's text; if its tokenizer says how answers are parsed, with the calls that are found so.

    Few tokenizers say so: those with a ``response_template`` (transformers' ``parse_response``).
    """
    if not getattr(loaded.tokenizer, "response_template", None):
        return text
    before = loaded.text(prompt, tools, answer_follows=True)
    try:
        found = loaded.tokenizer.parse_response(text, prefix=before, tools=list(tools) if tools else None)
        calls = [_named(call) for call in found.get("tool_calls") or ()]
    except Exception:
        # The parser is the model's author's, and raises what it likes at a call that is not written well.
        return text
    return write_turn(str(found.get("content") or ""), calls) if calls else text


def _named(call: dict[str, Any]) -> tuple[str, Any]:
    function = call.get("function") or call
    return function["name"], function["arguments"]
