"""What a model is asked about a row: the task's own prompt, the schema of its answers, and the key of both."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.suggestions.answer_schema import answer_schema
from pipeline.text.normalize import inputs_key
from schemas.identity import stable_hash
from schemas.message import Message, Speaker
from schemas.suggest_section import Suggest
from schemas.task import Task
from schemas.task_fields import tools_field

_PROMPT = "1"
"""The version of what is written around a task's prompt; a new one asks, and pays, for all answers again."""


@dataclass(frozen=True)
class Question:
    """One row as a model is asked about it."""

    record_id: str
    text: str
    """A digest of the inputs."""
    inputs: Mapping[str, Any]
    body: Mapping[str, Any]
    """The request."""
    key: str
    """The same for the same request, whatever row it is about and wherever the endpoint is."""


@dataclass(frozen=True)
class Shown:
    """An annotator's answer that a model is shown."""

    record_id: str
    inputs: str
    targets: str
    """Both are JSON."""


@dataclass(frozen=True)
class Asker:
    """A model with its parameters, asked about the rows of a task."""

    section: Suggest
    task: type[Task]
    examples: tuple[Shown, ...] = ()
    """What it is shown before each question."""
    gold: tuple[str, ...] = ()
    """The sources whose answers are known: it is judged by their rows, and never shown them as examples."""
    weights: str = ""
    """Of an adapter: equal ones, equal answers, whichever run they are of."""
    learned: tuple[Path, ...] = ()
    """Files with the rows whose answers an adapter has learned: it is not asked about them."""
    keys: str = "suggest"
    """What the keys of its section are called, where one has to be corrected."""

    @property
    def model(self) -> str:
        """The name of who is asked."""
        return f"adapter {self.section.adapter}" if self.section.adapter else self.section.model

    @property
    def turns(self) -> int:
        """How often a question is asked until its answer is valid; an adapter would only repeat itself."""
        return 1 if self.section.adapter else 2

    def as_adapter(self, run: str, weights: str, learned: Sequence[Path] = ()) -> "Asker":
        """The same with the adapter of a run."""
        section = self.section.model_copy(update={"adapter": run})
        return dataclasses.replace(self, section=section, weights=weights, learned=tuple(learned))

    @functools.cached_property
    def schema(self) -> dict[str, Any] | None:
        """Of the answers; None of a conversation, and for an adapter, which has learned the task's own form."""
        return None if self.section.adapter else answer_schema(self.task)

    @functools.cached_property
    def base(self) -> str:
        """The digest without the examples."""
        body = dataclasses.replace(self, examples=())._body([], None)
        texts = [self.task.task_digest(), self.task.task_instruction(), self.task.task_answer_form()]
        return stable_hash(*texts, json.dumps(body, sort_keys=True), str(self.section.examples), _PROMPT)

    @functools.cached_property
    def digest(self) -> str:
        """What all questions have in common: another one means that every row has yet to be asked about."""
        shown = [part for one in self.examples for part in (one.inputs, one.targets)]
        return stable_hash(self.base, *shown)

    def question(self, record_id: str, inputs: Mapping[str, Any]) -> Question:
        """The question about a record.

        Raises:
            TaskCodeError: the task's own code fails.
        """
        body = self._body(self.task.task_messages(inputs), inputs.get(tools_field(self.task)))
        key = stable_hash(_PROMPT, json.dumps(body, sort_keys=True))
        return Question(record_id, text_digest(self.task, inputs), inputs, body, key)

    def _body(self, messages: list[Message], tools: Any) -> dict[str, Any]:
        section = self.section
        # The same weights in another folder need not be asked again.
        body: dict[str, Any] = {"model": self.weights or self.model, "temperature": 0, "max_tokens": section.max_tokens}
        body["messages"] = [message.as_json() for message in self._told(messages)]
        if self.schema is not None:
            form = {"name": "answer", "strict": True, "schema": self.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if tools:
            body["tools"] = tools
        return {name: value for name, value in (body | section.options).items() if value is not None}

    def _told(self, messages: list[Message]) -> list[Message]:
        """The messages, with what the answer must look like: the prompt itself may ask for a bare value."""
        if self.examples and messages:
            messages = [*messages[:-1], *self._examples(), messages[-1]]
        if self.schema is None:
            return messages
        names = ", ".join(json.dumps(field.name, ensure_ascii=False) for field in self.task.task_targets())
        form = f"Write the answer as one JSON object with {names}; null where there is no value."
        if messages and messages[0].role is Speaker.SYSTEM:
            told = f"{messages[0].content}\n\n{form}"
            return [messages[0].model_copy(update={"content": told}), *messages[1:]]
        return [Message(role=Speaker.SYSTEM, content=form), *messages]

    def _examples(self) -> Iterator[Message]:
        """Each example as the question that it was, and its answer in the form that is asked for."""
        for one in self.examples:
            targets = json.loads(one.targets)
            *_, asked = self.task.task_messages(json.loads(one.inputs))
            said = self.task.task_answer(targets) if self.schema is None else json.dumps(targets, ensure_ascii=False)
            yield from (asked, Message(role=Speaker.ASSISTANT, content=said))


def text_digest(task: type[Task], inputs: Mapping[str, Any]) -> str:
    """The same for inputs that ask the same thing."""
    return stable_hash(inputs_key(task, inputs))


def corrected(question: Question, said: str, problem: str) -> dict[str, Any]:
    """The request to answer again, with what was wrong."""
    again = [
        {"role": Speaker.ASSISTANT.value, "content": said},
        {
            "role": Speaker.USER.value,
            "content": f"This is not a valid answer: {problem}. Write the corrected answer only.",
        },
    ]
    return {**question.body, "messages": [*question.body["messages"], *again]}
