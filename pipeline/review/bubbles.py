"""A conversation as HTML for annotators: a bubble for each turn, with line breaks, and with readable calls of tools.

Label Studio's own element for dialogues shows times that nobody has given, joins lines, and puts every turn into the
order of the Tab key, so that the form behind 500 turns could not be reached.
"""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from schemas.message import Speaker


def bubbles(turns: Iterable[Mapping[str, Any]]) -> str:
    """The turns as HTML; all that they say is escaped."""
    return "".join(map(_bubble, turns))


def _bubble(turn: Mapping[str, Any]) -> str:
    role = escape(str(turn.get("role", "")))
    own = " goldleaf-own" if turn.get("role") == Speaker.ASSISTANT else ""
    thought = turn.get("reasoning_content")
    parts = [
        f'<div class="goldleaf-speaker">{role}</div>',
        f'<div class="goldleaf-thought">{escape(thought)}</div>' if thought else "",
        f"<div>{escape(turn.get('content') or '')}</div>" if turn.get("content") else "",
        *(_call(call.get("function") or {}) for call in turn.get("tool_calls") or ()),
    ]
    return f'<div class="goldleaf-turn{own}">{"".join(parts)}</div>'


def _call(function: Mapping[str, Any]) -> str:
    name, arguments = str(function.get("name", "")), str(function.get("arguments", ""))
    return f'<div class="goldleaf-call">{escape(name)} {escape(_indented(arguments))}</div>'


def _indented(arguments: str) -> str:
    """JSON as people read it; any other text as it is."""
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return arguments
