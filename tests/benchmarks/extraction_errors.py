"""How many wrong values planted in extracted slots `goldleaf curate` sends to annotators, next to grounding alone.

python tests/benchmarks/extraction_errors.py FOLDER              all seven intents in one dataset
"""

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Failed, folder, run
from rich.console import Console
from sent_batch import QUERY, Batch, row_of
from tables import Results

from pipeline.label_errors.grounding import ungrounded
from schemas.field import TargetField, ValueType
from schemas.field_values import leaves

_FAULTS = ("truncated", "swapped", "foreign", "dropped")
_SHARE, _BUDGET = 0.05, 0.2
_HELP = """\
FOLDER contains train_INTENT_full.json of Snips (github.com/sonos/nlu-benchmark, CC0): requests with slots. A row has an
optional text for each slot of all intents; of a slot that occurs twice the first counts.

Planted in 5% of the rows each, never two in one row: a value that lost words at one end ("truncated"), two values
exchanged ("swapped"), a value of another row that the text does not contain ("foreign"), a value left out ("dropped").
  sent     in the batch of `goldleaf curate --no-push` with a budget of 20% of the rows, or held until a row of it is
           answered that has the same text
  ranked   among the 20% of the rows with the highest scores
  lacking  by grounding alone: rows with a value that the text does not say, all that it doubts
Rows without a planted fault may be wrong as well. The model was developed on BookRestaurant and PlayMusic with seed 1.
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class Planted:
    """Rows, some of them with a fault."""

    rows: list[Row]
    faults: list[str]
    """Each row's fault; "" if none was planted."""
    slots: list[str]


def read_rows(place: Path, intents: Sequence[str]) -> list[Row]:
    """The requests with their slots."""
    rows = []
    for path in sorted(place.glob("train_*_full.json")):
        intent = path.name.split("_")[1]
        if intents and intent not in intents:
            continue
        rows += read_requests(path, intent)
    return rows


def read_requests(path: Path, intent: str) -> list[Row]:
    """The requests of one file with their slots."""
    # One of the files has characters of Latin-1.
    data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    rows = []
    for request in json.loads(text)[intent]:
        row: Row = {"text": "".join(part["text"] for part in request["data"])}
        for part in request["data"]:
            if "entity" in part:
                row.setdefault(f"slot_{part['entity']}", part["text"].strip())
        rows.append(row)
    return rows


def plant(rows: Sequence[Row], seed: int) -> Planted:
    """Plant each fault in its share of the rows."""
    draw = random.Random(seed)
    found, faults = [dict(row) for row in rows], [""] * len(rows)
    slots = sorted({name for row in rows for name in row if name != "text"})
    pool = {name: [row[name] for row in rows if name in row] for name in slots}
    order = list(range(len(rows)))
    draw.shuffle(order)
    for fault in _FAULTS:
        left = round(_SHARE * len(rows))
        for number in order:
            if left and not faults[number] and _spoil(found[number], fault, pool, draw):
                faults[number] = fault
                left -= 1
    return Planted(found, faults, slots)


def _spoil(row: Row, fault: str, pool: dict[str, list[str]], draw: random.Random) -> bool:
    """Make one value of a row wrong; returns whether it could be."""
    names = sorted(name for name in row if name != "text")
    draw.shuffle(names)
    if fault == "truncated":
        names = [name for name in names if len(row[name].split()) > 1]
    if len(names) < 1 + (fault == "swapped"):
        return False
    name, value = names[0], row[names[0]]
    if fault == "truncated":
        words = value.split()
        lost = draw.randint(1, len(words) - 1)
        row[name] = " ".join(words[lost:] if draw.random() < 0.5 else words[:-lost])
    elif fault == "swapped":
        if value.casefold() == row[names[1]].casefold():
            return False
        row[name], row[names[1]] = row[names[1]], value
    elif fault == "foreign":
        others = [draw.choice(pool[name]) for _ in range(20)]
        strange = [other for other in others if other.casefold() not in row["text"].casefold()]
        if not strange:
            return False
        row[name] = strange[0]
    else:
        del row[name]
    return True


def _task(slots: Sequence[str]) -> str:
    fields = "\n".join(f"    {slot}: Target[str | None] = None" for slot in slots)
    head = "from schemas.task import Input, Target, Task"
    return f'{head}\n\n\nclass Slots(Task):\n    """Fill the slots."""\n\n    text: Input[str]\n{fields}\n'


