"""Builds the conversations with home assistants: two JSON-lines files with planted faults, and the truth about them."""

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from planting import Honest, each
from wording import MATERIAL, Lists, fill, jaccard, read_blocks, read_lists, read_table, seeded, shuffled, trigrams

SEED = "goldleaf assistant 1"
FOLDER = MATERIAL / "assistant"
HONEST_ROWS = 236
EPISODES = (1, 1, 2, 2, 2, 3)  # how many episodes a conversation has
MAX_SIMILARITY = 0.5  # what is said in two conversations that are not planted copies stays below this
SHAREGPT = 0.35  # this share of the conversations is in the second file, in the other layout
FILES = {"messages": "chats.jsonl", "sharegpt": "shared_chats.jsonl"}

LOOPS, REFUSALS, LEAKS, CUTS, OTHER_LANGUAGE = 6, 6, 6, 8, 6
EMPTY = {"assistant": 3, "user": 3}
TOKENS = {"<|im_end|>": 2, "<|eot_id|>": 1, "[/INST]": 1, "<|assistant|>": 1, "</s>": 1}
PLACEHOLDERS = {"{{user_name}}": 2, "{{ room }}": 1, "[INSERT TIME]": 1, "{room}": 1, "[Your Name]": 1}
BAD_ARGUMENTS = {"not_json": 2, "missing": 2, "invented": 2, "not_allowed": 2}
UNKNOWN_FUNCTIONS = ("open_garage", "set_lamp", "order_pizza", "turn_on", "get_weather", "setHeating")
ORDER = {"assistant_first": 6, "user_twice": 6}
SAME_PROMPT = 7
COPIES = 6
REJECTED = {"image": 6, "unknown_role": 6}
UNLABELED = 8
CALLING = ("Hello?", "Can you hear me?", "Is this thing on?", "One moment.")
LONG_ENOUGH = 60  # characters of an answer that can be cut visibly


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
    rng = seeded(SEED, "text")
    episodes = read_blocks(FOLDER / "episodes.txt", "\n\n")
    uses = {episode: rng.random() for episode in episodes}
    seen: tuple[list[frozenset[tuple[str, ...]]], ...] = ([], [])
    number = 0
    while number < HONEST_ROWS:
        home = homes[number % len(homes)]
        turns: list[Turn] = []
        for _ in range(rng.choice(EPISODES)):
            fitting = [one for one in episodes if needed(one) <= set(home.tools)]
            # The least used one comes next; a failed trial counts as a use.
            episode = min(fitting, key=uses.__getitem__)
            uses[episode] += 1
            turns += read_turns(fill(episode, {}, home.lists, rng))
        row = new_row(home, tuple(turns), rng)
        # Neither the conversations nor the questions may be similar, since either can be taken for a duplicate.
        grams = (trigrams(row.compared), trigrams(spoken(row.turns[: first_answer(row)])))
        if all(
            jaccard(mine, other) < MAX_SIMILARITY for mine, others in zip(grams, seen, strict=True) for other in others
        ):
            for mine, others in zip(grams, seen, strict=True):
                others.append(mine)
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


