"""What each command costs in a dataset that grows: after the first run, a thousand new rows, answers, nothing new.

python tests/benchmarks/growth.py                            100,000, a million and three million rows
python tests/benchmarks/growth.py --rows 100000 --only first nothing
python tests/benchmarks/growth.py --rows 1000000 --only first nothing --engine prefect
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
from corpus import Corpus, corpus
from measuring import Measured, folder, run
from rich.console import Console
from tables import Results, verdict

sys.path.insert(0, str(Path(__file__).parent.parent))

from fake_studio import FakeStudio, fake_studio

SIZES = (100_000, 1_000_000, 3_000_000)
BATCH, ANSWERS = 1_000, 100
_HELP = """\
Rows of about 1.3 KB with free-text answers, a third of them copies of others; a batch is another file of the same
source. Each command is measured from start to end as its own process, with all that it starts; MB is the peak resident
size of the largest one. Label Studio is the stand-in of the tests, in this process, whose time is not counted; a third
of the answers are corrections. A release is compared with polars, which sorts the same rows and writes the same
Parquet.
"""
_DATASET = """\
name: answers
task: task.py:Answering
sources:
  - {name: rows, path: "rows-*.jsonl", key: id}
"""
_TASK = '''\
from schemas.task import Input, Target, Task


class Answering(Task):
    """Answer the question."""

    prompt: Input[str]
    response: Target[str]
'''
_CORRECTED = 3
"""Of so many answers one is another text than the proposed one."""


@dataclass(frozen=True)
class Step:
    """Something that is done with the dataset, and measured."""

    name: str
    title: str
    command: tuple[str, ...] = ()
    before: Callable[["_Home"], None] = lambda home: None


@dataclass(frozen=True)
class Target:
    """What a step may cost at most, as a share of what another one costs, or in MB."""

    step: str
    against: str = "first"
    share: float | None = None
    memory: int | None = None
    rows: int = 1_000_000
    """The size of the dataset that it is about; others are only shown."""


# --- what is measured -----------------------------------------------------------------------------
STEPS = (
    Step("first", "curate: all rows", ("curate",)),
    Step("nothing", "curate: nothing new", ("curate",)),
    Step("batch", f"curate: {BATCH:,} new rows", ("curate",), lambda home: home.deliver()),
    Step("collect", f"collect: {ANSWERS} answers", ("collect",), lambda home: home.answer()),
    Step("status", "status", ("status",)),
    Step("explain", "explain", ("explain", "rows-00000.jsonl:7")),
    Step("report", "report", ("report",)),
    Step("duplicates", "duplicates", ("duplicates",)),
    Step("release", "release: all rows", ("release",)),
    Step("second", f"curate: {BATCH:,} more", ("curate",), lambda home: home.deliver()),
    Step("again", f"release: after {BATCH:,} more", ("release",)),
    Step("polars", "polars: sort and write the same rows"),
)
TARGETS = (
    Target("batch", share=1 / 25, memory=1_500),
    Target("nothing", share=1 / 50, memory=1_000),
    Target("collect", share=1 / 40, memory=1_000),
    Target("status", share=1 / 100, memory=1_000),
    Target("explain", share=1 / 100, memory=1_000),
    Target("report", share=1 / 15, memory=1_000),
    Target("first", memory=3_000),
    Target("first", memory=6_000, rows=3_000_000),
    Target("release", against="polars", share=3, memory=2_500),
    Target("again", against="release", share=1 / 2, memory=2_500),
)
_ON_ENGINES = ("curate", "collect", "release")
_BATCH_GROWTH, _ROW_GROWTH = 3, 1.2
"""How much more a batch may cost in a dataset ten times as large, and a row of the first run."""


class _Home:
    """A dataset with its home, its annotators, and rows to come."""

    def __init__(self, place: Path, rows: Corpus, size: int, studio: FakeStudio, engine: str) -> None:
        self._place, self._rows, self._studio, self._engine = place, rows, studio, engine
        self._delivered = 0
        self._file = place / "dataset.yaml"
        self._file.write_text(_DATASET, encoding="utf-8")
        (place / "task.py").write_text(_TASK, encoding="utf-8")
        self._write(size)

    def deliver(self) -> None:
        """Add a batch."""
        self._write(BATCH)

    def _write(self, count: int) -> None:
        # By another process: a child's peak memory is counted from that of its parent.
        out = self._place / f"rows-{self._delivered:05}.jsonl"
        start = self._delivered
        self._run([sys.executable, __file__, "--write", str(out), str(self._rows.folder), str(start), str(count)])
        self._delivered += count

    def answer(self) -> None:
        """Confirm or correct some answers that annotators were asked about."""
        answered = {row["task"] for row in self._studio.annotations.values()}
        for place, number in enumerate([one for one in self._studio.tasks if one not in answered][:ANSWERS]):
            proposed = self._studio.tasks[number]["predictions"]
            keeps = proposed and place % _CORRECTED
            result = proposed[0]["result"] if keeps else _typed(f"What annotators type about question {number}.")
            self._studio.annotate(number, {"result": result, "completed_by": 1})

    def measure(self, step: Step) -> Measured:
        """Do what a step says."""
        step.before(self)
        if not step.command:
            return self._run([sys.executable, __file__, "--sort", str(self._place)])
        verb, *more = step.command
        engine = ["--engine", self._engine] if self._engine and verb in _ON_ENGINES else []
        return self._run([sys.executable, "-m", "flows.cli", verb, "--json", *engine, *more, str(self._file)])

    def _run(self, command: Sequence[str]) -> Measured:
        environment = {
            "GOLDLEAF_HOME": str(self._place / "home"),
            "LABEL_STUDIO_URL": self._studio.url,
            "LABEL_STUDIO_API_KEY": self._studio.token,
        }
        return run(command, self._place, environment)


def _measured(size: int, cache: Path, only: Sequence[str], engine: str) -> Iterator[tuple[str, Measured]]:
    """Every step, in order; those that are not asked for are done, too, as others build upon them."""
    rows = corpus(cache, size + 2 * BATCH)
    with folder() as place, fake_studio() as studio:
        home = _Home(place, rows, size, studio, engine)
        for step in STEPS:
            spent = home.measure(step)
            print(f"{size:,}  {step.title}: {_shown(spent)}", flush=True)
            yield step.name, spent
            if only and not set(only) & {later.name for later in STEPS[STEPS.index(step) + 1 :]}:
                return


def _typed(text: str) -> list[dict[str, object]]:
    form = {"id": "response", "from_name": "response", "to_name": "show-prompt", "type": "textarea"}
    return [{**form, "value": {"text": [text]}}]


def _shown(spent: Measured) -> str:
    return f"{spent.cpu:.1f} CPU s, {spent.wall:.1f} s, {spent.memory:,} MB"


# --- other processes ------------------------------------------------------------------------------
def _write_rows(out: str, parts: str, start: str, count: str) -> None:
    """Write some rows of a corpus as JSONL, piece by piece."""
    first, last = int(start), int(start) + int(count)
    rows = pl.scan_parquet(sorted(Path(parts).glob("part-*.parquet"))).with_row_index("id")
    with Path(out).open("wb") as file:
        for at in range(first, last, 50_000):
            piece = rows.slice(at, min(50_000, last - at)).select("id", "prompt", "response").collect()
            piece.write_ndjson(file)


def _sort_and_write(place: str) -> None:
    """What any release has to do: read the rows of the last version, sort them and write them."""
    version = max(Path(place).glob("home/answers/releases/*/"), key=lambda one: one.stat().st_mtime)
    for number, file in enumerate(sorted(version.glob("data/*.parquet"))):
        frame = pl.read_parquet(file)
        frame.sort("id" if "id" in frame.columns else frame.columns[0]).write_parquet(
            Path(place) / f"sorted-{number}.parquet", compression="zstd", compression_level=3, row_group_size=50_000
        )


# --- the results ----------------------------------------------------------------------------------
def tables(found: Mapping[int, Mapping[str, Measured]], engine: str = "") -> list[Results]:
    """What was measured, and how it compares with the targets, which are about the default engine."""
    titles = {step.name: step.title for step in STEPS}
    lines = [
        (
            titles[name],
            f"{size:,}",
            f"{spent.cpu:.1f}",
            f"{spent.wall:.1f}",
            f"{spent.memory:,}",
            f"{spent.cpu / steps['first'].cpu:.4f}",
        )
        for size, steps in found.items()
        for name, spent in steps.items()
    ]
    costs = Results(
        "What a command costs", ("command", "rows", "CPU s", "wall s", "MB", "share of the first run"), lines
    )
    if engine == "prefect":
        # It starts a server for each command.
        return [costs]
    return [costs, Results("Targets", ("what", "rows", "figure", "at most", ""), list(_verdicts(found, titles)))]


def _verdicts(
    found: Mapping[int, Mapping[str, Measured]], titles: Mapping[str, str]
) -> Iterator[tuple[str, str, str, str, str]]:
    for size, steps in found.items():
        for target in (target for target in TARGETS if target.step in steps and target.rows == size):
            what, spent = titles[target.step], steps[target.step]
            if target.share is not None and target.against in steps:
                share = spent.cpu / steps[target.against].cpu
                told = (f"{share:.4f}", f"{target.share:.4f} of {titles[target.against]}", verdict(share, target.share))
                yield (what, f"{size:,}", *told)
            if target.memory is not None:
                told = (f"{spent.memory:,} MB", f"{target.memory:,} MB", verdict(spent.memory, target.memory))
                yield (what, f"{size:,}", *told)
    sizes = sorted(found)
    for few, many in itertools.pairwise(sizes):
        for step, per_row, most in (("batch", False, _BATCH_GROWTH), ("first", True, _ROW_GROWTH)):
            if step in found[few] and step in found[many]:
                growth = found[many][step].cpu / found[few][step].cpu / (many / few if per_row else 1)
                what = f"{titles[step]}, {'a row, ' if per_row else ''}against {few:,} rows"
                yield (what, f"{many:,}", f"{growth:.2f} x", f"{most} x", verdict(growth, most))


def main() -> None:
    """Measure what the command line asks for."""
    if len(sys.argv) > 1 and sys.argv[1] in ("--write", "--sort"):
        (_write_rows if sys.argv[1] == "--write" else _sort_and_write)(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes of the dataset")
    names = ", ".join(step.name for step in STEPS)
    parser.add_argument("--only", nargs="+", default=[], metavar="STEP", help=f"stop after these; of {names}")
    cache = Path(tempfile.gettempdir()) / "goldleaf-corpora"
    parser.add_argument("--cache", type=Path, default=cache, help=f"a folder for the corpora (default: {cache})")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument(
        "--engine", default="", choices=["", "inline", "prefect"], help="of curate, collect and release"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw the cost against the size, such as SVG")
    parser.add_argument("--from", dest="earlier", type=Path, metavar="FILE", help="draw and compare such figures only")
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    found = _read(asked.earlier) if asked.earlier else {}
    for size in () if asked.earlier else asked.rows:
        found[size] = dict(_measured(size, asked.cache, asked.only, asked.engine))
        # Hours of work: kept as soon as they are there.
        if asked.figures:
            _keep(found, asked.figures)
    shown = tables(found, asked.engine)
    for table in shown:
        table.show(Console(width=120))
    if asked.markdown:
        asked.markdown.write_text("\n".join(table.markdown() for table in shown), encoding="utf-8")
    if asked.plot:
        from growth_plot import draw

        draw(found, {step.name: step.title for step in STEPS}, asked.plot)


def _keep(found: Mapping[int, Mapping[str, Measured]], path: Path) -> None:
    plain = {size: {name: asdict(spent) for name, spent in steps.items()} for size, steps in found.items()}
    path.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def _read(path: Path) -> dict[int, dict[str, Measured]]:
    plain = json.loads(path.read_text(encoding="utf-8"))
    return {int(size): {name: Measured(**spent) for name, spent in steps.items()} for size, steps in plain.items()}


if __name__ == "__main__":
    main()
