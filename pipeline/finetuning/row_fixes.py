"""What preflight is told to do about rows: leave some out, and shorten the inputs of others."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import Unrendered
from pipeline.finetuning.examples import Example, Examples
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_tokens import RenderedRow
from schemas.message import Message, Speaker

_LEAST = 8
"""Tokens of an input that are kept at least: a row without its input teaches nothing."""
_ROUNDS = 20
"""A cut may change the tokens around it, so that another is needed; a row with more inputs than this stays too long."""


@dataclass(frozen=True, slots=True)
class Fixes:
    """Which rows of a split are left out, and which are shortened."""

    dropped: frozenset[str] = frozenset()
    """Ids of rows with an error of their own."""
    shortened: frozenset[str] = frozenset()
    """Ids of rows whose inputs are cut."""
    inputs: tuple[str, ...] = ()
    """The task's input fields."""
    limit: int = 0
    """Tokens that a shortened row has at most."""

    def applied(self, examples: Examples, loaded: LoadedModel) -> "FixedExamples":
        """The rows to go on with, in their order."""
        return FixedExamples(examples, self, loaded)

    def kept(self, examples: Examples) -> "KeptExamples":
        """The same rows, none of them shortened."""
        return KeptExamples(examples, self.dropped)

    def whole(self, examples: Examples) -> Iterator[Example]:
        """Those that are shortened, as they are."""
        return (example for example in examples if example.id in self.shortened)


@dataclass(frozen=True, slots=True)
class FixedExamples:
    """Rows that are fixed whenever they are read.

    Iterating raises Unrendered if the template fails on a row that it rendered before.
    """

    examples: Examples
    fixes: Fixes
    loaded: LoadedModel

    def __len__(self) -> int:
        return len(self.fixes.kept(self.examples))

    def __iter__(self) -> Iterator[Example]:
        fixes = self.fixes
        for example in fixes.kept(self.examples):
            is_cut = example.id in fixes.shortened
            yield (shortened(example, self.loaded, fixes.limit, fixes.inputs) or example) if is_cut else example


@dataclass(frozen=True, slots=True)
class KeptExamples:
    """Rows without those that are left out."""

    examples: Examples
    dropped: frozenset[str]

    def __len__(self) -> int:
        return len(self.examples) - len(self.dropped)

    def __iter__(self) -> Iterator[Example]:
        return (example for example in self.examples if example.id not in self.dropped)


def shortened(example: Example, loaded: LoadedModel, limit: int, inputs: Collection[str]) -> Example | None:
    """The row with its longest input cut at its end, on a token's border, so that it has at most ``limit`` tokens.

    Instruction and answer stay whole. Where that input would lose nearly everything, the next longest is cut, too.
    None if this is not enough, or if the prompt does not show the inputs as they are.

    Raises:
        Unrendered: the template fails.
    """
    texts = set(_input_texts(example.fields, inputs))
    for _ in range(_ROUNDS):
        excess = len(RenderedRow(example, loaded)) - limit
        if excess <= 0:
            return example
        pieces = {(place, text): _ends(text, loaded) for place, text in _shown(example.prompt, texts)}
        place, text = max(pieces, key=lambda piece: len(pieces[piece]), default=(0, ""))
        ends = pieces.get((place, text), [])
        if len(ends) <= _LEAST:
            return None
        kept = text[: ends[max(_LEAST, len(ends) - excess) - 1]].rstrip()
        texts.add(kept)
        example = replace(example, prompt=_with(example.prompt, place, text, kept))
    return None


def fitted(example: Example, loaded: LoadedModel, limit: int, inputs: Collection[str]) -> Example | None:
    """The same; a row that the template refuses once it is cut is not shortened."""
    try:
        return shortened(example, loaded, limit, inputs)
    except Unrendered:
        return None


def _input_texts(fields: Mapping[str, Any], inputs: Collection[str]) -> Iterator[str]:
    """The texts that may be cut: those of the inputs, and in a conversation what users and tools say."""
    for name, value in fields.items():
        if isinstance(value, str):
            if name in inputs and value:
                yield value
        elif isinstance(value, list):
            turns = (turn for turn in value if isinstance(turn, dict) and turn.get("role") in ("user", "tool"))
            yield from (turn["content"] for turn in turns if turn.get("content"))


def _shown(prompt: tuple[Message, ...], texts: Collection[str]) -> Iterator[tuple[int, str]]:
    """Which of the texts stand in which turn of a user or tool."""
    for place, message in enumerate(prompt):
        if message.role in (Speaker.USER, Speaker.TOOL):
            yield from ((place, text) for text in texts if text in message.content)


def _ends(text: str, loaded: LoadedModel) -> list[int]:
    """Where each token of a text ends."""
    places = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [stop for _, stop in places]


def _with(prompt: tuple[Message, ...], place: int, text: str, kept: str) -> tuple[Message, ...]:
    """The prompt with a text cut in one turn; a field's text stands at the end of what names it."""
    before, _, after = prompt[place].content.rpartition(text)
    changed = prompt[place].model_copy(update={"content": before + kept + after})
    return (*prompt[:place], changed, *prompt[place + 1 :])
