"""A conversation as HTML for annotators: a bubble for each turn, with line breaks, and with readable calls of tools;
and the tools that there are.

Label Studio's own element for dialogues shows times that nobody has given, joins lines, and puts every turn into the
order of the Tab key, so that the form behind 500 turns could not be reached.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from schemas.message import Speaker


def bubbles(turns: Iterable[Mapping[str, Any]]) -> str:
    """The turns as HTML, with the numbers by which reasons name them; all that they say is escaped."""
    return "".join(_bubble(number, turn) for number, turn in enumerate(turns, 1))


def tool_list(tools: Iterable[Mapping[str, Any]]) -> str:
    """The definitions of tools as HTML: name and description, and a line for each argument if it has a JSON schema."""
    return "".join(map(_tool, tools))


def _tool(tool: Mapping[str, Any]) -> str:
    inner = tool.get("function")
    function: Mapping[str, Any] = inner if isinstance(inner, Mapping) else tool
    name, description = function.get("name"), function.get("description")
    if not isinstance(name, str):
        return f'<div class="goldleaf-tool goldleaf-call">{escape(_json(tool))}</div>'
    said = f": {escape(description)}" if isinstance(description, str) and description else ""
    arguments = "".join(_arguments(function.get("parameters")))
    return f'<div class="goldleaf-tool"><b>{escape(name)}</b>{said}{arguments}</div>'


def _arguments(schema: Any) -> Iterator[str]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        if schema:
            yield f'<div class="goldleaf-call">{escape(_json(schema))}</div>'
        return
    needed = schema.get("required")
    for name, about in properties.items():
        must = isinstance(needed, list) and name in needed
        yield f'<div class="goldleaf-call">{escape(name)}{"" if must else " (optional)"}{escape(_about(about))}</div>'


def _about(argument: Any) -> str:
    """What is said of an argument: its type or values, then what it means."""
    if not isinstance(argument, Mapping):
        return ""
    values = argument.get("enum")
    kind = " | ".join(map(str, values)) if isinstance(values, list) else str(argument.get("type", ""))
    meaning = str(argument.get("description", ""))
    return "".join(f"{sign}{text}" for sign, text in ((": ", kind), (", ", meaning)) if text)


def _bubble(number: int, turn: Mapping[str, Any]) -> str:
    role = escape(str(turn.get("role", "")))
    own = " goldleaf-own" if turn.get("role") == Speaker.ASSISTANT else ""
    thought = turn.get("reasoning_content")
    parts = [
        f'<div class="goldleaf-speaker">{number} {role}</div>',
        f'<div class="goldleaf-thought">{escape(thought)}</div>' if thought else "",
        f"<div>{escape(turn.get('content') or '')}</div>" if turn.get("content") else "",
        *(_call(call.get("function") or {}) for call in turn.get("tool_calls") or ()),
    ]
    return f'<div class="goldleaf-turn{own}">{"".join(parts)}</div>'


def _call(function: Mapping[str, Any]) -> str:
    name, arguments = str(function.get("name", "")), str(function.get("arguments", ""))
    return f'<div class="goldleaf-call">{escape(name)} {escape(_indented(arguments))}</div>'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _indented(arguments: str) -> str:
    """JSON as people read it; any other text as it is, and so is an escape that stands for half a character."""
    try:
        text = _json(json.loads(arguments))
        text.encode()
    except (ValueError, RecursionError):
        return arguments
    return text
