"""Reads a conversation out of a raw row, whichever of the usual layouts it has: messages, ShareGPT, Alpaca or TRL's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.ingest.chat_turns import NO_ROLES, ROLES, SPEAKERS, TurnReader, refuse_media
from pipeline.ingest.question_rows import (
    alpaca_turns,
    completion_turns,
    is_alpaca,
    is_completion,
    quoted,
    turns_in,
    unpacked,
    with_answer,
)
from pipeline.ingest.tool_call_texts import NotAChat as NotAChat
from pipeline.ingest.tool_call_texts import from_json, shown
from pipeline.text.field_paths import field_value, has_field
from pipeline.text.wording import counted
from schemas.dataset import Layout

_TURNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat")
"""Where the turns usually are."""
_TOOLS = ("tools", "functions")
_PROMPTS = ("system", "developer")
_MARKS = ("label", "kto_tag")
"""What says in preference data whether a single answer is a good one."""
_PREFERENCES = ("chosen", "rejected", "chosen_messages", "rejected_messages")
_SHAPES = {
    Layout.MESSAGES: "messages (turns of `role` and `content`)",
    Layout.SHAREGPT: "sharegpt (turns of `from` and `value`)",
    Layout.ALPACA: "alpaca (`instruction`, and `output` or `response`)",
    Layout.PROMPT_COMPLETION: "prompt_completion (`prompt` and `completion`)",
}
_QUESTIONS = {Layout.ALPACA: alpaca_turns, Layout.PROMPT_COMPLETION: completion_turns}
"""The layouts without turns, and how these are made of a row."""
_NAMED = 20
"""Names that are listed."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation as it was read from a row."""

    messages: list[dict[str, Any]]
    """As ``Message.as_json`` writes them."""
    tools: list[dict[str, Any]] | None
    """The definitions of functions, as the row has them."""
    layout: Layout
    """The layout that the row has."""
    ignored: frozenset[str]
    """The keys of turns that messages do not keep."""


def read_chat(
    raw: Mapping[str, Any],
    layout: Layout,
    messages_key: str | None,
    tools_key: str | None,
    roles: Mapping[str, str] = NO_ROLES,
) -> Chat:
    """Read a row's conversation.

    Args:
        raw: the row.
        layout: the layout it must have; ``auto`` if it may have any, as long as it fits only one.
        messages_key: the row's field with the turns, by name or path; None if it has one of the usual names. It may
            also be an object with a conversation in one of the layouts, or the answer to what the row asks.
        tools_key: the same for the definitions of functions.
        roles: which speakers other names in the turns stand for.

    Raises:
        NotAChat: the row has no such conversation, or more than text and tool calls.
    """
    row, is_named = dict(raw), messages_key is not None
    home = _home(row, messages_key)
    if messages_key is not None and (nested := _nested(row, messages_key)) is not None:
        home, messages_key = nested, None
    refuse_media(home, "the row")
    if not is_named:
        _refuse_preferences(home, answered=False)
    turns = None if layout in _QUESTIONS else _turns(home if messages_key is None else row, messages_key)
    fits = _layouts_of(turns) if turns is not None else set()
    if (layout is Layout.ALPACA or messages_key is None) and is_alpaca(home):
        fits.add(Layout.ALPACA)
    # Beside turns, a prompt is one of them, which some datasets repeat.
    if (layout is Layout.PROMPT_COMPLETION or (messages_key is None and not fits)) and is_completion(home):
        fits.add(Layout.PROMPT_COMPLETION)
    found = _one(fits, layout, home)
    reader = _reader(found, roles)
    try:
        spoken = _QUESTIONS[found](home) if found in _QUESTIONS else turns or []
        messages = [reader.read(turn, f"turn {number}") for number, turn in enumerate(spoken, start=1)]
        _refuse_preferences(home, answered=is_named and messages[-1]["role"] == "assistant")
        messages = [*_prompt(home, messages), *messages]
        tools, in_turns = _tools(row, home, tools_key, spoken)
    except NotAChat as error:
        error.fits_layout = True
        raise
    return Chat(messages, tools, found, frozenset(reader.ignored - ({"tools"} if in_turns else set())))


def _reader(layout: Layout, roles: Mapping[str, str]) -> TurnReader:
    if layout is Layout.SHAREGPT:
        return TurnReader("from", "value", {**SPEAKERS, **roles})
    return TurnReader("role", "content", {**ROLES, **roles})


def _home(row: dict[str, Any], messages_key: str | None) -> dict[str, Any]:
    """The object that has the turns, and may have a system prompt and tools next to them."""
    if messages_key is not None and messages_key not in row:
        inner = field_value(row, messages_key.rpartition(".")[0])
        return inner if isinstance(inner, dict) else row
    return row


