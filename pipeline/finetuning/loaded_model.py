"""A base model with its tokenizer, with or without an adapter: how conversations become its tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pipeline.errors import Unrendered
from pipeline.finetuning.dtypes import DType
from pipeline.finetuning.template_clock import on_one_day
from schemas.message import Message, Speaker

Tools = Sequence[Mapping[str, Any]] | None
"""Definitions of the tools that a conversation may call, as chat templates take them."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready for generation or training, with its tokenizer.

    Both are ``Any``: the libraries' annotations do not cover what is called here.
    """

    model: Any
    """A ``PreTrainedModel``, or the ``PeftModel`` around one."""
    tokenizer: Any
    """A ``PreTrainedTokenizerBase`` with a chat template and a padding token."""
    name: str
    """The name that ``load_base`` finds the base by; adapters are saved with it."""
    revision: str
    """Of the base: the commit on the Hugging Face Hub, or ``sha256:`` of a local model's files."""

    @property
    def dtype(self) -> DType:
        """Of the base model's weights."""
        return cast(DType, str(self.model.dtype).removeprefix("torch."))

    def text(self, messages: Sequence[Message], tools: Tools = None, *, answer_follows: bool) -> str:
        """Render a conversation with the chat template; ``answer_follows`` opens the assistant's turn.

        Raises:
            Unrendered: the template fails.
        """
        try:
            [text] = self.rendered([messages], tools, answer_follows=answer_follows)
        except Exception as error:
            # A template is a program of the model's author: it refuses what it does not know in ways of its own.
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise Unrendered(f"the chat template of {self.name} cannot render a conversation ({said})") from error
        return text

    def require_template(self) -> None:
        """Refuse a chat template that fails on every conversation, so that no row is at fault.

        Raises:
            Unrendered: it fails on the simplest one.
        """
        turns = [Message(role=role, content="x") for role in (Speaker.USER, Speaker.ASSISTANT)]
        try:
            self.text(turns, answer_follows=False)
        except Unrendered as error:
            raise Unrendered(
                f"{error}, whatever the rows say; correct the model's chat_template.jinja, or set another "
                "finetune.base_model"
            ) from error

    def rendered(self, chats: Sequence[Sequence[Message]], tools: Tools, *, answer_follows: bool) -> list[str]:
        """Render conversations with the same tools at once; if the template fails, its own error is raised."""
        known = list(tools) if tools else None
        texts: list[str] = self.tokenizer.apply_chat_template(
            [[message.for_template() for message in chat] for chat in chats],
            tools=known,
            add_generation_prompt=answer_follows,
            tokenize=False,
            chat_template=on_one_day(self.tokenizer.get_chat_template(tools=known)),
        )
        return texts

    def token_ids(self, messages: Sequence[Message], tools: Tools = None, *, answer_follows: bool) -> list[int]:
        """The same as tokens."""
        text = self.text(messages, tools, answer_follows=answer_follows)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
