"""How many rows with one wrong value are found within a review budget of a tenth, by kind of mistake and field.

python tests/benchmarks/field_errors.py tills
"""

import argparse
import datetime
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Failed, folder, run
from receipts import BILLS, TILLS, receipts
from rich.console import Console
from sent_batch import QUERY, Batch, row_of
from tables import Results

from pipeline.label_errors.extractions import Extracted, learn_values
from schemas.field import TargetField, ValueType

Row = dict[str, Any]
MISTAKES = ("swapped", "misspelt", "dropped")
_SHARE, _BUDGET, _DOUBTED = 0.1, 0.1, 0.1
_HELP = """\
SET is one of
  tills     626 made-up till receipts with company, address, date and total: the method was developed on them
  bills     626 made-up bills of inns, in other languages and formats, that nothing was developed on
  cuad      FOLDER has clauses.jsonl of CUAD (CC BY 4.0): an end, a law and two periods of contracts, by clause
Planted in a tenth of the rows, a mistake in each, evenly by kind and by field: a value exchanged with that of another
row, a sign of it changed, a value left out.
A cell says how many were found, how many score 0.1 or more, and how many there are. Found is what is in the batch of
`goldleaf curate --no-push` with a budget of 10% of the rows, or is decided by an answer to it; with --quick, what is
among the 10% of the rows with the highest scores.
Other rows may be wrong as well. --clean plants nothing and counts the rows that are doubted.
"""


@dataclass(frozen=True)
class Set:
    """Rows with the fields that are read in ``text``, all of them optional."""

    rows: list[Row]
    types: dict[str, ValueType]


# --- sets -----------------------------------------------------------------------------------------
_TEXT, _DATE, _DECIMAL = ValueType.TEXT, ValueType.DATE, ValueType.DECIMAL


def _receipts(family: Any) -> Callable[[Path | None, int], Set]:
    types = {"company": _TEXT, "address": _TEXT, "date": _DATE, "total": _DECIMAL}
    return lambda place, seed: Set(receipts(family, 626, seed), types)


_CLAUSES = {
    "Expiration Date": "expires",
    "Governing Law": "law",
    "Renewal Term": "renewal",
    "Notice Period To Terminate Renewal": "notice",
}


def _cuad(place: Path | None, seed: int) -> Set:
    """Clauses of these kinds, and as many others, which say none of the values."""
    lines = ((place or Path()) / "clauses.jsonl").read_text(encoding="utf-8").splitlines()
    rows: dict[str, Row] = {}
    others = []
    for one in map(json.loads, lines):
        name = _CLAUSES.get(one["label"])
        if name is None:
            others.append(one["clause"])
            continue
        value = one["answer"]
        if name == "expires":
            try:
                value = datetime.datetime.strptime(value, "%m/%d/%y").date().isoformat()
            except ValueError:
                continue
        rows.setdefault(one["clause"], {"text": one["clause"]})[name] = value
    more = [text for text in dict.fromkeys(others) if text not in rows]
    drawn = random.Random(f"cuad {seed}").sample(more, len(rows))
    types = {"expires": _DATE, "law": _TEXT, "renewal": _TEXT, "notice": _TEXT}
    return Set([*rows.values(), *({"text": text} for text in drawn)], types)


SETS: dict[str, Callable[[Path | None, int], Set]] = {
    "tills": _receipts(TILLS),
    "bills": _receipts(BILLS),
    "cuad": _cuad,
}


# --- mistakes -------------------------------------------------------------------------------------
Mistake = tuple[str, str]
"""Its kind and its field; both empty where none was planted."""


def plant(given: Set, seed: int) -> tuple[list[Row], list[Mistake]]:
    """Plant the mistakes, evenly by kind and field, in as many rows as can have them."""
    draw = random.Random(seed)
    rows, planted = [dict(row) for row in given.rows], [("", "")] * len(given.rows)
    cells = [(kind, field) for kind in MISTAKES for field in given.types]
    draw.shuffle(cells)
    order = list(range(len(rows)))
    draw.shuffle(order)
    for number in range(round(_SHARE * len(rows))):
        kind, field = cells[number % len(cells)]
        for at in order:
            value = given.rows[at].get(field)
            if planted[at][0] or value is None:
                continue
            wrong = _wrong(kind, field, value, given, draw)
            if wrong != value:
                rows[at][field], planted[at] = wrong, (kind, field)
                break
    return rows, planted


def _wrong(kind: str, field: str, value: str, given: Set, draw: random.Random) -> str | None:
    if kind == "dropped":
        return None
    if kind == "swapped":
        values = [row[field] for row in given.rows if row.get(field) is not None]
        return str(draw.choice(values))
    return _misspelt(value, given.types[field], draw)


def _misspelt(value: str, type: ValueType, draw: random.Random) -> str:
    signs = [at for at, sign in enumerate(value) if sign.isalnum()]
    for _ in range(50 if signs else 0):
        at = draw.choice(signs)
        alike = "0123456789" if value[at].isdigit() else "abcdefghijklmnopqrstuvwxyz"
        sign = draw.choice(alike)
        wrong = value[:at] + (sign.upper() if value[at].isupper() else sign) + value[at + 1 :]
        if type is not ValueType.DATE or _is_date(wrong):
            return wrong
    return value


