"""The tokens by which a model parts turns and ends answers, and texts that contain them."""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.errors import Unrendered
from pipeline.finetuning.held_to_form import ends_of
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.text.screening import template_tokens
from schemas.message import Message, Speaker


@dataclass(frozen=True)
class Marks:
    """The tokens of a tokenizer that are no text."""

    tokenizer: Any
    special: frozenset[int]
    """All special tokens."""
    ends: frozenset[int]
    """Those at which generation stops."""
    begin: int | None
    unknown: int | None
    """None too if the unknown token is one that templates write, as in SmolLM2."""
    vocabulary: int | None
    """How many tokens the model has weights for; None if it does not say."""
    _control: re.Pattern[str] | None
    _written: re.Pattern[str] | None
    """What parts turns and is no token, as ``[INST]`` in Llama 2's template."""
    _markup: re.Pattern[str] | None

    @classmethod
    def of(cls, loaded: LoadedModel) -> "Marks":
        """Read them from the tokenizer, the model and the template."""
        tokenizer = loaded.tokenizer
        added = tokenizer.added_tokens_decoder
        special = frozenset(number for number, token in added.items() if token.special)
        template = str(tokenizer.chat_template)
        unknown = tokenizer.unk_token_id
        return cls(
            tokenizer=tokenizer,
            special=special,
            ends=frozenset(ends_of(loaded)),
            begin=tokenizer.bos_token_id,
            unknown=None if unknown in (tokenizer.bos_token_id, tokenizer.eos_token_id) else unknown,
            vocabulary=_vocabulary(loaded.model),
            _control=_any_of(added[number].content for number in special),
            _written=_any_of(_written_marks(loaded) - {added[number].content for number in special}),
            # Words of HTML or runs of blanks are tokens of some models; only what the template writes is markup.
            _markup=_any_of(
                token.content
                for token in added.values()
                if not token.special and token.content.strip() and token.content in template
            ),
        )

    def control_in(self, text: str) -> bool:
        """Whether a text has what parts turns: a special token that is read as one, or a mark of the template."""
        is_special = self._reads(self._control, text) and not self.special.isdisjoint(self._ids(text))
        return is_special or self._reads(self._written, text)

    def markup_in(self, text: str) -> bool:
        """Whether a text has a mark that the chat template writes too, such as ``<think>``."""
        return self._reads(self._markup, text)

    def _reads(self, pattern: re.Pattern[str] | None, text: str) -> bool:
        return pattern is not None and pattern.search(text) is not None

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    # Which one comes first does not matter: whether there is one is all that is asked.
    known = sorted(filter(None, texts))
    return re.compile("|".join(map(re.escape, known))) if known else None


def _written_marks(loaded: LoadedModel) -> set[str]:
    """The marks of the common templates that this one writes."""
    said = {role: Message(role=role, content="x") for role in (Speaker.SYSTEM, Speaker.USER, Speaker.ASSISTANT)}
    found = set[str]()
    for roles in ((Speaker.SYSTEM, Speaker.USER, Speaker.ASSISTANT), (Speaker.USER, Speaker.ASSISTANT)):
        # Some templates have no system role.
        with contextlib.suppress(Unrendered):
            found |= {*template_tokens(loaded.text([said[role] for role in roles], answer_follows=False))}
    return found


def _vocabulary(model: Any) -> int | None:
    embeddings = getattr(model, "get_input_embeddings", None)
    return None if embeddings is None else int(embeddings().weight.shape[0])
