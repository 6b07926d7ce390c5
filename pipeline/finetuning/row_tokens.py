"""A row through the chat template: its tokens, which of them the assistant says, and whether its calls are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import Unrendered
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel, Tools
from schemas.dataset import Turns
from schemas.message import FunctionCall, Message, Speaker

_NO_WORD = "call_of_no_function_7f3a9c"
"""A name that no conversation has; that of a function may stand in any prompt."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """One row as the model sees it."""

    ids: list[int]
    learned: list[bool]
    """For each token, whether it is part of what the assistant says in a turn that counts."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def answer_tokens(self) -> int:
        """How many tokens the loss is computed on."""
        return sum(self.learned)


class RenderedRow:
    """A row rendered with the model's chat template, as ``apply_chat_template`` does."""

    def __init__(self, example: Example, loaded: LoadedModel) -> None:
        """Render the conversation once, and count its tokens.

        Raises:
            Unrendered: the template fails.
        """
        self._example, self._loaded = example, loaded
        self._messages = messages_of(example)
        self._text = loaded.text(self._messages, example.tools, answer_follows=False)
        found = loaded.tokenizer(self._text, add_special_tokens=False, return_offsets_mapping=True)
        self._ids: list[int] = found["input_ids"]
        self._places: list[tuple[int, int]] = found["offset_mapping"]

    def __len__(self) -> int:
        return len(self._ids)

    def tokens(self, turns: Turns, limit: int | None = None) -> Tokens:
        """The tokens up to a limit, and which of them are learned.

        Every turn is rendered by itself, so that a long conversation takes time with the square of its turns: ask for
        the length first, and for no more tokens than are read.

        Raises:
            Unrendered: the template fails.
        """
        places = self._places[:limit]
        spans = self._spans(turns, places[-1][1] if places else 0)
        return Tokens(self._ids[:limit], _within(places, spans))

    def _spans(self, turns: Turns, end: int) -> list[tuple[int, int]]:
        """What the assistant says, as places in the text, up to its first turn that begins after ``end``.

        A turn begins where the conversation that includes it differs from the prompt before it.
        """
        spans: list[tuple[int, int]] = []
        for place in learned_turns(self._messages, turns):
            prompt = opened(self._messages[:place], self._example.tools, self._loaded)
            until = self._until(place)
            # Some templates show a turn differently once others follow: it cannot be learned from this text.
            if not self._text.startswith(until):
                continue
            start = common(prompt, until)
            if start >= end:
                break
            spans.append((start, len(until)))
        return spans

    def _until(self, place: int) -> str:
        if place + 1 == len(self._messages):
            return self._text
        return self._loaded.text(self._messages[: place + 1], self._example.tools, answer_follows=False)


def as_tokens(example: Example, loaded: LoadedModel, turns: Turns, limit: int | None = None) -> Tokens:
    """Render a row, and find what the assistant says in its first ``limit`` tokens.

    Raises:
        Unrendered: the template fails.
    """
    return RenderedRow(example, loaded).tokens(turns, limit)


def messages_of(example: Example) -> list[Message]:
    """A row's whole conversation."""
    return [*example.prompt, *example.completion]


def written_turn(example: Example, place: int, loaded: LoadedModel) -> str:
    """A turn as the model has to write it: its calls in the template's notation, and the end of the turn.

    Raises:
        Unrendered: the template fails.
    """
    messages = messages_of(example)
    until = loaded.text(messages[: place + 1], example.tools, answer_follows=False)
    return until[common(opened(messages[:place], example.tools, loaded), until) :]


def calling_turns(example: Example) -> list[int]:
    """The places of the turns after the user's last one, and before the last, in which tools are called."""
    messages = messages_of(example)
    asked = max((place for place, turn in enumerate(messages) if turn.role is Speaker.USER), default=-1)
    return [
        place
        for place, turn in enumerate(messages[:-1])
        if place > asked and turn.role is Speaker.ASSISTANT and turn.tool_calls and turn.weight != 0
    ]


def opened(before: Sequence[Message], tools: Tools, loaded: LoadedModel) -> str:
    """A conversation up to where the assistant's next turn begins.

    Raises:
        Unrendered: the template fails.
    """
    if before:
        return loaded.text(before, tools, answer_follows=True)
    # Templates refuse to open a turn in an empty conversation; what an empty turn shares with another is its opening.
    return loaded.text([Message(role=Speaker.ASSISTANT)], tools, answer_follows=False)


def learned_turns(messages: Sequence[Message], turns: Turns) -> list[int]:
    """The places of the assistant's turns that count."""
    said = [place for place, turn in enumerate(messages) if turn.role is Speaker.ASSISTANT]
    chosen = said[-1:] if turns is Turns.LAST else said
    return [place for place in chosen if messages[place].weight != 0]


def shows_calls(example: Example, loaded: LoadedModel) -> bool:
    """Whether the template writes out the calls of tools; many templates leave them out without a word.

    Raises:
        Unrendered: the template fails.
    """
    names: list[str] = []
    messages = [_renamed(message, names) for message in messages_of(example)]
    if not names:
        return True
    calling = [message for message in messages if message.tool_calls or message.role is not Speaker.ASSISTANT]
    try:
        text = loaded.text(calling, None, answer_follows=False)
    except Unrendered:
        # Some templates insist on turns that alternate.
        text = loaded.text(messages, None, answer_follows=False)
    return all(name in text for name in names)


def _renamed(message: Message, names: list[str]) -> Message:
    """The same turn, calling functions that are named as no text is; the names are added to a list."""
    if not message.tool_calls:
        return message
    calls = []
    for call in message.tool_calls:
        names.append(f"{_NO_WORD}_{len(names)}_")
        function = FunctionCall(name=names[-1], arguments=call.function.arguments)
        calls.append(call.model_copy(update={"function": function}))
    return message.model_copy(update={"tool_calls": tuple(calls)})


def common(one: str, other: str) -> int:
    """How many leading characters two texts share; long texts are compared in pieces, since a loop takes seconds."""
    if other.startswith(one):
        return len(one)
    low, high = 0, min(len(one), len(other)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _within(places: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Which places overlap a span."""
    starts, ends = np.array(places, dtype=np.int64).reshape(-1, 2).T
    learned = np.zeros(len(places), dtype=np.bool_)
    for start, stop in spans:
        learned |= (starts < stop) & (ends > start)
    found: list[bool] = learned.tolist()
    return found
