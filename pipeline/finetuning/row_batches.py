"""Many rows through the chat template at once: the tokens of ``row_tokens``, in a fraction of the time.

All renderings of a batch are made in one call each, and what its rows share at their beginning, mostly a long
instruction, is tokenized once.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipeline.errors import Unrendered
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel, Tools
from pipeline.finetuning.row_tokens import Tokens, common, learned_turns, messages_of
from schemas.dataset import Turns
from schemas.message import Message, Speaker

_Chat = tuple[Sequence[Message], Tools]
_LEAST_SHARED = 64
"""Characters that rows must share to be worth a cut."""


@dataclass(frozen=True, slots=True)
class LearnedTurn:
    """A turn of the assistant that counts, as a place in the row's text."""

    start: int
    stop: int
    is_shown: bool
    """False if the template writes the turn differently once others follow: it cannot be learned from this text."""
    continues_prompt: bool
    """Whether it is learned after the very text by which the model is asked."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One row as the model sees it."""

    example: Example
    text: str
    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    stops: npt.NDArray[np.int32]
    """For each token, where in the text it begins and ends."""
    turns: tuple[LearnedTurn, ...]
    """All that count; of a row beyond the limit only the last."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def learned(self) -> npt.NDArray[np.bool_]:
        """For each token, whether it is part of what the assistant says in a turn that counts."""
        found = np.zeros(len(self.ids), dtype=np.bool_)
        for turn in self.turns:
            if turn.is_shown:
                found |= self.within(turn.start, turn.stop)
        return found

    def within(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Which tokens overlap a span of the text."""
        overlapping: npt.NDArray[np.bool_] = (self.starts < stop) & (self.stops > start)
        return overlapping

    def tokens(self) -> Tokens:
        """Its tokens, and which of them are learned, as lists."""
        return Tokens(self.ids.tolist(), self.learned.tolist())


def batch_rows(
    examples: Sequence[Example], loaded: LoadedModel, turns: Turns, limit: int
) -> list[BatchRow | Unrendered]:
    """Render and tokenize rows; one that the template refuses becomes the error.

    Args:
        examples: as many as fit into memory several times, with all their tokens.
        loaded: for its template and tokenizer.
        turns: which of the assistant's count.
        limit: tokens; in a longer row only the last turn that counts is looked for.
    """
    rendered = texts_of([(messages_of(one), one.tools) for one in examples], loaded, answer_follows=False)
    texts = [text for text in rendered if isinstance(text, str)]
    tokens = iter(_tokenized(texts, loaded))
    rows: list[BatchRow | Unrendered] = []
    for example, text in zip(examples, rendered, strict=True):
        rows.append(text if isinstance(text, Unrendered) else BatchRow(example, text, *next(tokens), ()))
    return _with_turns(rows, loaded, turns, limit)


def texts_of(chats: Sequence[_Chat], loaded: LoadedModel, *, answer_follows: bool) -> list[str | Unrendered]:
    """Render conversations with their tools; one that the template refuses becomes the error."""
    found: list[str | Unrendered] = []
    for tools, group in itertools.groupby(chats, key=lambda chat: chat[1]):
        found += _of_same_tools([messages for messages, _ in group], tools, loaded, answer_follows)
    return found


def _of_same_tools(
    chats: Sequence[Sequence[Message]], tools: Tools, loaded: LoadedModel, answer_follows: bool
) -> list[str | Unrendered]:
    try:
        return [*loaded.rendered(chats, tools, answer_follows=answer_follows)]
    except Exception:
        # One of them is refused, or all: each for itself says why.
        return [_text_or_error(chat, tools, loaded, answer_follows) for chat in chats]


def _text_or_error(
    chat: Sequence[Message], tools: Tools, loaded: LoadedModel, answer_follows: bool
) -> str | Unrendered:
    try:
        return loaded.text(chat, tools, answer_follows=answer_follows)
    except Unrendered as error:
        return error


# --- tokens -----------------------------------------------------------------------------------
_Array = npt.NDArray[np.int32]


def _tokenized(texts: Sequence[str], loaded: LoadedModel) -> Iterator[tuple[_Array, _Array, _Array]]:
    """The ids of each text, and where each token begins and ends."""
    if not texts:
        return
    head = _shared_head(texts, loaded)
    first = _arrays([texts[0][:head]], loaded)[0] if head else None
    for rest in _arrays([text[head:] for text in texts], loaded):
        if first is None:
            yield rest
        else:
            ids, starts, stops = (np.concatenate(parts) for parts in zip(first, rest, strict=True))
            starts[len(first[0]) :] += head
            stops[len(first[0]) :] += head
            yield ids, starts, stops