def _nested(row: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The row with a conversation or an answer that it has within a field; None if that has all the turns."""
    value = field_value(row, key)
    rest = {name: inner for name, inner in row.items() if name != (key if key in row else key.partition(".")[0])}
    if isinstance(value, dict) and not value.keys() & {"role", "from"}:
        return {**rest, **value}
    if isinstance(value, dict):
        before = next((name for name in _TURNS if isinstance(rest.get(name), list)), None)
        return {**rest, before: [*rest[before], value]} if before else with_answer(rest, [value])
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].get("role") == "assistant":
        return with_answer(rest, value)
    return with_answer(rest, value) if isinstance(value, str) and not turns_in(value) else None


def _refuse_preferences(home: Mapping[str, Any], answered: bool) -> None:
    """Refuse rows of preference data, unless the field map names a conversation that has its answer."""
    there = [key for key in _PREFERENCES if isinstance(home.get(key), str | list | dict)]
    if there and not answered:
        better = next((key for key in there if key.startswith("chosen")), None)
        remedy = "write the turns with the better answer as a conversation of their own"
        if (better and _nested(dict(home), better)) or isinstance(home.get(better or ""), list):
            remedy = f"to keep the better answers, map the turns to `{better}` under `fields:`"
        raise NotAChat(
            f"the row is preference data: it has {quoted(there)}, a better and a worse answer, where a "
            f"conversation has one; {remedy}"
        )
    # true and 1 mark good answers, which need nothing else.
    bad = next((key for key in _MARKS if str(home.get(key)).strip().lower() in ("false", "0", "0.0")), None)
    if bad:
        raise NotAChat(
            f"the row is preference data (KTO): `{bad}` is {shown(home[bad])}, which marks its answer as a bad one; "
            f"leave such rows out, or give `{bad}` another name if it means something else"
        )


def _turns(row: dict[str, Any], messages_key: str | None) -> list[Any] | None:
    """The list of turns; None if the row has none under a usual name."""
    if messages_key is None:
        there = {key: row[key] for key in _TURNS if _may_be_turns(row.get(key))}
        if len(there) > 1:
            raise NotAChat(f"the row has turns in {quoted(there)}; map the turns to one of them under `fields:`")
        if not there:
            _refuse_other_turns(row)
            return None
        [(name, value)] = there.items()
    else:
        name, value = messages_key, field_value(row, messages_key)
        if value is None and has_field(row, messages_key):
            raise NotAChat(_without_turns(name, "null"))
        if value is None:
            raise NotAChat(f"the row has no '{name}', where `fields:` says that its turns are; {_fields_of(row)}")
    if isinstance(value, str):
        value = from_json(value, f"'{name}'", "write the turns as a JSON list")
    if not isinstance(value, list):
        raise NotAChat(f"'{name}' is {shown(value)}; write a list of turns")
    if not value:
        raise NotAChat(_without_turns(name, "an empty list"))
    return unpacked(value)


def _without_turns(name: str, what: str) -> str:
    return f"'{name}' is {what}, so the row has no turns; leave such rows out"


def _may_be_turns(value: Any) -> bool:
    """Whether a field is a list of turns or the JSON text of one; ``conversation`` may also be an id."""
    return (isinstance(value, list) and bool(value)) or (isinstance(value, str) and value.lstrip().startswith("["))


def _refuse_other_turns(row: Mapping[str, Any]) -> None:
    """Name a field that should have been the turns, unless the row is in a layout without any."""
    if is_alpaca(row) or is_completion(row):
        return
    for key in _TURNS:
        if row.get(key) == []:
            raise NotAChat(_without_turns(key, "an empty list"))
        if row.get(key) is not None:
            raise NotAChat(f"'{key}' is {shown(row[key])}; write a list of turns")
    if null := next((key for key in _TURNS if key in row), None):
        raise NotAChat(_without_turns(null, "null"))


def _layouts_of(turns: Sequence[Any]) -> set[Layout]:
    """Which layouts the turns fit: all of them have the key that says who speaks."""
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, dict):
            raise NotAChat(f"turn {number} is {shown(turn)}; write it as an object with `role` and `content`")
    keys = {Layout.MESSAGES: "role", Layout.SHAREGPT: "from"}
    fits = {layout for layout, key in keys.items() if all(turn.get(key) is not None for turn in turns)}
    if not fits:
        known = next((key for key in keys.values() if turns[0].get(key) is not None), None)
        for number, turn in enumerate(turns, start=1):
            if known is None or turn.get(known) is None:
                missing = f"`{known}`, which turn 1 has" if known else "`role` and no `from`"
                raise NotAChat(
                    f"turn {number} has no {missing}: {shown(turn)}; write `role` and `content` in every turn"
                )
    return fits


def _one(fits: set[Layout], layout: Layout, home: Mapping[str, Any]) -> Layout:
    """The layout to read."""
    if layout is Layout.AUTO:
        if len(fits) == 1:
            return next(iter(fits))
        names = " and ".join(_SHAPES[one] for one in Layout if one in fits)
        if fits:
            raise NotAChat(f"the row fits {names}; say which with `layout:`")
        raise NotAChat(
            f"the row is in none of the layouts that `layout:` knows, {'; '.join(_SHAPES.values())}; rename its "
            f"fields, or map the turns under `fields:`; {_fields_of(home)}"
        )
    if layout not in fits:
        looks = f"it fits {' and '.join(_SHAPES[one] for one in Layout if one in fits)}" if fits else _fields_of(home)
        error = NotAChat(f"the row is not in the layout {_SHAPES[layout]}, which `layout:` names; {looks}")
        error.fits_layout = False
        raise error
    return layout


# --- what is next to the turns -------------------------------------------------------------------------
def _prompt(home: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The system prompt of a row that has it next to its turns, unless they begin with it."""
    if (given := home.get("system")) in (None, "", []):
        return []
    [prompt] = [TurnReader("role", "content", ROLES).read({"role": "system", "content": given}, "`system`")]
    if messages and messages[0]["role"] in _PROMPTS:
        if messages[0]["content"] != prompt["content"]:
            raise NotAChat(
                f"the row has two system prompts, `system`: {shown(prompt['content'])}, and turn 1: "
                f"{shown(messages[0]['content'])}; keep one of them"
            )
        return []
    return [prompt]


def _tools(
    row: dict[str, Any], home: Mapping[str, Any], key: str | None, turns: Iterable[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]] | None, bool]:
    """The definitions of functions, and whether they come from a system turn, where some datasets have them."""
    found = []
    for name in (key,) if key is not None else _TOOLS:
        found.append((field_value(row, name) if key is not None else home.get(name), f"'{name}'"))
    inside = [(turn["tools"], "`tools` of the system prompt") for turn in turns if _has_tools(turn)]
    given = [tools for value, what in (*found, *inside) if (tools := _definitions(value, what))]
    for tools in given[1:]:
        if tools != given[0]:
            raise NotAChat(f"the row has two lists of tools, {shown(given[0])} and {shown(tools)}; keep one")
    return (given[0] if given else None), bool(inside)


