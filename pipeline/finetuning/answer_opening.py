"""What a chat template writes between the prompt by which a model is asked and its answer, such as empty reasoning.

A tuned model has learned to write it. Nobody wants it in an answer, and no grammar of answers has it: it is given with
the prompt, as far as tokens do not reach from it into the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import Unrendered
from pipeline.finetuning.loaded_model import LoadedModel, Tools
from schemas.message import Message, Speaker

_ANSWER = "Answer7f3a9c"
"""A text that no prompt has."""
_BEGINNINGS = ("A", "a", "7", "{", "[")
"""Of answers: with some of them, the last characters before may become one token."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What comes before answers; for all prompts of a task the same."""

    lead: str = ""
    """What the template writes after the prompt."""
    left: str = ""
    """The end of prompt and lead that makes a token with the answer, so that the model has to write it."""

    @classmethod
    def after(cls, prompt: Sequence[Message], tools: Tools, loaded: LoadedModel) -> "Opening":
        """Find it by an answer to a prompt; empty if the template shows none, or writes the prompt differently then.

        Raises:
            Unrendered: the template refuses the prompt.
        """
        opened = loaded.text(prompt, tools, answer_follows=True)
        try:
            turn = Message(role=Speaker.ASSISTANT, content=_ANSWER)
            whole = loaded.text([*prompt, turn], tools, answer_follows=False)
        except Unrendered:
            return cls()
        at = whole.rfind(_ANSWER)
        lead = whole[len(opened) : at] if whole.startswith(opened) and at >= 0 else ""
        known = [_tokens(opened + lead + first, loaded) for first in _BEGINNINGS]
        shared = 0
        while all(shared < len(one) and one[shared] == known[0][shared] for one in known):
            shared += 1
        border = known[0][shared - 1][2] if shared else 0
        return cls(lead, (opened + lead)[border:])

    def token_ids(self, prompt: Sequence[Message], tools: Tools, loaded: LoadedModel) -> list[int]:
        """A prompt and its lead as tokens, without what is left to the model.

        Raises:
            Unrendered: the template refuses the prompt.
        """
        text = loaded.text(prompt, tools, answer_follows=True) + self.lead
        border = len(text) - len(self.left)
        return [number for number, _, stop in _tokens(text + _BEGINNINGS[0], loaded) if stop <= border]


def _tokens(text: str, loaded: LoadedModel) -> list[tuple[int, int, int]]:
    """The ids, and where in the text each token begins and ends."""
    found = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [(number, *place) for number, place in zip(found["input_ids"], found["offset_mapping"], strict=True)]
