"""Reads one turn of a conversation into a message: its role, its text, its reasoning and its tool calls."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pipeline.ingest.tool_call_texts import NotAChat, read_calls, shown

ROLES: dict[str, str] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    # OpenAI's name before there were tools.
    "function": "tool",
}
"""OpenAI's roles, and the speaker each stands for."""
SPEAKERS: dict[str, str] = {
    **dict.fromkeys(("system", "system_prompt"), "system"),
    "developer": "developer",
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "claude", "model", "bot"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("observation", "tool", "function", "function_response", "tool_response"), "tool"),
}
"""ShareGPT's names, and the speaker each stands for."""
NO_ROLES: Mapping[str, str] = MappingProxyType({})
"""Of a source whose turns have no other names for their speakers."""
_CALLERS = frozenset({"function_call", "tool_call"})
"""In ShareGPT, turns whose text is a call."""
_MEDIA = frozenset(
    f"{medium}{end}"
    for medium in ("image", "audio", "video")
    for end in ("", "s", "_url", "_urls", "_path", "_paths", "_file", "_files")
) | {"input_image", "input_audio", "input_video"}
_TEXTS = frozenset({"text", "input_text", "output_text"})
_THOUGHTS = frozenset({"reasoning", "thinking"})
_PART_TEXTS = ("text", "value", "refusal", "thinking")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_WEIGHTS = ("weight", "loss_weight", "train", "training", "trainable", "loss")
"""Whether a turn is learned: OpenAI's name, axolotl's and ms-swift's."""
_MASKS = ("train_detail", "mask", "masked", "loss_mask")
"""Of some tools 1 is what is learned, of others what is not, or it says so of parts of a turn."""
_KEPT = frozenset(
    {"reasoning_content", "tool_calls", "function_call", "tool_call_id", "name", *_MASKS},
)
_PLACEHOLDER = re.compile(r"^\s*<(image|audio|video)>", re.MULTILINE)
_UNSEEN = "Goldleaf reads text only, and an answer about something unseen teaches guessing: leave such rows out"


def refuse_media(holder: Mapping[str, Any], where: str) -> None:
    """Say that images, audio and video cannot be read, if a row, turn or part has any."""
    if found := sorted(_MEDIA & holder.keys()):
        for key in found:
            if holder[key]:
                raise NotAChat(f"{where} has `{key}`: {shown(holder[key])}; {_UNSEEN}")


def _refuse_placeholder(text: str, where: str) -> None:
    """The same of a text with the tokens of LLaVA and LLaMA-Factory; an element of HTML or XML is closed."""
    for found in _PLACEHOLDER.finditer(text):
        if f"</{found[1]}>" not in text:
            raise NotAChat(f"{where} has `<{found[1]}>` in the place of what is not there; {_UNSEEN}")


class TurnReader:
    """Reads the turns of one conversation, and notes the keys that messages do not keep."""

    def __init__(self, role: str, content: str, roles: Mapping[str, str]) -> None:
        """Name the keys of a turn's role and text, and the roles it may have with the speakers they stand for."""
        self._role, self._content, self._roles = role, content, roles
        self._known = _KEPT | {role, content}
        self.ignored: set[str] = set()

    def read(self, turn: Any, where: str) -> dict[str, Any]:
        """A turn as ``Message.as_json`` writes it; errors call it ``where``."""
        if not isinstance(turn, dict):
            raise NotAChat(f"{where} is {shown(turn)}; write it as an object with `{self._role}` and `{self._content}`")
        refuse_media(turn, where)
        role = turn.get(self._role)
        speaker = self._speaker(role, where)
        given = turn.get(self._content)
        parts = _Parts(where, self.ignored)
        if role in _CALLERS and self._role == "from":
            parts.add_calls(given)
        else:
            parts.add(given, self._content)
        if speaker == "user":
            _refuse_placeholder(parts.text, where)
        for key in ("tool_calls", "function_call"):
            parts.add_calls(turn.get(key))
        self._note_others(turn, parts, where)
        if parts.calls and speaker != "assistant":
            raise NotAChat(f"{where} calls a tool, but its `{self._role}` is {shown(role)}; only the assistant calls")
        return {"role": speaker, "content": parts.text, **_rest(turn, parts, where)}

    def _speaker(self, role: Any, where: str) -> str:
        if isinstance(role, str) and role in self._roles:
            return self._roles[role]
        if role is None:
            raise NotAChat(f"{where} has no `{self._role}`; say who speaks: {_listed(self._roles)}")
        near = role.strip().lower() if isinstance(role, str) else ""
        meant = near if near in self._roles else SPEAKERS.get(near)
        remedy = f"write '{meant}'" if meant else f"known are {_listed(self._roles)}; say under `roles:` who another is"
        raise NotAChat(f"{where} has the `{self._role}` {shown(role)}; {remedy}")

    def _note_others(self, turn: Mapping[str, Any], parts: "_Parts", where: str) -> None:
        """Note the keys that are not kept, unless the turn's text may be among them."""
        known = self._known | _weights(turn).keys()
        if not (others := [key for key, value in turn.items() if value is not None and key not in known]):
            return
        if turn.get(self._content) is None and not parts.calls:
            if isinstance(refusal := turn.get("refusal"), str):
                parts.texts.append(refusal)
                others.remove("refusal")
            elif self._content not in turn:
                raise NotAChat(
                    f"{where} has no `{self._content}`, but {_listed(others)}; call its text `{self._content}`"
                )
        self.ignored.update(key for key in others if key not in _REASONING or not isinstance(turn[key], str))


