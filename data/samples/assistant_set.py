"""Builds the conversations with home assistants: two JSON-lines files with planted faults, and the truth about them."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from home_chats import (
    FOLDER,
    SEED,
    Row,
    Turn,
    first_answer,
    last_question,
    messages,
    read_homes,
    write_chats,
)
from planting import Honest, each
from wording import read_blocks, seeded, shuffled

FILES = {"messages": "chats.jsonl", "sharegpt": "shared_chats.jsonl"}
LOOPS, REFUSALS, LEAKS, OTHER_LANGUAGE = 6, 6, 6, 6
CUTS = {"second_sentence": 5, "first_sentence": 3}  # the first is hard to see: nothing in the answer ends
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
LONG_ENOUGH = 20  # characters of an answer that is worth repeating


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
        for where in each(CUTS):
            row = self.honest.take(lambda row: all(len(one.split()) > 5 for one in halves(row.turns[-1].content)))
            yield self.with_last(row, cut(row.turns[-1].content, where, self.rng), "cut_answer", where)
        for _ in range(LOOPS):
            row = self.honest.take(lambda row: len(row.turns[-1].content) >= LONG_ENOUGH)
            yield self.with_last(row, " ".join([row.turns[-1].content] * self.rng.randint(5, 9)), "loop")
        refusals = read_blocks(FOLDER / "refusals.txt", "\n")
        for at in range(REFUSALS):
            row = self.honest.take()
            turns = (*row.turns[: last_question(row.turns) + 1], Turn("assistant", refusals[at % len(refusals)]))
            yield replace(row, turns=turns, plant="refusal")
        for _ in range(LEAKS):
            row = self.honest.take(lambda row: len(row.turns) > 3)
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


def halves(text: str) -> tuple[str, str]:
    """Return the first sentence of an answer, and the rest."""
    first, _, rest = text.partition(". ")
    return first, rest


def cut(text: str, where: str, rng: random.Random) -> str:
    """Return the text without its end, in the middle of its first sentence or of what follows."""
    first, rest = halves(text)
    words = (first if where == "first_sentence" else rest).split()
    kept = " ".join(words[: rng.randint(len(words) // 2, len(words) - 2)]).rstrip(".,;?!")
    return kept if where == "first_sentence" else f"{first}. {kept}"


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
