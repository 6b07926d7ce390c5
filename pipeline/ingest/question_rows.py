"""Reads rows that are one question and its answer, which some layouts have in place of turns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipeline.ingest.tool_call_texts import NotAChat, from_json, shown

_INPUTS = ("input", "context")
"""In Alpaca's layout, what the instruction is about; Dolly calls it context."""
_ANSWERS = ("output", "response")


def is_alpaca(home: Mapping[str, Any]) -> bool:
    """Whether an object is a row of Alpaca's."""
    return home.get("instruction") is not None and any(key in home for key in _ANSWERS)


def is_completion(home: Mapping[str, Any]) -> bool:
    """Whether an object is a prompt with its completion."""
    return home.get("prompt") is not None and "completion" in home


def with_answer(home: Mapping[str, Any], answer: Any) -> dict[str, Any] | None:
    """A question with an answer that its row has elsewhere; None if it is no question."""
    if home.get("instruction") is not None:
        return {**{key: value for key, value in home.items() if key not in _ANSWERS}, "output": answer}
    return {**home, "completion": answer} if home.get("prompt") is not None else None


# --- a prompt and its completion ------------------------------------------------------------------------
def completion_turns(home: Mapping[str, Any]) -> list[Any]:
    """Prompt and completion as turns of ``role`` and ``content``; each is a text or has turns of its own."""
    if turns := [*_said(home, "prompt", "user"), *_said(home, "completion", "assistant")]:
        return turns
    raise NotAChat("'prompt' and 'completion' are empty lists, so the row has no turns; leave such rows out")


def _said(home: Mapping[str, Any], name: str, role: str) -> list[Any]:
    value = home[name]
    if isinstance(value, str):
        return turns_in(value) or [{"role": role, "content": value}]
    if not isinstance(value, list | None):
        raise NotAChat(f"'{name}' is {shown(value)}; write a text or a list of turns")
    return unpacked(value or [])


def turns_in(text: str) -> list[Any] | None:
    """The turns whose JSON a text is, as a CSV has them; None for a text that only begins like one."""
    if text.lstrip().startswith("["):
        with suppress(NotAChat):
            turns = from_json(text, "a text", "")
            if turns and all(isinstance(turn, dict) and turn.keys() & {"role", "from"} for turn in turns):
                return list(turns)
    return None


def unpacked(turns: list[Any]) -> list[Any]:
    """Turns of which each may be the JSON text of an object, as published versions of chats have them."""
    return [
        from_json(turn, "a turn", "write it as an object") if isinstance(turn, str) and turn[:1] == "{" else turn
        for turn in turns
    ]


# --- Alpaca -------------------------------------------------------------------------------------------
def alpaca_turns(home: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An Alpaca row as turns of ``role`` and ``content``; earlier questions and answers come first."""
    turns = [
        {"role": role, "content": _text(text, f"'history', pair {number},")}
        for number, pair in enumerate(_history(home.get("history")), start=1)
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    about, answer = _either(home, _INPUTS), _either(home, _ANSWERS)
    asked = [_text(home["instruction"], "'instruction'"), _text(about, "'input'")]
    turns.append({"role": "user", "content": "\n".join(filter(None, asked))})
    if answer is not None:
        turns.append({"role": "assistant", "content": _text(answer, "the answer")})
    return turns


def _history(value: Any) -> Iterator[Sequence[Any]]:
    if isinstance(value, str) and value.strip():
        value = from_json(value, "'history'", "write pairs of question and answer")
    if value in (None, "") or (isinstance(value, str) and not value.strip()):
        return
    if not isinstance(value, list):
        raise NotAChat(f"'history' is {shown(value)}; write pairs of question and answer")
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise NotAChat(f"'history' holds {shown(pair)}; write pairs of question and answer")
        yield pair


def _either(home: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of a field that has two names."""
    there = [name for name in names if home.get(name) not in (None, "")]
    if len(there) > 1 and home[there[0]] != home[there[1]]:
        raise NotAChat(f"the row has {quoted(there)}, and they differ; keep one of them")
    return home[there[0]] if there else next((home[name] for name in names if home.get(name) is not None), None)


def _text(value: Any, what: str) -> str:
    if isinstance(value, list) and what == "the answer":
        raise NotAChat(f"the answer is a list, {shown(value)}; map the turns to the one to keep, as in `output.0`")
    if not isinstance(value, str | None):
        raise NotAChat(f"{what} is {shown(value)}; write a text")
    return value or ""


def quoted(names: Iterable[str]) -> str:
    """Names of fields as text."""
    return " and ".join(f"'{name}'" for name in names)
