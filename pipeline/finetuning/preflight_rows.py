"""Measures the rows of a split for preflight, in batches: their tokens, and what is wrong with each."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from pipeline.errors import Unrendered
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_batches import BatchRow, batch_rows, texts_of
from pipeline.finetuning.row_fixes import fitted
from pipeline.finetuning.row_tokens import messages_of, shows_calls
from pipeline.finetuning.shown_turns import dropped_turns, is_shown
from pipeline.finetuning.template_marks import Marks
from schemas.dataset import Turns
from schemas.message import Speaker


class Problem(IntFlag):
    """What is wrong with a row; a row may have several."""

    UNRENDERED = 1 << 0
    NO_SYSTEM_ROLE = 1 << 1
    CALLS_NOT_SHOWN = 1 << 2
    ANSWER_CUT = 1 << 3
    LONG_LABELS = 1 << 4
    """Also cut, and not even the answer alone would fit."""
    NOTHING_TO_TRAIN_ON = 1 << 5
    TEMPLATE_TOKENS = 1 << 6
    END_NOT_TRAINED = 1 << 7
    EOS_MISMATCH = 1 << 8
    PROMPT_DIFFERS = 1 << 9
    TURNS_DROPPED = 1 << 10
    BEYOND_VOCABULARY = 1 << 11
    DOUBLE_BOS = 1 << 12
    TURNS_CHANGED = 1 << 13
    MARKUP_IN_TEXT = 1 << 14
    UNKNOWN_TOKEN = 1 << 15
    TOKEN_ACROSS_BORDER = 1 << 16
    EMPTY_ANSWER = 1 << 17


LEFT_OUT = (
    Problem.UNRENDERED
    | Problem.CALLS_NOT_SHOWN
    | Problem.ANSWER_CUT
    | Problem.LONG_LABELS
    | Problem.NOTHING_TO_TRAIN_ON
)
"""Such a row is never trained on."""
UNSOUND = (
    Problem.NO_SYSTEM_ROLE
    | Problem.TEMPLATE_TOKENS
    | Problem.END_NOT_TRAINED
    | Problem.PROMPT_DIFFERS
    | Problem.TURNS_DROPPED
    | Problem.BEYOND_VOCABULARY
    | Problem.DOUBLE_BOS
)
"""Such a row would be trained on, and teach something else than it says."""

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """The rows of a split, in columns of one entry per row."""

    ids: Sequence[str]
    tokens: _Numbers
    """Of the whole row, as it is trained on: after shortening."""
    full_tokens: _Numbers
    """The same before."""
    trained: _Numbers
    """Tokens that the loss is computed on."""
    answer: _Numbers
    """Tokens of the last turn that counts, with its end."""
    written: _Numbers
    """Those of them that a model has to write until generation stops, which a template may go on after."""
    problems: npt.NDArray[np.int32]
    shortened: npt.NDArray[np.bool_]
    prompts: _Numbers
    answers: _Numbers
    """Hashes of the prompt and the answer: equal texts, equal numbers."""
    refusal: str = ""
    """What the template said of the first row that it refuses."""

    def __len__(self) -> int:
        return len(self.ids)

    def having(self, problems: Problem) -> npt.NDArray[np.bool_]:
        """Which rows have any of these problems."""
        found: npt.NDArray[np.bool_] = (self.problems & int(problems)) != 0
        return found


class Meter:
    """Measures rows through the template of one model."""

    def __init__(
        self,
        loaded: LoadedModel,
        turns: Turns,
        limit: int,
        shorten: Collection[str] | None = None,
        *,
        chats: bool = False,
    ) -> None:
        """Prepare to measure.

        Args:
            loaded: for its template and tokenizer.
            turns: which of the assistant's count.
            limit: tokens that the model reads of a row.
            shorten: the input fields to cut in rows that are too long; None cuts nothing.
            chats: whether answers are turns of conversations.
        """
        self.marks = Marks.of(loaded)
        self._loaded, self._turns, self._limit, self._shorten, self._chats = loaded, turns, limit, shorten, chats

    def measure(self, examples: Sequence[Example]) -> Measured:
        """Measure a few hundred rows."""
        rows = batch_rows(examples, self._loaded, self._turns, self._limit)
        shorter = self._shortened(rows)
        numbers = np.zeros((7, len(rows)), dtype=np.int64)
        problems = np.zeros(len(rows), dtype=np.int32)
        refusal = ""
        for place, (example, full) in enumerate(zip(examples, rows, strict=True)):
            if isinstance(full, Unrendered):
                problems[place] = self._refused(example)
                refusal = refusal or f"row {example.id}: {full}"
                continue
            numbers[:, place], problems[place] = self._of(shorter.get(place, full), len(full))
        is_shortened = np.array([place in shorter for place in range(len(rows))], dtype=np.bool_)
        tokens, full_tokens, trained, answer, written, prompts, answers = numbers
        return Measured(
            [example.id for example in examples],
            tokens,
            full_tokens,
            trained,
            answer,
            written,
            problems,
            is_shortened,
            prompts,
            answers,
            refusal,
        )

    def _shortened(self, rows: Sequence[BatchRow | Unrendered]) -> dict[int, BatchRow]:
        """The rows that are too long, cut, by their place in the batch."""
        if self._shorten is None:
            return {}
        loaded, limit = self._loaded, self._limit
        found = {
            place: cut
            for place, row in enumerate(rows)
            if isinstance(row, BatchRow)
            and len(row) > limit
            and (cut := fitted(row.example, loaded, limit, self._shorten))
        }
        fitting = batch_rows(list(found.values()), loaded, self._turns, limit)
        return {place: row for place, row in zip(found, fitting, strict=True) if isinstance(row, BatchRow)}

    def _of(self, row: BatchRow, full: int) -> tuple[tuple[int, ...], Problem]:
        """The numbers of a row, and its problems."""
        learned = row.learned
        last = row.turns[-1] if row.turns else None
        own = row.ids[row.within(last.start, last.stop)] if last else row.ids[:0]
        answer, ends = len(own), np.flatnonzero(np.isin(own, list(self.marks.ends)))
        written = int(ends[-1]) + 1 if len(ends) else answer
        asked, said = (row.text[: last.start], row.text[last.start : last.stop]) if last else (row.text, "")
        numbers = (len(row), full, int(learned.sum()), answer, written, hash(asked), hash(said))
        problems = self._of_template(row) | self._of_texts(row.example) | self._of_ids(row.ids)
        if len(row) > self._limit:
            too_long = Problem.LONG_LABELS if answer > self._limit else Problem(0)
            return numbers, problems | Problem.ANSWER_CUT | too_long
        if not learned.any():
            return numbers, problems | Problem.NOTHING_TO_TRAIN_ON
        return numbers, problems | _of_turns(row) | self._of_end(row, learned)

    def _refused(self, example: Example) -> Problem:
        """Whether it is for the system message that the template refuses a row."""
        messages = messages_of(example)
        others = [message for message in messages if message.role is not Speaker.SYSTEM]
        if len(others) == len(messages):
            return Problem.UNRENDERED
        [without] = texts_of([(others, example.tools)], self._loaded, answer_follows=False)
        return Problem.UNRENDERED | (Problem.NO_SYSTEM_ROLE if isinstance(without, str) else Problem(0))

    def _of_template(self, row: BatchRow) -> Problem:
        """What the template leaves out of a row."""
        found = Problem(0)
        messages = messages_of(row.example)
        if not all(is_shown(one.content, row.text) for one in messages if one.role is Speaker.SYSTEM):
            found |= Problem.NO_SYSTEM_ROLE
        if not shows_calls(row.example, self._loaded):
            found |= Problem.CALLS_NOT_SHOWN
        dropped = dropped_turns(messages, row.text)
        if dropped.contents:
            found |= Problem.TURNS_DROPPED
        return found | (Problem.TURNS_CHANGED if dropped.reasoning else Problem(0))

    def _of_texts(self, example: Example) -> Problem:
        found = Problem(0)
        said = [one for one in messages_of(example) if one.role is Speaker.ASSISTANT and one.weight != 0]
        # Of other kinds nothing is an answer, such as that an optional field is absent.
        if self._chats and any(one.says_nothing for one in said):
            found |= Problem.EMPTY_ANSWER
        for text in _texts(example):
            if self.marks.control_in(text):
                found |= Problem.TEMPLATE_TOKENS
            if self.marks.markup_in(text):
                found |= Problem.MARKUP_IN_TEXT
        return found

    def _of_ids(self, ids: npt.NDArray[np.int32]) -> Problem:
        found, marks = Problem(0), self.marks
        if marks.unknown is not None and (ids == marks.unknown).any():
            found |= Problem.UNKNOWN_TOKEN
        if marks.vocabulary is not None and len(ids) and int(ids.max()) >= marks.vocabulary:
            found |= Problem.BEYOND_VOCABULARY
        if len(ids) > 1 and ids[0] == ids[1] == marks.begin:
            found |= Problem.DOUBLE_BOS
        return found

    def _of_end(self, row: BatchRow, learned: npt.NDArray[np.bool_]) -> Problem:
        """Whether the model learns to end its last turn, by a token at which generation stops."""
        if not row.turns[-1].is_shown:
            return Problem(0)
        ending = set[int]()
        for at in np.flatnonzero(learned)[::-1]:
            number = int(row.ids[at])
            if number in self.marks.special or number in self.marks.ends:
                ending.add(number)
            elif row.text[row.starts[at] : row.stops[at]].strip():
                break
        if not ending:
            return Problem.END_NOT_TRAINED
        return Problem(0) if ending & self.marks.ends else Problem.EOS_MISMATCH


def _of_turns(row: BatchRow) -> Problem:
    """Whether what is learned is what the model is asked for."""
    found = Problem(0)
    shown = [turn for turn in row.turns if turn.is_shown]
    if len(shown) < len(row.turns):
        found |= Problem.TURNS_CHANGED
    if not all(turn.continues_prompt for turn in shown):
        found |= Problem.PROMPT_DIFFERS
    if any(((row.starts < turn.start) & (row.stops > turn.start)).any() for turn in shown):
        found |= Problem.TOKEN_ACROSS_BORDER
    return found


def _texts(example: Example) -> Iterator[str]:
    """All texts of a row that the template writes into the conversation."""
    for message in messages_of(example):
        yield message.content
        if message.reasoning_content:
            yield message.reasoning_content
        for call in message.tool_calls or ():
            yield f"{call.function.name} {call.function.arguments}"
    if example.tools:
        yield str(example.tools)


def joined(parts: Sequence[Measured]) -> Measured:
    """The batches of a split as one."""
    names = ("tokens", "full_tokens", "trained", "answer", "written", "problems", "shortened", "prompts", "answers")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    refusal = next((part.refusal for part in parts if part.refusal), "")
    return Measured(ids=[one for part in parts for one in part.ids], refusal=refusal, **columns)
