"""How well the arms without a language model read values out of texts: requests with slots, and invoices.

python tests/benchmarks/classical_extraction.py FOLDER    needs the files of Snips in it
"""

import argparse
import csv
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from extraction_errors import read_requests
from pydantic import create_model
from rich.console import Console
from tables import Results

from pipeline.evaluation.estimates import Estimate
from pipeline.finetuning.evaluate import EvalQuestion, Evaluation, evaluate, questions
from pipeline.finetuning.exam import Questions
from pipeline.finetuning.examples import Example
from pipeline.ladder.arm import Arm
from pipeline.ladder.classical import Linear, Majority, Nearest
from pipeline.ladder.retrieval import Memory
from schemas.task import Input, Role, Target, Task
from schemas.tasks.invoice import Invoice

_INVOICES = Path(__file__).parents[2] / "data" / "samples" / "invoices"
_FOLDS, _SEED = 5, 17
_HELP = """\
FOLDER contains train_INTENT_full.json and validate_INTENT.json of Snips (github.com/sonos/nlu-benchmark, CC0). Task:
the intent, one of seven, and an optional text for each slot of all intents; of a slot that occurs twice the first
counts. The arms learn --rows of the training rows, drawn at random with seed 17, and answer all validation rows.
The invoices are those of data/samples with their true values, without planted copies: in five parts, each of which is
answered by arms that learned the other four.
  field F1   micro F1 over pairs of field and value, with the 95% interval; the metric of the ladder
  exact      answers with all fields right, with the 95% interval
  CPU s      to learn, with the TF-IDF features, and to answer; of the invoices for all five parts
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Rows to learn from, and rows to be asked."""

    learn: list[Example]
    asked: list[Example]


def examples(task: type[Task], rows: Sequence[Row], name: str) -> list[Example]:
    """The rows as a published version would have them."""
    found = []
    for number, row in enumerate(rows):
        inputs = {key: row[key] for key in task.task_names(Role.INPUT)}
        targets = task.task_canonical({field.name: row.get(field.name) for field in task.task_targets()})
        *prompt, answer = task.task_messages(inputs, targets)
        found.append(Example(f"{name}-{number}", tuple(prompt), (answer,), inputs | targets))
    return found


# --- requests -------------------------------------------------------------------------------------
def requests(folder: Path, pattern: str) -> list[Row]:
    """The requests of all files that match, with their intent."""
    found = []
    for path in sorted(folder.glob(pattern)):
        intent = path.stem.split("_")[1]
        found += [{**row, "intent": intent} for row in read_requests(path, intent)]
    return found


def slots_task(rows: Sequence[Row]) -> type[Task]:
    names = sorted({name for row in rows for name in row} - {"text", "intent"})
    intents = tuple(sorted({row["intent"] for row in rows}))
    fields: dict[str, Any] = {
        "text": (Input[str], ...),
        "intent": (Target[Literal[intents]], ...),  # type: ignore[valid-type]
        **dict.fromkeys(names, (Target[str | None], None)),
    }
    return create_model("Slots", __base__=Task, __doc__="Name the intent, and fill the slots.", **fields)


def _snips(folder: Path, rows: int | None) -> tuple[type[Task], list[Part]]:
    train, asked = requests(folder, "train_*_full.json"), requests(folder, "validate_*.json")
    task = slots_task(train)
    learn = train if rows is None else random.Random(_SEED).sample(train, rows)
    return task, [Part(examples(task, learn, "train"), examples(task, asked, "asked"))]


