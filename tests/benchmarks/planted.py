"""Faults planted in pairs of texts: what an answer becomes, and in which rows."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Pair = tuple[str, str]
FAULTS = ("copied", "cut", "number", "name", "other row")
_NUMBER = re.compile(r"\d+")
_NAME = re.compile(r"(?<=[\w,;] )[A-Z][\w'\u2019]+")
"""A word with a capital letter inside a sentence."""
_CUT = (0.3, 0.8)
"""Of an answer's words, so many are kept."""


@dataclass(frozen=True)
class Planted:
    """Pairs, some of them with a fault."""

    pairs: list[Pair]
    faults: list[str]
    """Each row's fault; "" if none was planted."""

    def count(self, fault: str) -> int:
        """In how many rows a fault was planted."""
        return self.faults.count(fault)


def plant(pairs: Sequence[Pair], faults: Sequence[str], share: float, seed: int) -> Planted:
    """Plant each of the faults in a share of the rows, or in as many as can have it; never two in one row."""
    draw = random.Random(seed)
    planter = _Planter(pairs, draw)
    planted, found = list(pairs), [""] * len(pairs)
    order = list(range(len(pairs)))
    draw.shuffle(order)
    # Few rows have a number, so these come before the faults that any row can have.
    for fault in sorted(faults, key=("number", "name", "cut", "copied", "other row").index):
        left = round(share * len(pairs))
        for row in order:
            if left and not found[row] and (wrong := planter.planted(fault, row)) is not None:
                planted[row], found[row] = (pairs[row][0], wrong), fault
                left -= 1
    return Planted(planted, found)


class _Planter:
    """Makes wrong answers."""

    def __init__(self, pairs: Sequence[Pair], draw: random.Random) -> None:
        self._pairs, self._draw = pairs, draw
        self._names = [name for _, answer in pairs for name in _NAME.findall(answer)]
        self._makers: dict[str, Callable[[str, str], str | None]] = {
            "copied": lambda original, answer: original,
            "cut": self._cut,
            "number": self._number,
            "name": self._name,
            "other row": lambda original, answer: self._draw.choice(self._pairs)[1],
        }

    def planted(self, fault: str, row: int) -> str | None:
        """The row's answer with the fault; None if it cannot have it."""
        original, answer = self._pairs[row]
        wrong = self._makers[fault](original, answer)
        return None if wrong == answer else wrong

    def _cut(self, original: str, answer: str) -> str | None:
        words = answer.split()
        kept = min(max(round(len(words) * self._draw.uniform(*_CUT)), 1), len(words) - 1)
        return " ".join(words[:kept]) if len(words) > 2 else None

    def _number(self, original: str, answer: str) -> str | None:
        places = list(_NUMBER.finditer(answer))
        if not places:
            return None
        place = self._draw.choice(places)
        first = self._draw.choice("123456789")
        digits = first + "".join(self._draw.choice("0123456789") for _ in place.group()[1:])
        return answer[: place.start()] + digits + answer[place.end() :] if digits not in original else None

    def _name(self, original: str, answer: str) -> str | None:
        places = list(_NAME.finditer(answer))
        if not places:
            return None
        place, name = self._draw.choice(places), self._draw.choice(self._names)
        if name.casefold() in original.casefold():
            return None
        return answer[: place.start()] + name + answer[place.end() :]
