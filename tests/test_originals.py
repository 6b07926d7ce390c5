"""Which input a rewriting starts from: the marked one, or the first text."""

from typing import Any, Literal

import pytest
from pydantic import create_model
from rewritten import plainer

from pipeline.kinds.interface import LabeledText
from pipeline.kinds.registry import kind_of
from pipeline.review.changes import marked_changes
from schemas.task import Input, Original, Target, Task

TONE = Literal["formal", "casual"]


def rewriting(**inputs: Any) -> type[Task]:
    fields: dict[str, Any] = {name: (annotation, ...) for name, annotation in inputs.items()}
    return create_model("Plainer", __base__=Task, __doc__="Say it plainly.", **fields, plain=(Target[str], ...))


@pytest.mark.parametrize(
    ("inputs", "original"),
    [
        ({"text": Input[str]}, "text"),
        ({"tone": Input[TONE], "text": Input[str]}, "text"),
        ({"tags": Input[list[str]], "count": Input[int], "text": Input[str | None], "more": Input[str]}, "text"),
        ({"language": Input[str], "text": Original[str]}, "text"),
        ({"language": Input[str], "text": Original[str | None]}, "text"),
        ({"tone": Input[TONE]}, ""),
    ],
)
def test_the_marked_input_or_the_first_text_is_the_original(inputs: dict[str, Any], original: str) -> None:
    task = rewriting(**inputs)
    task.task_check()
    assert kind_of(task).original(task) == original


def test_an_input_before_the_original_changes_no_doubt_and_no_marks() -> None:
    alone, with_tone = rewriting(text=Input[str]), rewriting(tone=Input[TONE], text=Input[str])
    pairs = plainer(60)
    pairs[0] = (pairs[0][0], pairs[0][0])
    scores = [
        kind_of(task)
        .learn_labels(
            task,
            [
                LabeledText(text, {"text": text, "tone": "casual"}, {"plain": plain}, str(number))
                for number, (text, plain) in enumerate(pairs)
            ],
            seed=1,
        )
        .scores
        for task in (alone, with_tone)
    ]
    assert scores[0] == scores[1]
    assert scores[1].rows[0].reasons
    row = {"tone": "casual", "text": "Send the old rope to us."}
    assert "<del>" in marked_changes(with_tone, row, {"plain": "Send the rope to us."})
    assert kind_of(with_tone).copied(with_tone, row) == {"plain": "Send the old rope to us."}
