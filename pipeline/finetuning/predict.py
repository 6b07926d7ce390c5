"""Generates answers to prompts: greedy decoding in batches, with or without the adapter."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline.finetuning.answer_opening import Opening
from pipeline.finetuning.attention_masks import innermost
from pipeline.finetuning.held_to_form import FormKeeper, ends_of
from pipeline.finetuning.loaded_model import LoadedModel, Tools
from pipeline.finetuning.training_libraries import lacks_memory, quiet
from pipeline.finetuning.training_rows import readable
from schemas.message import Message

BATCH_SIZE = 16
_TOKENS = 16_384
"""Of a batch, prompts with padding and answers: as many as 16 of the rows that are trained on by default. What is kept
for each while an answer is written would else be gigabytes for long prompts."""


def predict(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[Message]],
    tools: Sequence[Tools] | None = None,
    *,
    max_new_tokens: int,
    grammar: str | None = None,
    batch_size: int = BATCH_SIZE,
    with_marks: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    on_cut: Callable[[int], None] | None = None,
) -> list[str]:
    """Answer every prompt, in the order given: always the likeliest next token.

    What its ``generation_config.json`` sets beside, such as a penalty of repetitions, is not used.

    Args:
        loaded: a base model, or one with an adapter.
        prompts: each is the messages before the answer.
        tools: for each, the tools that may be called.
        grammar: what the answers are held to; with None, the model may write anything.
        max_new_tokens: the maximum length of an answer; the model may end it earlier.
        batch_size: prompts answered at once, grouped by length; fewer if they are long, or if memory lacks.
        with_marks: a turn of a conversation is asked for, with reasoning and calls: what opens it is left to the model,
            and special tokens before its end are kept, since calls begin with some of them.
        on_progress: called with how many of how many prompts are answered.
        on_cut: called with the place of each prompt whose answer is not ended at its longest length.

    Raises:
        MemoryError, RuntimeError: the memory does not even suffice for one prompt at a time.
    """
    import torch

    given = list(zip(prompts, tools or [None] * len(prompts), strict=True))
    opening = Opening.after(*given[0], loaded) if given and not with_marks else Opening()
    rendered = [opening.token_ids(prompt, known, loaded) for prompt, known in given]
    keeper = FormKeeper(loaded, grammar, opening.left) if grammar else None
    by_length = sorted(range(len(rendered)), key=lambda index: len(rendered[index]))
    answers = [""] * len(rendered)
    loaded.model.eval()
    done, size, ends = 0, batch_size, set(ends_of(loaded))
    with quiet(), torch.inference_mode(), _greedy(loaded):
        while done < len(by_length):
            batch = _batch(by_length[done : done + size], rendered, max_new_tokens)
            try:
                written = _generate(loaded, [rendered[index] for index in batch], max_new_tokens, keeper)
            except (MemoryError, RuntimeError) as error:
                if len(batch) == 1 or not lacks_memory(error):
                    raise
                size = len(batch) // 2
                continue
            for index, ids in zip(batch, written, strict=True):
                answers[index] = _text(loaded, ids, with_marks)
                if on_cut and ends.isdisjoint(ids):
                    on_cut(index)
            done += len(batch)
            on_progress(done, len(by_length))
    return answers


def _batch(places: Sequence[int], prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Sequence[int]:
    """The first of some prompts, which come by length: as many as there may be tokens in a batch, at least one."""
    fits = (n for n in range(len(places), 1, -1) if n * (len(prompts[places[n - 1]]) + max_new_tokens) <= _TOKENS)
    return places[: next(fits, 1)]


def answer_tokens(loaded: LoadedModel, answers: Sequence[str]) -> int:
    """The length of the longest of these answers in tokens, including its end; 1 if there are none."""
    return 1 + max((len(loaded.tokenizer.encode(text, add_special_tokens=False)) for text in set(answers)), default=0)


@contextlib.contextmanager
def _greedy(loaded: LoadedModel) -> Iterator[None]:
    """While it is open, the model generates by no settings but its ends."""
    import transformers

    settings: Any = transformers.GenerationConfig  # it has no annotations
    models = [loaded.model, innermost(loaded.model)]
    before = models[-1].generation_config
    plain = settings(eos_token_id=ends_of(loaded), do_sample=False)
    try:
        for model in models:
            model.generation_config = plain
        yield
    finally:
        for model in models:
            model.generation_config = before


def _generate(
    loaded: LoadedModel, prompts: list[list[int]], max_new_tokens: int, keeper: FormKeeper | None
) -> list[list[int]]:
    import torch

    width = max(map(len, prompts))
    padding = loaded.tokenizer.pad_token_id
    ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    room = readable(loaded) - width
    written = loaded.model.generate(
        input_ids=ids.to(loaded.model.device),
        attention_mask=mask.to(loaded.model.device),
        max_new_tokens=min(max_new_tokens, room) if room > 0 else max_new_tokens,
        logits_processor=[keeper.processor(len(prompts), width)] if keeper else None,
        pad_token_id=padding,
    )
    found: list[list[int]] = written[:, width:].tolist()
    return found


def _text(loaded: LoadedModel, ids: list[int], with_marks: bool) -> str:
    if with_marks:
        ends = {*ends_of(loaded), loaded.tokenizer.pad_token_id}
        ids = ids[: next((at for at, one in enumerate(ids) if one in ends), len(ids))]
    text: str = loaded.tokenizer.decode(ids, skip_special_tokens=not with_marks)
    return text.strip()
