"""Draws and tokenizes the rows to train on, and leaves out those that do not fit, each for a reason."""

import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import TooFewRows, TrainingError, Unrendered
from pipeline.finetuning.examples import ChosenExamples, Example, Examples, drawn_places
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.row_tokens import RenderedRow, Tokens, learned_turns, messages_of, shows_calls
from pipeline.finetuning.train_table import TrainTable, table_writer
from pipeline.text.wording import counted
from schemas.dataset import Finetune


class LeftOut(StrEnum):
    """Why a row was not trained on, or not asked in the exam."""

    NOT_DRAWN = "not among the max_rows that were drawn"
    TOO_LONG = "longer than max_length"
    UNSHOWN_CALLS = "with calls of tools that the base model's chat template does not show"
    UNRENDERED = "that the base model's chat template cannot render"
    NOTHING_TO_LEARN = "without a turn to learn: all have the weight 0"


_LONGEST = 4096
"""Tokens of a prompt with examples: attention takes time with their square."""


def check_examples(examples: Examples, config: Finetune) -> None:
    """Check what would stop the training before a model is loaded for it.

    Raises:
        TooFewRows: there is nothing to train on, or the batch is larger than the number of rows.
    """
    if not len(examples):
        raise TooFewRows("There are no rows to train on: the train split is empty; accept more records and release")
    check_batch(config, min(len(examples), config.max_rows or len(examples)))


def check_batch(config: Finetune, rows: int) -> None:
    """Check that so many rows fill a batch.

    Raises:
        TooFewRows: they do not.
    """
    if config.batch_size > rows:
        raise TooFewRows(
            f"finetune.batch_size is {config.batch_size}, but there {'is' if rows == 1 else 'are'} only "
            f"{counted(rows, 'row')} to train on; {f'lower it to {rows}, or ' if rows else ''}add rows"
        )


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """What is trained on, and what is not."""

    rows: TrainTable
    left_out: dict[LeftOut, int]
    """How many rows were not taken, by reason."""
    unrendered: str = ""
    """What the template said of the first row that it cannot render."""


def training_rows(examples: Examples, config: Finetune, loaded: LoadedModel, folder: Path) -> TrainingRows:
    """Sample the rows, tokenize them into a file of ``folder``, and leave out those that do not fit, each for a reason.

    Raises:
        TooFewRows: too few are left.
        TrainingError: the model's template gives an empty answer no tokens to learn, or shows no row.
    """
    drawn = drawn_places(examples, config.max_rows, config.seed)
    found = _Tokenized(config, loaded)
    rows = found.write(examples, drawn, folder / "train.arrow")
    found.check_left(len(drawn))
    if found.silent:
        raise TrainingError(
            f"The chat template of {loaded.name} does not end answers, so an empty one such as that of row "
            f"{found.silent} has nothing to learn; use another base model, or override the task's task_answer to write "
            "something"
        )
    check_batch(config, len(rows))
    left_out = found.left_out
    left_out[LeftOut.NOT_DRAWN] = len(examples) - len(drawn)
    return TrainingRows(rows, {reason: left_out[reason] for reason in LeftOut if left_out[reason]}, found.unrendered)


def validation_rows(examples: Examples, config: Finetune, loaded: LoadedModel, folder: Path) -> TrainTable | None:
    """Tokenize the rows that the loss is watched on, at most ``eval_rows``; None if none of them can be read."""
    drawn = drawn_places(examples, config.eval_rows, config.seed)
    rows = _Tokenized(config, loaded).write(examples, drawn, folder / "validation.arrow")
    return rows if len(rows) else None


def context(loaded: LoadedModel) -> int:
    """How many tokens the model can read, as far as that is sensible in an evaluation."""
    known: int = getattr(loaded.model.config, "max_position_embeddings", _LONGEST)
    return min(known, _LONGEST)


def readable(loaded: LoadedModel) -> int:
    """How many tokens the model can read and write in all; a great number if it does not say so."""
    known: int = getattr(loaded.model.config, "max_position_embeddings", sys.maxsize)
    return known


def reach(config: Finetune, loaded: LoadedModel) -> int:
    """How many tokens of a row the model reads."""
    return min(config.max_length, readable(loaded))


class _Tokenized:
    """Takes the rows that the template shows whole and the model can read, and counts the others."""

    def __init__(self, config: Finetune, loaded: LoadedModel) -> None:
        self._turns, self._loaded, self._limit = config.turns, loaded, reach(config, loaded)
        self.left_out = Counter[LeftOut]()
        self.unrendered = ""
        """What the template said of the first row that it refuses."""
        self.silent = ""
        """The first row whose turns count, but have no token to learn."""
        self._short = 0
        """Rows that fit, whether there is something to learn or not."""
        self._shortest: int | None = None
        """Tokens, of the rows that are too long."""

    def write(self, examples: Examples, drawn: Collection[int], path: Path) -> TrainTable:
        """Write the rows that are drawn and fit to a file, in their order, and count why the others are left out."""
        with table_writer(path) as writer:
            for example in ChosenExamples(examples, drawn):
                taken = self._tokens(example)
                if isinstance(taken, Tokens):
                    writer.add(taken)
                else:
                    self.left_out[taken] += 1
            return writer.finish()

    def _tokens(self, example: Example) -> Tokens | LeftOut:
        try:
            if not shows_calls(example, self._loaded):
                return LeftOut.UNSHOWN_CALLS
            row = RenderedRow(example, self._loaded)
            # Before its turns are looked for, which takes a rendering for each.
            if len(row) > self._limit:
                self._shortest = min(len(row), self._shortest or len(row))
                return LeftOut.TOO_LONG
            tokens = row.tokens(self._turns)
        except Unrendered as error:
            self.unrendered = self.unrendered or f"row {example.id}: {error}"
            return LeftOut.UNRENDERED
        self._short += 1
        # Nothing predicts the first token.
        if any(tokens.learned[1:]):
            return tokens
        if learned_turns(messages_of(example), self._turns):
            self.silent = self.silent or example.id
        return LeftOut.NOTHING_TO_LEARN

    def check_left(self, drawn: int) -> None:
        """Refuse to train on nothing, and say why nothing is left."""
        too_long = self.left_out[LeftOut.TOO_LONG]
        if self._short:
            return
        if too_long:
            raise TooFewRows(
                f"All {too_long} rows are longer than {self._limit} tokens (the shortest has {self._shortest}); raise "
                "finetune.max_length, or choose a base model that reads longer texts"
            )
        if self.unrendered:
            raise TooFewRows(
                f"No row can be trained on: {self.unrendered}; set another finetune.base_model, or correct the rows"
            )
        raise TooFewRows(no_calls_shown(drawn, self._loaded))


def no_calls_shown(rows: int, loaded: LoadedModel) -> str:
    """What is said if a template shows the calls of no row."""
    return (
        f"All {rows} rows call tools, which the chat template of {loaded.name} does not show; choose a base "
        "model whose template does"
    )
