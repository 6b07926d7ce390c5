"""A linear model of a field is as strong as suits the validation rows."""

from typing import Literal

from scipy.sparse import csr_matrix

from pipeline.ladder.linear_fields import HeldOut, fit_field
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
