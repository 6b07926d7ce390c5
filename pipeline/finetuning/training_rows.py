"""Rows as the model sees them: tokens of its chat template, and which of them it is to learn."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import TrainingError, Unrendered
from pipeline.finetuning.base_model import LoadedModel, Tools
from pipeline.finetuning.examples import Example, draw
from pipeline.text.wording import counted
from schemas.dataset import Finetune, Turns
from schemas.message import Message, Speaker


class LeftOut(StrEnum):
    """Why a row of the split was not trained on."""

    NOT_DRAWN = "not among the max_rows that were drawn"
    TOO_LONG = "longer than max_length"
    UNSHOWN_CALLS = "with calls of tools that the base model's chat template does not show"
    UNRENDERED = "that the base model's chat template cannot render"
    NOTHING_TO_LEARN = "without a turn to learn: all have the weight 0"


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


def as_tokens(example: Example, loaded: LoadedModel, turns: Turns) -> Tokens:
    """Render a row with the model's chat template, as ``apply_chat_template`` does.

    A turn begins where the conversation that includes it differs from the prompt before it.

    Raises:
        Unrendered: the template fails.
    """
    messages = [*example.prompt, *example.completion]
    text = loaded.text(messages, example.tools, answer_follows=False)
    spans = []
    for place in _learned_turns(messages, turns):
        prompt = _opened(messages[:place], example.tools, loaded)
        until = loaded.text(messages[: place + 1], example.tools, answer_follows=False)
        # Some templates show a turn differently once others follow: it cannot be learned from this text.
        if text.startswith(until):
            spans.append((_common(prompt, until), len(until)))
    found = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    places = found["offset_mapping"]
    return Tokens(found["input_ids"], [any(a < stop and b > start for start, stop in spans) for a, b in places])


def _opened(before: Sequence[Message], tools: Tools, loaded: LoadedModel) -> str:
    """A conversation up to where the assistant's next turn begins."""
    if before:
        return loaded.text(before, tools, answer_follows=True)
    # Templates refuse to open a turn in an empty conversation; what an empty turn shares with another is its opening.
    return loaded.text([Message(role=Speaker.ASSISTANT)], tools, answer_follows=False)


def _learned_turns(messages: Sequence[Message], turns: Turns) -> list[int]:
    """The places of the assistant's turns that count."""
    said = [place for place, turn in enumerate(messages) if turn.role is Speaker.ASSISTANT]
    chosen = said[-1:] if turns is Turns.LAST else said
    return [place for place in chosen if messages[place].weight != 0]


def _common(one: str, other: str) -> int:
    """How many leading characters two texts share."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _shows_calls(example: Example, loaded: LoadedModel) -> bool:
    """Whether the template writes out every call of a tool; many templates leave them out without a word."""
    messages = [*example.prompt, *example.completion]
    names = {call.function.name for message in messages for call in message.tool_calls or ()}
    if not names:
        return True
    calling = [message for message in messages if message.tool_calls or message.role is not Speaker.ASSISTANT]
    try:
        text = loaded.text(calling, None, answer_follows=False)
    except Unrendered:
        # Some templates insist on turns that alternate.
        text = loaded.text(messages, None, answer_follows=False)
    return all(name in text for name in names)


def check_examples(examples: Sequence[Example], config: Finetune) -> None:
    """Check what would stop the training before a model is loaded for it.

    Raises:
        TrainingError: there is nothing to train on, or the batch is larger than the number of rows.
    """
    if not examples:
        raise TrainingError("There are no rows to train on: the train split is empty; accept more records and release")
    _check_batch(config, min(len(examples), config.max_rows or len(examples)))


def _check_batch(config: Finetune, rows: int) -> None:
    if config.batch_size > rows:
        raise TrainingError(
            f"finetune.batch_size is {config.batch_size}, but there {'is' if rows == 1 else 'are'} only "
            f"{counted(rows, 'row')} to train on; lower it to {rows}, or add rows"
        )


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """What is trained on, and what is not."""

    rows: list[Tokens]
    left_out: dict[LeftOut, int]
    """How many rows were not taken, by reason."""
    unrendered: str = ""
    """What the template said of the first row that it cannot render."""


def training_rows(examples: Sequence[Example], config: Finetune, loaded: LoadedModel) -> TrainingRows:
    """Sample the rows, tokenize them, and leave out those that do not fit, each for a reason.

    Raises:
        TrainingError: too few rows are left, or the model's template gives an empty answer no tokens to learn.
    """
    drawn = draw(examples, config.max_rows, config.seed, stratum=lambda example: example.answer)
    shown, left_out, unrendered = _shown(drawn, config, loaded)
    limit = reach(config, loaded)
    short = [(row, example) for row, example in shown if len(row) <= limit]
    _check_left(drawn, shown, short, limit, loaded, unrendered)
    rows = [row for row, _ in short if row.answer_tokens]
    if silent := [example for row, example in short if not row.answer_tokens and _counts(example, config.turns)]:
        raise TrainingError(
            f"The chat template of {loaded.name} does not end answers, so an empty one such as that of row "
            f"{silent[0].id} has nothing to learn; use another base model, or override the task's task_answer to write "
            "something"
        )
    _check_batch(config, len(rows))
    left_out[LeftOut.NOT_DRAWN] = len(examples) - len(drawn)
    left_out[LeftOut.TOO_LONG] = len(shown) - len(short)
    left_out[LeftOut.NOTHING_TO_LEARN] = len(short) - len(rows)
    return TrainingRows(rows, {reason: left_out[reason] for reason in LeftOut if left_out[reason]}, unrendered)


def reach(config: Finetune, loaded: LoadedModel) -> int:
    """How many tokens of a row the model reads."""
    return min(config.max_length, getattr(loaded.model.config, "max_position_embeddings", config.max_length))


def _shown(
    drawn: Sequence[Example], config: Finetune, loaded: LoadedModel
) -> tuple[list[tuple[Tokens, Example]], Counter[LeftOut], str]:
    """The rows that the template shows whole, how many it does not, and what it said of the first that it refuses."""
    shown, left_out, unrendered = [], Counter[LeftOut](), ""
    for example in drawn:
        try:
            if _shows_calls(example, loaded):
                shown.append((as_tokens(example, loaded, config.turns), example))
            else:
                left_out[LeftOut.UNSHOWN_CALLS] += 1
        except Unrendered as error:
            left_out[LeftOut.UNRENDERED] += 1
            unrendered = unrendered or f"row {example.id}: {error}"
    return shown, left_out, unrendered


def _counts(example: Example, turns: Turns) -> bool:
    return bool(_learned_turns([*example.prompt, *example.completion], turns))


def _check_left(
    drawn: Sequence[Example],
    shown: Sequence[tuple[Tokens, Example]],
    short: Sequence[tuple[Tokens, Example]],
    limit: int,
    loaded: LoadedModel,
    unrendered: str,
) -> None:
    if not shown and unrendered:
        raise TrainingError(
            f"No row can be trained on: {unrendered}; set another finetune.base_model, or correct the rows"
        )
    if not shown:
        raise TrainingError(
            f"All {len(drawn)} rows call tools, which the chat template of {loaded.name} does not show; choose a base "
            "model whose template does"
        )
    if not short:
        shortest = min(len(row) for row, _ in shown)
        raise TrainingError(
            f"All {len(shown)} rows are longer than {limit} tokens (the shortest has {shortest}); raise "
            "finetune.max_length, or choose a base model that reads longer texts"
        )