# --- invoices -------------------------------------------------------------------------------------
def _invoices() -> tuple[type[Task], list[Part]]:
    with (_INVOICES / "invoices.csv").open(encoding="utf-8", newline="") as lines:
        texts = {row["id"]: row["text"] for row in csv.DictReader(lines)}
    truth = [json.loads(line) for line in (_INVOICES / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    whole = [one for one in truth if one["usable"] and one["original_id"] is None]
    rows = [{"text": texts[one["id"]], **one["values"]} for one in whole]
    found = random.Random(_SEED).sample(examples(Invoice, rows, "invoice"), len(rows))
    parts = [
        Part([one for at, one in enumerate(found) if at % _FOLDS != fold], found[fold::_FOLDS])
        for fold in range(_FOLDS)
    ]
    return Invoice, parts


# --- arms -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Outcome:
    """What an arm scored, and the CPU seconds that it took."""

    title: str
    found: Evaluation
    learned: float
    answered: float


def _arms(task: type[Task], learn: list[Example]) -> Iterator[tuple[Arm, float]]:
    """The arms, and the CPU seconds that each took to learn."""
    start = time.process_time()
    memory = Memory(task, learn)
    features = time.process_time() - start
    for arm, before in (
        (Majority(task, learn), 0.0),
        (Nearest(task, memory), features),
        (Linear(task, memory, [], _SEED), features),
    ):
        start = time.process_time()
        arm.learn()
        yield arm, before + time.process_time() - start


def measure(task: type[Task], parts: Sequence[Part]) -> list[Outcome]:
    """Let every arm answer the rows of every part that it did not learn."""
    asked: list[EvalQuestion] = []
    titles, answers, spent = {}, {}, {}
    for part in parts:
        now = questions(task, part.asked)
        asked += now
        for arm, learned in _arms(task, part.learn):
            start = time.process_time()
            texts = arm.answer(Questions(now, [], [], {}), lambda done: None).texts
            answered = time.process_time() - start
            titles[arm.name] = arm.title
            answers.setdefault(arm.name, []).extend(texts)
            before = spent.get(arm.name, (0.0, 0.0))
            spent[arm.name] = (before[0] + learned, before[1] + answered)
    return [Outcome(titles[name], evaluate(task, asked, texts), *spent[name]) for name, texts in answers.items()]


# --- tables ---------------------------------------------------------------------------------------
def _shown(score: Estimate) -> str:
    return f"{score.value:.1%} ({score.low:.1%} to {score.high:.1%})"


def _table(name: str, task: type[Task], parts: Sequence[Part], per_field: bool) -> Results:
    outcomes = measure(task, parts)
    columns = ("", "field F1", "exact", "CPU s to learn", "to answer")
    lines = [
        (one.title, _shown(one.found.score), _shown(one.found.exact), f"{one.learned:.1f}", f"{one.answered:.1f}")
        for one in outcomes
    ]
    learned = ", ".join(f"{len(part.learn):,}" for part in parts)
    note = ""
    if per_field:
        by_field = [{part.name: part.f1 for part in one.found.parts} for one in outcomes]
        fields = [field.name for field in task.task_targets()]
        shown = (f"{field} {' / '.join(f'{scores.get(field, 0):.1%}' for scores in by_field)}" for field in fields)
        note = f"F1 by field, of the arms in this order: {', '.join(shown)}."
    return Results(
        f"{name}: {learned} rows to learn from, {outcomes[0].found.questions:,} questions", columns, lines, note
    )


def main() -> None:
    """Measure, and show the tables."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="with the files of Snips")
    parser.add_argument("--rows", type=int, nargs="*", default=[2_000], help="of Snips to learn from (default: 2,000)")
    parser.add_argument("--all", action="store_true", help="learn from all rows of Snips, too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    options = parser.parse_args()
    if not list(options.folder.glob("train_*_full.json")):
        parser.error(f"{options.folder} has no train_INTENT_full.json")
    tables = [_table("Invoices", *_invoices(), per_field=True)]
    for rows in [*options.rows, *([None] if options.all else [])]:
        tables.append(_table("Snips", *_snips(options.folder, rows), per_field=False))
    for table in tables:
        table.show(Console(width=max(Console().width, 120)))
    if options.markdown:
        options.markdown.write_text("\n".join(table.markdown() for table in tables), encoding="utf-8")


if __name__ == "__main__":
    main()
