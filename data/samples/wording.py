"""Turns the hand-written material into texts: fills templates, compares and alters texts."""

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

MATERIAL = Path(__file__).parent / "material"
INNERMOST = re.compile(r"\{([^{}]*)\}")
Lists = Mapping[str, Sequence[str]]
Row = TypeVar("Row")


def read_blocks(path: Path, parting: str) -> list[str]:
    """Return the texts of a file that are parted by `parting`, without comment lines."""
    lines = path.read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("# "))
    return [block.strip("\n") for block in text.split(parting) if block.strip()]


def read_table(path: Path) -> list[list[str]]:
    """Return the cells of a file whose lines are `cell | cell | ...`."""
    return [line.split(" | ") for line in read_blocks(path, "\n")]


def read_lists(path: Path) -> dict[str, list[str]]:
    """Return the values that each slot may take, from lines `slot: value | value`."""
    pairs = (line.split(": ", 1) for line in read_blocks(path, "\n"))
    return {slot: values.split(" | ") for slot, values in pairs}


def seeded(*parts: str) -> random.Random:
    """Return a source of choices that is the same in each run, and apart for each purpose."""
    return random.Random("/".join(parts))  # noqa: S311 - repeatable on purpose


def fill(template: str, words: Mapping[str, str], lists: Lists, rng: random.Random) -> str:
    """Return the template with each `{this|that}` drawn and each `{slot}` filled.

    A slot keeps its value within one text; `{slot2}` draws another one from the
    list of `{slot}`; `{^slot}` starts with a capital.
    """
    known = dict(words)

    def draw(match: re.Match[str]) -> str:
        inside: str = match[1]
        if "|" in inside:
            # An optional part (one choice is empty) gets a second chance to appear.
            options = inside.split("|")
            return rng.choice(options) or rng.choice(options)
        name = inside.removeprefix("^")
        if name not in known:
            choices = lists[name.rstrip("0123456789")]
            known[name] = rng.choice([c for c in choices if c not in known.values()])
        value = known[name]
        return value[:1].upper() + value[1:] if inside.startswith("^") else value

    # From the inside out, so that choices may hold slots and further choices.
    while INNERMOST.search(template):
        template = INNERMOST.sub(draw, template)
    return template


def trigrams(text: str) -> frozenset[tuple[str, ...]]:
    """Return the set of three-word sequences of the lower-cased text."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    """Return the share of three-word sequences that two texts have in common."""
    return len(a & b) / len(a | b) if a or b else 1.0


def with_typo(text: str, rng: random.Random) -> str:
    """Swap two letters inside one of the longer lower-case words."""
    spot = rng.choice(list(re.finditer(r"\b[a-z]{7,}\b", text)))
    at = rng.randrange(spot.start() + 1, spot.end() - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def with_swap(text: str, rng: random.Random) -> str:
    """Let two neighbouring words change places."""
    words = text.split(" ")
    at = rng.randrange(1, len(words) - 2)
    words[at], words[at + 1] = words[at + 1], words[at]
    return " ".join(words)


def with_cut_tail(text: str, rng: random.Random) -> str:
    """Drop a few words at the end, as a page break does."""
    words = text.split(" ")
    return " ".join(words[: -rng.randint(3, max(3, len(words) // 8))])


def with_line_breaks(text: str, newline: str, every: int) -> str:
    """Break the text after each `every` words."""
    words = text.split(" ")
    lines = [words[at : at + every] for at in range(0, len(words), every)]
    return newline.join(" ".join(line) for line in lines)


def with_loose_spaces(text: str, rng: random.Random) -> str:
    """Double some spaces, turn one into a tab and add one at the end."""
    words = text.split(" ")
    parts = [rng.choice(["", " ", ""]) + word for word in words]
    parts[len(parts) // 2] = "\t" + words[len(parts) // 2]
    return " ".join(parts) + " "


def shuffled(rows: list[Row], originals: Mapping[int, Row], rng: random.Random) -> list[Row]:
    """Return the rows in random order, each after its original; `originals` is keyed by id()."""
    order = rows[:]
    rng.shuffle(order)
    place = {id(row): at for at, row in enumerate(order)}
    for copy, original in originals.items():
        first, second = place[id(original)], place[copy]
        if first > second:
            order[first], order[second] = order[second], order[first]
            place[id(original)], place[copy] = second, first
    return order
