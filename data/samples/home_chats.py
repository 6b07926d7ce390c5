"""Writes clean conversations with the assistants of homes, in either of two layouts."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wording import MATERIAL, Lists, fill, jaccard, read_blocks, read_lists, read_table, seeded, trigrams

SEED = "goldleaf assistant 1"
FOLDER = MATERIAL / "assistant"
ACTING, TALKING = 156, 148  # conversations with calls of functions, and without
EPISODES = (1, 1, 2, 2, 2, 3)  # how many episodes a conversation has
MAX_SIMILARITY = 0.5  # what is said in two conversations that are not planted copies stays below this
SHAREGPT = 0.35  # this share of the conversations is in the second file, in the other layout


@dataclass(frozen=True)
class Turn:
    """What somebody says, calls or reports."""

    role: str
    content: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    """Functions with their arguments as a JSON text."""


@dataclass(frozen=True)
class Home:
    """A home and its assistant."""

    name: str
    assistant: str
    lists: Lists
    devices: tuple[str, ...]
    tools: tuple[str, ...]
    prompt: str


@dataclass(frozen=True)
class Row:
    """A conversation to be: its turns in the file, the true answer, and what is planted in it."""

    home: Home
    device: str
    layout: str
    turns: tuple[Turn, ...]
    answer: tuple[Turn, ...]
    plant: str | None = None
    detail: str | None = None
    usable: bool = True
    original: "Row | None" = None

    @property
    def compared(self) -> str:
        """The text by which rows are compared."""
        return spoken(self.turns)

    def line(self) -> bytes:
        """Return the raw line, without its newline."""
        write = as_messages if self.layout == "messages" else as_sharegpt
        row = {"home": self.home.name, "device": self.device, **write(self)}
        return json.dumps(row, ensure_ascii=False).encode()


def spoken(turns: tuple[Turn, ...]) -> str:
    """Return turns as one text."""
    return "\n".join(f"{turn.role}: {turn.content}" for turn in turns)


# --- the two layouts ------------------------------------------------------------------------------------
def definitions(home: Home) -> list[dict[str, Any]]:
    """Return the functions that the home's assistant may call."""
    known = json.loads((FOLDER / "tools.json").read_text("utf-8"))
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": known[name]["description"],
                "parameters": {
                    "type": "object",
                    "properties": known[name]["properties"],
                    "required": known[name]["required"],
                },
            },
        }
        for name in home.tools
    ]


def messages(turns: tuple[Turn, ...], with_ids: bool) -> list[dict[str, Any]]:
    """Return turns in OpenAI's layout; each result names the call that it answers."""
    found: list[dict[str, Any]] = []
    waiting: list[str] = []
    for number, turn in enumerate(turns):
        message: dict[str, Any] = {"role": turn.role, "content": turn.content}
        if turn.calls:
            waiting = [f"call_{number}_{at}" for at in range(len(turn.calls))]
            message["tool_calls"] = [
                {**({"id": name} if with_ids else {}), "type": "function", "function": dict(function)}
                for name, function in zip(waiting, map(as_function, turn.calls), strict=True)
            ]
        elif turn.role == "tool" and with_ids and waiting:
            message["tool_call_id"] = waiting.pop(0)
        found.append(message)
    return found


def as_function(call: tuple[str, str]) -> dict[str, str]:
    """Return a call as OpenAI's layout has it."""
    return {"name": call[0], "arguments": call[1]}


def as_messages(row: Row) -> dict[str, Any]:
    """Return a row in OpenAI's layout."""
    turns = messages((Turn("system", row.home.prompt), *row.turns), with_ids=True)
    if row.plant == "image":
        picture = {"type": "image_url", "image_url": {"url": "https://camera.example.com/hall.jpg"}}
        spoken = next(turn for turn in turns if turn["role"] == "user")
        spoken["content"] = [{"type": "text", "text": spoken["content"]}, picture]
    return {"messages": turns, "tools": definitions(row.home)}


SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}


def as_sharegpt(row: Row) -> dict[str, Any]:
    """Return a row in ShareGPT's layout, with calls and tools as texts."""
    turns = []
    for turn in row.turns:
        if turn.calls:
            calls = [f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}' for name, arguments in turn.calls]
            turns.append({"from": "function_call", "value": calls[0] if len(calls) == 1 else f"[{', '.join(calls)}]"})
        else:
            turns.append({"from": SPEAKERS.get(turn.role, turn.role), "value": turn.content})
    return {"system": row.home.prompt, "tools": json.dumps(definitions(row.home)), "conversations": turns}


