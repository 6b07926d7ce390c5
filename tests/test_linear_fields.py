"""A linear model of a field is as strong as suits the validation rows, and reads what its texts consist of."""

from typing import Literal

from scipy.sparse import csr_matrix

from pipeline.finetuning.evaluate import questions
from pipeline.finetuning.exam import Questions
from pipeline.finetuning.examples import Example
from pipeline.ladder.classical import Linear
from pipeline.ladder.linear_fields import NO_WORDS, HeldOut, fit_field
from pipeline.ladder.retrieval import Memory
from schemas.task import Input, Target, Task


class Zoo(Task):
    """Name the animals."""

    text: Input[str]
    animals: Target[set[Literal["zebra", "ape"]]]


def test_a_held_out_set_is_right_in_whatever_order_it_comes() -> None:
    """The choices are in the task's order, what is predicted in that of the alphabet: no set of two was ever right."""
    [field] = Zoo.task_targets()
    seen, given = csr_matrix([[0.1]] * 10 + [[0.0]] * 20), [["zebra", "ape"]] * 10 + [[]] * 20
    assert fit_field(field, seen, given, None, 17).predict(seen)[0] == []
    model = fit_field(field, seen, given, HeldOut(seen, [[value] for value in given]), 17)
    assert (model.strength, model.predict(seen)[0]) == (4.0, ["ape", "zebra"])


class Sum(Task):
    """Name the sign."""

    text: Input[str]
    sign: Target[Literal["plus", "minus"]]


def test_texts_without_words_are_told_apart_by_their_signs() -> None:
    """scikit-learn's vectorizer of words fails where there are none of two letters or digits."""
    rows = []
    for number in range(60):
        inputs, targets = (
            {"text": f"{number // 10} {'+-'[number % 2]} {number % 10}"},
            {"sign": ("plus", "minus")[number % 2]},
        )
        *prompt, answer = Sum.task_messages(inputs, targets)
        rows.append(Example(f"r{number}", tuple(prompt), (answer,), inputs | targets))
    arm = Linear(Sum, Memory(Sum, rows), (), 17)
    arm.learn()
    found = arm.answer(Questions(questions(Sum, rows), [], [], {}), lambda units: None)
    assert list(found.texts) == [row.answer for row in rows]
    assert NO_WORDS in found.settings