class _Parts:
    """What the content of a turn consists of."""

    def __init__(self, where: str, ignored: set[str]) -> None:
        self._where, self._ignored = where, ignored
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        # Chat templates put nothing between the parts of a text.
        return "".join(self.texts)

    def add_calls(self, value: Any) -> None:
        if value in (None, "", []):
            return
        if self.calls:
            raise NotAChat(f"{self._where} has its tool calls twice; keep one of `tool_calls` and `function_call`")
        self.calls = read_calls(value, self._where, self._ignored)

    def add(self, content: Any, name: str) -> None:
        if isinstance(content, str):
            self.texts.append(content)
        elif isinstance(content, list):
            for part in content:
                self._add_part(part)
        elif content is not None:
            raise NotAChat(f"`{name}` of {self._where} is {shown(content)}; write a text")

    def _add_part(self, part: Any) -> None:
        where = f"a part of {self._where}"
        if isinstance(part, str):
            self.texts.append(part)
            return
        if not isinstance(part, dict):
            raise NotAChat(f'{where} is {shown(part)}; write it as {{"type": "text", "text": …}}')
        refuse_media(part, where)
        kind = part.get("type")
        value = next((part[key] for key in _PART_TEXTS if part.get(key) is not None), None)
        self._ignored.update(
            key for key, kept in part.items() if kept is not None and key not in ("type", *_PART_TEXTS)
        )
        if kind == "tool_call" and value is not None:
            self.calls += read_calls(value, self._where, self._ignored)
        elif isinstance(kind, str) and (kind in _MEDIA or kind.partition("_")[0] in _MEDIA):
            raise NotAChat(f"{where} is of type {shown(kind)}; Goldleaf reads text only: leave such rows out")
        elif kind not in (None, "refusal", *_THOUGHTS, *_TEXTS):
            raise NotAChat(f"{where} is of type {shown(kind)}; only text, reasoning and tool_call can be read")
        elif not isinstance(value, str):
            raise NotAChat(f"{where} holds {shown(part if value is None else value)} instead of a text; write a text")
        else:
            (self.thoughts if kind in _THOUGHTS else self.texts).append(value)


def _rest(turn: Mapping[str, Any], parts: _Parts, where: str) -> dict[str, Any]:
    """What a message has beside its role and its text, in the order of ``Message``."""
    thought = _thought(turn, where)
    if parts.thoughts:
        if thought:
            raise NotAChat(f"{where} has its reasoning twice; keep one of the part and the key")
        thought = "".join(parts.thoughts)
    found = {
        "reasoning_content": thought,
        "tool_calls": parts.calls or None,
        "tool_call_id": _text(turn, "tool_call_id", where),
        "name": _text(turn, "name", where),
        "weight": _weight(turn, where),
    }
    return {key: value for key, value in found.items() if value is not None}


def _thought(turn: Mapping[str, Any], where: str) -> str | None:
    """The reasoning under any of its names; under another than Goldleaf's own, what is no text is something else."""
    own = _text(turn, "reasoning_content", where)
    given = {text for key in _REASONING if isinstance(text := turn.get(key), str) and text}
    if len(given) > 1:
        raise NotAChat(f"{where} has its reasoning twice, {' and '.join(map(shown, sorted(given)))}; keep one")
    return next(iter(given), own)


def _text(turn: Mapping[str, Any], key: str, where: str) -> str | None:
    value = turn.get(key)
    if not isinstance(value, str | None):
        raise NotAChat(f"`{key}` of {where} is {shown(value)}; write a text")
    return value


def _weights(turn: Mapping[str, Any]) -> dict[str, Any]:
    """What a turn has under the names of its weight; a `loss` of other numbers was measured."""
    given = {key: turn[key] for key in _WEIGHTS if turn.get(key) is not None}
    return {key: value for key, value in given.items() if key != "loss" or value in (0, 1)}


def _weight(turn: Mapping[str, Any], where: str) -> float | None:
    """The weight under any of its names; no other than 0 and 1, as training knows no turns that count more or less."""
    if mask := next((key for key in _MASKS if turn.get(key) not in (None, [])), None):
        raise NotAChat(
            f"{where} has `{mask}`: {shown(turn[mask])}, which may mean either that it is learned or that it is not; "
            "write `weight` instead: 1, or 0 to leave the turn out of the loss"
        )
    given = _weights(turn)
    for key, value in given.items():
        if value not in (0, 1):
            raise NotAChat(f"`{key}` of {where} is {shown(value)}; write 1, or 0 to leave the turn out of the loss")
    if len({float(value) for value in given.values()}) > 1:
        two = " and ".join(f"`{key}`: {shown(value)}" for key, value in given.items())
        raise NotAChat(f"{where} has two weights, {two}; keep one")
    return next((float(value) for value in given.values()), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(str(name) for name in names))
