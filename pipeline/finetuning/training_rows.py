"""Draws and tokenizes the rows to train on, and leaves out those that do not fit, each for a reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import TrainingError, Unrendered
from pipeline.finetuning.base_model import LoadedModel
from pipeline.finetuning.examples import Example, draw
from pipeline.finetuning.row_tokens import RenderedRow, Tokens, learned_turns, messages_of, shows_calls
from pipeline.text.wording import counted
from schemas.dataset import Finetune, Turns


class LeftOut(StrEnum):
    """Why a row was not trained on, or not asked in the exam."""

    NOT_DRAWN = "not among the max_rows that were drawn"
    TOO_LONG = "longer than max_length"
    UNSHOWN_CALLS = "with calls of tools that the base model's chat template does not show"
    UNRENDERED = "that the base model's chat template cannot render"
    NOTHING_TO_LEARN = "without a turn to learn: all have the weight 0"


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
    found = _Tokenized(config, loaded)
    for example in drawn:
        found.add(example)
    found.check_left(len(drawn))
    rows = [row for row, _ in found.short if row.answer_tokens]
    if silent := [one for row, one in found.short if not row.answer_tokens and _counts(one, config.turns)]:
        raise TrainingError(
            f"The chat template of {loaded.name} does not end answers, so an empty one such as that of row "
            f"{silent[0].id} has nothing to learn; use another base model, or override the task's task_answer to write "
            "something"
        )
    _check_batch(config, len(rows))
    left_out = found.left_out
    left_out[LeftOut.NOT_DRAWN] = len(examples) - len(drawn)
    left_out[LeftOut.NOTHING_TO_LEARN] = len(found.short) - len(rows)
    return TrainingRows(rows, {reason: left_out[reason] for reason in LeftOut if left_out[reason]}, found.unrendered)


def reach(config: Finetune, loaded: LoadedModel) -> int:
    """How many tokens of a row the model reads."""
    return min(config.max_length, getattr(loaded.model.config, "max_position_embeddings", config.max_length))


def _counts(example: Example, turns: Turns) -> bool:
    return bool(learned_turns(messages_of(example), turns))


class _Tokenized:
    """The rows that the template shows whole and the model can read, and how many there are of the others."""

    def __init__(self, config: Finetune, loaded: LoadedModel) -> None:
        self._turns, self._loaded, self._limit = config.turns, loaded, reach(config, loaded)
        self.short: list[tuple[Tokens, Example]] = []
        self.left_out = Counter[LeftOut]()
        self.unrendered = ""
        """What the template said of the first row that it refuses."""
        self._shortest: int | None = None
        """Tokens, of the rows that are too long."""

    def add(self, example: Example) -> None:
        """Take a row, or count why it is left out."""
        try:
            reason = self._take(example)
        except Unrendered as error:
            reason = LeftOut.UNRENDERED
            self.unrendered = self.unrendered or f"row {example.id}: {error}"
        if reason:
            self.left_out[reason] += 1

    def _take(self, example: Example) -> LeftOut | None:
        if not shows_calls(example, self._loaded):
            return LeftOut.UNSHOWN_CALLS
        row = RenderedRow(example, self._loaded)
        # Before its turns are looked for, which takes a rendering for each.
        if len(row) > self._limit:
            self._shortest = min(len(row), self._shortest or len(row))
            return LeftOut.TOO_LONG
        self.short.append((row.tokens(self._turns), example))
        return None

    def check_left(self, drawn: int) -> None:
        """Refuse to train on nothing, and say why nothing is left."""
        too_long = self.left_out[LeftOut.TOO_LONG]
        if self.short:
            return
        if too_long:
            raise TrainingError(
                f"All {too_long} rows are longer than {self._limit} tokens (the shortest has {self._shortest}); raise "
                "finetune.max_length, or choose a base model that reads longer texts"
            )
        if self.unrendered:
            raise TrainingError(
                f"No row can be trained on: {self.unrendered}; set another finetune.base_model, or correct the rows"
            )
        raise TrainingError(no_calls_shown(drawn, self._loaded))


def no_calls_shown(rows: int, loaded: LoadedModel) -> str:
    """What is said if a template shows the calls of no row."""
    return (
        f"All {rows} rows call tools, which the chat template of {loaded.name} does not show; choose a base "
        "model whose template does"
    )
