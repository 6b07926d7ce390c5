"""How long an answer may be where nobody says so: longer than those that are known, since others will be."""

import contextlib
import math
from collections.abc import Iterable

from pipeline.errors import Unrendered
from pipeline.finetuning.answer_opening import Opening
from pipeline.finetuning.examples import Example
from pipeline.finetuning.loaded_model import LoadedModel
from pipeline.finetuning.predict import answer_tokens
from pipeline.finetuning.row_tokens import calling_turns, messages_of, shows_calls, written_turn
from pipeline.kinds.registry import kind_of
from pipeline.releases.published_rows import published_targets
from schemas.task import Task

_BATCH = 1_000
"""Answers that are held at once."""
_ROOM = 1.5
"""Of the longest known answer. A cut answer is wrong, and room costs nothing where a model ends by itself."""
_MOST = 0.9
"""Share of the answers of a chat that are not longer than a model's may be."""


def longest_answer(examples: Iterable[Example], task: type[Task], base: LoadedModel) -> int:
    """How many tokens a model may answer with: half as many again as the longest known answer, or the longest choices.

    What comes before an answer counts, too. Where texts are not what models are judged by, it is as many as most of
    them have: one long turn among thousands would let an untuned model write on for minutes in every answer.

    Args:
        examples: rows whose answers are known and not asked for.
        task: of the dataset.
        base: for its tokens.
    """
    by_loss = kind_of(task).judged_by_loss
    lead: int | None = None
    known, texts, longest = answer_tokens(base, []), list[str](), None
    for example in examples:
        lead = _lead(example, base) if lead is None else lead
        texts += _written(example, base)
        if not by_loss:
            longest = max(longest or example, example, key=lambda one: len(one.answer))
            if len(texts) >= _BATCH:
                known, texts = max(known, answer_tokens(base, texts)), []
    if by_loss:
        texts = sorted(texts, key=len)[: math.ceil(_MOST * len(texts))]
        return max(known, answer_tokens(base, texts)) + (lead or 0)
    known = max(known, answer_tokens(base, texts))
    if longest is None:
        return known
    legal = answer_tokens(base, [_with_longest_choices(longest, task)])
    return max(known if _is_closed(task) else math.ceil(_ROOM * known), legal) + (lead or 0)


def _is_closed(task: type[Task]) -> bool:
    return all(field.choices and not field.many for field in task.task_targets())


def _with_longest_choices(row: Example, task: type[Task]) -> str:
    """The answer of a row as long as its choices let it be, whichever of them the known rows have."""
    choices = {one.name: max(one.choices, key=len) for one in task.task_targets() if one.choices and not one.many}
    return task.task_answer({**published_targets(task, row.fields), **choices}) if choices else row.answer


def _lead(example: Example, base: LoadedModel) -> int:
    """Tokens that the template writes before an answer; where a model is not given them, it writes them, too."""
    with contextlib.suppress(Unrendered):
        lead = Opening.after(example.prompt, example.tools, base).lead
        return len(base.tokenizer.encode(lead, add_special_tokens=False))
    return 0


def _written(example: Example, base: LoadedModel) -> list[str]:
    """An answer and the calls before it, as a model has to write them; none if the template does not show them."""
    messages = messages_of(example)
    places = calling_turns(example)
    if messages[-1].tool_calls or messages[-1].reasoning_content:
        places.append(len(messages) - 1)
    said = [] if len(messages) - 1 in places else [example.answer]
    try:
        shown = not places or shows_calls(example, base)
        return [*said, *(written_turn(example, place, base) for place in places)] if shown else []
    except Unrendered:
        return []