# --- planted faults -------------------------------------------------------------------------------------
class Planter:
    """Takes honest rows and gives back planted ones."""

    def __init__(self, rows: list[Row]) -> None:
        self.rng = seeded(SEED, "plants")
        self.honest = Honest(rows, self.rng)

    def with_last(self, row: Row, text: str, plant: str, detail: str | None = None) -> Row:
        """Let the assistant end with another text."""
        return replace(row, turns=(*row.turns[:-1], replace(row.turns[-1], content=text)), plant=plant, detail=detail)

    def odd_answers(self) -> Iterator[Row]:
        """Let honest conversations end with an answer that nobody should learn."""
        for _ in range(CUTS):
            row = self.honest.take(lambda row: len(row.turns[-1].content) >= LONG_ENOUGH)
            yield self.with_last(row, cut(row.turns[-1].content, self.rng), "cut_answer")
        for _ in range(LOOPS):
            row = self.honest.take(lambda row: len(row.turns[-1].content) >= LONG_ENOUGH // 3)
            yield self.with_last(row, " ".join([row.turns[-1].content] * self.rng.randint(5, 9)), "loop")
        refusals = read_blocks(FOLDER / "refusals.txt", "\n")
        for at in range(REFUSALS):
            row = self.honest.take()
            turns = (*row.turns[: last_question(row.turns) + 1], Turn("assistant", refusals[at % len(refusals)]))
            yield replace(row, turns=turns, plant="refusal")
        for _ in range(LEAKS):
            row = self.honest.take()
            yield self.with_last(row, row.home.prompt, "leaked_prompt")
        for token in each(TOKENS):
            row = self.honest.take()
            yield self.with_last(row, f"{row.turns[-1].content}{token}", "template_token", token)
        for left in each(PLACEHOLDERS):
            row = self.honest.take()
            yield self.with_last(row, f"{row.turns[-1].content} Anything else, {left}?", "placeholder", left)
        foreign = read_blocks(FOLDER / "other_language.txt", "\n")
        for at in range(OTHER_LANGUAGE):
            row = self.honest.take(lambda row: sum(len(turn.content) for turn in row.turns) > 120)
            yield self.with_last(row, foreign[at % len(foreign)], "other_language")

    def odd_calls(self) -> Iterator[Row]:
        """Break the arguments of the last call, or call a function that does not exist."""
        for detail in each(BAD_ARGUMENTS):
            row = self.honest.take(lambda row: row.layout == "messages" and can_break(row))
            yield replace(with_call(row, partial(broken, detail=detail)), plant="bad_arguments", detail=detail)
        for name in UNKNOWN_FUNCTIONS:
            row = self.honest.take(lambda row: any(turn.calls for turn in row.answer))
            yield replace(with_call(row, partial(renamed, name=name)), plant="unknown_function", detail=name)

    def odd_order(self) -> Iterator[Row]:
        """Let a turn be empty, or come where it should not."""
        for who in each(EMPTY):
            row = self.honest.take(lambda row: len(row.turns) > 3)
            if who == "assistant":
                yield self.with_last(row, "", "empty_turn", who)
            else:
                first = replace(row.turns[0], content="")
                yield replace(row, turns=(first, *row.turns[1:]), plant="empty_turn", detail=who, usable=False)
        for plant in each(ORDER):
            row = self.honest.take()
            turn = Turn("assistant", f"Hello, this is {row.home.assistant}. What can I do?")
            if plant == "user_twice":
                turn = Turn(
                    "user", self.rng.choice(["Hello?", "Can you hear me?", f"{row.home.assistant}?", "One moment."])
                )
            yield replace(row, turns=(turn, *row.turns), plant=plant, usable=False)

    def copies(self) -> Iterator[Row]:
        """Repeat honest rows; and add conversations that have only their system prompt in common with another."""
        for _ in range(COPIES):
            row = self.honest.take()
            yield row
            yield replace(row, device=self.rng.choice(row.home.devices), plant="exact_duplicate", original=row)
        for _ in range(SAME_PROMPT):
            row = self.honest.take(lambda row: any(is_sister(row, other) for other in self.honest.free))
            other = self.honest.take(partial(is_sister, row))
            yield row
            yield replace(other, plant="same_system_prompt", original=row)

    def rejected(self) -> Iterator[Row]:
        """Add pictures, and roles that nobody knows: such rows cannot be read."""
        for plant in each(REJECTED):
            row = replace(self.honest.take(lambda row: row.layout == "messages"), plant=plant, usable=False)
            if plant == "unknown_role":
                odd = self.rng.choice(["narrator", "resident", "Assistant", "supervisor"])
                last = replace(row.turns[-1], role=odd)
                yield replace(row, turns=(*row.turns[:-1], last), detail=odd)
            else:
                yield row

    def unlabeled(self) -> Iterator[Row]:
        """Take the answer away, so that the conversation ends with the user."""
        for _ in range(UNLABELED):
            row = self.honest.take()
            yield replace(row, turns=row.turns[: last_question(row.turns) + 1], plant="unlabeled")


def is_sister(row: Row, other: Row) -> bool:
    """Say whether both are short and of one home, so that their system prompt is most of what they say."""
    return other is not row and other.home == row.home and max(len(row.turns), len(other.turns)) <= 4


def cut(text: str, rng: random.Random) -> str:
    """Return the text without its end, in the middle of a sentence."""
    words = text.split()
    return " ".join(words[: rng.randint(len(words) // 2 + 1, len(words) - 2)]).rstrip(".,;?!")


def can_break(row: Row) -> bool:
    """Say whether the answer calls a function with arguments that can be broken in every way."""
    names = {name for turn in row.answer for name, _ in turn.calls}
    return bool(names & {"set_blinds", "read_sensor", "add_to_list", "start_appliance"})


def with_call(row: Row, change: Callable[[tuple[str, str]], tuple[str, str]]) -> Row:
    """Change the first call of the answer."""
    at = next(at for at in range(last_question(row.turns), len(row.turns)) if row.turns[at].calls)
    turn = row.turns[at]
    turn = replace(turn, calls=(change(turn.calls[0]), *turn.calls[1:]))
    return replace(row, turns=(*row.turns[:at], turn, *row.turns[at + 1 :]))


def renamed(call: tuple[str, str], name: str) -> tuple[str, str]:
    """Return the call of another function with the same arguments."""
    return name, call[1]


def broken(call: tuple[str, str], detail: str) -> tuple[str, str]:
    """Return the call with arguments that its function does not take."""
    name, arguments = call
    given: dict[str, Any] = json.loads(arguments)
    match detail:
        case "not_json":
            return name, arguments.rstrip("}").replace('"', "'", 2)
        case "missing":
            given.popitem()
        case "invented":
            given["priority"] = "high"
        case _:
            given[list(given)[-1]] = 7
    return name, json.dumps(given, ensure_ascii=False)


def build() -> list[Row]:
    """Return all rows of the assistant set, in file order; the files follow each other."""
    planter = Planter(list(write_chats(read_homes())))
    rows = [
        *planter.odd_calls(),
        *planter.rejected(),
        *planter.odd_answers(),
        *planter.odd_order(),
        *planter.copies(),
        *planter.unlabeled(),
    ]
    rows += planter.honest.free
    originals = {id(row): row.original for row in rows if row.original}
    rows = shuffled(rows, originals, seeded(SEED, "order"))
    return sorted(rows, key=lambda row: list(FILES).index(row.layout))


def files(rows: list[Row]) -> dict[str, bytes]:
    """Return the content of the two raw files and of the truth file."""
    found: dict[str, bytes] = {}
    places: dict[int, tuple[str, int]] = {}
    for layout, name in FILES.items():
        mine = [row for row in rows if row.layout == layout]
        found[f"assistant/{name}"] = b"".join(row.line() + b"\n" for row in mine)
        places |= {id(row): (name, at) for at, row in enumerate(mine, start=1)}
    truth = []
    for row in rows:
        original = places[id(row.original)] if row.original else None
        answer = messages((Turn("system"), *row.turns[: first_answer(row)], *row.answer), row.layout == "messages")
        truth.append(
            {
                "file": places[id(row)][0],
                "line": places[id(row)][1],
                "sha256": hashlib.sha256(row.line()).hexdigest(),
                "planted": [row.plant] if row.plant else [],
                "detail": row.detail,
                "values": {"messages": answer[first_answer(row) + 1 :]},
                "usable": row.usable,
                "original_line": f"{original[0]}:{original[1]}" if original else None,
            }
        )
    found["assistant/truth.jsonl"] = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in truth).encode()
    return found


def first_answer(row: Row) -> int:
    """Return the place where the answer begins."""
    return last_question(row.turns) + 1