def curate(planted: Planted, program: str) -> tuple[list[dict[str, Any]], float]:
    """The decisions of a run, and its CPU seconds."""
    with folder() as home:
        lines = (json.dumps({"id": number, **row}) for number, row in enumerate(planted.rows))
        (home / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (home / "task.py").write_text(_task(planted.slots), encoding="utf-8")
        (home / "dataset.yaml").write_text(
            "name: slots\ntask: task.py:Slots\nsources:\n- {name: rows, path: rows.jsonl, key: id}\n"
            f"review: {{budget: {_BUDGET}}}\n",
            encoding="utf-8",
        )
        environment = {"GOLDLEAF_HOME": str(home / "home")}
        spent = run([program, "curate", str(home / "dataset.yaml"), "--no-push"], home, environment)
        asked = home / "asked"
        asked.mkdir()
        run([program, "sql", QUERY, str(home / "dataset.yaml"), "--json"], asked, environment)
        return json.loads((asked / "log.txt").read_text(encoding="utf-8")), spent.cpu


def _lacking(planted: Planted) -> list[bool]:
    fields = [TargetField(name=slot, type=ValueType.TEXT, optional=True) for slot in planted.slots]
    return [bool(ungrounded(row["text"], leaves(fields, row))) for row in planted.rows]


@dataclass(frozen=True)
class Outcome:
    """What came of one planting."""

    rows: dict[str, int]
    """By fault."""
    shares: dict[str, tuple[float, float, float]]
    """By fault: sent, ranked, lacking."""
    sent: int
    cpu: float


def _outcome(planted: Planted, decided: list[dict[str, Any]], cpu: float) -> Outcome:
    count = len(planted.rows)
    batch = Batch.read(decided, [row["text"] for row in planted.rows])
    scores = {row_of(row): row["score"] for row in decided}
    ranked = set(sorted(range(count), key=lambda place: -(scores.get(place) or 0))[: round(_BUDGET * count)])
    lacking = {place for place, lacks in enumerate(_lacking(planted)) if lacks}
    rows, shares = {}, {}
    for fault in (*_FAULTS, ""):
        wrong = [place for place, one in enumerate(planted.faults) if one == fault]
        sent, first, lacks = (len(some & set(wrong)) / len(wrong) for some in (batch.decided, ranked, lacking))
        rows[fault], shares[fault] = len(wrong), (sent, first, lacks)
    return Outcome(rows, shares, len(batch.sent), cpu)


def _table(found: Sequence[Outcome], rows: int, slots: int) -> Results:
    cells = []
    for fault in (*_FAULTS, ""):
        means = np.mean([one.shares[fault] for one in found], axis=0)
        least = min(one.shares[fault][0] for one in found)
        shares = (f"{means[0]:.1%}", f"{least:.1%}", *(f"{share:.1%}" for share in means[1:]))
        cells.append((fault or "no planted fault", str(found[0].rows[fault]), *shares))
    sent, cpu = (float(np.mean([getattr(one, what) for one in found])) for what in ("sent", "cpu"))
    note = f"{len(found)} seeds. {rows:,} rows, {slots} slots; {sent:,.0f} sent; a whole run took {cpu:.0f} s of CPU."
    columns = ("planted", "rows", "sent", "least of a seed", "ranked", "lacking")
    return Results("Wrong values in slots", columns, cells, note)


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="with the files of Snips")
    parser.add_argument("--intents", nargs="*", default=[], help="only these")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    options = parser.parse_args(given)
    program = str(Path(sys.executable).with_name("goldleaf"))
    rows = read_rows(options.folder, options.intents)
    if not rows:
        parser.error(f"{options.folder} has no train_INTENT_full.json of these intents")
    found, slots = [], 0
    for seed in options.seeds:
        planted = plant(rows, seed)
        slots = len(planted.slots)
        try:
            decided, cpu = curate(planted, program)
        except Failed as failed:
            parser.exit(1, f"goldleaf failed: {failed}\n")
        found.append(_outcome(planted, decided, cpu))
        print(seed, found[-1].shares, file=sys.stderr, flush=True)
    table = _table(found, len(rows), slots)
    table.show(Console())
    if options.markdown:
        options.markdown.write_text(table.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