def _arrays(texts: Sequence[str], loaded: LoadedModel) -> list[tuple[_Array, _Array, _Array]]:
    found = loaded.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    rows = []
    for ids, places in zip(found["input_ids"], found["offset_mapping"], strict=True):
        starts, stops = np.array(places, dtype=np.int32).reshape(-1, 2).T
        rows.append((np.array(ids, dtype=np.int32), starts, stops))
    return rows


def _shared_head(texts: Sequence[str], loaded: LoadedModel) -> int:
    """How many characters the texts share, up to where a special token begins in all of them.

    No token crosses such a place: a tokenizer takes special tokens out of a text first, and what is between two of
    them by itself.
    """
    least, most = min(texts), max(texts)
    shared = least[: common(least, most)]
    if len(texts) == 1 or len(shared) < _LEAST_SHARED:
        return 0
    parting = [
        number
        for number, token in loaded.tokenizer.added_tokens_decoder.items()
        if token.special and not (token.normalized or token.lstrip or token.single_word)
    ]
    [(ids, starts, _)] = _arrays([shared], loaded)
    borders = starts[np.isin(ids, parting)]
    return int(borders[-1]) if borders.size else 0


# --- turns ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Asked:
    """A turn to be found in a row."""

    number: int
    """Of the row in the batch."""
    row: BatchRow
    place: int

    @property
    def before(self) -> _Chat:
        return messages_of(self.row.example)[: self.place], self.row.example.tools

    @property
    def through(self) -> _Chat:
        return messages_of(self.row.example)[: self.place + 1], self.row.example.tools

    @property
    def is_last(self) -> bool:
        return self.place + 1 == len(messages_of(self.row.example))


def _with_turns(
    rows: Sequence[BatchRow | Unrendered], loaded: LoadedModel, turns: Turns, limit: int
) -> list[BatchRow | Unrendered]:
    """Find what the assistant says, by rendering the conversation before and after each turn that counts."""
    asked = [
        _Asked(number, row, place)
        for number, row in enumerate(rows)
        if isinstance(row, BatchRow)
        for place in learned_turns(messages_of(row.example), turns if len(row) <= limit else Turns.LAST)
    ]
    found: list[list[LearnedTurn]] = [[] for _ in rows]
    refused: dict[int, Unrendered] = {}
    for one, prompt, until in zip(asked, _prompts(asked, loaded), _until(asked, loaded), strict=True):
        turn = _turn(one, prompt, until)
        if isinstance(turn, Unrendered):
            refused.setdefault(one.number, turn)
        else:
            found[one.number].append(turn)
    return [
        refused.get(number) or (replace(row, turns=tuple(found[number])) if isinstance(row, BatchRow) else row)
        for number, row in enumerate(rows)
    ]


def _turn(one: _Asked, prompt: str | Unrendered, until: str | Unrendered) -> LearnedTurn | Unrendered:
    if isinstance(prompt, Unrendered):
        return prompt
    if isinstance(until, Unrendered):
        return until
    start = common(prompt, until)
    # What an empty turn shares with another is no prompt, only where the turn opens.
    continues = not one.place or start == len(prompt)
    return LearnedTurn(start, len(until), one.row.text.startswith(until), continues)


def _prompts(asked: Sequence[_Asked], loaded: LoadedModel) -> list[str | Unrendered]:
    """The text that opens each turn."""
    after = iter(texts_of([one.before for one in asked if one.place], loaded, answer_follows=True))
    # As in ``row_tokens.opened``.
    empty = [([Message(role=Speaker.ASSISTANT)], one.row.example.tools) for one in asked if not one.place]
    first = iter(texts_of(empty, loaded, answer_follows=False))
    return [next(after if one.place else first) for one in asked]


def _until(asked: Sequence[_Asked], loaded: LoadedModel) -> list[str | Unrendered]:
    """The text up to the end of each turn."""
    inner = iter(texts_of([one.through for one in asked if not one.is_last], loaded, answer_follows=False))
    return [one.row.text if one.is_last else next(inner) for one in asked]
