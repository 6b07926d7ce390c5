"""Keeps a model to a grammar while it writes: of all tokens only those that can go on to an answer of the form."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import TrainingError
from pipeline.finetuning.loaded_model import LoadedModel

if TYPE_CHECKING:
    import torch

_FUEL = 1_000_000_000
"""Expressions that the library may build for a grammar and for a step. By default it stops at a million, which a set of
2,000 labels exceeds."""


class FormKeeper:
    """Makes a logits processor for each batch; the tokenizer is prepared once, which takes a second."""

    def __init__(self, loaded: LoadedModel, grammar: str, left: str = "") -> None:
        """Take the model that writes, the grammar, and what the model writes before each answer.

        Raises:
            TrainingError: the grammar cannot be used.
        """
        from llguidance import LLMatcher, LLParserLimits
        from llguidance.hf import from_tokenizer

        self._ends = ends_of(loaded)
        self._tokenizer = from_tokenizer(loaded.tokenizer, n_vocab=loaded.model.config.vocab_size, eos_token=self._ends)
        limits = LLParserLimits(initial_lexer_fuel=_FUEL, step_lexer_fuel=_FUEL)
        self._start = LLMatcher(self._tokenizer, _preceded(grammar, left), limits=limits)
        _require_sound(self._start)

    def matchers(self, rows: int) -> list[Any]:
        """What follows one answer each, from its beginning."""
        return [self._start.deep_copy() for _ in range(rows)]

    def processor(self, rows: int, prompt_width: int) -> Any:
        """A logits processor for a batch of prompts, all of one width.

        It raises a TrainingError where the library cannot go on.
        """
        import torch
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
        from transformers import LogitsProcessor

        ends, matchers = self._ends, self.matchers(rows)
        allowed = allocate_token_bitmask(rows, self._tokenizer.vocab_size)

        class Keeper(LogitsProcessor):
            def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
                for row, matcher in enumerate(matchers):
                    if input_ids.shape[1] > prompt_width and not matcher.is_stopped():
                        matcher.consume_token(int(input_ids[row, -1]))
                    if not matcher.is_stopped():
                        fill_next_token_bitmask(matcher, allowed, row)
                    # A matcher that failed is stopped, too, which would pass for a complete answer.
                    _require_sound(matcher)
                held = scores.float().cpu()
                # The library's own function for torch is compiled by a C++ compiler at its first call.
                bits = np.unpackbits(allowed.view(np.uint8), axis=1, bitorder="little")[:, : held.shape[1]]
                held.masked_fill_(torch.from_numpy(bits) == 0, float("-inf"))
                # What is complete before the model ends it can only end; its last mask would let it repeat itself.
                complete = [row for row, matcher in enumerate(matchers) if matcher.is_stopped()]
                held[complete] = float("-inf")
                for end in ends:
                    held[complete, end] = 0.0
                return held.to(scores)

        return Keeper()


def _preceded(grammar: str, text: str) -> str:
    """A grammar whose answers come after a text."""
    if not text:
        return grammar
    start, *others = grammar.split("\n")
    return "\n".join([f"start: {json.dumps(text)} ({start.removeprefix('start:')})", *others])


def _require_sound(matcher: Any) -> None:
    if error := matcher.get_error():
        said = " ".join(str(error).split())[:200]
        raise TrainingError(f"The form of the task's answers cannot be enforced ({said}); set finetune.form: free")


def ends_of(loaded: LoadedModel) -> list[int]:
    """The tokens that end an answer; a model that names none is stopped at its tokenizer's end."""
    ends = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)
    known = [] if ends is None else ends if isinstance(ends, list) else [ends]
    return known or [one for one in (loaded.tokenizer.eos_token_id,) if one is not None]
