"""How well the arms without a language model answer where choices stand in the text, beside literal matching.

python tests/benchmarks/told_choices.py FOLDER    needs banking77, cuad and snips in it
"""

import argparse
import csv
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from classical_extraction import examples, requests, slots_task
from pydantic import create_model
from rich.console import Console
from tables import Results
from told_tables import DEVELOPED, KEPT, World, told_rows, told_task

from pipeline.finetuning.evaluate import evaluate, questions
from pipeline.finetuning.exam import Answers, Questions
from pipeline.finetuning.examples import Example
from pipeline.ladder.arm import Advance, Arm
from pipeline.ladder.classical import Linear, Majority, Nearest
from pipeline.ladder.linear_fields import FieldModel
from pipeline.ladder.retrieval import Memory
from schemas.arms_section import Family
from schemas.field import JsonValue, TargetField
from schemas.task import Input, Target, Task

_SEED = 17
_PLAIN = "before: linear on TF-IDF"
_HELP = """\
Made up   columns of tables with a unit, a type and a role, by name or another name, beside traps (told_tables.py)
kept      what was set aside while the arms were made, and is looked at once: furniture, and the slots of Snips that
          have at most 40 different values as choices
literal   of each field with choices the one that stands first in the text, else what another arm says
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class Set:
    """Rows to learn from, rows to choose settings by, and rows to be asked."""

    name: str
    task: type[Task]
    learn: list[Example]
    held_out: list[Example]
    asked: list[Example]


def _set(name: str, task: type[Task], learn: Sequence[Row], held_out: Sequence[Row], asked: Sequence[Row]) -> Set:
    parts = zip(("learn", "held", "asked"), (learn, held_out, asked), strict=True)
    return Set(name, task, *(examples(task, rows, part) for part, rows in parts))


# --- the sets -------------------------------------------------------------------------------------
def _told(name: str, world: World, rows: int, traps: float) -> Set:
    made = told_rows(world, rows + 1_200, _SEED, traps)
    return _set(f"{name}, {rows:,} rows", told_task(world), made[:rows], made[rows : rows + 200], made[rows + 200 :])


def _one_choice(name: str, learn: Sequence[Row], held_out: Sequence[Row], asked: Sequence[Row]) -> Set:
    labels = tuple(sorted({row["label"] for row in (*learn, *held_out, *asked)}))
    task = create_model(
        "Label",
        __base__=Task,
        __doc__="Name it.",
        text=(Input[str], ...),
        label=(Target[Literal[labels]], ...),  # type: ignore[valid-type]
    )
    return _set(name, task, learn, held_out, asked)


def _banking(folder: Path) -> Set:
    def read(name: str) -> list[Row]:
        with (folder / "banking77" / name).open(encoding="utf-8", newline="") as lines:
            return [{"text": row["text"], "label": row["category"]} for row in csv.DictReader(lines)]

    rows = random.Random(_SEED).sample(read("train.csv"), 3_500)
    return _one_choice("banking77", rows[:3_000], rows[3_000:], read("test.csv"))


def _cuad(folder: Path) -> Set:
    lines = (folder / "cuad" / "clauses.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [(one["contract"], {"text": one["clause"], "label": one["label"]}) for one in map(json.loads, lines)]
    contracts = random.Random(_SEED).sample(sorted({contract for contract, _ in rows}), 348)
    cut = (len(contracts) * 7 // 10, len(contracts) * 8 // 10)
    parts = (contracts[: cut[0]], contracts[cut[0] : cut[1]], contracts[cut[1] :])
    return _one_choice("cuad", *([row for contract, row in rows if contract in set(part)] for part in parts))


def _snips(folder: Path, rows: int) -> Set:
    train, asked = (requests(folder / "snips", name) for name in ("train_*_full.json", "validate_*.json"))
    drawn = random.Random(_SEED).sample(train, rows + 300)
    return _set("snips", slots_task(train), drawn[:rows], drawn[rows:], asked)


def _closed_snips(folder: Path, rows: int, most: int = 40) -> Set:
    """The slots of Snips that have few values, as choices."""
    train, asked = (requests(folder / "snips", name) for name in ("train_*_full.json", "validate_*.json"))
    drawn = random.Random(_SEED).sample(train, rows + 300)
    slots = sorted({name for row in train for name in row} - {"text", "intent"})
    values = {name: Counter(row[name].casefold() for row in train if name in row) for name in slots}
    closed = {name: tuple(sorted(some)) for name, some in values.items() if 2 <= len(some) <= most}
    given = {name: (Target[Literal[some] | None], None) for name, some in closed.items()}  # type: ignore[valid-type]
    intents = tuple(sorted({row["intent"] for row in train}))
    intent: Any = (Target[Literal[intents]], ...)  # type: ignore[valid-type]
    task = create_model(
        "Slots", __base__=Task, __doc__="Fill the slots.", text=(Input[str], ...), intent=intent, **given
    )

    def read(some: Sequence[Row]) -> list[Row]:
        folded = [
            {name: value if name in ("text", "intent") else value.casefold() for name, value in row.items()}
            for row in some
        ]
        return [row for row in folded if all(row.get(name) in (None, *known) for name, known in closed.items())]

    return _set(f"snips, {len(closed)} slots as choices", task, read(drawn[:rows]), read(drawn[rows:]), read(asked))


# --- the cheap alternative ------------------------------------------------------------------------
class Literally(Arm):
    """Of fields with choices what stands first in the text, else what another arm says."""

    name, title, family = "literal", "literal matching", Family.CLASSICAL

    def __init__(self, task: type[Task], beside: Sequence[str]) -> None:
        self._task, self._beside = task, beside

    def answer(self, questions: Questions, advance: Advance) -> Answers:
        """Replace what stands in the text."""
        found = []
        for question, text in zip(questions.asked, self._beside, strict=True):
            targets = self._task.task_read_answer(text) or {}
            said = {field.name: _first(field.choices, question.inputs["text"]) for field in self._task.task_targets()}
            found.append(self._task.task_answer({**targets, **{name: one for name, one in said.items() if one}}))
        return Answers(found)


def _first(choices: Sequence[str], text: str) -> JsonValue:
    hits = {one: re.search(rf"(?<!\w){re.escape(one.replace('_', ' '))}(?!\w)", text, re.IGNORECASE) for one in choices}
    places = [(hit.start(), -len(one), one) for one, hit in hits.items() if hit]
    return min(places)[2] if places else None


# --- tables ---------------------------------------------------------------------------------------
def _arms(one: Set) -> Iterator[tuple[str, Arm, float]]:
    """The arms, and the CPU seconds that each took to learn."""
    held_out = questions(one.task, one.held_out)
    begin = time.process_time()
    memory = Memory(one.task, one.learn)
    features = time.process_time() - begin
    plain = Linear(one.task, memory, [], _SEED)
    arms = (
        ("the most frequent answer", Majority(one.task, one.learn)),
        ("before: the nearest row by TF-IDF", Nearest(one.task, memory)),
        ("nearest", Nearest(one.task, memory, held_out)),
        (_PLAIN, plain),
        ("linear", Linear(one.task, memory, held_out, _SEED)),
    )
    for title, arm in arms:
        begin = time.process_time()
        with mock.patch("pipeline.ladder.classical.fit_in_texts", _as_it_is) if arm is plain else nullcontext():
            arm.learn()
        shown = title if " " in title else f"{title}: {arm.title}"
        yield shown, arm, features + time.process_time() - begin


def _as_it_is(field: TargetField, plain: FieldModel, *more: object) -> FieldModel:
    return plain


def _table(one: Set) -> Results:
    asked = Questions(questions(one.task, one.asked), [], [], {})
    fields = [field.name for field in one.task.task_targets() if field.choices]
    cells, said = [], {}

    def judge(title: str, arm: Arm, learned: float) -> None:
        begin = time.process_time()
        said[title] = arm.answer(asked, lambda units: None).texts
        answered = time.process_time() - begin
        judged = evaluate(one.task, asked.asked, said[title])
        by_field = {part.name: part.f1 for part in judged.parts}
        shown = ", ".join(f"{by_field[name]:.1%}" for name in fields[:6] if name in by_field)
        cells.append(
            (title, str(judged.score), f"{judged.exact.value:.1%}", shown, f"{learned:.1f}", f"{answered:.1f}")
        )

    for title, arm, learned in _arms(one):
        judge(title, arm, learned)
    judge("literal matching, else the most frequent", Literally(one.task, said["the most frequent answer"]), 0.0)
    judge("literal matching, else that linear model", Literally(one.task, said[_PLAIN]), 0.0)
    columns = ("", "score", "exact", ", ".join(fields[:6]), "CPU s to learn", "to answer")
    return Results(f"{one.name}: {len(one.learn):,} rows, {len(one.asked):,} questions", columns, cells)


def main() -> None:
    """Measure, and show the tables."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_500, help="of made-up descriptions and of Snips to learn from")
    parser.add_argument("--only", default="", help="sets whose name has this")
    parser.add_argument("--kept", action="store_true", help="ask what was set aside instead")
    options = parser.parse_args()
    makers: dict[str, Callable[[], Set]] = {
        "made up": lambda: _told("made up, many traps", DEVELOPED, options.rows, 0.7),
        "made up, few": lambda: _told("made up, few traps", DEVELOPED, 150, 0.1),
        "banking77": lambda: _banking(options.folder),
        "cuad": lambda: _cuad(options.folder),
        "snips": lambda: _snips(options.folder, options.rows),
    }
    kept: dict[str, Callable[[], Set]] = {
        "furniture": lambda: _told("furniture", KEPT, 400, 0.3),
        "closed snips": lambda: _closed_snips(options.folder, options.rows),
    }
    console = Console(width=max(Console().width, 150))
    for name, make in (kept if options.kept else makers).items():
        if options.only in name:
            _table(make()).show(console)


if __name__ == "__main__":
    main()
