"""Finds which of a finite list of answers a model holds for the likeliest, without letting it write."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.finetuning.answer_search import OnProgress, Row, answered, best_first, every_answer
from pipeline.finetuning.loaded_model import LoadedModel, Tools
from schemas.message import Message


@dataclass(frozen=True)
class ClosedAnswer:
    """The likeliest of the answers."""

    answer: str
    log_likelihood: float
    """Of all its tokens after the prompt, the end of the turn included, in nats; with what was given ``beside`` it."""
    margin: float
    """By how many nats it is likelier than any other one, at least: others are read no further than needed. Infinite if
    there is no other; below 0 if the search was ended by ``most_tokens`` and there may be a likelier one."""


def likeliest(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[Message]],
    answers: Sequence[str],
    *,
    tools: Sequence[Tools] | None = None,
    most_tokens: int | None = None,
    use_adapter: bool = True,
    beside: npt.NDArray[np.float64] | None = None,
    on_progress: OnProgress | None = None,
) -> list[ClosedAnswer]:
    """Find the likeliest answer to each prompt, in the order of the prompts.

    Exact in float32. bfloat16 rounds differently by the number of tokens that are read at once, so that two answers of
    almost the same likelihood may change places: of 100 rows of banking77 and an untuned model, log-likelihoods of
    about -30 differed by up to 0.5 nats from those of ``log_likelihoods``, and no answer did.

    Memory beyond the model, on top of the longest prompt and the longest answer: keys and values of about
    2,560 tokens, and logits of 512.

    Args:
        loaded: a base model, or one with an adapter.
        prompts: each is the messages before the answer. They should begin alike (instructions before examples): what
            they share is read once.
        answers: all that may be answered, each once.
        tools: for each prompt, the tools that may be called.
        most_tokens: end the search for a prompt's answer after so many tokens; the first answer is always read, which
            is what the model would write if it were held to the answers. Tuned models need no limit; an untuned one
            that finds all answers unlikely has to read almost all of them for the exact result.
        use_adapter: False uses the base model under the adapter.
        beside: added to the log-likelihoods, prompts x answers: what another model says of the answers, in nats.
        on_progress: called after each batch.

    Raises:
        TrainingError: there are no answers, two of them are the same to the model, or one is longer than it can read.
        Unrendered: the chat template fails.
    """

    def result(row: Row) -> ClosedAnswer:
        best, margin = row.ranked()
        return ClosedAnswer(answers[best], row.best, margin)

    search = best_first(math.inf if most_tokens is None else most_tokens)
    return answered(loaded, prompts, answers, tools, use_adapter, on_progress, search, result, beside)


def log_likelihoods(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[Message]],
    answers: Sequence[str],
    *,
    tools: Sequence[Tools] | None = None,
    use_adapter: bool = True,
    on_progress: OnProgress | None = None,
) -> npt.NDArray[np.float64]:
    """The log-likelihood of every answer to every prompt in nats: prompts x answers.

    Arguments and errors are those of ``likeliest``. All tokens of all answers are read for each prompt.
    """

    def result(row: Row) -> npt.NDArray[np.float64]:
        return np.array([row.complete[answer] for answer in range(len(answers))])

    known = answered(loaded, prompts, answers, tools, use_adapter, on_progress, every_answer, result)
    return np.array(known, dtype=np.float64).reshape(len(prompts), len(answers))
