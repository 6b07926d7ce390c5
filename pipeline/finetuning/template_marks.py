"""The tokens by which a model parts turns and ends answers, and texts that contain them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.finetuning.base_model import LoadedModel


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
            ends=frozenset(_ends(loaded)),
            begin=tokenizer.bos_token_id,
            unknown=None if unknown in (tokenizer.bos_token_id, tokenizer.eos_token_id) else unknown,
            vocabulary=_vocabulary(loaded.model),
            _control=_any_of(added[number].content for number in special),
            # Words of HTML or runs of blanks are tokens of some models; only what the template writes is markup.
            _markup=_any_of(
                token.content
                for token in added.values()
                if not token.special and token.content.strip() and token.content in template
            ),
        )

    def control_in(self, text: str) -> bool:
        """Whether a text has a special token of this tokenizer, and is read as one."""
        return self._reads(self._control, text) and not self.special.isdisjoint(self._ids(text))

    def markup_in(self, text: str) -> bool:
        """Whether a text has a mark that the chat template writes too, such as ``<think>``."""
        return self._reads(self._markup, text)

    def _reads(self, pattern: re.Pattern[str] | None, text: str) -> bool:
        return pattern is not None and pattern.search(text) is not None

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    # Longer ones first does not matter: whether there is one is all that is asked.
    known = sorted(filter(None, texts))
    return re.compile("|".join(map(re.escape, known))) if known else None


def _ends(loaded: LoadedModel) -> list[int]:
    """As generation reads them; a model that names none is stopped at its tokenizer's end."""
    named = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)
    known = [] if named is None else named if isinstance(named, list) else [named]
    return known or [one for one in (loaded.tokenizer.eos_token_id,) if one is not None]


def _vocabulary(model: Any) -> int | None:
    embeddings = getattr(model, "get_input_embeddings", None)
    return None if embeddings is None else int(embeddings().weight.shape[0])