def _has_tools(turn: Mapping[str, Any]) -> bool:
    speaker = turn.get("role") or turn.get("from")
    return bool(turn.get("tools")) and speaker in _PROMPTS


def _definitions(value: Any, what: str) -> list[dict[str, Any]]:
    remedy = "write a list of function definitions"
    if isinstance(value, str) and value.strip():
        value = from_json(value, what, remedy)
    if value in (None, "", []) or (isinstance(value, str) and not value.strip()):
        return []
    if not isinstance(value, list):
        raise NotAChat(f"{what} is {shown(value)}; {remedy}")
    tools = [from_json(tool, f"a tool in {what}", remedy) if isinstance(tool, str) else tool for tool in value]
    for tool in tools:
        if not isinstance(tool, dict):
            raise NotAChat(f"{what} holds {shown(tool)}; {remedy}, each an object")
        inner = tool.get("function")
        if not (inner if isinstance(inner, dict) else tool).get("name"):
            raise NotAChat(f"{what} defines a function without a name: {shown(tool)}; give it the `name` of its calls")
    return tools


def _fields_of(home: Mapping[str, Any]) -> str:
    more = ", …" if len(home) > _NAMED else ""
    return f"its fields are {', '.join(repr(name) for name in list(home)[:_NAMED])}{more}" if home else "it is empty"


# --- what was guessed -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Layouts:
    """What the conversations of a source were read as."""

    rows: Mapping[Layout, int] = field(default_factory=dict)
    """How many rows have which layout."""
    ignored: frozenset[str] = frozenset()
    """The keys of turns that messages do not keep, no more than are shown."""
    rejected: int = 0
    """How many more have the right layout, but are no conversations for another reason."""
    others: int = 0
    """How many are in another layout than in the one that is named."""

    def __or__(self, other: "Layouts") -> "Layouts":
        rows = {layout: self.rows.get(layout, 0) + other.rows.get(layout, 0) for layout in Layout}
        return Layouts(
            {layout: count for layout, count in rows.items() if count},
            _some(self.ignored | other.ignored),
            self.rejected + other.rejected,
            self.others + other.others,
        )

    def __str__(self) -> str:
        read = ", ".join(f"{counted(count, 'row')} of {layout}" for layout, count in self.rows.items())
        names = [f"'{name}'" for name in sorted(self.ignored)[:_NAMED]] + ["…"] * (len(self.ignored) > _NAMED)
        return (read or "no row") + (f"; not kept of its turns: {', '.join(names)}" if names else "")

    @property
    def advice(self) -> str:
        """What naming a layout would do, as nothing named one."""
        if len(self.rows) > 1:
            return "each row is read in its own layout; `layout:` would reject those of the others"
        return "".join(f"set `layout: {layout}` to read them as nothing else" for layout in self.rows)


def layouts_found(chats: Iterable[Chat | NotAChat]) -> Layouts:
    """Count the layouts of conversations, and of rows that are none, to say what was guessed."""
    rows: dict[Layout, int] = {}
    ignored: set[str] = set()
    rejected = others = 0
    for chat in chats:
        if isinstance(chat, NotAChat):
            rejected += chat.fits_layout is True
            others += chat.fits_layout is False
        else:
            rows[chat.layout] = rows.get(chat.layout, 0) + 1
            ignored |= chat.ignored
    return Layouts(rows, _some(ignored), rejected, others)


def _some(names: Iterable[str]) -> frozenset[str]:
    """One more name than are shown says that there are more."""
    return frozenset(sorted(names)[: _NAMED + 1])
