"""Reads a conversation out of a raw row, whichever of the usual layouts it has: messages, ShareGPT or Alpaca."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.ingest.chat_turns import ROLES, SPEAKERS, TurnReader, refuse_media
from pipeline.ingest.tool_call_texts import NotAChat as NotAChat
from pipeline.ingest.tool_call_texts import from_json, shown
from pipeline.text.field_paths import field_value, has_field
from pipeline.text.wording import counted
from schemas.dataset import Layout

_TURNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat")
"""Where the turns usually are."""
_TOOLS = ("tools", "functions")
_PROMPTS = ("system", "developer")
_INPUTS = ("input", "context")
"""In Alpaca's layout, what the instruction is about; Dolly calls it context."""
_ANSWERS = ("output", "response")
_MARKS = ("label", "kto_tag")
"""What says in preference data whether a single answer is a good one."""
_PREFERENCES = ("chosen", "rejected", "chosen_messages", "rejected_messages")
_SHAPES = {
    Layout.MESSAGES: "messages (turns of `role` and `content`)",
    Layout.SHAREGPT: "sharegpt (turns of `from` and `value`)",
    Layout.ALPACA: "alpaca (`instruction`, and `output` or `response`)",
}
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


def read_chat(raw: Mapping[str, Any], layout: Layout, messages_key: str | None, tools_key: str | None) -> Chat:
    """Read a row's conversation.

    Args:
        raw: the row.
        layout: the layout it must have; ``auto`` if it may have any, as long as it fits only one.
        messages_key: the row's field with the turns, by name or path; None if it has one of the usual names.
        tools_key: the same for the definitions of functions.

    Raises:
        NotAChat: the row has no such conversation, or more than text and tool calls.
    """
    row = dict(raw)
    home = _home(row, messages_key)
    refuse_media(home, "the row")
    if messages_key is None:
        _refuse_preferences(home, answered=False)
    turns = None if layout is Layout.ALPACA else _turns(row, messages_key)
    fits = _layouts_of(turns) if turns is not None else set()
    if (layout is Layout.ALPACA or messages_key is None) and _is_alpaca(home):
        fits.add(Layout.ALPACA)
    found = _one(fits, layout, home)
    try:
        return _read(row, home, found, turns or [], messages_key, tools_key)
    except NotAChat as error:
        error.fits_layout = True
        raise


def _read(
    row: dict[str, Any],
    home: Mapping[str, Any],
    found: Layout,
    turns: list[Any],
    messages_key: str | None,
    tools_key: str | None,
) -> Chat:
    """Read a row in its layout."""
    if found is Layout.ALPACA:
        reader, spoken = _reader(Layout.MESSAGES), _alpaca(home)
    else:
        reader, spoken = _reader(found), turns
    messages = [reader.read(turn, f"turn {number}") for number, turn in enumerate(spoken, start=1)]
    _refuse_preferences(home, answered=messages_key is not None and messages[-1]["role"] == "assistant")
    messages = [*_prompt(home, messages), *messages]
    tools, in_turns = _tools(row, home, tools_key, spoken)
    ignored = frozenset(reader.ignored - ({"tools"} if in_turns else set()))
    return Chat(messages, tools, found, ignored)


def _reader(layout: Layout) -> TurnReader:
    if layout is Layout.SHAREGPT:
        return TurnReader("from", "value", SPEAKERS)
    return TurnReader("role", "content", ROLES)


def _home(row: dict[str, Any], messages_key: str | None) -> dict[str, Any]:
    """The object that has the turns, and may have a system prompt and tools next to them."""
    if messages_key is not None and messages_key not in row:
        inner = field_value(row, messages_key.rpartition(".")[0])
        return inner if isinstance(inner, dict) else row
    return row


def _refuse_preferences(home: Mapping[str, Any], answered: bool) -> None:
    """Refuse rows of preference data, unless the field map names a conversation that has its answer."""
    there = [key for key in _PREFERENCES if isinstance(home.get(key), str | list | dict)]
    if there and not answered:
        whole = next((key for key in there if key.startswith("chosen") and isinstance(home[key], list)), None)
        remedy = "write the turns with the better answer as a conversation of their own"
        if whole:
            remedy = f"to keep the better answers, map the turns to `{whole}` under `fields:`"
        raise NotAChat(
            f"the row is preference data: it has {_quoted(there)}, a better and a worse answer, where a "
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
            raise NotAChat(f"the row has turns in {_quoted(there)}; map the turns to one of them under `fields:`")
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
    return value


def _without_turns(name: str, what: str) -> str:
    return f"'{name}' is {what}, so the row has no turns; leave such rows out"


def _may_be_turns(value: Any) -> bool:
    """Whether a field is a list of turns or the JSON text of one; ``conversation`` may also be an id."""
    return (isinstance(value, list) and bool(value)) or (isinstance(value, str) and value.lstrip().startswith("["))


def _refuse_other_turns(row: Mapping[str, Any]) -> None:
    """Name a field that should have been the turns, unless the row is in a layout without any."""
    if _is_alpaca(row):
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


def _is_alpaca(home: Mapping[str, Any]) -> bool:
    return home.get("instruction") is not None and any(key in home for key in _ANSWERS)


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


# --- Alpaca -------------------------------------------------------------------------------------------
def _alpaca(home: Mapping[str, Any]) -> list[dict[str, Any]]:
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
        raise NotAChat(f"the row has {_quoted(there)}, and they differ; keep one of them")
    return home[there[0]] if there else next((home[name] for name in names if home.get(name) is not None), None)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str | None):
        raise NotAChat(f"{what} is {shown(value)}; write a text")
    return value or ""


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


def _quoted(names: Iterable[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


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