def _is_date(value: str) -> bool:
    try:
        return datetime.date.fromisoformat(value) is not None
    except ValueError:
        return False


# --- what is found --------------------------------------------------------------------------------
@dataclass(frozen=True)
class Outcome:
    """What came of one planting."""

    planted: list[Mistake]
    found: set[int]
    doubted: set[int]
    """Rows with a score of 0.1 or more."""
    sent: int
    cpu: float


def quick(given: Set, rows: Sequence[Row], planted: list[Mistake]) -> Outcome:
    """By the scores alone."""
    fields = [TargetField(name=name, type=type, optional=True) for name, type in given.types.items()]
    texts = [
        Extracted(row["text"], {name: row.get(name) for name in given.types}, str(at)) for at, row in enumerate(rows)
    ]
    started = time.process_time()
    scores = [one.score or 0 for one in learn_values(texts, fields, 17)[0].rows]
    cpu = time.process_time() - started
    ranked = sorted(range(len(rows)), key=lambda at: -scores[at])[: round(_BUDGET * len(rows))]
    return Outcome(planted, set(ranked), {at for at, one in enumerate(scores) if one >= _DOUBTED}, len(ranked), cpu)


_TYPES = {ValueType.TEXT: "str", ValueType.DATE: "datetime.date", ValueType.DECIMAL: "Decimal"}


def curated(given: Set, rows: Sequence[Row], planted: list[Mistake]) -> Outcome:
    """By a run of the program."""
    fields = "".join(f"    {name}: Target[{_TYPES[type]} | None] = None\n" for name, type in given.types.items())
    head = "import datetime\nfrom decimal import Decimal\n\nfrom schemas.task import Input, Target, Task\n"
    with folder() as home:
        lines = (json.dumps({"id": number, **row}) for number, row in enumerate(rows))
        (home / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        task = f'{head}\n\nclass Slip(Task):\n    """Read it."""\n\n    text: Input[str]\n{fields}'
        (home / "task.py").write_text(task, encoding="utf-8")
        (home / "dataset.yaml").write_text(
            "name: slips\ntask: task.py:Slip\nsources:\n- {name: rows, path: rows.jsonl, key: id}\n"
            f"review: {{budget: {_BUDGET}}}\n",
            encoding="utf-8",
        )
        program, environment = str(Path(sys.executable).with_name("goldleaf")), {"GOLDLEAF_HOME": str(home / "home")}
        spent = run([program, "curate", str(home / "dataset.yaml"), "--no-push"], home, environment)
        asked = home / "asked"
        asked.mkdir()
        run([program, "sql", QUERY, str(home / "dataset.yaml"), "--json"], asked, environment)
        decided = json.loads((asked / "log.txt").read_text(encoding="utf-8"))
    batch = Batch.read(decided, [row["text"] for row in rows])
    doubted = {row_of(row) for row in decided if (row["score"] or 0) >= _DOUBTED}
    return Outcome(planted, set(batch.decided), doubted, len(batch.sent), spent.cpu)


def _table(name: str, given: Set, found: Sequence[Outcome]) -> Results:
    there, hit, doubted = Counter[Mistake](), Counter[Mistake](), Counter[Mistake]()
    for one in found:
        for at, (kind, field) in enumerate(one.planted):
            if kind:
                for cell in ((kind, field), (kind, ""), ("", field), ("", "")):
                    there[cell] += 1
                    hit[cell] += at in one.found
                    doubted[cell] += at in one.doubted
    fields = [*list(given.types)[:8], ""]
    lines = [
        (
            kind or "all",
            *(f"{hit[kind, f]}, {doubted[kind, f]} of {there[kind, f]}" for f in fields),
            f"{hit[kind, ''] / max(there[kind, ''], 1):.1%}",
        )
        for kind in (*MISTAKES, "")
    ]
    count = len(found)
    note = (
        f"{len(given.rows):,} rows, {count} seeds. A run: {sum(one.sent for one in found) / count:.0f} asked, "
        f"{sum(len(one.doubted) for one in found) / count:.0f} scored 0.1 or more, "
        f"{sum(one.cpu for one in found) / count:.1f} s of CPU."
    )
    return Results(name, ("planted", *(one or "all" for one in fields), "share"), lines, note)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=list(SETS))
    parser.add_argument("folder", type=Path, nargs="?", help="of the real rows")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    parser.add_argument("--quick", action="store_true", help="by the scores alone")
    parser.add_argument("--clean", action="store_true", help="plant nothing")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    options = parser.parse_args(arguments)
    found = []
    for seed in options.seeds:
        given = SETS[options.set](options.folder, seed)
        rows, planted = (given.rows, [("", "")] * len(given.rows)) if options.clean else plant(given, seed)
        try:
            found.append((quick if options.quick else curated)(given, rows, planted))
        except Failed as failed:
            parser.exit(1, f"goldleaf failed: {failed}\n")
    table = _table(options.set, given, found)
    table.show(Console(width=max(Console().width, 120)))
    if options.markdown:
        options.markdown.write_text(table.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
