"""How a row reads in an excerpt: what many conversations share, and the turn of one that is doubted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.conversation import turn_text, turn_texts
from schemas.decision import Decision
from schemas.message import Speaker
from schemas.task import Role, Task
from schemas.task_fields import conversation_target, tools_field, turn_fields, turns_of

_BEFORE = 160
"""Characters of the turn before the one in question."""


@dataclass(frozen=True, slots=True)
class TurnInQuestion:
    """A turn of a conversation, with its role."""

    text: str
    before: str
    """The beginning of the turn that it follows; empty if that is none, or a system prompt."""

    def __str__(self) -> str:
        return "\n".join(filter(None, [self.before, self.text]))


def turn_in_question(task: type[Task], decision: Decision, turn: int | None) -> TurnInQuestion | None:
    """The turn, counted from 0 over the whole conversation; None if there is no such turn."""
    turns = list(_turns(task, decision)) if turn is not None else []
    if turn is None or turn >= len(turns):
        return None
    before = "".join(turn_texts(turns[max(turn - 1, 0) : turn], without_system=True))
    [text] = turn_texts([turns[turn]])
    return TurnInQuestion(
        text if turn_text(turns[turn]).strip() else f"{text}(nothing)",
        before if len(before) <= _BEFORE else f"{before[:_BEFORE]}…",
    )


def _turns(task: type[Task], decision: Decision) -> Iterator[Mapping[str, Any]]:
    """What was asked, and the answer, as the rules for conversations count turns."""
    for name in task.task_names(Role.INPUT):
        value = decision.inputs.get(name)
        if name in turn_fields(task) and isinstance(value, list):
            yield from value
    if (chat := conversation_target(task)) and decision.targets:
        yield from (turn for turn in turns_of(decision.targets, chat) if isinstance(turn, dict))


def setting_in_words(task: type[Task], inputs: Mapping[str, Any]) -> str:
    """The system prompts and the tools of a conversation, a line each; empty for any other row."""
    spoken = [turn for name in turn_fields(task) for turn in inputs.get(name) or []]
    prompts = (turn for turn in spoken if turn.get("role") in (Speaker.SYSTEM, Speaker.DEVELOPER))
    defined = inputs.get(tools_field(task)) or []
    return "\n".join([*turn_texts(prompts), *map(_tool, defined)])


def _tool(tool: Mapping[str, Any]) -> str:
    """A function as it is called, and what it does."""
    inner = tool.get("function")
    function = inner if isinstance(inner, Mapping) else tool
    parameters = function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
    names = ", ".join(map(str, properties)) if isinstance(properties, Mapping) else ""
    about = function.get("description")
    return f"tool: {function.get('name')}({names})" + (f", {about}" if about else "")
