"""Clean texts before any other step, without changing what they say.

Removed or replaced: NUL and other control characters, byte order marks, exotic spaces (replaced by plain ones),
trailing spaces, blank space around the text, every line end other than ``\\n``. Kept: indentation and runs of
spaces inside a line (instruction data holds code and tables), tabs, the joiners that emoji and Persian need, and
the ideographic space, which is the ordinary one in Japanese.
"""

import json
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from schemas.conversation import turn_texts
from schemas.dataset import Normalize
from schemas.task import Role, Task
from schemas.task_fields import tools_field, turn_fields

_LINE_ENDS = "\v\f\x85\u2028\u2029"
"""In addition to carriage returns; a form feed is a page break in text extracted from a PDF."""
_SPACES = "\xa0\u1680\u202f\u205f" + "".join(map(chr, range(0x2000, 0x200B)))
_BYTE_ORDER_MARK = "\ufeff"
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_CLEAN: dict[int, str | None] = {
    **{code: None for code in _CONTROLS if chr(code) not in "\n\t"},
    **{ord(end): "\n" for end in _LINE_ENDS},
    **{ord(space): " " for space in _SPACES},
    ord(_BYTE_ORDER_MARK): None,
}
_BETWEEN_FIELDS = "\x1f"
"""Whitespace to ``match_key``, so no key of a single text contains it."""
_TRAILING = (" \n", "\t\n", "\u3000\n")
"""Trailing blanks that remain after cleaning."""


def normalize_text(text: str, config: Normalize) -> str:
    """Clean a text; idempotent."""
    if config.whitespace == "keep":
        return _to_form(text.replace("\x00", ""), config)
    # Everything to be removed is unprintable, and few texts contain any: translating takes ten times as long.
    if not text.replace("\n", "").replace("\t", "").isprintable():
        text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CLEAN)
    # The Unicode form comes after removals, which can join a letter and its accent, and before stripping,
    # because NFKC writes some characters with a space.
    text = _to_form(text, config)
    if "\n" in text and any(end in text for end in _TRAILING):
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    return text.strip()


def _to_form(text: str, config: Normalize) -> str:
    return text if config.unicode == "none" else unicodedata.normalize(config.unicode, text)


def normalize_row(row: Mapping[str, Any], fields: Collection[str], config: Normalize) -> dict[str, Any]:
    """Return a copy of a row with the texts of the given fields cleaned, including those in lists and objects.

    Other fields, and the keys of objects, stay as they are.
    """
    return {name: _normalized(value, config) if name in fields else value for name, value in row.items()}


def _normalized(value: Any, config: Normalize) -> Any:
    if isinstance(value, str):
        return normalize_text(value, config)
    if isinstance(value, list):
        return [_normalized(item, config) for item in value]
    if isinstance(value, dict):
        return {key: _normalized(item, config) for key, item in value.items()}
    return value


def match_key(text: str) -> str:
    """The form in which texts that differ only in case, width or whitespace are equal."""
    if text.isascii():
        lower = text.lower()
        # Most texts are one line of words with single spaces.
        tidy = text.isprintable() and "  " not in text and text[:1] != " " != text[-1:]
        return lower if tidy else " ".join(lower.split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def inputs_key(task: type[Task], inputs: Mapping[str, Any]) -> str:
    """The form in which inputs that ask the same thing are equal, field by field."""
    return _BETWEEN_FIELDS.join(match_key(text) for _, text in named_input_texts(task, inputs))


def has_several_fields(key: str) -> bool:
    """Whether a key was made from more than one input."""
    return _BETWEEN_FIELDS in key


def key_fields(key: str) -> list[str]:
    """The inputs that a key was made from."""
    return key.split(_BETWEEN_FIELDS)


def shown_inputs(task: type[Task], inputs: Mapping[str, Any]) -> str:
    """The inputs as shown to people, as far as they are compared; absent and empty ones are left out."""
    return "\n".join(text for text in _compared_texts(task, inputs) if text not in ("", "[]", "{}"))


def named_input_texts(task: type[Task], inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The inputs as texts, in the order of the task's fields, each with the name of its field; an absent input is an
    empty text.

    Every turn of a conversation is a text of its own, named with its number.
    """
    turns = turn_fields(task)
    for name in task.task_names(Role.INPUT):
        value = inputs.get(name)
        if name in turns:
            yield from ((f"{name}, turn {n}", text) for n, text in enumerate(turn_texts(value or []), 1))
        else:
            yield name, _as_text(value)


def compared_text(task: type[Task], inputs: Mapping[str, Any]) -> str:
    """The text by which similar inputs are searched: all of them, without what many conversations share.

    System prompts and the definitions of tools would make conversations similar that have nothing else in common.
    """
    return "\n".join(_compared_texts(task, inputs))


def _compared_texts(task: type[Task], inputs: Mapping[str, Any]) -> Iterator[str]:
    turns, tools = turn_fields(task), tools_field(task)
    for name in task.task_names(Role.INPUT):
        value = inputs.get(name)
        if name in turns:
            yield from turn_texts(value or [], without_system=True)
        elif name != tools or not turns:
            yield _as_text(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
