"""Compares the near-duplicate search with other tools: speed, memory, and whether the results are correct.

python tests/benchmarks/dedupe.py --help
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import ours
import peers
from corpus import CONFLICT, COPIES, Corpus, corpus
from measuring import Contestant, Failed, Labels, Measured, folder, interpreter, measure
from rich.console import Console
from scale import scale
from tables import Results, ratio
from truth import RULE, Truth, policy, truth_of
from whole_run import INSTALL, NEEDS, whole_run

import pipeline

OURS, FLOOR = ("goldleaf", "goldleaf-streamed"), "floor"
TINY, SLOW_SECONDS = 1_000, 60
_HELP = """\
What is measured
  A corpus of prompts and responses is made from the English in the docstrings of this
  machine's Python packages: 28% planted copies (exact, case and whitespace, typos, swaps,
  substitutions, truncation), 2% conflicts (the same prompt, a different response), 5% with
  one template. Each tool reads it from Parquet and returns a cluster for every row, in a
  new process that is warmed up on a tiny corpus before the clock starts. Tools take turns,
  so that a busy machine affects all of them; compare CPU seconds, since wall time depends on
  what else is running.

What is correct
  All rows are compared with all, exactly, without any code of the product. Two rows are
  duplicates if the Jaccard similarity of their sets of word 3-grams is 0.7 for prompt and
  response together, and 0.5 for the responses. Recall is the share of such pairs in one cluster,
  precision the share of pairs within clusters that are such pairs, or connected by them.

Peers
  They are imported by the interpreter that --python names, so they may have their own venv:
    python3 -m venv peers
    peers/bin/pip install polars scipy daft rensa datasketch 'xxhash<4' text-dedup \\
      'datatrove[io]' tokenizers py-data-juicer aiohttp torch ray
    python tests/benchmarks/dedupe.py --python peers/bin/python
  Missing ones are listed and left out.

Examples
  python tests/benchmarks/dedupe.py --rows 20000 --only goldleaf --only daft
  python tests/benchmarks/dedupe.py --python peers/bin/python --markdown table.md
  python tests/benchmarks/dedupe.py --full --only goldleaf --work /tmp/benchmarks
  python tests/benchmarks/dedupe.py --curate --only goldleaf --python peers/bin/python

Time, on two cores: 13 minutes for the table with all peers, 15 more with --full (and 6 GB
of disk), 6 more with --curate. Memory: 5 GB for 100,000 rows, most of it for the ground truth.
"""


@dataclass
class Entry:
    """A contestant with all its measurements."""

    name: str
    contestant: Contestant
    script: str
    python: str
    taken: list[Measured] = field(default_factory=list)
    labels: Labels | None = None

    @property
    def cpu(self) -> float:
        """The minimum."""
        return min(measured.cpu for measured in self.taken)

    @property
    def memory(self) -> int:
        """The minimum."""
        return min(measured.memory for measured in self.taken)

    def run(self, warm: Path, rows: Corpus) -> None:
        """Measure it once more."""
        measured, self.labels = measure(self.python, self.script, self.name, warm, rows.parts)
        self.taken.append(measured)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*OURS, *peers.CONTESTANTS]
    add = parser.add_argument
    add("--rows", type=int, default=100_000, help="rows of the corpus (default: 100000)")
    add("--rounds", type=int, default=3, help="runs per tool (default: 3; 1 for a tool that takes a minute)")
    only = f"run only this one; may be repeated; one of {', '.join(names)}"
    add("--only", action="append", choices=names, metavar="NAME", help=only)
    add(
        "--python",
        type=interpreter,
        default=sys.executable,
        help="the interpreter that has the peers (default: this one)",
    )
    add("--full", action="store_true", help="also measure how Goldleaf scales, up to 3 million rows")
    add("--curate", action="store_true", help="also compare `goldleaf curate` with data-juicer")
    add(
        "--work",
        type=Path,
        help="a folder that keeps corpora and truth for later runs (default: a temporary one)",
    )
    add("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    return parser.parse_args(given)


def main() -> None:
    """Run what the command line asks for."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    console = Console(width=max(Console().width, 150))
    measured = _measured()
    console.print(measured, style="dim")
    with folder() as temporary:
        work = asked.work or temporary
        work.mkdir(parents=True, exist_ok=True)
        results = []
        for found in _sections(asked, work):
            found.show(console)
            results.append(found)
    if asked.markdown:
        text = "\n".join([f"{measured}\n", *(found.markdown() for found in results)])
        asked.markdown.write_text(text, encoding="utf-8")


def _measured() -> str:
    """What was measured, where and when."""
    command = ["git", "-C", str(Path(pipeline.__path__[0])), "describe", "--always", "--dirty=, with changes"]
    commit = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip() or "of no commit"
    return f"{date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}, Goldleaf {commit}"


def _sections(asked: argparse.Namespace, work: Path) -> Iterator[Results]:
    """The tables, one by one as they are ready."""
    tools = _probe(asked.python)
    rows, warm = corpus(work, asked.rows), corpus(work, TINY, seed=2).folder
    truth = truth_of(rows)
    entries = _entries(asked, tools)
    _take_turns(entries, rows, warm, asked.rounds)
    yield _comparison(entries, rows, truth, tools)
    if any(entry.name in OURS for entry in entries):
        yield _operating_points(rows, warm, truth)
    if asked.full:
        yield scale(work, warm)
    if asked.curate:
        there = tools.has(NEEDS)
        if not there:
            print(f"data-juicer is left out; to include it: {asked.python} -m pip install {INSTALL}")
        yield whole_run(rows, asked.python if there else "", min(asked.rounds, 2))