# --- honest conversations -------------------------------------------------------------------------------
Seen = tuple[list[frozenset[tuple[str, ...]]], list[frozenset[tuple[str, ...]]]]


def read_homes() -> list[Home]:
    """Return the homes, each with its rooms and the functions that it has."""
    generic = read_lists(FOLDER / "slots.txt")
    homes = []
    for name, assistant, rooms, doors, devices, functions, prompt in read_table(FOLDER / "homes.txt"):
        lists = generic | {"room": rooms.split(", "), "door": doors.split(", "), "name": [assistant]}
        homes.append(Home(name, assistant, lists, tuple(devices.split(", ")), tuple(functions.split(", ")), prompt))
    return homes


def needed(episode: str) -> set[str]:
    """Return the functions that an episode calls."""
    return set(re.findall(r"^call: (\w+)", episode, re.MULTILINE))


def read_turns(episode: str) -> Iterator[Turn]:
    """Read the turns of an episode whose slots are filled; calls that follow each other are one turn."""
    calls: list[tuple[str, str]] = []
    for line in [*episode.splitlines(), "end: "]:
        role, _, text = line.partition(": ")
        if role == "call":
            function, _, given = text.partition(" ")
            calls.append((function, values(given)))
            continue
        if calls:
            yield Turn("assistant", calls=tuple(calls))
            calls = []
        if role == "tool":
            yield Turn("tool", values(text))
        elif role != "end":
            yield Turn(role, tidy(text))


def values(text: str) -> str:
    """Return `a=1; b=x` as a JSON text."""
    pairs = (part.partition("=") for part in text.split("; "))
    return json.dumps({name: value(written) for name, _, written in pairs}, ensure_ascii=False)


def value(text: str) -> str | bool | int | float:
    """Return a value as JSON has it."""
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text) if "." in text else int(text)
    return text


def tidy(text: str) -> str:
    """Close gaps, and begin the text and its sentences with capitals."""
    text = re.sub(r" +([,.?!])", r"\1", re.sub(r" +", " ", text)).strip()
    text = re.sub(r"([.?!]) ([a-z])", lambda match: f"{match[1]} {match[2].upper()}", text)
    return text[:1].upper() + text[1:]


def write_chats(homes: list[Home]) -> Iterator[Row]:
    """Write the clean conversations, no two of them similar."""
    seen: Seen = ([], [])
    every = read_blocks(FOLDER / "episodes.txt", "\n\n")
    talks = read_blocks(FOLDER / "talks.txt", "\n\n") + [one for one in every if not needed(one)]
    yield from write_some(homes, every, ACTING, seeded(SEED, "acting"), seen)
    # Many a model's template shows no calls; it can learn from these.
    yield from write_some(homes, talks, TALKING, seeded(SEED, "talking"), seen)


def write_some(homes: list[Home], episodes: list[str], rows: int, rng: random.Random, seen: Seen) -> Iterator[Row]:
    """Write conversations that consist of some of the episodes."""
    uses = {episode: rng.random() for episode in episodes}
    number = 0
    while number < rows:
        home = homes[number % len(homes)]
        turns: list[Turn] = []
        fitting = [one for one in episodes if needed(one) <= set(home.tools)]
        for _ in range(rng.choice(EPISODES)):
            # The least used one comes next; a failed trial counts as a use.
            episode = min(fitting, key=uses.__getitem__)
            uses[episode] += 1
            turns += read_turns(fill(episode, {}, home.lists, rng))
        row = new_row(home, tuple(turns), rng)
        # Neither the conversations nor the questions may be similar, since either can be taken for a duplicate.
        pairs = list(zip((row.compared, spoken(row.turns[: first_answer(row)])), seen, strict=True))
        if all(is_unlike(trigrams(text), others) for text, others in pairs):
            for text, others in pairs:
                others.append(trigrams(text))
            number += 1
            yield row


def is_unlike(grams: frozenset[tuple[str, ...]], others: list[frozenset[tuple[str, ...]]]) -> bool:
    """Say whether a text is not similar to any of some others."""
    return all(jaccard(grams, other) < MAX_SIMILARITY for other in others)


def new_row(home: Home, turns: tuple[Turn, ...], rng: random.Random) -> Row:
    """Return a clean row."""
    layout = "sharegpt" if rng.random() < SHAREGPT else "messages"
    return Row(home, rng.choice(home.devices), layout, turns, turns[last_question(turns) + 1 :])


def last_question(turns: tuple[Turn, ...]) -> int:
    """Return the place of the user's last turn."""
    return max(at for at, turn in enumerate(turns) if turn.role == "user")


def first_answer(row: Row) -> int:
    """Return the place where the answer begins."""
    return last_question(row.turns) + 1
