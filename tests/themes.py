"""The kinds of task that random lives are about: how one of three topics becomes a row's answer."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

from fake_studio import Row

_SETS = {"billing": ["billing"], "delivery": ["billing", "delivery"], "returns": [], "other": ["other"]}
_TEXTS = {
    "billing": "Please send me the bill for it again.",
    "delivery": "Tell me where it is now.",
    "returns": "I want to send it back.",
    "other": "I have a question.",
}


@dataclass(frozen=True)
class Theme:
    """A kind of task, and its rows."""

    name: str
    imports: str
    fields: str
    """Of the task's class, with ``{choices}`` where the choices belong."""
    answers: Mapping[str, Any]
    """The target of each topic."""

    @property
    def has_choices(self) -> bool:
        """Whether its answers are the task's choices."""
        return "{choices}" in self.fields

    @property
    def is_flat(self) -> bool:
        """Whether its answers fit into a cell."""
        return all(isinstance(answer, str) for answer in self.answers.values())

    def source(self, choices: Sequence[str]) -> str:
        """The task's file."""
        quoted = ", ".join(f'"{choice}"' for choice in choices)
        return (
            f"{self.imports}\n\n\nclass Question(Task):\n"
            # The kinds without choices have other questions, too, once the choices change.
            f'    """Answer this question of one of {len(choices)} topics."""\n\n{self.fields.format(choices=quoted)}'
        )

    def row(self, text: str, label: str | None) -> Row:
        """A raw row with a topic's answer, or with none."""
        return {"question": text, "topic": None if label is None else self.answers[label]}

    def targets(self, label: str) -> dict[str, Any]:
        """A topic's answer, as annotators give it."""
        return {"topic": self.answers[label]}

    def written(self, targets: Mapping[str, Any]) -> str:
        """An answer as a model writes it."""
        return json.dumps(targets)

    def text(self, fields: Mapping[str, Any]) -> str:
        """The question in a row's inputs, or in its published fields."""
        return str(fields["question"])

    def shown(self, data: Mapping[str, Any]) -> str:
        """The question in what annotators are shown."""
        return str(data["question"])


class _Chats(Theme):
    def row(self, text: str, label: str | None) -> Row:
        asked = [{"role": "user", "content": text}]
        return {"messages": asked if label is None else [*asked, *self.answers[label]]}

    def targets(self, label: str) -> dict[str, Any]:
        return {"messages": self.answers[label]}

    def written(self, targets: Mapping[str, Any]) -> str:
        return str(targets["messages"][-1]["content"])

    def text(self, fields: Mapping[str, Any]) -> str:
        return str(fields["messages"][0]["content"])

    def shown(self, data: Mapping[str, Any]) -> str:
        first, *_ = re.findall(r"</div><div>(.*?)</div>", data["messages"], re.DOTALL)
        return unescape(first)


_TYPES = "from typing import Literal\n\nfrom pydantic import BaseModel\n\nfrom schemas.task import {}, Task"
THEMES = (
    Theme(
        name="classification",
        imports=_TYPES.format("Input, Target"),
        fields="    question: Input[str]\n    topic: Target[Literal[{choices}]]\n",
        answers={label: label for label in _SETS},
    ),
    Theme(
        name="multi-label",
        imports=_TYPES.format("Input, Target"),
        fields="    question: Input[str]\n    topic: Target[set[Literal[{choices}]]]\n",
        answers=_SETS,
    ),
    Theme(
        name="rewriting",
        imports=_TYPES.format("Input, Target"),
        fields="    question: Input[str]\n    topic: Target[str]\n",
        answers=_TEXTS,
    ),
    Theme(
        name="extraction",
        imports=_TYPES.format("Input, Target")
        + "\n\n\nclass Wish(BaseModel):\n    name: Literal[{}]\n    times: int".format(", ".join(map(repr, _SETS))),
        fields="    question: Input[str]\n    topic: Target[list[Wish]]\n",
        answers={label: [{"name": name, "times": len(labels)} for name in labels] for label, labels in _SETS.items()},
    ),
    _Chats(
        name="chat",
        imports=_TYPES.format("Conversation"),
        fields="    messages: Conversation\n",
        answers={label: [{"role": "assistant", "content": text}] for label, text in _TEXTS.items()},
    ),
)
