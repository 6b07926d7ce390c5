"""What one more labeled row costs in a large classification, next to the first run of all.

python tests/benchmarks/growth_labels.py                            200,000 rows with 150 labels
python tests/benchmarks/growth_labels.py --rows 20000 --labels 77
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measuring import Measured, folder, run
from rich.console import Console
from tables import Results, verdict

_HELP = """\
Made-up rows: a label has forty words of its own, a text has thirty words, a third of them of its label's, and one label
in twenty is wrong. Rows that are added later have the labels' next words. Each command is its own process, measured
from start to end; MB is the peak resident size of the largest one. Target: one more row costs 1/25 of the first run.
"""
_DATASET = """\
name: topics
task: task.py:Topic
sources:
  - {name: rows, path: "rows-*.jsonl", key: id}
"""
_TASK = '''\
from typing import Literal

from schemas.task import Input, Target, Task


class Topic(Task):
    """Name the topic of the question."""

    question: Input[str]
    topic: Target[Literal[CHOICES]]
'''
_SHARE = 1 / 25
_COMMON, _OWN, _WORDS, _WRONG, _SEED = 5_000, 40, 30, 0.05, 17
_AT_ONCE = 20_000


def made_up(first: int, count: int, labels: int) -> Iterator[dict[str, object]]:
    """Rows from a number on."""
    for start in range(first, first + count, _AT_ONCE):
        chance, size = np.random.default_rng([_SEED, start]), min(_AT_ONCE, first + count - start)
        of = chance.integers(labels, size=size)
        words = chance.integers(_COMMON, size=(size, _WORDS))
        own = chance.random((size, _WORDS)) < 1 / 3
        words[own] = (_COMMON + of[:, None] * _OWN + chance.integers(_OWN, size=(size, _WORDS)))[own]
        said = np.where(chance.random(size) < _WRONG, chance.integers(labels, size=size), of)
        for at in range(size):
            text = " ".join(f"w{word:x}" for word in words[at])
            yield {"id": start + at, "question": text, "topic": f"topic {said[at]:03}"}


def _write(out: str, first: str, count: str, labels: str) -> None:
    with Path(out).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in made_up(int(first), int(count), int(labels)))


def measured(rows: int, labels: int, say: Callable[[str], object]) -> Iterator[tuple[str, Measured]]:
    """The first run, one with nothing new, and those after one row and after a thousand."""
    with folder() as place:
        (place / "dataset.yaml").write_text(_DATASET, encoding="utf-8")
        choices = ", ".join(f'"topic {label:03}"' for label in range(labels))
        (place / "task.py").write_text(_TASK.replace("CHOICES", choices), encoding="utf-8")
        there = 0
        for name, more in (("first", rows), ("nothing new", 0), ("one more row", 1), ("1,000 more rows", 1_000)):
            if more:
                # By another process: a child's peak memory is counted from that of its parent.
                out = place / f"rows-{there:09}.jsonl"
                run([sys.executable, __file__, "--write", str(out), str(there), str(more), str(labels)], place)
                there += more
            given = [sys.executable, "-m", "flows.cli", "curate", "--no-push", "--json", str(place / "dataset.yaml")]
            spent = run(given, place, {"GOLDLEAF_HOME": str(place / "home"), "LABEL_STUDIO_URL": ""})
            say(f"{name}: {spent.cpu:.1f} CPU s, {spent.wall:.1f} s, {spent.memory:,} MB")
            yield name, spent


def main() -> None:
    """Measure what the command line asks for."""
    if len(sys.argv) > 1 and sys.argv[1] == "--write":
        _write(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--labels", type=int, default=150)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    asked = parser.parse_args()
    console = Console(width=120)
    found = dict(measured(asked.rows, asked.labels, console.print))
    first = found["first"].cpu
    lines = [
        (name, f"{spent.cpu:.1f}", f"{spent.wall:.1f}", f"{spent.memory:,}", f"{spent.cpu / first:.4f}")
        for name, spent in found.items()
    ]
    share = found["one more row"].cpu / first
    table = Results(
        f"{asked.rows:,} rows with {asked.labels} labels",
        ("curate", "CPU s", "wall s", "MB", "share of the first run"),
        lines,
        f"One more row: {share:.4f} of the first run, at most {_SHARE:.4f}: {verdict(share, _SHARE)}.",
    )
    table.show(console)
    if asked.markdown:
        asked.markdown.write_text(table.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
