"""New names of labels: what they make of a value, and which cannot be."""

from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel

from schemas.task import Input, Target, Task, TaskDefinitionError


def test_two_labels_may_become_one_and_one_field_s_labels_are_no_other_s() -> None:
    class Part(BaseModel):
        kind: Literal["x", "y"]

    class Toy(Task):
        """Do it."""

        renamed: ClassVar = {"a": "b", "older": "a", "parts.kind": {"z": "x"}}
        text: Input[str]
        kinds: Target[list[Literal["b", "c"]]]
        kind: Target[Literal["z", "b"]]
        parts: Target[list[Part]]

    Toy.task_check()
    found = Toy.task_parse({"text": "t", "kinds": ["a", "b", "older"], "kind": "z", "parts": [{"kind": "z"}]})
    assert found.targets == {"kinds": ["b"], "kind": "z", "parts": [{"kind": "x"}]}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            {"b": "c"},
            "Toy.renamed has 'b', which is still a choice; remove one of them, or, if another label has got the "
            "name, give that one a name of its own: answers do not say which of the two they mean",
        ),
        ({"a": "d"}, "Toy.renamed has 'a': 'd', which is not a choice; correct it"),
        ({"a": ["b", "d"]}, "Toy.renamed has 'a': 'd', which is not a choice; correct it"),
        ({"text": {"a": "b"}}, "Toy.renamed has the field 'text', which has no choices; name one of kind"),
        (["a"], "Toy.renamed is ['a']; write it as {'old label': 'new label'}"),
        ({"a": "d", "d": "a"}, "Toy.renamed leads from 'a' in a circle, to no choice; correct it"),
        ({"a": 1}, "Toy.renamed has 'a': 1; write a label's new name, or a list of those that it was divided into"),
    ],
)
def test_a_new_name_that_cannot_be_is_refused(names: Any, said: str) -> None:
    class Toy(Task):
        """Do it."""

        renamed = names
        text: Input[str]
        kind: Target[Literal["b", "c"]]

    with pytest.raises(TaskDefinitionError) as caught:
        Toy.task_check()
    assert str(caught.value) == said
