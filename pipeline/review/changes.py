"""What a rewritten text changes about its original, marked word by word for annotators."""

from collections.abc import Mapping
from html import escape
from typing import Any

from pipeline.kinds.registry import kind_of
from pipeline.text.word_diff import Piece, word_diff
from schemas.task import Task

_LEAST_KEPT = 0.3
"""Share of the original's characters that must be left: a translation or summary would be marked from end to end."""


def marked_changes(task: type[Task], inputs: Mapping[str, Any], proposal: Mapping[str, Any] | None) -> str:
    """The first free text of an answer as HTML, with ``del`` and ``ins``; empty if there is little to compare."""
    kind = kind_of(task)
    original = str(inputs.get(kind.original(task)) or "")
    texts = (text for name in kind.free_texts(task) if isinstance(text := (proposal or {}).get(name), str))
    answer = next(texts, "")
    if not original or not answer or original == answer:
        return ""
    pieces = word_diff(original, answer)
    kept = sum(len(piece.text) for piece in pieces if piece.tag in ("same", "form"))
    return "".join(map(_marked, pieces)) if kept >= _LEAST_KEPT * len(original) else ""


def _marked(piece: Piece) -> str:
    text = escape(piece.text).replace("\n", "<br>")
    match piece.tag:
        case "del" | "ins":
            return f"<{piece.tag}>{text}</{piece.tag}>"
        case "form":
            return f"<del>{text}</del><ins>{escape(piece.other)}</ins>"
        case "fold":
            return f" […{text}…] "
        case "same":
            return text
