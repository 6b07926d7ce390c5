"""A chain of twenty small runs on real rows, beside one run over everything: their decisions must be the same.

python tests/benchmarks/long_chain.py banking77 FOLDER    train.csv and test.csv of banking77
python tests/benchmarks/long_chain.py cuad FOLDER         clauses.jsonl
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from ladders import CASES, Case, banking77, banking77_case, write_dataset
from pydantic import SecretStr
from rich.console import Console
from tables import Results

sys.path.insert(0, str(Path(__file__).parents[1]))
from fake_studio import FakeStudio, fake_studio
from full_runs import changed_by_a_full_run

from flows.collect import collect
from flows.context import Context
from flows.curate import curate
from flows.engines.engine import Inline
from flows.local.simulated_annotators import annotate, read_truth
from flows.release import release
from flows.settings import Settings

Row = Mapping[str, Any]

_SEED = 17
_BATCHES, _RELEASED = 20, 5
_WRONG, _EDITED, _DELETED = 0.1, 0.02, 0.01
_ANSWERS = 40
"""A batch, of an annotator who is sometimes wrong."""
_HELP = """\
A tenth of the labels is wrong. Half of the rows come first, so that most batches are small beside what is there. In
each of the 20 batches after it a fortieth of the rows is new, 2% of those that are there are corrected or spelled
differently, 1% are deleted, and 40 questions are answered; every fifth batch is released. After each curate a copy of
the home is decided anew in one run over everything (`curate --full`): it must change nothing. The last line says what
`curate --rescore` would change: there, what judges labels has learned from all of these rows.
"""


# --- rows -----------------------------------------------------------------------------------------
def _banking77(folder: Path) -> tuple[Case, str]:
    splits = banking77(folder)
    return banking77_case(splits), "intent"


def _cuad(folder: Path) -> tuple[Case, str]:
    make, rows = CASES["cuad"]
    return make(folder, rows), "kind"


class Source:
    """A table of rows that somebody keeps up, and what is true of each."""

    def __init__(self, case: Case, label: str, place: Path) -> None:
        self._chance, self._label, self._place = random.Random(_SEED), label, place
        every = [row for rows in case.splits.values() for row in rows]
        self._right = [dict(row) for row in self._chance.sample(every, len(every))]
        self._labels = sorted({row[label] for row in every})
        self.rows: dict[int, dict[str, Any]] = {}
        self.file = write_dataset(case, place.name, place, {})
        for path in place.glob("*.jsonl"):
            path.unlink()
        truth = [{"id": number, "usable": True, **row} for number, row in enumerate(self._right)]
        self._write("truth.jsonl", truth)
        content = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        content["sources"] = [{"name": "table", "path": "table.jsonl", "key": "id", "mode": "snapshot"}]
        content["review"] = {"budget": _ANSWERS, "audit": 0.02}
        self.file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def next_batch(self, number: int) -> None:
        """Add half of the rows, and then a share of the others; edit and delete some of those that are there."""
        chance, known = self._chance, sorted(self.rows)
        for key in chance.sample(known, round(_DELETED * len(known))):
            del self.rows[key]
        known = sorted(self.rows)
        for key in chance.sample(known, round(_EDITED * len(known))):
            self.rows[key] = self._edited(self.rows[key], key)
        half = len(self._right) // 2
        first, last = (half + at * (len(self._right) - half) // _BATCHES for at in (number - 1, number))
        for key in range(first if number else 0, last):
            wrong = {self._label: chance.choice(self._labels)} if chance.random() < _WRONG else {}
            self.rows[key] = {"id": key, **self._right[key], **wrong}
        self._write("table.jsonl", list(self.rows.values()))

    def _edited(self, row: dict[str, Any], key: int) -> dict[str, Any]:
        """Its label corrected, or its text spelled otherwise, or with more words."""
        name = next(name for name, value in row.items() if isinstance(value, str) and name != self._label)
        match self._chance.randrange(3):
            case 0:
                return {"id": key, **self._right[key]}
            case 1:
                return {**row, name: row[name].upper()}
            case _:
                return {**row, name: f"{row[name]} Please tell me more about it."}

    def _write(self, name: str, rows: Sequence[Row]) -> None:
        lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        (self._place / name).write_text(lines, encoding="utf-8")


# --- the chain ------------------------------------------------------------------------------------
def chain(source: Source, studio: FakeStudio) -> Iterator[tuple[str, ...]]:
    """Live through all batches; yields a line of the table for each."""
    settings = Settings(
        goldleaf_home=str(source.file.parent / "home"),
        label_studio_url=studio.url,
        label_studio_api_key=SecretStr(studio.token),
        prefect_api_url="",
    )
    context = Context.load(source.file, settings)
    for number in range(_BATCHES + 1):
        source.next_batch(number)
        started = time.process_time()
        found = curate(context, Inline())
        spent = time.process_time() - started
        differing = f"{len(changed_by_a_full_run(context)):,}"
        answered = _answer(context)
        collect(context, Inline())
        version = release(context, Inline()).version if number % _RELEASED == 0 else ""
        looked = found.looked
        yield (
            str(number) if number else "half of the rows",
            f"{len(source.rows):,}",
            f"{looked.related:,}: {looked.why}"
            if looked.why
            else f"{looked.changed:,} changed, {looked.related:,} related",
            f"{spent:.1f}",
            str(answered),
            version,
            differing,
        )
    curate(context, Inline())
    yield ("rescored", f"{len(source.rows):,}", "", "", "", "", _rescored(context))


def _answer(context: Context) -> int:
    truth = read_truth(
        context.dataset.folder / "truth.jsonl", context.store.snapshot().at_last_commit(), context.dataset
    )
    assert context.connection is not None
    return annotate(context.connection, context.dataset, truth)


def _rescored(context: Context) -> str:
    """What differs where the model that judges labels has learned from all rows: fates and routes, and scores."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(context.store.root.parent, scratch, dirs_exist_ok=True)
        settings = context.settings.model_copy(update={"goldleaf_home": scratch, "label_studio_url": ""})
        anew = Context.load(context.dataset.path, settings)
        curate(anew, Inline(), rescore=True, push=False)
        ours, theirs = (one.store.snapshot().at_last_commit().current_decisions().collect() for one in (context, anew))
    other = theirs.join(ours, on=["record_id", "fate", "routed"], how="anti", nulls_equal=True).height
    both = ours.join(theirs, on="record_id", suffix="_anew").select(
        (pl.col("label_error_score") - pl.col("label_error_score_anew")).abs()
    )
    score = both.to_series().drop_nulls()
    return f"{other:,}; scores by {score.mean():.3f} on average" if len(score) else f"{other:,}"


def main() -> None:
    """Live through a chain, and show the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=sorted(_MAKERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as scratch, fake_studio() as studio:
        place = Path(scratch) / options.case
        place.mkdir()
        for line in chain(Source(*_MAKERS[options.case](options.folder), place), studio):
            print("  ".join(line), flush=True)
            lines.append(line)
    results = Results(
        f"{options.case}: a chain of {_BATCHES} runs",
        (
            "batch",
            "rows",
            "looked at, or why at all rows",
            "CPU s",
            "answers",
            "version",
            "decided otherwise by a full run",
        ),
        lines,
    )
    results.show(Console(width=max(Console().width, 140)))
    if options.markdown:
        options.markdown.write_text(results.markdown(), encoding="utf-8")


_MAKERS: dict[str, Callable[[Path], tuple[Case, str]]] = {"banking77": _banking77, "cuad": _cuad}


if __name__ == "__main__":
    main()
