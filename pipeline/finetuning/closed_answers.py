"""Finds which of a finite list of answers a model holds for the likeliest, without letting it write."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.finetuning.answer_search import Row, read_prompts, search, shared_beginning
from pipeline.finetuning.answer_tokens import AnswerTree, answer_tokens_after
from pipeline.finetuning.loaded_model import LoadedModel, Tools
from pipeline.finetuning.token_tree import READ_AT_ONCE, ROOT, token_tree
from pipeline.finetuning.training_libraries import quiet
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
    beside: npt.NDArray[np.float64] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[ClosedAnswer]:
    """Find the likeliest answer to each prompt, in the order of the prompts.

    Exact in float32. bfloat16 rounds differently by the number of tokens that are read at once, so that two answers of
    almost the same likelihood may change places: of 100 rows of banking77 and an untuned model, log-likelihoods of
    about -30 differed by up to 0.5 nats from those of answers that are read one by one, and no answer did.

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
        beside: added to the log-likelihoods, prompts x answers: what another model says of the answers, in nats.
        on_progress: called after each batch with how many of how many prompts are answered.

    Raises:
        TrainingError: there are no answers, two of them are the same to the model, or one is longer than it can read.
        Unrendered: the chat template fails.
    """
    if not prompts:
        return []
    known = list(tools or [None] * len(prompts))
    said = answer_tokens_after(loaded, prompts[0], known[0], answers)
    tree = AnswerTree(said.paths)
    texts = [
        said.prompt_tokens(loaded.token_ids(prompt, one, answer_follows=True), loaded.name)
        for prompt, one in zip(prompts, known, strict=True)
    ]
    return _searched(
        loaded, tree, texts, answers, math.inf if most_tokens is None else most_tokens, beside, on_progress
    )


def _searched(
    loaded: LoadedModel,
    tree: AnswerTree,
    texts: Sequence[list[int]],
    answers: Sequence[str],
    most_tokens: float,
    beside: npt.NDArray[np.float64] | None,
    on_progress: Callable[[int, int], None] | None,
) -> list[ClosedAnswer]:
    """The likeliest answer to each prompt, given by its tokens."""
    import torch

    nothing = [0.0] * len(tree.token)
    # Neighbours begin alike, so that much of them is read once.
    ordered = sorted(range(len(texts)), key=texts.__getitem__)
    found: dict[int, ClosedAnswer] = {}
    loaded.model.eval()
    with quiet(), torch.inference_mode():
        read = token_tree(loaded, max(map(len, texts)) + max(tree.depth))
        trunk = shared_beginning(texts[ordered[0]], texts[ordered[-1]])
        read.read(texts[ordered[0]][:trunk], range(ROOT, trunk - 1), [()] * trunk)
        for numbers in _batches(ordered, texts, trunk, len(tree.until_branch(0)) - 1):
            batch = [
                Row(texts[number], tree, nothing if beside is None else tree.highest(beside[number]))
                for number in numbers
            ]
            read_prompts(read, batch, trunk)
            search(read, batch, most_tokens)
            read.forget(trunk)
            for number, row in zip(numbers, batch, strict=True):
                best, margin = row.ranked()
                found[number] = ClosedAnswer(answers[best], row.best, margin)
            if on_progress is not None:
                on_progress(len(found), len(texts))
    return [found[number] for number in range(len(texts))]


def _batches(
    ordered: Sequence[int], texts: Sequence[Sequence[int]], trunk: int, unavoidable: int
) -> Iterator[list[int]]:
    """The numbers of prompts that are read in one forward pass beyond the trunk; a longer one is read by itself.

    All answers begin with the unavoidable tokens, which are read at once.
    """
    batch: list[int] = []
    tokens = 0
    for number in ordered:
        length = len(texts[number]) + unavoidable
        new = length - (shared_beginning(texts[number], texts[batch[-1]]) if batch else trunk)
        if batch and tokens + new > READ_AT_ONCE:
            yield batch
            batch, tokens, new = [], 0, length - trunk
        batch.append(number)
        tokens += new
    yield batch
