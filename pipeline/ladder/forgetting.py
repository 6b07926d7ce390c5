"""What a model forgets by training on one task: its loss on other texts, and whether it still answers plain questions.

The texts and questions are a small set of our own, in ``general_knowledge.jsonl``, about nothing in particular.
"""

import json
import re
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pipeline.evaluation.estimates import Estimate, loss_estimate
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.losses import answer_losses
from pipeline.finetuning.predict import predict
from pipeline.finetuning.row_tokens import Tokens
from pipeline.ladder.climb import Show
from schemas.message import Message, Speaker

_LONGEST = 48
"""Tokens of an answer."""


class _Question(BaseModel, extra="forbid", frozen=True):
    question: str
    answers: tuple[str, ...]
    """One of which a right answer contains."""


class General(BaseModel, frozen=True):
    """How a model does on what is not the task."""

    nats: tuple[float, ...]
    """The negative log-likelihood of each text."""
    tokens: tuple[int, ...]
    """Its tokens."""
    right: tuple[bool, ...]
    """Which plain questions it answers."""

    @property
    def loss(self) -> Estimate:
        """Per token of the texts, in nats."""
        return loss_estimate(_ratios(self))


class Forgetting(BaseModel, frozen=True):
    """The same model before and after training."""

    before: General
    after: General

    @property
    def loss(self) -> Estimate:
        """By how much the loss per token rose, in nats, on the same texts."""
        return loss_estimate(_ratios(self.after), minus=_ratios(self.before))

    def __str__(self) -> str:
        before, after = self.before, self.after
        return (
            f"On texts that are not the task the loss per token went from {before.loss.value:.3f} to "
            f"{after.loss.value:.3f} nats ({_signed(self.loss)}); plain questions answered: {sum(before.right)} of "
            f"{len(before.right)} before, {sum(after.right)} after."
        )


def general_knowledge(model: LoadedModel, label: str, show: Show) -> General:
    """Try a model, with or without an adapter, on what is not the task; the same for the same model."""
    texts, questions = _material()
    rows = [_tokens(model, text) for text in texts]
    with show(label, len(rows) + len(questions)) as advance:
        losses = answer_losses(model, rows, advance)
        prompts = [[Message(role=Speaker.USER, content=one.question)] for one in questions]
        answers = predict(model, prompts, max_new_tokens=_LONGEST)
        advance(len(questions))
    return General(
        nats=tuple(one.earned for one in losses),
        tokens=tuple(round(one.possible) for one in losses),
        right=tuple(_is_right(answer, one.answers) for answer, one in zip(answers, questions, strict=True)),
    )


def _material() -> tuple[list[str], list[_Question]]:
    lines = files("pipeline.ladder").joinpath("general_knowledge.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    texts = [one["text"] for one in found if "text" in one]
    return texts, [_Question.model_validate(one) for one in found if "question" in one]


def _tokens(model: LoadedModel, text: str) -> Tokens:
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    return Tokens(ids, [True] * len(ids))


def _is_right(answer: str, known: Sequence[str]) -> bool:
    """Whether an answer has one of the words, in whatever case; a word within another is none."""
    return any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", answer, re.IGNORECASE) for one in known)


def _ratios(found: General) -> NDArray[np.float64]:
    """Texts x (nats, tokens)."""
    return np.array([found.nats, found.tokens], dtype=np.float64).T


def _signed(change: Estimate) -> str:
    value, low, high = (change.unit.shown_change(part, "+") for part in (change.value, change.low, change.high))
    return f"{value}, 95% interval {low} to {high}" if change.is_bounded else value