# --- what there is --------------------------------------------------------------------------------
_PROBE = """
import importlib.metadata, importlib.util, json, sys
modules, packages = json.loads(sys.argv[1])
versions = {}
for name in packages:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps([[name for name in modules if importlib.util.find_spec(name)], versions]))
"""


@dataclass(frozen=True)
class Tools:
    """What an interpreter can import."""

    python: str
    modules: set[str]
    versions: dict[str, str]

    def has(self, modules: Sequence[str]) -> bool:
        """Whether it has all of them."""
        return self.modules.issuperset(modules)


def _probe(python: str) -> Tools:
    modules = [*peers.BASE, *NEEDS, *(need for peer in peers.CONTESTANTS.values() for need in peer.needs)]
    packages = ["daft", "rensa", "datasketch", "text-dedup", "datatrove", "py-data-juicer", "polars"]
    command = [python, "-c", _PROBE, json.dumps([modules, packages])]
    found, versions = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Tools(python, set(found), versions)


def _entries(asked: argparse.Namespace, tools: Tools) -> list[Entry]:
    chosen = asked.only or [*OURS, *peers.CONTESTANTS]
    entries = [Entry(name, ours.CONTESTANTS[name], "ours.py", sys.executable) for name in OURS if name in chosen]
    for name, peer in peers.CONTESTANTS.items():
        if name in chosen and not tools.has(peers.BASE + peer.needs):
            print(
                f"{name} is left out; to include it: {tools.python} -m pip install {peers.INSTALL_BASE} {peer.install}"
            )
        elif name in chosen:
            entries.append(Entry(name, peer, "peers.py", tools.python))
    return entries


# --- the comparison -------------------------------------------------------------------------------
def _take_turns(entries: list[Entry], rows: Corpus, warm: Path, rounds: int) -> None:
    for number in range(rounds):
        for entry in list(entries):
            if number and entry.cpu > SLOW_SECONDS:
                continue
            try:
                entry.run(warm, rows)
            except Failed as failed:
                print(f"{entry.name} is left out: {failed}", flush=True)
                entries.remove(entry)
            else:
                print(f"round {number + 1}: {entry.name} {entry.taken[-1].cpu:.2f} CPU s", flush=True)


def _comparison(entries: list[Entry], rows: Corpus, truth: Truth, tools: Tools) -> Results:
    base = next((entry for entry in entries if entry.name == OURS[0]), None)
    plants = rows.plants()
    conflicts, rounds = plants.filter(kind=CONFLICT).height, max((len(entry.taken) for entry in entries), default=0)
    lines = []
    for entry in sorted(entries, key=lambda entry: (entry.name != FLOOR, entry.cpu)):
        took = (f"{entry.cpu:.2f}", f"{statistics.median(one.cpu for one in entry.taken):.2f}")
        times = (ratio(entry.cpu, base.cpu), ratio(entry.memory, base.memory)) if base else ("", "")
        found: tuple[str, ...] = ("",) * 5
        if entry.labels is not None:
            how = policy(entry.labels, truth, plants)
            shares = tuple(f"{share:.4f}" for share in (how.recall, how.precision, how.precision_text))
            found = (*shares, f"{how.lost:,}", f"{how.conflicts:,}")
        lines.append((entry.contestant.title, *took, times[0], f"{entry.memory:,}", times[1], *found))
    versions = ", ".join(f"{name} {version}" for name, version in tools.versions.items())
    return Results(
        f"{rows.rows:,} rows, from Parquet to clusters",
        (
            *("tool", "CPU s", "median", "to ours", "MB", "to ours", "recall", "precision", "responses aside"),
            *("texts lost", "conflicts merged"),
        ),
        lines,
        f"CPU: the minimum of up to {rounds} runs, and the median. MB: the peak resident size of the largest process. "
        f"True pairs: {len(truth.pairs(RULE)[0]):,}. Responses aside: precision if responses need not be similar. "
        "Texts lost: those left without any similar text if you kept one row per cluster, responses aside. Conflicts "
        f"merged: of {conflicts:,} planted ones. {versions}.",
    )


def _operating_points(rows: Corpus, warm: Path, truth: Truth) -> Results:
    lines = []
    for name, rule in ours.RULES.items():
        _, labels = ours.run_ours(name, warm, rows.parts)
        how = policy(labels, truth, rows.plants(), rule)
        shares = [f"{100 * how.found[kind]:.1f}%" for kind in COPIES]
        title = f"{rule.whole} and {rule.response}"
        lines.append((title, f"{how.recall:.4f}", f"{how.precision:.4f}", *shares, f"{how.conflicts:,}"))
    return Results(
        "Planted copies found by each rule",
        ("rule", "recall", "precision", *COPIES, "conflicts merged"),
        lines,
        "A rule is the minimum Jaccard similarity of prompt and response together, and that of the responses. Each "
        "line's recall and precision use its own rule. Planted copies may be less similar than the rule requires.",
    )


if __name__ == "__main__":
    main()
